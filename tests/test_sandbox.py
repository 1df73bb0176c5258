"""
Tests of L{rvgahp.sandbox} and L{rvgahp.daemonprocess}: real daemons, a few times.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.daemonprocess import Daemon
from rvgahp.errors import ConfigurationError, StartFailed
from rvgahp.sandbox import _CE, SITE, Sandbox, parseAddress, parseGAHP
from rvgahp.settings import load
from tests.procfs import PATIENCE, isAlive
from tests.steppedloop import descriptorCount

#: A program in place of twistd, which does as its file name says.
FAKE = """\
#!{python}
import os, socket, sys, time
print("first words")
print("on stderr", file=sys.stderr)
if "{deed}" == "die":
    sys.exit("the last words")
if "{deed}" == "stubborn":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
    ready.sendto(b"STATUS=not yet", os.environ["NOTIFY_SOCKET"])
    if "{deed}" != "mute":
        ready.sendto(b"READY=1\\nX_A=b = c", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""


class WordsTests(SynchronousTestCase):
    """
    What the command line says.
    """

    def test_gahp(self) -> None:
        """
        A GAHP is a name and a command line, which may have anything in it.
        """
        self.assertEqual(parseGAHP("cat=/bin/cat -u"), ("cat", "/bin/cat -u"))
        self.assertEqual(parseGAHP("x=sh -c 'a=b'"), ("x", "sh -c 'a=b'"))

    def test_badGAHP(self) -> None:
        """
        What is not is refused in a sentence that names it.
        """
        for word, said in (
            ("cat", "'cat'"),
            ("cat=", "'cat='"),
            ("cat=  ", "'cat=  '"),
            ("=x", "name of a GAHP"),
            ("a b=x", "'a b'"),
            ("cat='x", "No closing quotation"),
        ):
            e = self.assertRaises(ConfigurationError, parseGAHP, word)
            self.assertIn(said, str(e))

    def test_address(self) -> None:
        """
        An address is a host and a port.
        """
        self.assertEqual(parseAddress("proxy.example.org:41000"), ("proxy.example.org", 41000))
        self.assertEqual(parseAddress("::1:65535"), ("::1", 65535))

    def test_badAddress(self) -> None:
        """
        What is not is refused in a sentence that names it.
        """
        for word in ("", "x", ":1", "x:", "x:0", "x:65536", "x:-1", "x:1e3", "x:" + "9" * 5000):
            e = self.assertRaises(ConfigurationError, parseAddress, word)
            self.assertIn(repr(word[:80]), str(e))


class DaemonTests(SynchronousTestCase):
    """
    One child, played by another program.
    """

    def setUp(self) -> None:
        """
        Begin with a directory.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.before = descriptorCount()

    def daemon(self, deed: str) -> Daemon:
        """
        @return: a daemon that does so.
        """
        path = self.directory / deed
        path.write_text(FAKE.format(python=sys.executable, deed=deed))
        path.chmod(0o700)
        self.interrupted = False
        daemon = Daemon(
            self.directory, "rvgahp-x", self.directory / "conf", lambda: self.interrupted
        )
        daemon.command = [str(path)]
        self.addCleanup(daemon.stop)
        return daemon

    def test_ready(self) -> None:
        """
        It is up when it says so, with what it says; stopped, it leaves nothing; and it may
        be started again.
        """
        daemon = self.daemon("go")
        for _ in range(2):
            daemon.start()
            assert daemon.process is not None
            self.assertEqual(daemon.said, {"STATUS": "not yet", "READY": "1", "X_A": "b = c"})
            self.assertTrue(isAlive(daemon.process.pid))
        assert daemon.process is not None
        pid = daemon.process.pid
        daemon.stop()
        daemon.stop()
        self.assertFalse(isAlive(pid))
        self.assertEqual(os.listdir(self.directory), ["go"])
        self.assertEqual(descriptorCount(), self.before)

    def test_dies(self) -> None:
        """
        One that ends at once is told with its last words, all of them in one line.
        """
        e = self.assertRaises(StartFailed, self.daemon("die").start)
        self.assertEqual(
            str(e), "rvgahp-x did not come up: first words / on stderr / the last words"
        )

    def test_notThere(self) -> None:
        """
        A program that is not there is an error with its name.
        """
        daemon = self.daemon("go")
        daemon.command = ["/no/such/twistd"]
        e = self.assertRaises(OSError, daemon.start)
        self.assertEqual(e.filename, "/no/such/twistd")
        self.assertEqual(descriptorCount(), self.before)

    def test_interrupted(self) -> None:
        """
        Whoever waits for it may give up.
        """
        daemon = self.daemon("mute")
        self.interrupted = True
        e = self.assertRaises(StartFailed, daemon.start)
        self.assertEqual(str(e), "told to end while rvgahp-x was starting")
        assert daemon.process is not None
        self.assertFalse(isAlive(daemon.process.pid))
        self.assertEqual(descriptorCount(), self.before)

    def test_stopped(self) -> None:
        """
        A stopped process is woken to end.
        """
        daemon = self.daemon("go")
        daemon.start()
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGSTOP)
        daemon.stop()
        self.assertEqual(daemon.process.returncode, -signal.SIGTERM)

    def test_left(self) -> None:
        """
        What a killed predecessor has left is no obstacle.
        """
        daemon = self.daemon("go")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
            left.bind(str(self.directory / ".ready"))
        daemon.start()
        self.assertEqual(daemon.said["READY"], "1")


class SandboxTests(SynchronousTestCase):
    """
    The whole.
    """

    def setUp(self) -> None:
        """
        Begin with a directory that is not there yet.
        """
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.directory = self.parent / "sand $box"
        self.before = descriptorCount()

    def test_startStop(self) -> None:
        """
        It starts, tells where everything is, and stops without a rest; its configuration
        is one by which both daemons can be started by hand; and so once more in the same
        directory.
        """
        gahps = {"odd+name": "/bin/echo '$(HOME) costs $5'"}
        sandbox = Sandbox(str(self.directory), gahps=gahps)
        for _ in range(2):
            with sandbox:
                told = json.loads(json.dumps(sandbox.description()))
                pids = told.pop("pids")
                self.assertEqual(
                    told,
                    {
                        "socket": str(self.directory / "proxy.sock"),
                        "host": "127.0.0.1",
                        "port": sandbox.port,
                        "site": SITE,
                        "dir": str(self.directory),
                    },
                )
                self.assertEqual({name for name in pids if isAlive(pids[name])}, {"proxy", "ce"})
                self.assertIn("TLSv1.3", sandbox.said["X_RVGAHP_TLS"])
                self.assertEqual(sandbox.said["X_RVGAHP_SITE"], SITE)
                self.assertIn("odd+name", sandbox.said["X_RVGAHP_GAHPS"])
                self.assertEqual(sandbox.deadDaemon(), "")
                os.kill(pids["ce"], signal.SIGKILL)
                assert sandbox.ce.process is not None
                sandbox.ce.process.wait(PATIENCE)
                self.assertEqual(sandbox.deadDaemon(), "rvgahp-ce")
            self.assertEqual([pid for pid in pids.values() if isAlive(pid)], [])
        self.assertEqual(descriptorCount(), self.before)
        settings = load("ce", str(self.directory / "condor_config.rvgahp-ce"))
        self.assertEqual(settings.gahpCommands, {"odd+name": ["/bin/echo", "$(HOME) costs $5"]})
        self.assertEqual(
            load("proxy", str(self.directory / "condor_config.rvgahp-proxy")).notes, []
        )

    def test_busyPort(self) -> None:
        """
        A proxy that cannot start is told with its reason, and nothing is left.
        """
        with socket.create_server(("127.0.0.1", 0)) as busy:
            sandbox = Sandbox(str(self.directory), busy.getsockname()[1])
            e = self.assertRaises(StartFailed, sandbox.__enter__)
        self.assertIn("Address already in use", str(e))
        self.assertIsNone(sandbox.ce.process)
        assert sandbox.proxy.process is not None
        self.assertFalse(isAlive(sandbox.proxy.process.pid))

    def test_longPath(self) -> None:
        """
        A directory whose path leaves no room for the sockets in it is refused, before
        anything is made; the longest that is not has room for all of them.
        """
        room = 107 - len("/proxy.sock") - len(str(self.parent)) - 1
        e = self.assertRaises(ConfigurationError, Sandbox, str(self.parent / ("d" * (room + 1))))
        self.assertIn("too long", str(e))
        self.assertIn("--dir", str(e))
        sandbox = Sandbox(str(self.parent / ("d" * room)))
        try:
            sandbox.startProxy()
        finally:
            sandbox.stop()

    def test_temporary(self) -> None:
        """
        A directory of its own is removed at the end, and not made in vain.
        """
        self.patch(tempfile, "tempdir", str(self.parent))
        sandbox = Sandbox()
        self.assertEqual(sandbox.directory.parent, self.parent)
        sandbox.stop()
        self.assertFalse(sandbox.directory.exists())
        long = self.parent / ("d" * 90)
        long.mkdir()
        self.patch(tempfile, "tempdir", str(long))
        self.assertRaises(ConfigurationError, Sandbox)
        self.assertEqual(os.listdir(long), [])

    def test_halfMade(self) -> None:
        """
        Credentials that were only half made when something went wrong are made anew.
        """
        sandbox = Sandbox(str(self.directory))
        sandbox.directory.mkdir()
        sandbox._makeCredentials()
        made = set(os.listdir(self.directory))
        (self.directory / "ce.crt").unlink()
        sandbox._makeCredentials()
        self.assertEqual(set(os.listdir(self.directory)), made)

    def test_dollars(self) -> None:
        """
        The CE gets the very words of a command, whatever a configuration file makes of
        dollar signs.
        """
        commands = {
            f"x{number}": f"sh -c {shlex.quote(script)} $ $$"
            for number, script in enumerate(
                ("echo $$ $PPID", "$(date)", "$$(date)", "$$$(date)", "$$$$$ENV(HOME)", "$((1+$$))")
            )
        }
        sandbox = Sandbox(str(self.directory), 1, gahps=commands)
        sandbox.directory.mkdir()
        sandbox._write("rvgahp-ce", _CE, sandbox.ce)
        settings = load("ce", str(self.directory / "condor_config.rvgahp-ce"))
        expected = {name: shlex.split(command) for name, command in commands.items()}
        self.assertEqual(settings.gahpCommands, expected)

    def test_impossibleCommand(self) -> None:
        """
        A command line that a configuration file cannot hold is refused.
        """
        for command in ("a\nb", "ends in \\", "echo $(dollar)"):
            sandbox = Sandbox(str(self.directory), gahps={"x": command})
            sandbox.directory.mkdir(exist_ok=True)
            e = self.assertRaises(ConfigurationError, sandbox.startCE)
            self.assertIn("configuration file", str(e))
