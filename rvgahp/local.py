# -*- test-case-name: tests.test_local -*-
"""
The proxy's UNIX side: a connection for each client, over which it asks and is
handed its channels.  C{doc/protocol.rst}, steps 4 and 6.

Layer 4.  A socket is passed by our own C{sendmsg}, and our copy is closed when
that has returned: Twisted's transport queues the I{number} of a descriptor, which
may be another user's socket by the time it is sent.
"""

from __future__ import annotations

import array
import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols.amp import (
    AmpBox,
    BoxDispatcher,
    IBoxSender,
    NoEmptyBoxes,
    RemoteAmpError,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rvgahp import limits, localcommands, watchlimits
from rvgahp.boxes import BoxReader
from rvgahp.control import Caller
from rvgahp.descriptor import Descriptor
from rvgahp.errors import Busy, ProtocolError
from rvgahp.localrequests import Requests
from rvgahp.peercred import LocalUser

if TYPE_CHECKING:
    from rvgahp.localclients import Clients
    from rvgahp.proxysession import ProxySession

#: Boxes waiting for a client that does not read; then we do not read either.
_WAITING_BOXES = 16

#: Seconds until a hand-over that the kernel refuses for now is tried again.
_RETRY = 0.05

#: What the kernel says of a client that has gone without hearing all.
_GONE = (errno.EPIPE, errno.ECONNRESET)


@implementer(IBoxSender)
class LocalConnection(Descriptor):
    """
    One client.  A client serves one session, which it has asked for or claimed.

    @ivar user: who it is.
    @ivar site: the site that the socket is for; empty on the main one.
    @ivar session: what it serves; L{None} before that.
    """

    log = Logger()

    def __init__(
        self,
        loop: Any,
        connection: socket.socket,
        user: LocalUser,
        clients: Clients,
        site: str,
    ) -> None:
        super().__init__(loop, connection.fileno(), connection)
        self.user = user
        self.site = site
        self._connection = connection
        self._clients = clients
        self._boxes: deque[tuple[memoryview, socket.socket | None]] = deque()
        self._reader = BoxReader(limits.LOCAL_BOX_BYTES)
        self._isBlocked = False
        self.session: ProxySession | None = None
        self._asked = ""
        self._handing: socket.socket | None = None
        self._retrying: Any = None
        self._dispatcher = BoxDispatcher(Requests(self, clients))
        self._dispatcher.startReceivingBoxes(self)
        self.caller = Caller(self._dispatcher, loop)
        self.resumeReading()

    # -- requests -----------------------------------------------------------

    def requested(self, arguments: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """
        The client asks for a GAHP.

        @return: fires with the answer; fails with errors of L{commands}.
        """
        if self._asked:
            raise Busy("this connection has asked for a GAHP already; open another")
        self._asked = "GAHP"
        answer: Deferred[dict[str, Any]] = self._clients.requestGAHP(self, **arguments)
        return answer

    def claimed(self) -> None:
        """
        The client claims a session.

        @raise Busy: it has one, or has asked for one.
        """
        if self._asked == "GAHP" or self.session is not None:
            raise Busy("this connection has a session already; open another")
        self._asked = "claim"

    def serves(self, session: ProxySession) -> None:
        """
        From now on this is the client of C{session}.
        """
        self.session = session

    def handOver(
        self,
        session: str,
        stream: int,
        connection: socket.socket,
        timeout: float = limits.SILENCE_LIMIT,
    ) -> Deferred[dict[str, Any]]:
        """
        Pass C{connection} on; our copy is closed when that is done, or cannot be.

        @param timeout: seconds for the client to take it.
        @return: fires when the client has taken it; may fail with the reason why
            it has not.
        """
        self._handing = connection
        # Synchronous down to sendBox(), which takes the connection.
        taken = self.caller.call(localcommands.Channel, timeout, session=session, stream=stream)
        if self._handing is not None:  # the client is gone; it was not even tried
            self._handing = None
            connection.close()
        return taken

    # -- IBoxSender ---------------------------------------------------------

    def sendBox(self, box: AmpBox) -> None:
        connection, self._handing = self._handing, None
        if self.isClosed:
            if connection is not None:
                connection.close()
            return
        self._boxes.append((memoryview(box.serialize()), connection))
        if len(self._boxes) >= _WAITING_BOXES:
            self._isBlocked = True
            self.pauseReading()
        if not self._writing and self._retrying is None:
            self.doWrite()

    def unhandledError(self, failure: Failure) -> None:
        if not failure.check(RemoteAmpError):  # the refusal of what wants no answer
            self.log.failure("A bug in the conversation with a client", failure)

    # -- events -------------------------------------------------------------

    def doRead(self) -> None:
        self.pauseReading()
        self._clients.serve(self)

    def serve(self) -> bool:
        """
        Obey what it says next.

        @return: whether there may be more.
        """
        if not self._isServed():
            return False
        try:
            box = self._reader.take() or self._receive()
            if box is not None:
                self._dispatcher.ampBoxReceived(AmpBox(box))
        except ProtocolError as e:
            self.lost(str(e))
        except (KeyError, NoEmptyBoxes):
            self.lost("it answered what it was not asked, or sent no box of ours")
        if not self._isServed():
            return False
        if box is None or self._reader.isEmpty():
            self.resumeReading()
            return False
        return True

    def _isServed(self) -> bool:
        return not (self._isBlocked or self.isClosed)

    def _receive(self) -> dict[bytes, bytes] | None:
        """
        @raise ProtocolError: what has come is no box.
        """
        # Plain recv: descriptors that a client sends us are closed by the kernel.
        try:
            data = self._connection.recv(watchlimits.LOCAL_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as e:
            self._lostBy(e)
            return None
        if not data:
            self.lost("")
            return None
        self._reader.put(data)
        return self._reader.take()

    def doWrite(self) -> None:
        try:
            self._sendBoxes()
        except BlockingIOError:
            self._wait()
            return
        except OSError as e:
            if e.errno == errno.ETOOMANYREFS:
                self._retryLater()
            else:
                self._lostBy(e)
            return
        if self._writing:
            self._writing = False
            self._loop.removeWriter(self)
        if self._isBlocked:
            self._isBlocked = False
            self._clients.serve(self)

    def _sendBoxes(self) -> None:
        while self._boxes:
            data, connection = self._boxes[0]
            ancillary = []
            if connection is not None:
                rights = array.array("i", [connection.fileno()])
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            count = self._connection.sendmsg([data], ancillary)
            if connection is not None:
                connection.close()  # without shutdown: that would be for all copies
            if count < len(data):
                self._boxes[0] = data[count:], None
            else:
                self._boxes.popleft()

    def _wait(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.addWriter(self)

    def _retryLater(self) -> None:
        """
        Too many descriptors are in flight to others who do not read.
        """
        if self._writing:
            self._writing = False
            self._loop.removeWriter(self)
        self._retrying = self._loop.callLater(_RETRY, self._retry)

    def _retry(self) -> None:
        self._retrying = None
        self.doWrite()

    def readEnded(self, problem: str) -> None:
        self.lost(problem)

    def _lostBy(self, error: OSError) -> None:
        self.lost("" if error.errno in _GONE else error.strerror or str(error))

    def lost(self, problem: str) -> None:
        """
        The client is gone.
        """
        if self.isClosed:
            return
        if problem:
            warn = self._clients.warnings.warn
            warn("Client of {user}: {what}; closed", self.user.name, problem)
        self.close()
        self._clients.gone(self)
        if self.session is not None:
            self.session.clientGone()

    def close(self) -> None:
        if self.isClosed:
            return
        for _, connection in self._boxes:
            if connection is not None:
                connection.close()
        self._boxes.clear()
        if self._retrying is not None:
            self._retrying.cancel()
        super().close()
        self._dispatcher.stopReceivingBoxes(Failure(ConnectionError("the client is gone")))
