"""
The units of C{contrib/systemd}: their commands run by hand, with what systemd gives them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import handedsockets
from rvgahp.credentials import makeCA, makeCECredentials
from rvgahp.sandbox import STAYS_ROOT
from tests.handing import listening, startWith, withoutSystemd
from tests.identities import SITE
from tests.procfs import PATIENCE
from tests.programs import TWISTD_TELLS, program, runProgram

CONTRIB = Path(__file__).parent.parent / "contrib" / "systemd"

UNITS = ("rvgahp-proxy", "rvgahp-proxy-clients", "rvgahp-proxy-status")

#: The first version of systemd that knows all lines; older ones leave some out.
OLDEST = 250

#: Seconds of the watchdog here.
PERIOD = 1.0


def values(unit: str, name: str) -> list[str]:
    """
    @return: what the lines of a unit give to a name.
    """
    return re.findall(f"(?m)^{name}=(.*)$", (CONTRIB / unit).read_text())


class UnitTests(SynchronousTestCase):
    """
    What the units say of each other.
    """

    def test_sockets(self) -> None:
        """
        The proxy knows the name of each socket, and its unit needs each, as each needs it.
        """
        names = [values(f"{unit}.socket", "FileDescriptorName") for unit in UNITS]
        expected = [handedsockets.PORT, handedsockets.CLIENTS, handedsockets.STATUS]
        self.assertEqual(names, [[name] for name in expected])
        wanted = " ".join(f"{unit}.socket" for unit in UNITS)
        for name in ("Requires", "Also"):
            self.assertEqual(values("rvgahp-proxy.service", name), [wanted])
        for unit in UNITS:
            self.assertEqual(values(f"{unit}.socket", "Service"), ["rvgahp-proxy.service"])

    def test_verify(self) -> None:
        """
        C{systemd-analyze} finds nothing wrong, but for programs that are not there.
        """
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            self.skipTest("there is no systemd-analyze here")
        version = subprocess.run(
            [analyze, "--version"], capture_output=True, timeout=PATIENCE, check=True
        ).stdout
        if int(version.split()[1]) < OLDEST:
            self.skipTest("this systemd is older than some lines of the units")
        units = [str(path) for path in CONTRIB.glob("*.s*") if path.suffix != ".conf"]
        words = [analyze, "verify", "--man=no", *units]
        run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
        lines = [line for line in run.stderr.splitlines() if "rvgahp" in line]
        self.assertEqual([line for line in lines if "is not executable" not in line], [])


class DaemonCase(SynchronousTestCase):
    """
    A daemon that is started as systemd does it.
    """

    def setUp(self) -> None:
        """
        Do what systemd does before it starts a service.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notified.close)
        self.notified.bind(str(self.directory / "notify"))
        self.notified.settimeout(PATIENCE)
        self.environ = {
            **withoutSystemd(),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "NOTIFY_SOCKET": str(self.directory / "notify"),
            "WATCHDOG_USEC": str(int(PERIOD * 1e6)),
        }

    def run_(
        self, sockets: Sequence[tuple[str, int]], words: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        """
        @return: a daemon that has been started.
        """
        with (self.directory / "out").open("wb") as output:
            process = startWith(
                sockets,
                words,
                self.environ,
                stdout=output,
                stderr=output,
                cwd=self.directory,
            )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """
        Have no process left.
        """
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)

    def output(self) -> str:
        """
        @return: what the last daemon has said.
        """
        return (self.directory / "out").read_text()

    def heard(self, wanted: str) -> dict[str, str]:
        """
        @return: the fields of the next message that has one with this name; it comes.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                lines = self.notified.recv(65536).decode().splitlines()
            except TimeoutError:
                break
            fields = dict(line.split("=", 1) for line in lines)
            if wanted in fields:
                return fields
        raise AssertionError(f"no {wanted}: {self.output()}")


class ProxyTests(DaemonCase):
    """
    C{ExecStart} of the proxy.
    """

    def setUp(self) -> None:
        """
        Open its sockets.
        """
        super().setUp()
        self.config = self.directory / "condor_config"
        self.clients = str(self.directory / "proxy.sock")
        self.config.write_text(
            f"RVGAHP_SOCKET = {self.clients}\nRVGAHP_STATE_DIR = {self.directory}/state\n"
            f"RVGAHP_PUBLIC_ADDRESS = localhost:1\n{'' if os.geteuid() else STAYS_ROOT}"
        )
        self.sockets = {
            "port": listening(("127.0.0.1", 0), socket.AF_INET),
            "clients": listening(self.clients),
            "status": listening(str(self.directory / "proxy.status")),
        }
        for one in self.sockets.values():
            self.addCleanup(one.close)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """
        @param options: of twistd, in place of the unit's own.
        @return: a proxy that has been started.
        """
        (line,) = values("rvgahp-proxy.service", "ExecStart")
        twistd, *theirs, name = shlex.split(line)
        self.assertEqual((twistd, name), ("/opt/rvgahp/bin/twistd", "rvgahp-proxy"))
        words = [program("twistd"), *(options or theirs), name, f"--config={self.config}"]
        sockets = [(name, one.fileno()) for name, one in self.sockets.items()]
        return self.run_(sockets, words)

    def ask(self) -> socket.socket:
        """
        @return: a connection on which the proxy's status has been asked for.
        """
        view = socket.socket(socket.AF_UNIX)
        self.addCleanup(view.close)
        view.settimeout(PATIENCE)
        view.connect(str(self.directory / "proxy.status"))
        view.sendall(b"GET /v1/status HTTP/1.1\r\nHost: rvgahp\r\nConnection: close\r\n\r\n")
        return view

    def test_restart(self) -> None:
        """
        It uses what it is given, speaks to the watchdog, and leaves all where it was: who comes
        while it is away is served by its successor.
        """
        for round in range(2):
            early = self.ask()
            dialled = socket.create_connection(self.sockets["port"].getsockname())
            self.addCleanup(dialled.close)
            proxy = self.start()
            ready = self.heard("READY")
            self.assertEqual(ready["X_RVGAHP_PORT"], str(self.sockets["port"].getsockname()[1]))
            self.assertIn(self.clients, ready["STATUS"])
            self.assertTrue(early.recv(65536).startswith(b"HTTP/1.1 200 "), round)
            for _ in range(2):
                self.assertEqual(self.heard("WATCHDOG"), {"WATCHDOG": "1"})
            proxy.send_signal(signal.SIGHUP)
            self.heard("RELOADING")
            self.heard("READY")
            proxy.terminate()
            self.heard("STOPPING")
            self.assertEqual(proxy.wait(PATIENCE), -signal.SIGTERM, self.output())
            dialled.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(dialled.recv(1), b"")
            self.assertTrue(os.path.exists(self.clients))
            self.assertNotIn("names", self.output())

    def test_anotherPath(self) -> None:
        """
        A socket that clients will not find is said in the log.
        """
        text = self.config.read_text()
        self.config.write_text(text.replace(self.clients, f"{self.clients}2"))
        self.start()
        self.assertIn(f"socket {self.clients}", self.heard("READY")["STATUS"])
        self.assertIn(f"RVGAHP_SOCKET names {self.clients}2", self.output())
        self.assertFalse(os.path.exists(f"{self.clients}2"))

    def test_wrong(self) -> None:
        """
        With a socket under a wrong name it does not start, and says why; nor in the background,
        where it would be without them.
        """
        proxy = self.start("--logfile=log", "--pidfile=pid")
        self.assertEqual(proxy.wait(PATIENCE), 1 if TWISTD_TELLS else proxy.returncode)
        self.assertIn("give twistd the option --nodaemon", self.output())
        self.assertFalse((self.directory / "pid").exists())
        self.sockets = {"port": self.sockets["status"], "clients": self.sockets["clients"]}
        proxy = self.start()
        self.assertNotEqual(proxy.wait(PATIENCE), 0)
        self.assertIn("handed over as port, is not of TCP", self.output())


class CETests(DaemonCase):
    """
    What C{rvgahp ce install} has written or printed, with a proxy that is away.
    """

    def setUp(self) -> None:
        """
        Make a home with credentials and a configuration.
        """
        super().setUp()
        self.files = self.directory / ".rvgahp"
        self.files.mkdir(mode=0o700)
        makeCA(str(self.directory / "ca"))
        makeCECredentials(str(self.directory / "ca"), SITE, out=str(self.files))
        (self.files / "condor_config.rvgahp").write_text(
            "RVGAHP_BROKER_HOST = 127.0.0.1\nRVGAHP_BROKER_PORT = 1\n"
            f"{'' if os.geteuid() else STAYS_ROOT}"
        )
        self.environ = {
            name: value for name, value in self.environ.items() if not name.startswith("XDG_")
        }
        self.environ["HOME"] = str(self.directory)

    def install(self, *words: str) -> str:
        """
        @return: what the command prints.
        """
        run = runProgram([program("rvgahp"), "ce", "install", *words], env=self.environ)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        return run.output.decode()

    def test_user(self) -> None:
        """
        It runs and speaks to the watchdog while the proxy is away, reads its files again, and
        ends when it is told to; its log is where the guides look.
        """
        self.install("--user")
        unit = self.directory / ".config" / "systemd" / "user" / "rvgahp-ce.service"
        (line,) = re.findall("(?m)^ExecStart=(.*)$", unit.read_text())
        ce = self.run_([], shlex.split(line))
        for _ in range(2):
            self.assertEqual(self.heard("WATCHDOG"), {"WATCHDOG": "1"}, self.output())
        ce.send_signal(signal.SIGHUP)
        self.heard("RELOADING")
        self.heard("READY")
        ce.terminate()
        self.heard("STOPPING")
        self.assertEqual(ce.wait(PATIENCE), -signal.SIGTERM, self.output())
        self.assertIn(f"Site {SITE} offers", (self.files / "ce.log").read_text())

    def test_cron(self) -> None:
        """
        cron's line starts it once, and again after it was killed, also when flock was killed
        before and the CE lived on.
        """
        if shutil.which("flock") is None:
            self.skipTest("there is no flock here")
        self.addCleanup(self.killLeft)
        lines = self.install("--cron", "--user").splitlines()
        line = lines[-1].partition(" * * * * ")[2].replace("\\%", "%")
        for end in ("ce", "ce", "flock"):
            flock = self.run_([], ["sh", "-c", f"exec {line}"])
            self.heard("WATCHDOG")
            pid = int((self.files / "ce.pid").read_text())
            if end == "flock":
                flock.kill()
                flock.wait(PATIENCE)
            again = subprocess.run(
                ["sh", "-c", line], env=self.environ, timeout=PATIENCE, check=False
            )
            self.assertEqual(again.returncode, 1)
            self.assertEqual(int((self.files / "ce.pid").read_text()), pid)
            if end == "ce":
                os.kill(pid, signal.SIGKILL)
                flock.wait(PATIENCE)

    def killLeft(self) -> None:
        """
        End a CE, if one is still there.
        """
        with contextlib.suppress(OSError):
            pid = int((self.files / "ce.pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"rvgahp-ce" in words:
                os.kill(pid, signal.SIGKILL)
