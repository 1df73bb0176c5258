"""
Tests of L{rvgahp.descriptor}.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

from rvgahp import limits
from tests.loops import Driver, Polled, Twisted
from tests.looptests import LoopTestCase, Recorder, readAll


class DescriptorTests(LoopTestCase):
    """
    Tests of L{Descriptor} in the stepped loop.
    """

    def test_writesAtOnce(self) -> None:
        """
        What the kernel takes is gone when C{write} returns.
        """
        descriptor, theirs = self.pair()
        descriptor.write([b"at ", bytearray(b"once"), memoryview(b", all")])
        self.assertEqual(theirs.recv(100), b"at once, all")
        self.assertEqual((descriptor.unsent, descriptor.taken), (0, 12))
        descriptor.close()

    def test_orderUnderPressure(self) -> None:
        """
        Megabytes in pieces of all sizes, to one who reads slowly, come in order; and
        at each step what is unsent and what has progressed is all that was written.
        """
        descriptor, theirs = self.pair(8192)
        written, came = b"", b""
        for number in range(300):
            size = (number * 7919) % 20_000
            pieces = [bytes([number % 256]) * (size // 3) for _ in range(3)]
            descriptor.write(list(pieces))
            written += b"".join(pieces)
            self.assertEqual(descriptor.taken + descriptor.unsent, len(written))
            came += readAll(theirs, 5000) if number % 3 else b""

        def isDone() -> bool:
            nonlocal came
            came += readAll(theirs)
            self.assertEqual(descriptor.taken + descriptor.unsent, len(written))
            return len(came) >= len(written)

        self.driver.until(isDone)
        self.assertEqual(came, written)
        self.assertEqual((descriptor.unsent, descriptor.taken), (0, len(written)))
        self.driver.settle()
        self.assertFalse(descriptor._writing)
        descriptor.close()

    def test_manyPieces(self) -> None:
        """
        More pieces than one call of the kernel takes, empty ones among them, come in
        order.
        """
        descriptor, theirs = self.pair()
        pieces = [b"%d," % number if number % 5 else b"" for number in range(500)]
        descriptor.write(list(pieces))
        descriptor.write([b""])
        descriptor.write([])
        came = b""

        def isDone() -> bool:
            nonlocal came
            came += readAll(theirs)
            return len(came) == len(b"".join(pieces))

        self.driver.until(isDone)
        self.assertEqual(came, b"".join(pieces))
        descriptor.close()

    def test_emptyPieceInTheQueue(self) -> None:
        """
        A subclass that fills the queue itself may put nothing into it.
        """
        descriptor, theirs = self.pair()
        descriptor._queue.append(memoryview(b""))
        descriptor.doWrite()
        descriptor.write([b"next"])
        self.assertEqual(theirs.recv(100), b"next")
        descriptor.close()

    def test_writeFromProgressed(self) -> None:
        """
        What is written when there is progress goes after what was written before.
        """
        descriptor, theirs = self.pair(8192)
        more = [b"second" * 1000, b"third" * 1000]

        def react(name: str) -> None:
            if name == "progress" and more:
                descriptor.write([more.pop(0)])

        expected = b"first" * 10_000 + more[0] + more[1]
        descriptor.react = react
        descriptor.write([b"first" * 10_000])
        came = b""

        def isDone() -> bool:
            nonlocal came
            came += readAll(theirs)
            return len(came) == len(expected)

        self.driver.until(isDone)
        self.assertEqual(came, expected)
        descriptor.close()

    def test_manyWritesFromProgressed(self) -> None:
        """
        Thousands of writes, each made when the one before has progressed, are one
        after the other and not each inside the other.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        for end in (ours, theirs):
            end.setblocking(False)
            self.sockets.append(end)
        descriptor = Recorder(self.loop, ours.fileno(), ours)
        written = 0
        while not descriptor.unsent:
            descriptor.write([bytes(1 << 20)])
            written += 1 << 20
        left = 5000

        def react(name: str) -> None:
            nonlocal left, written
            if left and not descriptor.unsent:
                left -= 1
                written += 1
                descriptor.write([b"x"])

        descriptor.react = react
        came = 0

        def isDone() -> bool:
            nonlocal came
            came += len(readAll(theirs))
            return came == written and not left

        self.driver.until(isDone)
        descriptor.close()

    def test_reading(self) -> None:
        """
        Nothing is read until it is asked for, nor while it is paused; to ask twice is
        to ask once.
        """
        descriptor, theirs = self.pair()
        theirs.send(b"one")
        self.driver.settle()
        self.assertEqual(descriptor.data, b"")
        descriptor.resumeReading()
        descriptor.resumeReading()
        self.driver.until(lambda: descriptor.data == b"one")
        descriptor.pauseReading()
        descriptor.pauseReading()
        theirs.send(b"two")
        self.driver.settle()
        self.assertEqual(descriptor.data, b"one")
        descriptor.resumeReading()
        self.driver.until(lambda: descriptor.data == b"onetwo")
        descriptor.close()

    def test_endOfReading(self) -> None:
        """
        The last bytes before the other side's end are read, and then its end, once;
        writing goes on.
        """
        descriptor, theirs = self.pair()
        descriptor.resumeReading()
        theirs.send(b"last words")
        theirs.shutdown(socket.SHUT_WR)
        self.driver.until(lambda: ("end", "") in descriptor.events)
        self.driver.settle()
        self.assertEqual(descriptor.data, b"last words")
        self.assertEqual(descriptor.names(), ["data", "end"])
        descriptor.write([b"answer"])
        self.assertEqual(theirs.recv(100), b"answer")
        descriptor.close()

    def test_hangUp(self) -> None:
        """
        When the other side is closed, what it had sent is read before the end.
        """
        descriptor, theirs = self.pair()
        theirs.send(b"x" * 200_000)
        theirs.close()
        descriptor.resumeReading()
        self.driver.until(lambda: "end" in descriptor.names())
        self.assertTrue(descriptor.data == b"x" * len(descriptor.data))
        self.driver.settle()
        self.assertEqual(descriptor.names().count("end"), 1)
        descriptor.close()

    def test_halfClose(self) -> None:
        """
        The end of writing reaches the other side after the last byte, and reading
        goes on; what is written after it is dropped.
        """
        descriptor, theirs = self.pair(8192)
        descriptor.write([b"z" * 100_000])
        descriptor.endWriting()
        descriptor.endWriting()
        descriptor.write([b"too late"])
        came = b""

        def isDone() -> bool:
            nonlocal came
            try:
                while part := theirs.recv(5000):
                    came += part
            except BlockingIOError:
                return False
            return True

        self.driver.until(isDone)
        self.assertEqual(came, b"z" * 100_000)
        theirs.send(b"still there?")
        descriptor.resumeReading()
        self.driver.until(lambda: descriptor.data)
        self.assertEqual(descriptor.data, b"still there?")
        descriptor.close()

    def test_endOfAPipe(self) -> None:
        """
        A pipe's end of writing is its closing.
        """
        read, write = os.pipe2(os.O_NONBLOCK)
        descriptor = Recorder(self.loop, write)
        descriptor.write([b"all"])
        descriptor.endWriting()
        self.assertTrue(descriptor.isClosed)
        self.assertEqual((os.read(read, 10), os.read(read, 10)), (b"all", b""))
        os.close(read)

    def test_writeFails(self) -> None:
        """
        That the other side is gone is told once, and never from inside C{write}; what
        is written afterwards is dropped.
        """
        descriptor, theirs = self.pair()
        theirs.close()
        descriptor.write([b"anybody?"])
        descriptor.write([b"nobody"])
        self.assertEqual(descriptor.events, [])
        self.assertEqual(descriptor.unsent, 0)
        self.driver.until(lambda: descriptor.events)
        descriptor.write([b"nobody"])
        descriptor.endWriting()
        self.driver.settle()
        self.assertEqual(descriptor.events, [("failure", os.strerror(32))])
        descriptor.close()

    def test_resetWhileWriting(self) -> None:
        """
        That the other side goes away in the middle is told once.
        """
        descriptor, theirs = self.pair(8192)
        descriptor.write([bytes(1 << 20)])
        self.assertGreater(descriptor.unsent, 0)
        theirs.close()
        self.driver.until(lambda: "failure" in descriptor.names())
        self.driver.settle()
        self.assertEqual(descriptor.names(), ["failure"])
        self.assertEqual(descriptor.unsent, 0)
        descriptor.close()

    def test_failureThenEnd(self) -> None:
        """
        To ask for the end after a failure that has not been told yet does not keep it
        from being told, on a pipe neither.
        """
        read, write = os.pipe2(os.O_NONBLOCK)
        os.close(read)
        descriptor = Recorder(self.loop, write)
        descriptor.write([b"anybody?"])
        descriptor.endWriting()
        self.driver.until(lambda: descriptor.names() == ["failure"])
        descriptor.close()

    def test_closeWhileWriting(self) -> None:
        """
        Closed with much unsent, nothing is called any more, and nothing is watched.
        """
        descriptor, theirs = self.pair(8192)
        descriptor.resumeReading()
        descriptor.write([bytes(1 << 20)])
        descriptor.close()
        self.assertEqual(descriptor.unsent, 0)
        events = list(descriptor.events)
        readAll(theirs)
        descriptor.write([b"more"])
        descriptor.endWriting()
        descriptor.resumeReading()
        descriptor.pauseReading()
        self.driver.settle()
        self.assertEqual(descriptor.events, events)
        self.assertEqual(descriptor.fileno(), -1)

    def test_closeFromAnyEvent(self) -> None:
        """
        Whatever it is told, it can be closed then, and is told nothing more.
        """
        for name in ("data", "end", "progress", "failure"):
            descriptor, theirs = self.pair(8192)

            def react(which: str, name: str = name, descriptor: Recorder = descriptor) -> None:
                if which == name:
                    descriptor.close()

            descriptor.react = react
            theirs.send(b"hello")
            if name == "end":
                theirs.shutdown(socket.SHUT_WR)
            descriptor.resumeReading()
            if name == "progress":
                descriptor.write([bytes(1 << 20)])
            if name == "failure":
                theirs.close()
                descriptor.write([b"x"])
            self.driver.until(partial(getattr, descriptor, "isClosed"))
            count = len(descriptor.events)
            self.driver.settle()
            self.assertEqual(len(descriptor.events), count)
            self.assertIn(name, [event for event, _ in descriptor.events])

    def test_closedOnce(self) -> None:
        """
        A second close does not close who has got the number meanwhile.
        """
        read, write = os.pipe2(os.O_NONBLOCK)
        descriptor = Recorder(self.loop, write)
        descriptor.close()
        again = os.open(os.devnull, os.O_WRONLY)
        self.assertEqual(again, write)
        descriptor.close()
        descriptor.endWriting()
        self.assertEqual(os.write(again, b"x"), 1)
        os.close(again)
        os.close(read)


