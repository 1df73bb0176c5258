"""
Real processes: whatever the client's stdin, stdout and stderr are, every byte arrives,
and they are left as they were.
"""

from __future__ import annotations

import os
import pty
import socket
import tempfile
from pathlib import Path

from tests.procfs import PATIENCE
from tests.programs import SOAK, Run, gahp, runProgram
from tests.wholecase import PlaygroundTestCase


class StdioTests(PlaygroundTestCase):
    """
    What the client's stdin, stdout and stderr may be.
    """

    gahps = {"cat": "/bin/cat", "both": gahp("both"), "burst": gahp("burst")}

    def _shell(self, redirections: str, name: str = "cat") -> Run:
        """
        Run the client in a shell with redirections; C{$F} is a file of random bytes.
        """
        words = ["/bin/sh", "-c", f'"$@" {redirections}', "sh", *self.playground.words(name)]
        environment = {**os.environ, "F": str(self.file), "O": f"{self.file}.out"}
        return runProgram(words, None, env=environment)

    def setUp(self) -> None:
        super().setUp()
        self.content = os.urandom(3_000_000)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name, "content")
        self.file.write_bytes(self.content)

    def test_files(self) -> None:
        """
        stdin may be a file, /dev/null or closed; stdout may be a file.
        """
        run = self._shell('<"$F" >"$O"')
        self.assertEqual((run.status, run.output, run.errors), (0, b"", ""))
        self.assertEqual(Path(f"{self.file}.out").read_bytes(), self.content)
        for redirection in ("</dev/null", "<&-"):
            run = self._shell(redirection)
            self.assertEqual((run.status, run.output, run.errors), (0, b"", ""), redirection)

    def test_appendedFile(self) -> None:
        """
        stdout may be a file that is appended to, shared with others.
        """
        run = self._shell('<"$F" >>"$O"; echo after >>"$O"')
        self.assertEqual((run.status, run.errors), (0, ""))
        self.assertEqual(Path(f"{self.file}.out").read_bytes(), self.content + b"after\n")

    def test_closed(self) -> None:
        """
        stdout and stderr may be closed: no connection of the client takes their numbers.
        """
        run = self._shell('<"$F" >&-')
        self.assertEqual((run.status, run.errors), (0, ""))
        run = self._shell("</dev/null >&-", "both")
        self.assertEqual((run.status, run.output, run.errors), (3, b"", "to stderr\n"))
        run = self._shell("</dev/null 2>&-", "both")
        self.assertEqual((run.status, run.output, run.errors), (3, b"to stdout\n", ""))
        run = self._shell("<&- >&- 2>&-", "both")
        self.assertEqual((run.status, run.output, run.errors), (3, b"", ""))

    def test_fullDisk(self) -> None:
        """
        What cannot be written is not passed over in silence: /dev/full.
        """
        run = self._shell('<"$F" >/dev/full')
        self.assertNotEqual(run.status, 0, run)
        self.assertIn("No space left on device", run.errors)

    def test_readerGone(self) -> None:
        """
        Where nobody reads stdout any more, client and GAHP end.
        """
        run = self._shell("</dev/zero | head -c 1000")
        self.assertEqual(len(run.output), 1000)
        self.playground.awaitNoGAHP()

    def test_sharedPipe(self) -> None:
        """
        stdout and stderr on one pipe (2>&1): both arrive whole, and the pipe is as
        blocking during and after the run as before it.
        """
        run = self._shell('<"$F" 2>&1')
        self.assertEqual((run.status, run.output), (0, self.content))
        run = self._shell("</dev/null 2>&1", "both")
        self.assertEqual(sorted(run.output.splitlines()), [b"to stderr", b"to stdout"])

    def _blockingAt(self, same: bool) -> tuple[bool, bool]:
        """
        @param same: whether stdout and stderr are one pipe.
        @return: whether stdout is blocking while the client runs, and afterwards.
        """
        read, write = os.pipe()
        client = self.playground.client("cat", stdout=write, stderr=write if same else None)
        try:
            assert client.stdin is not None
            client.stdin.write(b"!")
            client.stdin.flush()
            self.assertEqual(os.read(read, 1), b"!")
            during = os.get_blocking(write)
            client.stdin.close()
            client.stdin = None
            self.assertEqual(client.wait(PATIENCE), 0)
            return during, os.get_blocking(write)
        finally:
            os.close(read)
            os.close(write)

    def test_blocking(self) -> None:
        """
        O_NONBLOCK is restored on a pipe at the end, and never set on one that is stderr
        too.
        """
        self.assertEqual(self._blockingAt(same=True), (True, True))
        self.assertEqual(self._blockingAt(same=False)[1], True)

    def test_blockingAfterSignal(self) -> None:
        """
        O_NONBLOCK is restored on a pipe also where a signal ends the client.
        """
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        client = self.playground.client("cat", stdout=write)
        assert client.stdin is not None
        client.stdin.write(b"!")
        client.stdin.flush()
        self.assertEqual(os.read(read, 1), b"!")
        client.terminate()
        client.wait(PATIENCE)
        self.assertTrue(os.get_blocking(write))

    def test_terminal(self) -> None:
        """
        stdin and stdout may be a terminal; its end of file is one.
        """
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        client = self.playground.client("cat", stdin=theirs, stdout=theirs, start_new_session=True)
        os.close(theirs)
        os.write(ours, b"a line\n")
        seen = b""
        while seen.count(b"a line\r\n") < 2:  # its echo, and what cat wrote
            seen += os.read(ours, 1000)
        os.write(ours, b"\x04")
        self.assertEqual(client.wait(PATIENCE), 0)

    def test_oneSocket(self) -> None:
        """
        stdin and stdout may be one and the same socket, as under inetd.
        """
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(PATIENCE)
            client = self.playground.client("cat", stdin=theirs, stdout=theirs)
            theirs.close()
            ours.sendall(b"there and back\n")
            self.assertEqual(ours.recv(100), b"there and back\n")
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(client.wait(PATIENCE), 0)
            self.assertEqual(ours.recv(100), b"")

    def test_bothWays(self) -> None:
        """
        Many bytes both ways at once through C{cat} come back as they were.
        """
        sent = os.urandom(1 << 20) * (200 if SOAK else 40)
        run = self.playground.run("cat", sent)
        self.assertEqual((run.status, run.errors), (0, ""))
        self.assertTrue(run.output == sent)
