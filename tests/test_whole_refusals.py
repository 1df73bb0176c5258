"""
Real processes: a start that cannot be.  Each time the client ends promptly with status
255, one sentence on stderr and nothing on stdout, and everything else goes on.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

from rvgahp.boxes import encodeBox
from tests.byhand import overlongBox
from tests.playground import Playground
from tests.procfs import PATIENCE
from tests.programs import Run, program, runProgram
from tests.wholecase import PlaygroundTestCase, WholeTestCase

_NOBODY = 65534

#: Listens at a path as another account, and tells what is said to it.
_SQUATTER = """
import os, socket, sys
os.setgid({nobody})
os.setuid({nobody})
port = socket.socket(socket.AF_UNIX)
port.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
port.listen()
print("ready", flush=True)
connection, _ = port.accept()
print(repr(connection.recv(1000)), flush=True)
"""


class SiteRefusalTests(PlaygroundTestCase):
    """
    What proxy and site refuse.
    """

    def makePlayground(self) -> Playground:
        directory = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        files = {"plain": ("text", 0o644), "interpreter": ("#!/no/such/interpreter\n", 0o755)}
        for name, (text, mode) in files.items():
            path = Path(directory, name)
            path.write_text(text)
            path.chmod(mode)
        gahps = {
            "cat": "/bin/cat",
            "missing": f"{directory}/missing",
            "plain": f"{directory}/plain",
            "interpreter": f"{directory}/interpreter",
            "directory": directory,
            "format": f"{directory}/format",
        }
        Path(directory, "format").write_bytes(os.urandom(100))
        Path(directory, "format").chmod(0o755)
        return Playground(gahps, ceSettings=f"FT_GAHP = {directory}/missing\n")

    def test_refused(self) -> None:
        """
        Unknown sites and GAHPs, and GAHPs whose program is missing, no file, not
        executable, of an unknown format, or has no interpreter, are refused with a
        sentence that names them; the site's log has it too where the site must act.
        """
        self.assertServes()
        before = self.playground.quiet()
        for name, words in {
            "nonesuch": ("the site offers no GAHP named 'nonesuch'", "cat"),
            "missing": ("/missing", "is not there"),
            "plain": ("/plain", "may not be executed"),
            "directory": ("is a directory",),
            "interpreter": ("/interpreter", "interpreter that it names is not there"),
            "format": ("/format", "neither a program for this machine nor a script"),
            "condor_ft-gahp": ("/missing", "is not there"),
            "a name that cannot be": ("cannot be the name of a GAHP",),
            "\x1b[1m\n\r": ("cannot be the name of a GAHP",),
            "n" * 200: ("cannot be the name of a GAHP",),
        }.items():
            self.assertRefused(self.playground.run(name), "at site sandbox: ", *words)
        self.assertRefused(self.playground.run("cat", site="nonesuch"), "at site nonesuch: ")
        self.playground.awaitAsBefore(before)
        self.assertServes()

    def test_words(self) -> None:
        """
        Words that are no text, too long for any name, or no site's name, get a sentence
        too.
        """
        for site in ("", "sandbox.", "s" * 300, "\x1b[1m\n", "\u017fite"):
            run = self.playground.run("cat", site=site)
            self.assertEqual((run.status, run.output, run.errors.count("\n")), (2, b"", 1), run)
            self.assertIn("Usage: rvgahp_client", run.errors)
        words: list[str | bytes] = [*self.playground.words("cat")]
        for name in (b"\xff\xfe", b"n" * 2_000, b"n" * 100_000):
            for position in (-1, -2):
                given = [*words]
                given[position] = name
                run = runProgram(given)
                self.assertEqual((run.status, run.output), (2, b""), run)
                self.assertEqual(run.errors.count("\n"), 1, run)
                self.assertIn("Usage: rvgahp_client", run.errors)

    def test_siteNotConnected(self) -> None:
        """
        A site whose CE is gone is refused, and no other is named.
        """
        other = self.playground.addCE("elsewhere")
        run = self.playground.run("cat", site="elsewhere")
        self.assertRefused(run, "site elsewhere is not connected to the proxy; check")
        self.assertNotIn("sandbox", run.errors)
        other.start()
        run = self.playground.run("cat", site="elsewhere")
        self.assertRefused(run, "the site offers no GAHP named 'cat'")
        other.stop()
        self.playground.awaitLog("proxy", "Site elsewhere: disconnected", self.before("proxy"))
        run = self.playground.run("cat", site="elsewhere")
        self.assertRefused(run, "site elsewhere is not connected")


class NoProxyTests(WholeTestCase):
    """
    What a client says when there is no proxy, or another in its place.
    """

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "proxy.sock")
        Path(directory.name).chmod(0o777)

    def _client(self, path: str | None = None) -> Run:
        words = [program("rvgahp_client"), "--socket", path or str(self.path), "site", "cat"]
        return runProgram(words, b"")

    def test_noSocket(self) -> None:
        """
        There is nothing, a file, a directory, or a path that no socket can have.
        """
        self.assertRefused(self._client(), f"no proxy listens on {self.path}", "No such file")
        self.path.write_text("a file")
        self.assertRefused(self._client(), f"no proxy listens on {self.path}", "Connection refused")
        self.assertRefused(self._client(str(self.path.parent)), "no proxy listens on")
        self.assertRefused(self._client("/tmp/" + "x" * 200), "longer than the 107 bytes")

    def test_nothingKnown(self) -> None:
        """
        Neither option nor environment nor setting tells of a socket.
        """
        environment = {**os.environ, "CONDOR_CONFIG": "/dev/null"}
        environment.pop("_CONDOR_RVGAHP_SOCKET", None)
        run = runProgram([program("rvgahp_client"), "site", "cat"], b"", env=environment)
        self.assertRefused(run, "no proxy listens on ", "_CONDOR_RVGAHP_SOCKET")

    def test_environment(self) -> None:
        """
        The environment's C{_CONDOR_RVGAHP_SOCKET} tells where it is.
        """
        environment = {**os.environ, "_CONDOR_RVGAHP_SOCKET": str(self.path)}
        run = runProgram([program("rvgahp_client"), "site", "cat"], b"", env=environment)
        self.assertRefused(run, f"no proxy listens on {self.path}")

    def test_staleSocket(self) -> None:
        """
        A dead proxy has left its socket.
        """
        with socket.socket(socket.AF_UNIX) as port:
            port.bind(str(self.path))
            port.listen()
        self.assertRefused(self._client(), "no proxy listens on", "Connection refused")

    def test_squatter(self) -> None:
        """
        Another account listens at the path: it is named, and nothing is said to it.
        """
        if os.getuid() != 0:
            raise SkipTest("only root can be another account")
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SQUATTER.format(nobody=_NOBODY), str(self.path)],
            stdout=subprocess.PIPE,
        ) as squatter:
            self.addCleanup(squatter.kill)
            assert squatter.stdout is not None
            self.assertEqual(squatter.stdout.readline(), b"ready\n")
            run = self._client()
            self.assertRefused(run, f"{self.path} belongs to a process of nobody")
            self.assertEqual(squatter.stdout.readline(), b"b''\n")
            squatter.wait(PATIENCE)

    def _impostor(self, said: bytes) -> Run:
        """
        @return: a client's run against one of our own account that says C{said}.
        """
        with socket.socket(socket.AF_UNIX) as port:
            port.bind(str(self.path))
            port.listen()
            words = [program("rvgahp_client"), "--socket", str(self.path), "site", "cat"]
            with subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as client:
                self.addCleanup(client.kill)
                connection, _ = port.accept()
                port.close()  # it is not there a second time
                with connection:
                    connection.settimeout(PATIENCE)
                    connection.recv(1000)
                    try:
                        connection.sendall(said)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(1000):
                            pass
                    except OSError:
                        pass  # it has heard enough
                output, errors = client.communicate(timeout=PATIENCE)
        self.path.unlink()
        return Run(client.returncode, output, errors, 0)

    def test_impostor(self) -> None:
        """
        What listens there says nothing, or what no proxy would: a box of 20 MB, half a
        box, an answer without its values, a channel without a socket.
        """
        channel = {b"_command": b"Channel", b"_ask": b"1", b"session": b"s", b"stream": b"0"}
        for said in (
            b"",
            os.urandom(1000),
            overlongBox(20_000_000),
            encodeBox({b"_answer": b"1"})[:-1],
            encodeBox({b"_answer": b"1"}),
            encodeBox({b"_answer": b"1", b"session": b"\xff", b"key": b"short"}),
            encodeBox({b"_error": b"1"}),
            encodeBox({b"_answer": b"?"}),
            encodeBox({b"_command": b"SessionLost"}),
            encodeBox({b"_command": b"SessionLost", b"reason": b"\xff", b"session": b""}),
            encodeBox({b"_command": b"Nonesuch", b"_ask": b"1"}),
            encodeBox(channel),
            encodeBox({**channel, b"stream": b"x"}),
            encodeBox({b"_command": b"Channel"}),
        ):
            self.assertRefused(self._impostor(said), "cat at site site: ")