class PolledDescriptorTests(DescriptorTests):
    """
    The same in the client's loop.
    """

    def makeDriver(self) -> Driver:
        return Polled()


class TwistedDescriptorTests(DescriptorTests):
    """
    The same in Twisted's loop.
    """

    def makeDriver(self) -> Driver:
        return Twisted()


class BlockingTests(LoopTestCase):
    """
    Tests of a descriptor that must be left blocking.
    """

    def test_neverWithoutTheLoop(self) -> None:
        """
        Nothing is written to it but when the loop says that it can take something, and
        then no more than that; so it never blocks.
        """
        sizes: list[int] = []
        original = os.writev

        def writev(fd: int, pieces: list[Any]) -> int:
            sizes.append(sum(len(piece) for piece in pieces))
            return original(fd, pieces)

        self.patch(os, "writev", writev)
        read, write = os.pipe()
        os.set_blocking(write, True)
        os.set_blocking(read, False)
        descriptor = Recorder(self.loop, write)
        descriptor.writeBytes = limits.BLOCKING_WRITE_BYTES
        written = bytes(range(256)) * 1000
        descriptor.write([written[:10], written[10:100_000], written[100_000:]])
        self.assertEqual(sizes, [])
        came = b""
        while len(came) < len(written):
            self.driver.settle()  # it would not return if a write blocked
            came += os.read(read, 50_000)
        self.assertEqual(came, written)
        self.assertLessEqual(max(sizes), limits.BLOCKING_WRITE_BYTES)
        descriptor.endWriting()
        self.assertTrue(descriptor.isClosed)
        os.close(read)
