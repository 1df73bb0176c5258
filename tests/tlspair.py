"""
Two ends of one connection in memory, with real TLS between them and no sockets.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.util import suppress
from zope.interface import implementer

from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.tls import clientOptions, serverOptions
from tests.identities import HOST, ceCredentials, proxyCredentials

#: For C{TestCase.suppress}: Twisted gives pyOpenSSL its own old objects, and pyOpenSSL
#: warns of them.
TWISTED_WARNINGS = [suppress(category=DeprecationWarning, message="Passing pyOpenSSL")]

#: Where the dialling side seems to be, and the side that is dialled.
CE_ADDRESS = IPv4Address("TCP", "192.0.2.7", 40001)
PROXY_ADDRESS = IPv4Address("TCP", "192.0.2.1", 41000)


class TLSPair:
    """
    A proxy's and a CE's end.  Bytes go over only when L{flush} is called.

    @ivar proxySide: the transport below the proxy's TLS.
    @ivar ceSide: the transport below the CE's TLS.
    """

    def __init__(
        self,
        proxy: Any,
        ce: Any,
        clock: Clock,
        proxyOptions: Any = None,
        ceOptions: Any = None,
    ) -> None:
        """
        @param proxy: the proxy's protocol.
        @param ce: the CE's protocol.
        @param proxyOptions: its half of TLS; by default a good one.
        @param ceOptions: the same for the CE.
        """
        proxyOptions = proxyOptions or serverOptions(proxyCredentials())
        ceOptions = ceOptions or clientOptions(ceCredentials(), HOST)
        server = self._wrapped(proxyOptions, False, proxy, clock)
        client = self._wrapped(ceOptions, True, ce, clock)
        self.proxySide = FakeTransport(server, True, PROXY_ADDRESS, CE_ADDRESS)
        self.ceSide = FakeTransport(client, False, CE_ADDRESS, PROXY_ADDRESS)
        self._pump = connect(server, self.proxySide, client, self.ceSide, greet=False, clock=clock)

    @staticmethod
    def _wrapped(options: Any, isClient: bool, protocol: Any, clock: Clock) -> Any:
        factory = Factory.forProtocol(lambda: protocol)
        return TLSMemoryBIOFactory(options, isClient, factory, clock=clock).buildProtocol(None)

    def flush(self) -> bool:
        """
        Let both sides say all that they have to say now.

        @return: whether they said anything.
        """
        return bool(self._pump.flush())

    def deliver(self) -> None:
        """
        Let what was sent arrive, while no time passes, not even a turn of the reactor.
        """
        self._pump.flush(advanceClock=False)


@implementer(IHandshakeListener)
class RawPeer(Protocol):
    """
    An end that sends what it is told to, sensible or not, and keeps what it gets.

    @ivar isSecured: TLS is set up, as far as this end knows.
    @ivar boxes: what has come.
    @ivar reason: why the connection ended, once it has.
    """

    transport: Any

    def __init__(self) -> None:
        self.isSecured = False
        self.boxes: list[dict[bytes, bytes]] = []
        self.reason: Failure | None = None
        self._reader = BoxReader(1 << 20)

    def handshakeCompleted(self) -> None:
        self.isSecured = True

    def send(self, box: dict[bytes, bytes]) -> None:
        """
        Send one box.
        """
        self.transport.write(encodeBox(box))

    def dataReceived(self, data: bytes) -> None:
        self.boxes += self._reader.read(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # no default
        self.reason = reason

    def answersTo(self, tag: bytes) -> list[dict[bytes, bytes]]:
        """
        @return: the answers and refusals that have come for a request.
        """
        return [box for box in self.boxes if tag in (box.get(b"_answer"), box.get(b"_error"))]


class Outcomes:
    """
    What became of a Deferred, kept so that it may also be nothing at all.

    @ivar results: what it fired with, or its failure.
    """

    def __init__(self, deferred: Deferred[Any]) -> None:
        self.results: list[Any] = []
        deferred.addBoth(self.results.append)
