# -*- test-case-name: tests.test_carrier -*-
"""
A stream and the channel that carries it now.

Layer 1: driven by any reactor-like loop.  A L{Carrier} outlives its channels: it
acknowledges, pings, notices silence, and puts a new channel in place of an old
one when the new one has carried its first valid record.
"""

from __future__ import annotations

from rvgahp import limits
from rvgahp.frames import FIRST_IGNORED, Frame
from rvgahp.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rvgahp.channel import Channel
    from rvgahp.descriptor import Loop

    class StreamUser(Protocol):
        """
        Who writes and reads the stream.
        """

        def channelOpened(self) -> None:
            """
            A channel's handshake is done.
            """

        def framesReceived(self, frames: list[Frame]) -> None:
            """
            Frames came.  Each one's cost is due to L{Carrier.deliver}.
            """

        def roomMade(self) -> None:
            """
            L{Carrier.room} may have grown.
            """

        def channelLost(self, reason: str) -> None:
            """
            The stream has no channel now.

            @param reason: a clause for people.
            """

        def peerSilent(self, seconds: float) -> None:
            """
            Nothing has been heard for so long.  Said every few seconds.
            """


class Carrier:
    """
    One end of one stream, over successive channels.

    @ivar stream: what is carried.
    @ivar generation: of the last confirmed channel; 0 before the first.
    @ivar channels: how many were confirmed; those that were dialled in vain have a generation, too.
    @ivar losses: how many of them broke while they carried the stream.
    @ivar lastHeard: when, by the loop's clock, the last valid record came.
    @ivar problem: what the peer, or somebody between, has done to the last channel that
        broke for that; empty if it was the network.
    @ivar isRefused: whether the peer has said, provably, that the stream is over there, or
        has sent in it what makes no sense: no other channel is of use.
    """

    def __init__(self, loop: Loop, stream: Stream, user: StreamUser) -> None:
        self._loop = loop
        self.stream = stream
        self._user = user
        self._channel: Channel | None = None
        self._former: Channel | None = None
        self._shakingHands: set[Channel] = set()
        self._acknowledgement: Any = None  # the delayed call that sends it
        self._isClosed = self.isRefused = False
        self.problem = ""
        self._signs = (0, 0)  # of life, at the last tick
        self.generation = self.channels = self.losses = 0
        self.lastHeard = loop.seconds()
        self._lastSent = self.lastHeard
        self._tick = loop.callLater(limits.PING_INTERVAL, self._ticked)

    # -- for the stream's user ----------------------------------------------

    def send(self, kind: int, payload: bytes = b"") -> None:
        """
        Append a frame and send what can be sent.
        """
        self.stream.send(kind, payload)
        if self._channel is not None:
            self._lastSent = self._loop.seconds()
            self._channel.pump()

    def deliver(self, cost: int) -> None:
        """
        Frames that cost C{cost} have reached their sink.
        """
        if self._isClosed:
            return
        self.stream.deliver(cost)
        if self._channel is not None and self.stream.isDue():
            self.stream.widen()
            self.acknowledge()
        elif self.stream.owing() and self._acknowledgement is None:
            self._acknowledgement = self._loop.callLater(limits.ACK_DELAY, self._acknowledgeLate)

    def acknowledge(self) -> None:
        """
        Acknowledge now what has been delivered.
        """
        if self._channel is not None and self.stream.owing():
            if self._acknowledgement is not None:
                self._acknowledgement.cancel()
                self._acknowledgement = None
            self._lastSent = self._loop.seconds()
            self._channel.acknowledge()

    def room(self) -> int:
        """
        @return: payload bytes that may be sent now; with 0, wait for C{roomMade}.
        """
        if self._channel is not None and self.stream.backlog() >= limits.BACKLOG_BYTES:
            return 0
        return self.stream.room()

    def flushed(self) -> bool:
        """
        @return: whether the kernel has taken all that was given to the channel.
        """
        return self._channel is None or not self._channel.unsent

    def isConnected(self) -> bool:
        """
        @return: whether there is a channel now.
        """
        return self._channel is not None

    def drop(self, reason: str) -> None:
        """
        Have no channel, as if it had broken.
        """
        if self._channel is not None:
            self._channel.lose(reason)

    def dropHandshakes(self) -> None:
        """
        Have no other channel than the present one, and none in the making.
        """
        for channel in list(self._shakingHands):
            channel.close()
        self._shakingHands.clear()

    def handshakes(self) -> int:
        """
        @return: channels whose handshake is going on.
        """
        return len(self._shakingHands)

    def takesAnother(self) -> bool:
        """
        @return: whether one more channel may begin its handshake.
        """
        return len(self._shakingHands) < limits.HANDSHAKES

    def close(self) -> None:
        """
        The session is over.  Nothing is called afterwards.
        """
        if self._isClosed:
            return
        self._isClosed = True
        self._tick.cancel()
        if self._acknowledgement is not None:
            self._acknowledgement.cancel()
        for channel in (self._channel, self._former, *self._shakingHands):
            if channel is not None:
                channel.close()
        self._channel = self._former = None
        self._shakingHands.clear()
        self.stream.close()

    # -- for channels -------------------------------------------------------

    def channelMade(self, channel: Channel) -> None:
        """
        A channel begins its handshake.
        """
        self._shakingHands.add(channel)
        if self._isClosed:
            channel.close()

    def carries(self, channel: Channel) -> bool:
        """
        @return: whether it is over this channel that the stream is sent now.
        """
        return channel is self._channel

    def channelOpened(self, channel: Channel) -> None:
        """
        A channel's handshake is done; it carries the stream from here on.
        """
        self._shakingHands.discard(channel)
        if self._former is not None:
            self._former.close()
        self._former, self._channel = self._channel, channel
        self.generation = channel.generation
        self.channels += 1
        self.lastHeard = self._lastSent = self._loop.seconds()
        self.acknowledge()
        self._user.channelOpened()
        channel.pump()

    def heard(self, channel: Channel) -> None:
        """
        A valid record came over C{channel}.
        """
        if channel is self._channel:
            self.lastHeard = self._loop.seconds()
            if self._former is not None:
                self._former.close()
                self._former = None

    def acknowledged(self, position: int, limit: int) -> None:
        """
        An acknowledgement came.
        """
        if self._isClosed:
            return
        self.stream.acknowledged(position, limit)
        if self._channel is not None:
            self._channel.pump()
        self._user.roomMade()

    def pumped(self) -> None:
        """
        The channel took more of the stream when the kernel could take it.
        """
        self._user.roomMade()

    def framesReceived(self, frames: list[Frame]) -> None:
        """
        Frames came.  Those whose kind means nothing yet have been delivered by that.
        """
        if self._isClosed:
            return
        known = [frame for frame in frames if frame.kind < FIRST_IGNORED]
        if len(known) < len(frames):
            self.deliver(sum(frame.cost for frame in frames if frame.kind >= FIRST_IGNORED))
        if known:
            self._user.framesReceived(known)

    def channelLost(self, channel: Channel, reason: str) -> None:
        """
        C{channel} is closed: it broke, or did not come to be.
        """
        self._shakingHands.discard(channel)
        if channel is self._former:
            self._former = None
        elif channel is self._channel:
            self._channel = None
            self.losses += 1
            self._user.channelLost(reason)
        elif self._channel is None:
            self._user.channelLost(reason)

    # -- time ---------------------------------------------------------------

    def _acknowledgeLate(self) -> None:
        self._acknowledgement = None
        self.stream.narrow()
        self.acknowledge()

    def _ticked(self) -> None:
        now = self._loop.seconds()
        pingDue = self._lastSent + limits.PING_INTERVAL
        if now >= pingDue:
            pingDue = now + limits.PING_INTERVAL
            if self._channel is not None and not self._channel.unsent:
                self._lastSent = now
                self._channel.ping()
        silent = now - self.lastHeard
        silenceDue = limits.SILENCE_LIMIT - silent
        wait = pingDue - now
        if silenceDue > 0:
            wait = min(wait, silenceDue)
        # Not so soon that a clock of floating point would not have moved.
        self._tick = self._loop.callLater(max(wait, 0.001), self._ticked)
        showsLife = self._showsLife()
        if silenceDue <= 0:
            if not showsLife:
                self.drop(f"nothing was heard for {silent:.0f} s")
            if not self._isClosed:
                self._user.peerSilent(silent)

    def _showsLife(self) -> bool:
        """
        @return: whether anything came, or was taken of what the kernel could not take at
            once, since this was asked last: over a slow link a record takes its time.
        """
        former, self._signs = self._signs, self._channel.signs() if self._channel else (0, 0)
        return self._signs != former
