"""
Tests of L{rvgahp.logsinks}, with real files, pipes and sockets.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.logsinks import FileSink, JournalSink, OutputSink, journalOutput


class FileSinkTests(SynchronousTestCase):
    """
    Tests of L{FileSink}.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "log"
        self.largest, self.most = 100, 2
        self.sink = FileSink(str(self.path), lambda: self.largest, lambda: self.most)
        self.addCleanup(self.sink._file.close)

    def put(self, *numbers: int) -> None:
        """
        Write lines of forty bytes.
        """
        for number in numbers:
            self.sink.put(b"%039d\n" % number)

    def numbers(self, name: str = "log") -> list[int]:
        """
        @return: those that a file has.
        """
        return [int(line) for line in (self.directory / name).read_text().splitlines()]

    def names(self) -> list[str]:
        """
        @return: the files that there are.
        """
        return sorted(path.name for path in self.directory.iterdir())

    def test_turn(self) -> None:
        """
        No file has more bytes than that, no line is in two, and so many former files are kept.
        """
        self.put(*range(9))
        self.assertEqual(self.names(), ["log", "log.1", "log.2"])
        found = [self.numbers(name) for name in ("log.2", "log.1", "log")]
        self.assertEqual(found, [[4, 5], [6, 7], [8]])

    def test_none(self) -> None:
        """
        Without former files the old one is gone; with 0 for its size it grows.
        """
        self.most = 0
        self.put(1, 2, 3)
        self.assertEqual((self.names(), self.numbers()), (["log"], [3]))
        self.largest = 0
        self.put(*range(4, 20))
        self.assertEqual(self.numbers(), list(range(3, 20)))

    def test_long(self) -> None:
        """
        A line that is longer than a file may be is written all the same.
        """
        self.sink.put(b"x" * 500 + b"\n")
        self.put(1)
        self.assertEqual(self.numbers(), [1])
        self.assertEqual((self.directory / "log.1").stat().st_size, 501)

    def test_logrotate(self) -> None:
        """
        Somebody may move the file away and make a new one, or truncate it, at any time: no
        line is lost, and none of his files is renamed.
        """
        self.put(1, 2)
        self.path.rename(self.directory / "log-20261121")
        self.path.touch()
        self.put(3)
        self.assertEqual((self.names(), self.numbers()), (["log", "log-20261121"], [3]))
        self.put(4)
        os.truncate(self.path, 0)
        self.put(5)
        self.assertEqual((self.names(), self.numbers()), (["log", "log-20261121"], [5]))

    def test_foreignDirectory(self) -> None:
        """
        Where files cannot be renamed the one grows, and is looked at again when it has doubled.
        """
        tried: list[str] = []

        def rename(old: str, new: str) -> None:
            tried.append(old)
            raise PermissionError(13, "Permission denied")

        self.patch(os, "rename", rename)
        self.put(*range(20))
        self.assertEqual(self.numbers(), list(range(20)))
        self.assertLessEqual(len(tried), 10)
        os.truncate(self.path, 0)
        tried.clear()
        self.put(*range(3))
        self.assertTrue(tried)

    def test_moved(self) -> None:
        """
        As long as no new one can be made, lines go to the one that was moved away.
        """
        self.put(1)
        self.directory = self.directory.rename(self.mktemp())
        self.put(2)
        self.assertEqual(self.numbers(), [1, 2])

    def test_link(self) -> None:
        """
        A link stays, and the file that it leads to is renamed, in its own directory.
        """
        other = Path(self.mktemp())
        other.mkdir()
        self.path.unlink()
        self.path.symlink_to(other.resolve() / "real")
        self.put(*range(5))
        self.assertEqual(self.names(), ["log"])
        self.assertTrue(self.path.is_symlink())
        self.directory = other
        self.assertEqual(self.names(), ["real", "real.1", "real.2"])
        self.assertEqual((self.numbers("real.1"), self.numbers("real")), ([2, 3], [4]))

    def test_linkToLink(self) -> None:
        """
        C{/dev/stdout} is a link to a link, C{/proc/self/fd/1}: no such name is ever taken away,
        and what it leads to just grows.
        """
        descriptor = os.open(self.directory / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.addCleanup(os.close, descriptor)
        self.path.unlink()
        self.path.symlink_to(f"/proc/self/fd/{descriptor}")
        self.most = 0
        self.put(*range(20))
        self.assertEqual((self.names(), self.numbers("out")), (["log", "out"], list(range(20))))

    def test_noDirectory(self) -> None:
        """
        One that cannot be opened at first is an error.
        """
        self.assertRaises(OSError, FileSink, "/no/such/log", lambda: 0, lambda: 0)


class OutputSinkTests(SynchronousTestCase):
    """
    Tests of L{OutputSink}: whoever reads it may be slow, or gone.
    """

    def ends(self, isSocket: bool) -> tuple[int, int]:
        """
        @return: one to read from, and a blocking one to write to.
        """
        if isSocket:
            pair = socket.socketpair()
            fds = pair[0].detach(), pair[1].detach()
        else:
            fds = os.pipe()
        os.set_blocking(fds[0], False)
        return fds

    def allOf(self, reader: int) -> bytes:
        """
        @return: all that there is to be read.
        """
        came = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(reader, 1 << 20):
                came.append(data)
        return b"".join(came)

    def close(self, sink: OutputSink, *fds: int) -> None:
        """
        Leave no descriptor.
        """
        if sink._socket is not None:
            sink._socket.close()
        for fd in {*fds, sink._fd} if os.isatty(sink._fd) else fds:
            os.close(fd)

    def test_stuck(self) -> None:
        """
        One that is not read takes what it has room for, and then nothing waits; when it is read
        again each line is whole, but for the one in which it was full, and the descriptor is
        as blocking as it was.
        """
        for isSocket in (False, True):
            reader, writer = self.ends(isSocket)
            sink = OutputSink(writer)
            with self.assertRaises(BlockingIOError):
                for number in range(100000):
                    sink.put(b"%09999d\n" % number)
            self.assertTrue(os.get_blocking(writer))
            self.assertRaises(BlockingIOError, sink.put, b"lost\n" * 2000)
            came = self.allOf(reader)
            sink.put(b"after\n")
            lines = (came + self.allOf(reader)).split(b"\n")
            self.assertEqual(lines[-2:], [b"after", b""])
            whole = [line for line in lines[:-2] if len(line) == 9999]
            self.assertEqual([int(line[-9:]) for line in whole], list(range(len(whole))))
            self.assertGreaterEqual(len(whole), len(lines) - 4)
            self.close(sink, reader, writer)

    def test_terminal(self) -> None:
        """
        A terminal that nobody reads, whose room runs out in the middle of a write, makes nobody
        wait; and whoever else has it finds it as blocking as it was.
        """
        reader, writer = os.openpty()
        os.set_blocking(reader, False)
        sink = OutputSink(writer)
        self.assertFalse(os.get_blocking(sink._fd))  # else what follows would wait for ever
        with self.assertRaises(BlockingIOError):
            for number in range(100000):
                sink.put(b"%0999d\n" % number)
        self.assertTrue(os.get_blocking(writer))
        self.allOf(reader)
        sink.put(b"after\n")
        self.assertTrue(self.allOf(reader).endswith(b"\r\nafter\r\n"))
        self.close(sink, reader, writer)

    def test_foreignTerminal(self) -> None:
        """
        One that may not be opened anew is written to as it is.
        """
        reader, writer = os.openpty()

        def refuse(path: str, flags: int) -> int:
            raise PermissionError(13, "Permission denied")

        self.patch(os, "open", refuse)
        sink = OutputSink(writer)
        sink.put(b"one\n")
        self.assertEqual(os.read(reader, 100), b"one\r\n")
        self.close(sink, reader, writer)

    def test_gone(self) -> None:
        """
        If nobody can read it any more that is an error, and no signal.
        """
        for isSocket in (False, True):
            reader, writer = self.ends(isSocket)
            sink = OutputSink(writer)
            os.close(reader)
            self.assertRaises(BrokenPipeError, sink.put, b"one\n")
            self.close(sink, writer)


class JournalSinkTests(SynchronousTestCase):
    """
    Tests of L{JournalSink}, against a socket that may be the journal's.
    """

    def setUp(self) -> None:
        self.path = os.path.relpath(self.mktemp())
        self.sink = JournalSink(self.path)
        self.addCleanup(self.sink._socket.close)

    def journal(self) -> socket.socket:
        """
        @return: it, started again if there was one.
        """
        Path(self.path).unlink(missing_ok=True)
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(journal.close)
        journal.bind(self.path)
        journal.settimeout(10)
        return journal

    def test_sent(self) -> None:
        """
        Each event is a datagram, as long as an event may be; a journal that was started again
        gets the next.
        """
        self.journal()
        self.sink.put(b"MESSAGE=one\n")
        again = self.journal()
        self.sink.put(b"x" * 180000)
        self.assertEqual(again.recv(1 << 20), b"x" * 180000)

    def test_absent(self) -> None:
        """
        Without a journal, and with one that has ended, it is an error.
        """
        self.assertRaises(FileNotFoundError, self.sink.put, b"MESSAGE=one\n")
        self.journal().close()
        self.assertRaises(ConnectionRefusedError, self.sink.put, b"MESSAGE=one\n")

    def test_stuck(self) -> None:
        """
        With one that reads nothing nothing waits.
        """
        journal = self.journal()
        with self.assertRaises(BlockingIOError):
            for _ in range(100000):
                self.sink.put(b"MESSAGE=one\n")
        journal.recv(1000)
        self.sink.put(b"MESSAGE=two\n")


class JournalOutputTests(SynchronousTestCase):
    """
    Tests of L{journalOutput}.
    """

    def test_output(self) -> None:
        """
        What C{JOURNAL_STREAM} names counts if it is our stderr or stdout, and not if
        these lead elsewhere by now.
        """
        for fd in (2, 1):
            found = os.fstat(fd)
            environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
            self.assertIn(journalOutput(environ), (2, 1))
        for words in ("", "1", "0:0", "x:y", f"{found.st_dev}:{found.st_ino}:"):
            self.assertIsNone(journalOutput({"JOURNAL_STREAM": words}))
        self.assertIsNone(journalOutput({}))
