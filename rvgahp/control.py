# -*- test-case-name: tests.test_control -*-
"""
Boxes between two peers who call each other's commands: the control connection, and
what it has in common with the proxy's UNIX socket.

Layer 3.  Twisted's C{AMP} class reads boxes of any size, has no time-outs, closes
the connection for an exception in a responder and for an unhandled errback at the
caller.  Its parts are used instead: L{BoxDispatcher} with a reader of ours below
and locators of ours above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, fail, maybeDeferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.protocols.amp import (
    UNHANDLED_ERROR_CODE,
    AmpBox,
    BoxDispatcher,
    Command,
    CommandLocator,
    IBoxSender,
    NoEmptyBoxes,
    RemoteAmpError,
    UnknownRemoteError,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rvgahp import limits, watchlimits
from rvgahp.boxes import BoxReader
from rvgahp.commands import Ping, plain
from rvgahp.errors import InternalError, ProtocolError, RvgahpError


class QuietFactory(Factory):
    """
    Makes one connection's protocol; that is not worth a line in the log.
    """

    noisy = False


class Responders(CommandLocator):
    """
    A locator whose bugs cost one call, not the connection.
    """

    log = Logger()

    def locateResponder(self, name: bytes) -> Any:
        responder = super().locateResponder(name)
        if responder is None:
            # AMP's own refusal repeats the name, which may be too long for that.
            unknown = RemoteAmpError(UNHANDLED_ERROR_CODE, f"there is no command {name[:80]!r}")
            return lambda box: fail(unknown)
        return lambda box: self._answer(responder, box, name)

    def _answer(self, responder: Any, box: AmpBox, name: bytes) -> Deferred[AmpBox]:
        try:
            # Reads the arguments at once; what the method itself does comes as a Deferred.
            answer: Deferred[AmpBox] = responder(box)
        except Exception as e:
            # Without its words: they may have the arguments, and among these is a key.
            problem = f"the arguments of {name.decode('ascii')} cannot be read"
            self.misread(problem, type(e).__name__)
            return fail(RemoteAmpError(b"InternalError", problem))
        return answer.addErrback(self._tellBug, box, name).addErrback(self._failed, name)

    def _tellBug(self, failure: Failure, box: AmpBox, name: bytes) -> Failure:
        if not failure.check(RemoteAmpError, RvgahpError):
            session = plain(
                box.get(b"session", b"")[: limits.SESSION_ID_BYTES].decode("ascii", "replace")
            )
            self.log.failure(
                "A bug in answering {name}{about}",
                failure,
                name=name.decode("ascii"),
                about=f" for session {session}" if session else "",
                session=session,
            )
        return failure

    def misread(self, problem: str, kind: str) -> None:
        """
        Say in the log that a call made no sense.  Where strangers can cause that, it is not
        to be said each time.
        """
        self.log.warn("Refused: {reason} ({kind})", reason=problem, kind=kind)

    def _failed(self, failure: Failure, name: bytes) -> Failure:
        problem = failure.value
        if isinstance(problem, RemoteAmpError):
            # What the other side has said may be repeated in it, and has to fit in a box.
            problem.description = plain(str(problem.description))
            return failure
        if failure.check(RvgahpError):
            text = failure.getErrorMessage()
        else:
            text = f"a bug in answering {name.decode('ascii')}; the log has the details"
        return Failure(RemoteAmpError(b"InternalError", text))


class Caller:
    """
    Calls a peer's commands, each with a limit of time.
    """

    def __init__(self, dispatcher: BoxDispatcher, clock: IReactorTime) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    def call(
        self, command: type[Command], timeout: float = limits.CALL_TIMEOUT, **arguments: Any
    ) -> Deferred[dict[str, Any]]:
        """
        @param timeout: seconds.
        @return: fires with the answer's values.  May fail with the command's
            errors, with L{TimeoutError}, or with the reason why the connection
            was lost.  A failure that nobody handles is only logged.
        """
        result: Deferred[dict[str, Any]] = Deferred()
        asked = maybeDeferred(self._dispatcher.callRemote, command, **arguments)
        asked.addTimeout(timeout, self._clock, self._timedOut)
        # A new Deferred: AMP drops the connection for an unhandled errback on its own.
        asked.addErrback(self._refused).addCallbacks(result.callback, result.errback)
        return result

    @staticmethod
    def _refused(failure: Failure) -> Failure:
        """
        What the other side says goes into logs.
        """
        problem = failure.value
        if isinstance(problem, UnknownRemoteError):
            return Failure(UnknownRemoteError(plain(str(problem.description))))
        if isinstance(problem, RvgahpError):
            return Failure(type(problem)(plain(str(problem))))
        return failure

    @staticmethod
    def _timedOut(result: Any, timeout: float) -> Any:
        if isinstance(result, Failure) and result.check(CancelledError):
            raise TimeoutError(f"no answer within {timeout:g} s")
        return result


@implementer(IBoxSender, IHandshakeListener, IPushProducer)
class ControlConnection(Protocol):
    """
    One end of a control connection.

    @ivar caller: calls the peer's commands.
    @ivar problem: why we have dropped the connection; empty if we have not.
    """

    log = Logger()
    transport: Any  # TLS over TCP, or what a test puts in its place

    def __init__(
        self,
        clock: IReactorTime,
        locator: Responders,
        secured: Callable[[ControlConnection], object],
        lost: Callable[[Failure], object],
    ) -> None:
        """
        @param locator: answers the peer's calls.
        @param secured: called with this when TLS is set up, which proves nothing
            to the side that dialled.
        @param lost: called with the reason when the connection has ended.
        """
        self._clock = clock
        self._secured = secured
        self._lost = lost
        self._dispatcher = BoxDispatcher(locator)
        self._reader = BoxReader(limits.GREETING_BOX_BYTES)
        self._left = watchlimits.CALLS_PER_TURN
        self._turn: Any = None
        self._heard: Callable[[dict[str, Any], float], object] | None = None
        self._pinging: Any = None
        self._asked: float | None = None
        self._aborting: Any = None
        self._isAborted = self._isFull = False
        self._unsent = 0
        self.problem = ""
        self.caller = Caller(self._dispatcher, clock)

    def handshakeCompleted(self) -> None:
        self._secured(self)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._dispatcher.startReceivingBoxes(self)

    def dataReceived(self, data: bytes) -> None:
        self._reader.put(data)
        self._obey()

    def _obey(self) -> None:
        """
        Obey what has come.  After so many boxes, in one turn of the reactor or in several,
        what is left waits for the next turn, and nothing is read until then: who says much
        takes the time of no other.
        """
        try:
            while self._left and not self._isAborted and (box := self._reader.take()) is not None:
                self._left -= 1
                if not self._left:
                    self.transport.pauseProducing()
                    self._turn = self._clock.callLater(0, self._nextTurn)
                self._dispatcher.ampBoxReceived(AmpBox(box))
        except ProtocolError as e:
            self._dropped(str(e))
        except KeyError:
            self._dropped("an answer to nothing, or half a one, came")
        except NoEmptyBoxes:
            self._dropped("a box came that is neither a command nor an answer")

    def _nextTurn(self) -> None:
        self._left = watchlimits.CALLS_PER_TURN
        self.transport.resumeProducing()
        self._obey()

    def _dropped(self, problem: str) -> None:
        self.problem = problem
        self.log.warn(
            "Control connection with {peer}: {reason}; dropped", peer=self.peer, reason=problem
        )
        self.abort()

    @property
    def peer(self) -> str:
        """
        The other end's address, for the log.
        """
        address = self.transport.getPeer()
        return f"{address.host}:{address.port}"

    def greeted(self, heard: Callable[[dict[str, Any], float], object] | None = None) -> None:
        """
        Hello has been answered: larger boxes may come, and pings begin.

        @param heard: called with each answer to a ping, and the seconds that it took.
        """
        self._heard = heard
        self._reader.longest = limits.CONTROL_BOX_BYTES
        self._pinging = self._clock.callLater(limits.CONTROL_PING_INTERVAL, self._ping)

    def waiting(self) -> float:
        """
        @return: seconds for which the answer to a ping has been waited for; 0 if none is.
        """
        return 0.0 if self._asked is None else self._clock.seconds() - self._asked

    def _ping(self) -> None:
        self._asked = self._clock.seconds()
        asked = self.caller.call(Ping, limits.CONTROL_PING_TIMEOUT)
        asked.addCallbacks(self._pinged, self._unanswered)

    def _pinged(self, answer: dict[str, Any]) -> None:
        took = self.waiting()
        self._pingLater()
        if self._heard is not None:
            self._heard(answer, took)

    def _pingLater(self) -> None:
        self._asked = None
        self._pinging = self._clock.callLater(limits.CONTROL_PING_INTERVAL, self._ping)

    def _unanswered(self, failure: Failure) -> None:
        if not self.connected:
            return
        if failure.check(TimeoutError):
            self._dropped("no answer to a ping")
        else:
            self._pingLater()  # a refusal is a sign of life too

    def close(self) -> None:
        """
        Close in order, and after 2 s by force: TLS would wait for ever.
        """
        if self.connected and self._aborting is None:
            self._aborting = self._clock.callLater(limits.CLOSE_TIMEOUT, self.abort)
            self.transport.unregisterProducer()  # it would be waited for
            self.transport.loseConnection()

    def abort(self) -> None:
        """
        Close at once.
        """
        self._isAborted = True
        if self.connected:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # no default
        self.connected = 0
        self._left = -1  # all that came before the end
        self._obey()
        for call in (self._turn, self._pinging, self._aborting):
            if call is not None and call.active():
                call.cancel()
        self._dispatcher.stopReceivingBoxes(reason)
        self._lost(reason)

    # -- IBoxSender ---------------------------------------------------------

    def sendBox(self, box: AmpBox) -> None:
        if not self.connected:
            return
        data = box.serialize()
        if self._isFull:
            self._unsent += len(data)
            if self._unsent > limits.CONTROL_UNSENT_BYTES:
                self._dropped("it does not read what it is told")
                return
        self.transport.write(data)

    # -- IPushProducer: reading goes on, for both ends might wait for each other ---

    def pauseProducing(self) -> None:
        self._isFull = True

    def resumeProducing(self) -> None:
        self._isFull = False
        self._unsent = 0

    def stopProducing(self) -> None:
        pass

    def unhandledError(self, failure: Failure) -> None:
        if not failure.check(RemoteAmpError):  # the refusal of what wants no answer
            self.log.failure("A bug in the control connection with {peer}", failure, peer=self.peer)


__all__ = ["Caller", "ControlConnection", "InternalError", "Responders"]
