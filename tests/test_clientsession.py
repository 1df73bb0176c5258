"""
Tests of L{rvgahp.clientsession}: a real client, with a CE that does what a test wants.
"""

from __future__ import annotations

import signal

from rvgahp import frames
from tests.clientdriver import ClientTestCase


class StdioTests(ClientTestCase):
    """
    What goes in and out.
    """

    def test_both(self) -> None:
        """
        stdin goes to the site, its end too; stdout and stderr come from there.
        """
        self.running()
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(b"a line\n")
        self.process.stdin.close()
        self.until(lambda: len(self.user.frames()) == 2)
        self.assertEqual(self.user.frames(), [(frames.STDIN, b"a line\n"), (frames.END_STDIN, b"")])
        self.process.stdin = None
        self.ce.send(frames.STDOUT, b"out\n")
        self.ce.send(frames.STDERR, b"err\n")
        self.exit(False, 3)
        self.assertEqual(self.ended(), (3, b"out\n", "err\n"))
        self.assertTrue(self.ce.stream.isAcknowledged())

    def test_statuses(self) -> None:
        """
        The GAHP's end by a signal is 128 and its number, and what is to be known about
        it is said.
        """
        self.running()
        self.exit(True, signal.SIGKILL, "it gave no output")
        self.assertEqual(
            self.ended(), (128 + signal.SIGKILL, b"", "rvgahp_client: it gave no output\n")
        )

    def test_all(self) -> None:
        """
        All of a large output is written before it ends, however slowly it is read.
        """
        self.running()
        data = bytes(range(256)) * 8000
        for begin in range(0, len(data), 100_000):
            self.ce.send(frames.STDOUT, data[begin : begin + 100_000])
        self.exit(False, 0)
        self.spend(0.2)
        assert self.process is not None
        self.assertIsNone(self.process.poll())
        process = self.process
        output, errors = process.communicate()
        self.assertEqual((process.returncode, len(output), errors), (0, len(data), b""))
        self.assertEqual(output, data)


class EndTests(ClientTestCase):
    """
    Ends that are not in order.
    """

    def test_channelLost(self) -> None:
        """
        A channel that breaks is named.
        """
        self.running()
        self.ce.close()
        self.assertFails("the connection to the site was lost")

    def unreadExit(self) -> bytes:
        """
        The GAHP has ended, and its output is more than a pipe holds.

        @return: that output.
        """
        self.running()
        data = bytes(500_000)
        for _ in range(4):
            self.ce.send(frames.STDOUT, data[:125_000])
        self.exit(False, 4)
        self.spend(0.3)
        return data

    def test_channelLostAfterExit(self) -> None:
        """
        One that breaks when all has come is no loss.
        """
        data = self.unreadExit()
        self.ce.close()
        self.spend(0.1)
        self.assertEqual(self.ended_(), (4, data, b""))

    def test_sessionLostAfterExit(self) -> None:
        """
        Nor is a session that the site gives up then.
        """
        data = self.unreadExit()
        self.send(
            {b"_command": b"SessionLost", b"session": b"s", b"reason": b"the channel was lost"}
        )
        self.spend(0.1)
        self.assertEqual(self.ended_(), (4, data, b""))

    def ended_(self) -> tuple[int, bytes, bytes]:
        """
        @return: exit status and outputs, which are read only now.
        """
        assert self.process is not None
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors

    def test_strangeFrame(self) -> None:
        """
        A frame that is not for a client costs the channel, and it is said.
        """
        self.running()
        self.ce.send(frames.STDIN, b"for you")
        self.assertFails("a frame of kind 0 is not for a client")

    def test_strangeExit(self) -> None:
        """
        So does an exit status that makes no sense, whenever it is looked at.
        """
        self.running()
        self.ce.send(frames.STDOUT, bytes(200_000))
        self.ce.send(frames.EXIT, b"?")
        status, _, errors = self.ended()
        self.assertEqual(status, 255)
        self.assertIn("An exit status of unknown form came", errors)
        self.assertNotIn("Traceback", errors)

    def test_silence(self) -> None:
        """
        A silent site is waited for, and that is said once; but not longer than the lease.
        """
        self.running(lease=1, SILENCE_LIMIT=0.2, PING_INTERVAL=0.1)
        assert self.process is not None
        process = self.process
        output, errors = process.communicate(timeout=20)  # without a turn of the CE
        self.assertEqual((process.returncode, output), (255, b""))
        self.assertEqual(errors.count(b"nothing heard from the site"), 1, errors)
        self.assertIn(b"the site was silent for the lease of 1 s", errors)
