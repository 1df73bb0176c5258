"""
Real processes: the client as the gridmanager starts it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.procfs import PATIENCE, catches, waitFor
from tests.programs import gahp, program, runProgram
from tests.wholecase import PlaygroundTestCase

#: What costs a start, or is no part of it.
_FORBIDDEN = (
    "twisted",
    "zope",
    "dataclasses",
    "argparse",
    "asyncio",
    "subprocess",
    "ssl",
    "OpenSSL",
    "cryptography.x509",
    "inspect",
    "logging",
    "json",
    "tempfile",
    "shutil",
    "decimal",
    "htcondor2",
)


_X25519 = "cryptography.hazmat.primitives.asymmetric.x25519"

#: 32 and 33, in a mask: the C library keeps them to itself, and whoever started the
#: tests may have had them ignored.
_KEPT_SIGNALS = 1 << 31 | 1 << 32


def _imported(told: str) -> set[str]:
    """
    @param told: what the interpreter said with C{-X importtime}.
    @return: the modules that were imported.
    """
    return set(re.findall(r"^import time:.*\| +([\w.]+)$", told, re.MULTILINE))


class ClientTests(PlaygroundTestCase):
    """
    C{rvgahp_client}.
    """

    gahps = {"cat": "/bin/cat", "status": "/bin/cat /proc/self/status"} | {
        name: gahp(name) for name in ("surroundings", "slow")
    }

    def test_imports(self) -> None:
        """
        A whole session imports no Twisted, no dataclasses, no argparse, and nothing else
        that would cost the gridmanager time.
        """
        words = self.playground.words("cat")
        run = runProgram([sys.executable, "-X", "importtime", *words], b"text\n")
        self.assertEqual((run.status, run.output), (0, b"text\n"))
        modules = _imported(run.errors)
        self.assertIn("rvgahp.clientsession", modules)
        # What the interpreter itself imports before us, a site's .pth files for instance;
        # and what an old version of cryptography does, whose lower parts are not enough.
        public = "cryptography.hazmat.primitives.ciphers.aead"
        code = f"import {public}, {_X25519}" if public in modules else ""
        bare = runProgram([sys.executable, "-X", "importtime", "-c", code])
        ours = modules - _imported(bare.errors)
        found = {name for name in ours for root in _FORBIDDEN if f"{name}.".startswith(f"{root}.")}
        self.assertEqual(found, set())

    def test_asTheGridmanagerDoes(self) -> None:
        """
        Pipes for stdin, stdout and stderr, SIGPIPE ignored, an unreadable working directory
        that is not there any more, no USER, no HOME, an empty PATH, descriptors above 2
        closed: as ever.
        """
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PYTHON", "LD_")) or name == "COVERAGE_PROCESS_START"
        }
        environment |= {"PATH": "", "GAHP_TEMP": "/nonexistent", "CONDOR_INHERIT": "1 <x> 0 0"}
        with tempfile.TemporaryDirectory() as above:
            cwd = Path(above, "gone")
            cwd.mkdir()
            code = (
                "import os, signal, sys; signal.signal(signal.SIGPIPE, signal.SIG_IGN);"
                "os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])"
            )
            words = [sys.executable, "-I", "-S", "-c", code, *self.playground.words("cat")]
            run = runProgram(words, b"text\n", env=environment, cwd=cwd, restore_signals=False)
        self.assertEqual((run.status, run.output, run.errors), (0, b"text\n", ""))

    def test_oddLocale(self) -> None:
        """
        Neither locale nor Python's own settings in the environment matter.
        """
        environment = {
            **os.environ,
            "LC_ALL": "C",
            "PYTHONIOENCODING": "utf-16",
            "PYTHONUTF8": "0",
            "PYTHONUNBUFFERED": "1",
        }
        run = self.playground.run("cat", b"\xff\x00\n", env=environment)
        self.assertEqual((run.status, run.output, run.errors), (0, b"\xff\x00\n", ""))

    def test_gahpSurroundings(self) -> None:
        """
        A GAHP finds stdin, stdout and stderr and no other descriptor, a process group of
        its own, umask 022, no signal ignored, and nothing of the CE's own standing.
        """
        run = self.playground.run("surroundings")
        opened, ownGroup, environment = json.loads(run.output)
        self.assertEqual(opened, [0, 1, 2])
        self.assertTrue(ownGroup)
        run = self.playground.run("status")
        status = dict(line.split(":\t") for line in run.output.decode().splitlines())
        self.assertEqual(status["Umask"], "0022")
        for name in ("SigIgn", "SigBlk", "SigCgt"):
            self.assertEqual(int(status[name], 16) & ~_KEPT_SIGNALS, 0, name)
        self.assertNotIn("NOTIFY_SOCKET", environment)
        self.assertNotIn("CONDOR_INHERIT", environment)

    def test_fragments(self) -> None:
        """
        Lines that come in fragments, as the gridmanager writes them, are answered when
        they are whole, and not before.
        """
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        for number in range(3):
            for part in (b"COMMAND", b" 2 ", b"x\\ y", b"\r\n"):
                client.stdin.write(part)
                client.stdin.flush()
            words = client.stdout.readline().split(b" ", 2)
            self.assertEqual(words[1:], [b"%d" % number, b"COMMAND 2 x\\ y\r\n"])

    def test_signalsEarly(self) -> None:
        """
        SIGTERM before there is an answer ends the client at once.
        """
        os.kill(self.playground.proxyPid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.playground.proxyPid, signal.SIGCONT)
        client = self.playground.client("cat")
        waitFor(lambda: catches(client.pid, signal.SIGTERM), "its handlers")
        client.terminate()
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output, errors), (128 + signal.SIGTERM, b"", b""))
        os.kill(self.playground.proxyPid, signal.SIGCONT)
        self.playground.awaitNoGAHP()

    def test_words(self) -> None:
        """
        C{--help} and C{--version} explain; words that make no sense are refused.
        """
        run = runProgram([program("rvgahp_client"), "--help"])
        self.assertEqual((run.status, run.errors), (0, ""))
        self.assertIn(b"Usage: rvgahp_client", run.output)
        run = runProgram([program("rvgahp_client"), "--version"])
        self.assertEqual((run.status, run.errors), (0, ""))
        for words in ([], ["site"], ["a", "b", "c"], ["--socket"], ["--nonsense", "a", "b"]):
            run = runProgram([program("rvgahp_client"), *words])
            self.assertEqual((run.status, run.output), (2, b""), words)
            self.assertEqual(run.errors.count("\n"), 1)

    def test_condorConfigVal(self) -> None:
        """
        The setting RVGAHP_SOCKET of C{condor_config}, asked of HTCondor's own tool, tells
        where the proxy is, where nothing quicker does.
        """
        with tempfile.TemporaryDirectory() as directory:
            tool = Path(directory, "condor_config_val")
            tool.write_text(
                f'#!/bin/sh\n[ "$1" = RVGAHP_SOCKET ] && echo {self.playground.sandbox.socket}\n'
            )
            tool.chmod(0o755)
            environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
            environment.pop("_CONDOR_RVGAHP_SOCKET", None)
            run = runProgram(
                [program("rvgahp_client"), "sandbox", "cat"], b"text\n", env=environment
            )
        self.assertEqual((run.status, run.output, run.errors), (0, b"text\n", ""))

    def test_leavesNothing(self) -> None:
        """
        A client that has ended leaves no process of its own, and its stdin's unread bytes
        to the next.
        """
        read, write = os.pipe()
        os.write(write, b"first\n")
        with subprocess.Popen(
            self.playground.words("slow"), stdin=read, stdout=subprocess.PIPE
        ) as client:
            assert client.stdout is not None
            self.assertTrue(client.stdout.readline().endswith(b" first\n"))
            client.terminate()
            client.wait(PATIENCE)
        os.write(write, b"second\n")
        self.assertEqual(os.read(read, 100), b"second\n")
        os.close(read)
        os.close(write)
