"""
Tests of L{rvgahp.clientlink}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frames, limits
from rvgahp.clientlink import SiteLink
from tests.channelends import Ends, User

LONG = b"y" * limits.FRAME_PAYLOAD_BYTES + b"y\r\n"


class TakingUser(User):
    """
    A user that takes back what it can when another channel opens.

    @ivar taken: how many lines, each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.link: SiteLink | None = None
        self.taken: list[int] = []

    def channelOpened(self) -> None:
        super().channelOpened()
        if self.link is not None and self.opened > 1:
            self.taken.append(self.link.takeBack())


class SiteLinkTests(SynchronousTestCase):
    """
    L{SiteLink}, with both ends of its stream.
    """

    def setUp(self) -> None:
        self.ends = Ends()
        self.addCleanup(self.ends.close)
        self.link = SiteLink(self.ends.client)

    def heard(self) -> bytes:
        """
        @return: what the CE has got of the GAHP's stdin, and forgets.
        """
        user = self.ends.users[0]
        data = b"".join(bytes(one.payload) for one in user.heard)
        user.heard.clear()
        return data

    def open(self) -> None:
        """
        Open a channel.
        """
        self.ends.connect()
        self.ends.loop.settle()

    def test_full(self) -> None:
        """
        A site that leaves a window of lines unacknowledged is not to be sent more: it is as
        quiet as one without a channel, until it has acknowledged some.
        """
        self.open()
        user = self.ends.users[0]
        user.delivers = False
        for _ in range(3):
            self.link.send([LONG])
        self.ends.loop.settle()
        self.assertLess(self.link.quiet(self.ends.loop.seconds()), 1)
        self.link.send([LONG])
        self.ends.loop.settle()
        self.assertEqual(self.link.quiet(self.ends.loop.seconds()), float("inf"))
        self.ends.ce.deliver(sum(user.costs))
        self.ends.loop.spend(1)
        self.assertLess(self.link.quiet(self.ends.loop.seconds()), 2)

    def test_confirmed(self) -> None:
        """
        A line is confirmed when all of it is acknowledged, and told of once.
        """
        self.open()
        self.link.send([b"a\r\n", LONG])
        self.assertEqual(self.link.confirmed(), 0)
        self.ends.loop.spend(1.0)
        self.assertEqual(self.heard(), b"a\r\n" + LONG)
        self.assertEqual((self.link.confirmed(), self.link.confirmed()), (2, 0))
        self.assertEqual(self.link.takeBack(), 0)

    def test_noChannel(self) -> None:
        """
        What no channel has carried can be taken back, in whole lines, and does not arrive.
        """
        self.link.send([b"a\r\n", LONG])
        self.assertEqual(self.link.takeBack(), 2)
        self.link.send([b"b\r\n"])
        self.open()
        self.ends.loop.spend(1.0)
        self.assertEqual((self.heard(), self.link.confirmed()), (b"b\r\n", 1))

    def test_resumed(self) -> None:
        """
        After an outage just the lines are taken back of which the CE has no byte, whichever
        byte is the last that it got.
        """
        lines = [b"first\r\n", LONG, b"last\r\n"]
        size = frames.HEADER.size
        for cut in (0, 1, size + 6, size + 7, size + 8, 99, 1000, 300_000):
            user = TakingUser()
            self.ends = Ends(users=(User(), user))
            self.addCleanup(self.ends.close)
            self.link = user.link = SiteLink(self.ends.client)
            _, answering, _, toCE = self.ends.relayed()
            self.ends.loop.settle()
            toCE.cutAt = toCE.carried + cut
            self.link.send(lines)
            self.ends.loop.settle()
            answering.lose("cut")
            self.ends.loop.settle()
            arrived = len(self.heard())
            self.open()
            self.ends.loop.spend(1.0)
            whole = [sum(map(len, lines[:number])) for number in range(4)]
            begun = next(number for number in range(4) if whole[number] >= arrived)
            self.assertEqual(user.taken, [3 - begun], cut)
            self.assertEqual(arrived + len(self.heard()), whole[begun], cut)
            self.assertEqual(self.link.confirmed(), begun)

    def test_endTakenBack(self) -> None:
        """
        What followed the lines is taken back with them.
        """
        self.link.send([b"a\r\n"])
        self.ends.client.send(frames.END_STDIN)
        self.assertEqual(self.link.takeBack(), 1)
        self.ends.client.send(frames.END_STDIN)
        self.open()
        self.assertEqual([one.kind for one in self.ends.users[0].heard], [frames.END_STDIN])

    def test_quiet(self) -> None:
        """
        Before the first channel it has been quiet for ever; then since the last byte, with a
        channel or without.
        """
        loop = self.ends.loop
        self.assertEqual(self.link.quiet(loop.seconds()), float("inf"))
        self.open()
        self.assertEqual(self.link.quiet(loop.seconds()), 0.0)
        self.ends.client.drop("cut")
        loop.spend(7.0)
        self.assertEqual(self.link.quiet(loop.seconds()), 7.0)
