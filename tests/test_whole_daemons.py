"""
Real processes: daemons that cannot start say why in a sentence and exit with a status,
and those that can are found and become daemons.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from rvgahp.sandbox import SITE
from tests.playground import Run, program, runProgram
from tests.procfs import PATIENCE, isAlive, waitFor, withEnvironment
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

    def _twistd(self, *words: str, foreground: bool = True) -> Run:
        options = ["--nodaemon", "--pidfile="] if foreground else []
        return runProgram(
            [program("twistd"), *options, f"--logfile={self.directory}/log", *words],
            b"",
            cwd=self.directory,
        )

    def assertNotStarted(self, role: str, *words: str, settings: str = "", says: str = "") -> None:
        """
        A daemon does not start: status other than 0, a sentence, no traceback, also not in
        its log.

        @param settings: lines after those of the sandbox's configuration, on a port and a
            socket of its own.
        """
        config = self.directory / "config"
        text = (self.sandbox.directory / f"condor_config.{role}").read_text()
        own = f"RVGAHP_PORT = 0\nRVGAHP_SOCKET = {self.directory}/sock\n"
        config.write_text(text + (own if role == "rvgahp-proxy" else "") + settings)
        run = self._twistd(role, f"--config={config}", *words)
        log = self.directory / "log"
        logged = log.read_text() if log.exists() else ""
        self.assertNotEqual(run.status, 0, run)
        said = run.output.decode() + run.errors
        self.assertNotIn("Traceback", said + logged)
        self.assertIn(says, " ".join(said.split()))

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
        port = self.sandbox.port
        busy = f"port {port}"
        self.assertNotStarted("rvgahp-proxy", f"--port={port}", says=busy)
        self.assertNotStarted(
            "rvgahp-proxy", f"--socket={self.sandbox.socket}", says="another process listens there"
        )
        victim = self.directory / "victim"
        victim.write_text("valuable")
        self.assertNotStarted("rvgahp-proxy", f"--socket={victim}", says="Cannot listen on")
        self.assertEqual(victim.read_text(), "valuable")
        self.assertNotStarted(
            "rvgahp-proxy", "--socket=/nonexistent/directory/sock", says="Cannot listen on"
        )
        self.assertServes("cat")

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
        for role, other in (("rvgahp-proxy", "ce"), ("rvgahp-ce", "host")):
            missing = f"{self.directory}/missing"
            for option in ("key", "certificate", "ca"):
                self.assertNotStarted(role, f"--{option}={missing}", says=missing)
                self.assertNotStarted(role, f"--{option}={none}", says=str(none))
            self.assertNotStarted(role, f"--key={ours}/{other}.key", says="is not that of")
            self.assertNotStarted(role, f"--key={public}", says="others than its owner")
            self.assertNotStarted(
                role,
                f"--key={ours}/{other}.key",
                f"--certificate={ours}/{other}.crt",
                says=f"{other}.crt",
            )

    def test_settings(self) -> None:
        """
        Settings and options that are misspelt, impossible, missing or circular.
        """
        for role, settings, says in (
            ("rvgahp-proxy", "RVGAHP_PROT = 1\n", "RVGAHP_PROT"),
            ("rvgahp-proxy", "RVGAHP_PORT = many\n", "RVGAHP_PORT"),
            ("rvgahp-proxy", "SEC_DEFAULT_ENCRYPTION = SOMETIMES\n", "SEC_DEFAULT_ENCRYPTION"),
            ("rvgahp-proxy", "RVGAHP.SEC_DEFAULT_LEASE = 1\n", "RVGAHP.SEC_DEFAULT_LEASE"),
            ("rvgahp-proxy", "A = $(B)\nB = $(A)\nRVGAHP_PORT = $(A)\n", ""),
            ("rvgahp-proxy", "include : /no/such/file\n", "/no/such/file"),
            ("rvgahp-proxy", "a line that means nothing\n", ""),
            ("rvgahp-ce", "RVGAHP_BROKER_HOST =\n", "RVGAHP_BROKER_HOST"),
            ("rvgahp-ce", "RVGAHP_GAHP_NAMES = cat, x\n", "RVGAHP_GAHP_X"),
            ("rvgahp-ce", "RVGAHP_KILL_GRACE = -1\n", "RVGAHP_KILL_GRACE"),
        ):
            self.assertNotStarted(role, settings=settings, says=says)
        for role, word, says in (
            ("rvgahp-proxy", "--port=many", "RVGAHP_PORT"),
            ("rvgahp-proxy", "--port=65536", "RVGAHP_PORT"),
            ("rvgahp-proxy", "--nonsense", "nonsense"),
            ("rvgahp-proxy", "--interface=example.com", "RVGAHP_INTERFACE"),
            ("rvgahp-ce", "--broker-port=0", "RVGAHP_BROKER_PORT"),
            ("rvgahp-ce", "--connect-to=nowhere", "RVGAHP_CONNECT_TO"),
            ("rvgahp-ce", "--config=/no/such/file", "/no/such/file"),
        ):
            self.assertNotStarted(role, word, says=says)

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
        self.addCleanup(lambda: isAlive(pid) and os.kill(pid, signal.SIGKILL))
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
        self.assertIn("Cannot listen on", run.errors)
        self.assertFalse(pidfile.exists())


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
        self.addCleanup(process.communicate)
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

    def test_wrongWords(self) -> None:
        """
        What cannot be is refused with a sentence.
        """
        for words in (
            ("--port", "65536"),
            ("--gahp", "cat"),
            ("--gahp", "cat="),
            ("--gahp", "../x=/bin/cat"),
            ("--gahp", "x='"),
            ("--ce-connect", "nowhere"),
            ("--dir", "/proc/nonexistent"),
            ("--dir", "/tmp/" + "x" * 120),
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
