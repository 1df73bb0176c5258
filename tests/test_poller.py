"""
Tests of L{rvgahp.poller}.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.descriptor import Descriptor
from rvgahp.poller import Poller
from tests.steppedloop import descriptorCount, socketPair


class Watched:
    """
    Something with a descriptor.
    """

    def __init__(self, fd: int, read: Callable[[], Any], write: Callable[[], Any] = bool) -> None:
        self._fd = fd
        self._read = read
        self._write = write

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> None:
        self._read()

    def doWrite(self) -> None:
        self._write()


class Reader(Descriptor):
    """
    Keeps what it reads, and stops the loop at the end.
    """

    def __init__(self, loop: Poller, fd: int) -> None:
        super().__init__(loop, fd)
        self.poller = loop
        self.data = b""
        self.ends: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readEnded(self, problem: str) -> None:
        self.ends.append(problem)
        self.poller.stop()


class PollerTestCase(SynchronousTestCase):
    """
    A poller that gives up, and sockets that are closed.
    """

    def setUp(self) -> None:
        self.before = descriptorCount()
        self.loop = Poller()
        self.sockets: list[socket.socket] = []

    def tearDown(self) -> None:
        for connection in self.sockets:
            connection.close()
        self.assertEqual(descriptorCount(), self.before)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """
        Two connected sockets.
        """
        pair = socketPair()
        self.sockets += pair
        return pair

    def run_(self) -> None:
        """
        Run the loop; it must stop within 5 s.
        """
        late: list[bool] = []

        def giveUp() -> None:
            late.append(True)
            self.loop.stop()

        deadline = self.loop.callLater(5, giveUp)
        self.loop.run()
        deadline.cancel()
        self.assertEqual(late, [], "the loop did not stop")


class TimerTests(PollerTestCase):
    """
    Tests of the poller's clock.
    """

    def test_order(self) -> None:
        """
        Calls are made in the order of their times, not in that of their making, and
        not before their time.
        """
        called: list[tuple[str, float]] = []
        begin = self.loop.seconds()

        def call(name: str) -> None:
            called.append((name, self.loop.seconds() - begin))

        self.loop.callLater(0.03, call, "last")
        self.loop.callLater(0.01, call, "second")
        self.loop.callLater(0, call, "first")
        self.loop.callLater(0.02, call, "third")
        self.loop.callLater(0.03, self.loop.stop)
        self.run_()
        self.assertEqual([name for name, _ in called], ["first", "second", "third", "last"])
        for (_, when), due in zip(called, (0, 0.01, 0.02, 0.03), strict=True):
            self.assertGreaterEqual(when, due)

    def test_cancelled(self) -> None:
        """
        What is cancelled is not called, also if that happens while others of the same
        time are; and to cancel it again, or later, is harmless.
        """
        called: list[str] = []
        first = self.loop.callLater(0.001, called.append, "never")
        self.assertTrue(first.active())
        first.cancel()
        first.cancel()
        self.assertFalse(first.active())
        second = self.loop.callLater(0.0011, called.append, "nor this")
        self.loop.callLater(0.001, second.cancel)
        third = self.loop.callLater(0.002, called.append, "this")
        self.loop.callLater(0.005, self.loop.stop)
        self.run_()
        self.assertEqual(called, ["this"])
        self.assertFalse(third.active())
        third.cancel()

    def test_calledFromACall(self) -> None:
        """
        A call may make others, at once and for later.
        """
        called: list[int] = []

        def again(number: int) -> None:
            called.append(number)
            if number < 20:
                self.loop.callLater(0, again, number + 1)
            else:
                self.loop.stop()

        self.loop.callLater(0, again, 0)
        self.run_()
        self.assertEqual(called, list(range(21)))

    def test_stopAmongCalls(self) -> None:
        """
        After C{stop} no other call is made, though its time has come.
        """
        called: list[str] = []
        self.loop.callLater(0, self.loop.stop)
        self.loop.callLater(0.0001, called.append, "too late")
        time.sleep(0.001)
        self.loop.run()
        self.assertEqual(called, [])

    def test_callsAreNotStarved(self) -> None:
        """
        A descriptor that always has something does not keep calls from being made.
        """
        ours, theirs = self.pair()
        theirs.send(b"x")
        reads: list[int] = []
        self.loop.addReader(Watched(ours.fileno(), lambda: reads.append(1)))
        self.loop.callLater(0.01, self.loop.stop)
        self.run_()
        self.assertGreater(len(reads), 1)


class DescriptorTests(PollerTestCase):
    """
    Tests of the poller's descriptors.
    """

    def test_readAndWrite(self) -> None:
        """
        One that is watched for both is told of both.
        """
        ours, theirs = self.pair()
        theirs.send(b"x")
        told: list[str] = []

        def wrote() -> None:
            told.append("write")
            self.loop.stop()

        both = Watched(ours.fileno(), lambda: told.append("read"), wrote)
        self.loop.addReader(both)
        self.loop.addWriter(both)
        self.run_()
        self.assertEqual(told, ["read", "write"])

    def test_removedInItsOwnCall(self) -> None:
        """
        A reader that removes itself, and the writing half with it, is not called
        again in that turn or later.
        """
        ours, theirs = self.pair()
        theirs.send(b"x")
        told: list[str] = []

        def read() -> None:
            told.append("read")
            self.loop.removeReader(both)
            self.loop.removeWriter(both)

        both = Watched(ours.fileno(), read, lambda: told.append("write"))
        self.loop.addReader(both)
        self.loop.addWriter(both)
        self.loop.callLater(0.01, self.loop.stop)
        self.run_()
        self.assertEqual(told, ["read"])

    def test_removedByAnother(self) -> None:
        """
        Of two that are ready at once, each of which removes the other, one is called.
        """
        one, other = self.pair(), self.pair()
        told: list[int] = []
        readers: list[Watched] = []

        def make(number: int, fd: int) -> Watched:
            def read() -> None:
                told.append(number)
                self.loop.removeReader(readers[1 - number])
                self.loop.removeReader(readers[number])
                self.loop.callLater(0.01, self.loop.stop)

            return Watched(fd, read)

        for number, (ours, theirs) in enumerate((one, other)):
            theirs.send(b"x")
            readers.append(make(number, ours.fileno()))
            self.loop.addReader(readers[-1])
        self.run_()
        self.assertEqual(len(told), 1)

    def test_descriptorUsedAgain(self) -> None:
        """
        A number that is closed and used again within one turn belongs to the new one:
        the old one is not called for it.
        """
        one, other = socketPair(), socketPair()
        told: list[str] = []
        descriptors = {ours.fileno(): ours for ours, _ in (one, other)}

        def replace() -> None:
            told.append("old")
            for number in list(descriptors):
                self.loop.removeReader(watched[number])
                descriptors.pop(number).close()
            fresh.extend(socketPair())
            self.loop.addReader(Watched(fresh[0].fileno(), lambda: told.append("new")))
            self.assertIn(fresh[0].fileno(), watched)

        fresh: list[socket.socket] = []
        watched = {fd: Watched(fd, replace) for fd in descriptors}
        for _, theirs in (one, other):
            theirs.send(b"x")
        for reader in watched.values():
            self.loop.addReader(reader)
        self.loop.callLater(0.01, self.loop.stop)
        self.run_()
        self.assertEqual(told.count("old"), 1)
        for connection in (one[1], other[1], *fresh):
            connection.close()

    def test_stopAmongDescriptors(self) -> None:
        """
        After C{stop} no other descriptor is read, though it was ready as well.
        """
        told: list[int] = []

        def read() -> None:
            told.append(1)
            self.loop.stop()

        for ours, theirs in (self.pair(), self.pair()):
            theirs.send(b"x")
            self.loop.addReader(Watched(ours.fileno(), read))
        self.run_()
        self.assertEqual(told, [1])

    def test_removeUnknown(self) -> None:
        """
        To remove what is not watched, or not any more, is harmless.
        """
        ours, _ = self.pair()
        unknown = Watched(ours.fileno(), bool)
        self.loop.removeReader(unknown)
        self.loop.addReader(unknown)
        self.loop.removeWriter(unknown)
        self.loop.removeReader(unknown)
        self.loop.removeReader(unknown)

    def test_regularFile(self) -> None:
        """
        A file is read to its end, as stdin may be one.
        """
        path = self.mktemp()
        content = bytes(range(256)) * 2000
        with open(path, "wb") as file:
            file.write(content)
        reader = Reader(self.loop, os.open(path, os.O_RDONLY))
        reader.resumeReading()
        self.run_()
        reader.close()
        self.assertEqual((reader.data, reader.ends), (content, [""]))

    def test_devNull(self) -> None:
        """
        /dev/null is at its end at once.
        """
        reader = Reader(self.loop, os.open(os.devnull, os.O_RDONLY))
        reader.resumeReading()
        self.run_()
        reader.close()
        self.assertEqual((reader.data, reader.ends), (b"", [""]))

    def test_hangUpOfAPipe(self) -> None:
        """
        A pipe whose writer is gone is read to its end, and ends once.
        """
        read, write = os.pipe()
        os.write(write, b"last words")
        os.close(write)
        reader = Reader(self.loop, read)
        reader.resumeReading()
        self.run_()
        self.assertEqual((reader.data, reader.ends), (b"last words", [""]))
        self.loop.callLater(0.01, self.loop.stop)
        self.run_()
        reader.close()
        self.assertEqual(reader.ends, [""])

    def test_hangUpWhileWriting(self) -> None:
        """
        A writer whose reader goes away is told, and does not keep the loop busy.
        """
        read, write = os.pipe2(os.O_NONBLOCK)
        problems: list[str] = []

        class Writer(Descriptor):
            def writeFailed(self, problem: str) -> None:
                problems.append(problem)

        writer = Writer(self.loop, write)
        writer.write([bytes(1 << 20)])
        self.assertGreater(writer.unsent, 0)
        os.close(read)
        self.loop.callLater(0.02, self.loop.stop)
        self.run_()
        self.assertEqual(problems, [os.strerror(32)])
        self.assertEqual(self.loop._writers, {})
        writer.close()

    def test_closedBehindOurBack(self) -> None:
        """
        A descriptor that someone else has closed is at its end, with a reason.
        """
        read, write = os.pipe()
        reader = Reader(self.loop, read)
        reader.resumeReading()
        os.close(read)
        self.run_()
        os.close(write)
        self.assertEqual(reader.ends, [os.strerror(9)])
