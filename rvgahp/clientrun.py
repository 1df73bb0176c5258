# -*- test-case-name: tests.test_client -*-
"""
One run of the client: what it asks the proxy for, and what becomes of that.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.
"""

from __future__ import annotations

import gc
import os

from rvgahp import frontlimits, limits
from rvgahp.complaint import FAILURE, announce, complain, sayLast
from rvgahp.errors import ConfigurationError, ProtocolError, RvgahpError, SessionGone
from rvgahp.frontrules import hasFront
from rvgahp.names import FILE_TRANSFER_GAHP
from rvgahp.proxylink import ProxyLink
from rvgahp.proxysocket import ProxyAbsent, connect, findSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from rvgahp.clientclaim import Claimant
    from rvgahp.clientcopy import CopyFace
    from rvgahp.clientface import Face
    from rvgahp.clientfront import FrontFace
    from rvgahp.clientsession import ClientSession, Grant
    from rvgahp.clientwords import Arguments
    from rvgahp.forward import Forward
    from rvgahp.poller import DelayedCall, Poller


class Client:
    """
    One run of the program: ask, wait, then serve a session to its end; and where the
    face survives that, ask again.

    @ivar gahp: the GAHP's name at the site.
    @ivar role: its name to our parent.
    @ivar status: the exit status, once there is one.
    """

    def __init__(self, loop: Poller, arguments: Arguments) -> None:
        self._loop = loop
        self._arguments = arguments
        self.gahp, self.role = arguments.gahp, arguments.role
        self._path = ""
        self._absentUntil: float | None = None
        self._link: ProxyLink | None = None
        self._face: Face | None = None
        self._session: ClientSession | None = None
        self._claimant: Claimant | None = None
        self._forward: Forward | None = None
        self._problem = ""
        self._delay = frontlimits.SITE_RETRY_FIRST
        self._readySince: float | None = None
        self._timer = loop.callLater(limits.ANSWER_TIMEOUT, self._unanswered)
        self._asking: DelayedCall | None = None  # once more
        self.status: int | None = None

    def start(self) -> None:
        """
        Find the proxy, and ask it.
        """
        try:
            self._path = findSocket(self._arguments.socket)
        except RvgahpError as e:
            self.fail(str(e))
            return
        inherit = os.environ.get("CONDOR_INHERIT")
        if self.role == FILE_TRANSFER_GAHP and inherit:
            self._findForward(inherit)
        self._ask()
        if self.status is None:
            self._kindOfFace()  # the answer takes longer than this import

    def _findForward(self, inherit: str) -> None:
        from rvgahp.forward import Forward

        try:
            self._forward = Forward(inherit)
        except ConfigurationError as e:
            complain(self.describe(f"it gets no tunnel: {e}"))

    def _ask(self) -> None:
        try:
            connection = connect(self._path)
        except ProxyAbsent as e:
            self._askAgain(str(e))
        except RvgahpError as e:
            self._trouble(str(e))
        else:
            self._link = ProxyLink(self._loop, connection, self)
            asked = self._arguments
            forward = self._forward
            port = forward.sitePort if forward is not None else 0
            self._link.request(asked.site, self.gahp, asked.account, forward is not None, port)

    def _askAgain(self, sentence: str) -> None:
        """
        The proxy is not there.  One that is just restarting soon is.

        @param sentence: what to say if it does not come.
        """
        now = self._loop.seconds()
        if self._absentUntil is None:
            self._absentUntil = now + limits.RESTART_GRACE
        if now < self._absentUntil:
            self._asking = self._loop.callLater(limits.RESTART_POLL, self._ask)
        else:
            self._trouble(sentence)

    def signalled(self, number: int) -> None:
        """
        We are to end.  A second time, at once.
        """
        if self._face is None or not self._face.stop(number):
            self.finish(128 + number)

    def finish(self, status: int) -> None:
        """
        It is over.
        """
        if self.status is None:
            self.status = status
            self.leave()
            if self._face is not None:
                self._face.close()
            self._loop.stop()

    def fail(self, sentence: str) -> None:
        """
        It is over, for a reason of ours.
        """
        if self.status is None:
            sayLast(self.describe(sentence))
            self.finish(FAILURE)

    def describe(self, sentence: str) -> str:
        """
        @return: C{sentence}, with what it is about before it.
        """
        return f"{self.gahp} at {self._arguments.place}: {sentence}"

    def _trouble(self, sentence: str) -> None:
        """
        There is no session, or no more; the face knows whether that is the end.
        """
        if self._face is None:
            self.fail(sentence)
        else:
            self._face.lost(sentence)

    def _kindOfFace(self) -> type[CopyFace] | type[FrontFace]:
        import rvgahp.clientsession  # noqa: F401

        if hasFront(self.role):
            from rvgahp.clientfront import FrontFace

            return FrontFace
        from rvgahp.clientcopy import CopyFace

        return CopyFace

    # -- from the face ------------------------------------------------------

    def leave(self) -> None:
        """
        Have nothing to do with the proxy and the site any more, until L{restart}.
        """
        self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        for one in (self._claimant, self._link, self._session):
            if one is not None:
                one.close()
        self._claimant = self._link = self._session = None

    def restart(self) -> None:
        """
        The GAHP is over, and the gridmanager is not: have another started, at first soon
        and then less and less often.
        """
        self.leave()
        now = self._loop.seconds()
        since = self._readySince
        if since is not None and now - since >= frontlimits.SITE_RETRY_LONGEST:
            self._delay = frontlimits.SITE_RETRY_FIRST
        self._readySince = None
        self._asking = self._loop.callLater(self._delay, self._askAnew)
        self._delay = min(2 * self._delay, frontlimits.SITE_RETRY_LONGEST)

    def _askAnew(self) -> None:
        self._problem = ""
        self._absentUntil = None
        self._timer = self._loop.callLater(limits.ANSWER_TIMEOUT, self._unanswered)
        self._ask()

    def siteReady(self) -> None:
        """
        A GAHP is ready.
        """
        self._readySince = self._loop.seconds()

    def sessionRunning(self) -> None:
        """
        The session's first channel is open.
        """
        self._timer.cancel()
        if not gc.isenabled():
            gc.freeze()  # never again: what is left of former sessions is garbage
            gc.enable()

    def channelFailed(self, reason: str) -> None:
        """
        A channel did not come to be; another may.
        """
        self._problem = f" ({reason})"
        if self._link is None:
            self._trouble(f"the proxy was lost, and with it the way to the site{self._problem}")

    # -- from the proxy -----------------------------------------------------

    def answered(self, box: dict[bytes, bytes]) -> None:
        from rvgahp.clientclaim import Claimant
        from rvgahp.clientsession import ClientSession, Grant

        self._makeClaimant = Claimant  # needed later, when the files may be those of an upgrade
        try:
            grant = Grant(box)
            forward = self._tunnelled(grant)
        except (RvgahpError, KeyError, ValueError) as e:
            self._trouble(
                f"the proxy's answer was not understood ({e}); is it of another version of rvgahp?"
            )
            return
        self._timer.cancel()
        self._timer = self._loop.callLater(limits.FIRST_CHANNEL_TIMEOUT, self._unreached)
        if self._face is None:
            self._face = self._kindOfFace()(self._loop, grant, self)
        self._session = ClientSession(self._loop, grant, self._face, self._askRedial, forward)
        self._face.sessionMade(self._session)

    def _tunnelled(self, grant: Grant) -> Forward | None:
        """
        The gridmanager is told of the tunnel's port before it hears anything else, and
        only once in our life.

        @return: where the tunnels of this session go; L{None}: it has none.
        @raise ProtocolError: the site's port is not the one that was told, or the
            channels are not encrypted.
        """
        forward = self._forward
        if forward is None:
            return None
        if not (forward.sitePort or grant.tunnelPort):
            complain(self.describe("it gets no tunnel: the site has given it no port"))
            return None
        if grant.session.outcome.value != "encrypt":
            raise ProtocolError("a tunnel is given, and its channels are not encrypted")
        if forward.sitePort:
            if grant.tunnelPort != forward.sitePort:
                raise ProtocolError(
                    f"the site has tunnel port {grant.tunnelPort}, and the gridmanager knows"
                    f" {forward.sitePort}"
                )
            return forward
        try:
            forward.redirect(grant.forwardTo)
        except ConfigurationError as e:
            complain(self.describe(f"it gets no tunnel: {e}"))
            return None
        forward.sitePort = grant.tunnelPort
        announce(forward.announcement().encode("utf-8"))
        return forward

    def refused(self, sentence: str) -> None:
        self._trouble(sentence)

    def channelHanded(self, stream: int, connection: socket.socket) -> None:
        if self._session is None:
            connection.close()
            return
        self._session.channelHanded(stream, connection)

    def renewKey(self, box: dict[bytes, bytes]) -> None:
        if self._session is None:
            raise SessionGone("this client has no session yet")
        self._session.renewKey(box)

    def sessionLost(self, reason: str) -> None:
        if reason and (self._session is None or not self._session.hasExited):
            self._trouble(f"{reason}{self._problem}")

    def linkLost(self, reason: str, closed: bool) -> None:
        self._link = None
        sentence = f"the proxy was lost: {reason}{self._problem}; see that it runs, and its log"
        if self._session is None and closed:
            self._askAgain(sentence)
        elif self._session is None or not self._session.hasChannel():
            self._trouble(sentence)
        else:
            self._reclaim(self._session)
            if self._face is not None:
                self._face.proxyChanged(False)

    def _reclaim(self, session: ClientSession) -> None:
        """
        The session goes on without the proxy, but no new channel of it can be had.
        """
        if self._claimant is None:
            self._claimant = self._makeClaimant(
                self._loop, self._path, session, self, self._reclaimed, self.sessionLost
            )
        self._claimant.start()

    def _reclaimed(self, link: ProxyLink) -> None:
        self._claimant = None
        self._link = link
        if self._session is not None:
            self._session.proxyFound()
        if self._face is not None:
            self._face.proxyChanged(True)

    def _askRedial(self, stream: int, generation: int, gone: Callable[[str], object]) -> None:
        """
        Have a stream dialled again, if the proxy is there to be asked.
        """
        if self._link is not None and self._session is not None:
            self._link.redial(self._session.keys.present.sessionId, stream, generation, gone)

    # -- time ---------------------------------------------------------------

    def _unanswered(self) -> None:
        self._trouble(
            f"the proxy gave no answer within {limits.ANSWER_TIMEOUT:.0f} s"
            " (RequestGAHP); see its log"
        )

    def _unreached(self) -> None:
        self._trouble(
            "the site started it, but its connection did not come within"
            f" {limits.FIRST_CHANNEL_TIMEOUT:.0f} s; can the site reach the proxy's port?"
            f"{self._problem}"
        )
