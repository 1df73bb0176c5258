"""
Real processes: daemons that cannot start say why in a sentence and exit with a status,
and those that can are found and become daemons.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rvgahp.sandbox import SITE
from tests.procfs import PATIENCE, isAlive, waitFor, withEnvironment
from tests.programs import TWISTD_TELLS, Run, program, runProgram, speaker
from tests.wholecase import PlaygroundTestCase, WholeTestCase


class StartTests(PlaygroundTestCase):
    """
    C{twistd rvgahp-proxy} and C{twistd rvgahp-ce}.
    """

    gahps = {"cat": "/bin/cat"}

    def setUp(self) -> None:
        super().setUp()
        self.sandbox = self.playground.sandbox
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def _twistd(self, *words: str, foreground: bool = True, log: str = "log") -> Run:
        options = ["--nodaemon", "--pidfile="] if foreground else []
        return runProgram(
            [program("twistd"), *options, f"--logfile={self.directory}/{log}", *words],
            b"",
            cwd=self.directory,
        )

    def assertNotStarted(self, *cases: tuple[str, str, str, str]) -> None:
        """
        Daemons do not start: status other than 0, a sentence, no traceback, also not in
        their logs.

        @param cases: for each its role, a further word of its command line, lines after
            those of the sandbox's configuration, and what the sentence must have.
        """
        with ThreadPoolExecutor(3) as pool:
            runs = list(pool.map(self._start, range(len(cases)), cases))
        for number, (run, case) in enumerate(zip(runs, cases, strict=True)):
            log = self.directory / f"log{number}"
            logged = log.read_text() if log.exists() else ""
            said = run.output.decode() + run.errors
            if TWISTD_TELLS or not run.output.startswith(b"Usage:"):
                self.assertNotEqual(run.status, 0, f"{case}: {run}")
            self.assertNotIn("Traceback", said + logged, case)
            self.assertIn(case[-1], " ".join(said.split()), case)
            if not run.output.startswith(b"Usage:"):
                self.assertEqual(run.errors.count("\n"), 1, run)
                self.assertIn(run.errors.strip().partition(": ")[2], logged)

    def _start(self, number: int, case: tuple[str, str, str, str]) -> Run:
        role, word, settings, _ = case
        config = self.directory / f"config{number}"
        text = (self.sandbox.directory / f"condor_config.{role}").read_text()
        if role == "rvgahp-proxy":
            text += f"RVGAHP_PORT = 0\nRVGAHP_SOCKET = {self.directory}/sock{number}\n"
        config.write_text(text + settings)
        words = [word] if word else []
        return self._twistd(role, f"--config={config}", *words, log=f"log{number}")

    def test_help(self) -> None:
        """
        C{twistd --help} lists both, and each has a help of its own.
        """
        run = runProgram([program("twistd"), "--help"], b"")
        self.assertIn(b"rvgahp-proxy", run.output)
        self.assertIn(b"rvgahp-ce", run.output)
        for role in ("rvgahp-proxy", "rvgahp-ce"):
            run = runProgram([program("twistd"), role, "--help"], b"")
            self.assertEqual(run.status, 0)
            self.assertIn(b"--config", run.output)
            run = runProgram([program("twistd"), role, "--version"], b"")
            self.assertEqual((run.status, run.output[:7]), (0, b"rvgahp "))

    def test_busy(self) -> None:
        """
        A busy port, a socket at which another proxy listens, or something at its path that
        is no socket: a failed start; who was there is not disturbed.
        """
        port, proxy = self.sandbox.port, "rvgahp-proxy"
        victim = self.directory / "victim"
        victim.write_text("valuable")
        self.assertNotStarted(
            (proxy, f"--port={port}", "", f"port {port}"),
            (proxy, f"--socket={self.sandbox.socket}", "", "another process listens there"),
            (proxy, f"--socket={victim}", "", "Cannot listen on"),
            (proxy, "--socket=/nonexistent/directory/sock", "", "Cannot listen on"),
        )
        self.assertEqual(victim.read_text(), "valuable")
        self.assertServes()

    def test_credentials(self) -> None:
        """
        Keys and certificates that are missing, unreadable, none, or another's.
        """
        ours = self.sandbox.directory
        none = self.directory / "none"
        none.write_text("no key")
        none.chmod(0o600)
        public = self.directory / "public"
        public.write_bytes((ours / "host.key").read_bytes())
        public.chmod(0o644)
        missing = f"{self.directory}/missing"
        other = {"rvgahp-proxy": "ce", "rvgahp-ce": "host"}
        cases = [
            (role, f"--{option}={path}", "", str(path))
            for role, option, path in (
                ("rvgahp-proxy", "key", missing),
                ("rvgahp-proxy", "certificate", none),
                ("rvgahp-proxy", "ca", missing),
                ("rvgahp-ce", "key", none),
                ("rvgahp-ce", "certificate", missing),
                ("rvgahp-ce", "ca", none),
            )
        ]
        for role, name in other.items():
            cases.append((role, f"--key={ours}/{name}.key", "", "is not that of"))
            cases.append((role, f"--key={public}", "", "others than its owner"))
            pair = f"RVGAHP_KEYFILE = {ours}/{name}.key\nRVGAHP_CERTFILE = {ours}/{name}.crt\n"
            cases.append((role, "", pair, f"{name}.crt"))
        self.assertNotStarted(*cases)

    def test_settings(self) -> None:
        """
        Settings and options that are misspelt, impossible, missing or circular.
        """
        proxy, ce = "rvgahp-proxy", "rvgahp-ce"
        self.assertNotStarted(
            (proxy, "", "RVGAHP_PROT = 1\n", "RVGAHP_PROT"),
            (proxy, "", "SEC_DEFAULT_ENCRYPTION = SOMETIMES\n", "SEC_DEFAULT_ENCRYPTION"),
            (
                proxy,
                "",
                "A = $(B)\nB = $(A)\nRVGAHP_PORT = $(A)\n",
                "A refers to B and B refers to A",
            ),
            (proxy, "", "a line that means nothing\n", "Error Line"),
            (ce, "", "RVGAHP_BROKER_HOST =\n", "RVGAHP_BROKER_HOST"),
            (ce, "", "RVGAHP_GAHP_NAMES = cat, x\n", "RVGAHP_GAHP_X"),
            (proxy, "--port=many", "", "RVGAHP_PORT"),
            (proxy, "--nonsense", "", "nonsense"),
            (ce, "--connect-to=nowhere", "", "RVGAHP_CONNECT_TO"),
            (ce, "--config=/no/such/file", "", "/no/such/file"),
        )

    def test_daemon(self) -> None:
        """
        As a daemon, detached from whoever started it, the proxy serves, and ends by
        SIGTERM; where it cannot start, C{twistd} exits with a status other than 0.
        """
        config = self.sandbox.directory / "condor_config.rvgahp-proxy"
        pidfile = self.directory / "pid"
        socketPath = self.directory / "sock"
        words = [f"--pidfile={pidfile}", "rvgahp-proxy", f"--config={config}"]
        run = self._twistd(*words, "--port=0", f"--socket={socketPath}", foreground=False)
        self.assertEqual(run.status, 0, run)
        pid = int(waitFor(lambda: pidfile.exists() and pidfile.read_text(), "its pid"))
        self.addCleanup(_killIfAlive, pid)
        waitFor(socketPath.exists, "its socket")
        client = [program("rvgahp_client"), "--socket", str(socketPath), "x", "cat"]
        self.assertRefused(runProgram(client, b""), "site x is not connected")
        os.kill(pid, signal.SIGTERM)
        self.assertGone(pid)
        self.assertFalse(socketPath.exists())
        run = self._twistd(
            *words, f"--port={self.sandbox.port}", f"--socket={socketPath}", foreground=False
        )
        self.assertNotEqual(run.status, 0, run)
        line, twistds, _ = run.errors.splitlines()
        self.assertRegex(line, f"^rvgahp-proxy: Cannot listen on .*{self.sandbox.port}: .*in use")
        self.assertIn("the line above says why", twistds)
        self.assertIn(line.partition(": ")[2], (self.directory / "log").read_text())
        waitFor(lambda: not pidfile.exists(), "the end of its pid file")


def _killIfAlive(pid: int) -> None:
    if isAlive(pid):
        os.kill(pid, signal.SIGKILL)


class SandboxCommandTests(WholeTestCase):
    """
    C{rvgahp sandbox}.
    """

    def _sandbox(self, *words: str) -> tuple[subprocess.Popen[bytes], dict[str, object]]:
        process = subprocess.Popen(
            [program("rvgahp"), "sandbox", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.communicate, timeout=PATIENCE)
        self.addCleanup(process.terminate)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        self.assertIsInstance(said, dict)
        return process, said

    def test_command(self) -> None:
        """
        One line of JSON tells where everything is; it serves; at the end of its stdin, or
        by SIGTERM, it leaves no process behind.
        """
        for signalled in (False, True):
            process, said = self._sandbox("--gahp", "echo=/bin/cat -u")
            client = [program("rvgahp_client"), "--socket", str(said["socket"]), SITE, "echo"]
            run = runProgram(client, b"text\n")
            self.assertEqual((run.status, run.output, run.errors), (0, b"text\n", ""))
            with socket.create_connection(("127.0.0.1", int(str(said["port"])))):
                pass
            self.assertEqual(set(said), {"socket", "host", "port", "site", "dir", "pids"})
            if signalled:
                process.terminate()
            output, errors = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, output, errors), (0, b"", b""))
            self.assertEqual(withEnvironment("RVGAHP_BLAH_DIR", f"{said['dir']}/"), [])
            self.assertFalse(os.path.exists(str(said["dir"])))

    def test_usualGAHPs(self) -> None:
        """
        The GAHPs that HTCondor knows can be replaced by commands, which get just these words.
        """
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        script = Path(directory, "a gahp")
        script.write_text(speaker("stand-in", "[ \"$#$2\" = '2$$' ] || exit 9"))
        words = shlex.join(["sh", str(script), "two words", "$$"])
        names = ("blahpd", "condor_ft-gahp")
        _, said = self._sandbox(*[f"--gahp={name}={words}" for name in names])
        for name in names:
            client = [program("rvgahp_client"), "--socket", str(said["socket"]), SITE, name]
            run = runProgram(client, b"VERSION\n")
            lines = run.output.splitlines()
            self.assertEqual((run.status, run.errors, len(lines)), (0, "", 2), run)
            self.assertEqual(lines[1], b"S " + lines[0])

    def test_wrongWords(self) -> None:
        """
        What cannot be is refused with a sentence.
        """
        for words in (
            ("--port", "65536"),
            ("--gahp", "cat"),
            ("--ce-connect", "nowhere"),
            ("--dir", "/proc/nonexistent"),
        ):
            run = runProgram([program("rvgahp"), "sandbox", *words], b"")
            self.assertNotEqual(run.status, 0, run)
            self.assertEqual(run.output, b"", run)
            self.assertNotIn("Traceback", run.errors)
            self.assertTrue(run.errors.strip(), words)

    def test_notReached(self) -> None:
        """
        A sandbox whose CE does not get through to its proxy says so and leaves nothing:
        SIGTERM ends it while it waits.
        """
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            directory = Path(tempfile.mkdtemp())
            self.addCleanup(shutil.rmtree, directory)
            process = subprocess.Popen(
                [program("rvgahp"), "sandbox", "--dir", str(directory), "--ce-connect", address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self.addCleanup(process.kill)
            waitFor((directory / "rvgahp-ce.log").exists, "the CE's log")
            process.terminate()
            process.communicate(timeout=PATIENCE)
            self.assertNotEqual(process.returncode, 0)
            waitFor(
                lambda: not withEnvironment("RVGAHP_BLAH_DIR", f"{directory}/"),
                "the end of both daemons",
            )
