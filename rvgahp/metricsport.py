# -*- test-case-name: tests.test_metrics -*-
"""
The port on which Prometheus asks a daemon for its metrics.

Layer 4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Request

from rvgahp import watchlimits
from rvgahp.errors import ConfigurationError
from rvgahp.smallsite import SmallSite, TimedConnection

if TYPE_CHECKING:
    from rvgahp.counts import Counts
    from rvgahp.settings import Settings

__all__ = ["LagMeter", "MetricsPort"]

_SETTING = "RVGAHP_METRICS_ADDRESS"

#: Seconds between two looks at how late the event loop is.
_LOOK = 1.0


class _Answer(Resource):
    """
    The metrics, and nothing else.
    """

    isLeaf = True

    def __init__(self, generate: Callable[[], bytes], contentType: str) -> None:
        super().__init__()
        self._generate = generate
        self._contentType = contentType

    def render_GET(self, request: Request) -> bytes:
        """
        @return: their text, made in the reactor's thread, where what they are of lives.
        """
        if request.path != b"/metrics":
            request.setResponseCode(404)
            return b"try /metrics\n"
        request.setHeader(b"content-type", self._contentType.encode())
        return self._generate()


class _Few(WrappingFactory):
    """
    Takes no more than some connections at a time.
    """

    protocol = TimedConnection
    noisy = False

    def __init__(self, reactor: Any, site: SmallSite) -> None:
        super().__init__(site)
        self.reactor = reactor

    def buildProtocol(self, addr: Any) -> Any:
        isFull = len(self.protocols) >= watchlimits.METRICS_CONNECTIONS
        return None if isFull else super().buildProtocol(addr)


class LagMeter:
    """
    Measures how late the event loop is.
    """

    def __init__(self, reactor: Any, counts: Counts) -> None:
        self._reactor = reactor
        self._counts = counts
        self._call: Any = None

    def start(self) -> None:
        """
        Begin.
        """
        self._call = self._reactor.callLater(_LOOK, self._look, self._reactor.seconds() + _LOOK)

    def stop(self) -> None:
        """
        Measure no more.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _look(self, due: float) -> None:
        self._counts.lag.add(max(0.0, self._reactor.seconds() - due))
        self.start()


class MetricsPort:
    """
    One daemon's; nothing where the setting is not set.

    @ivar address: where it listens, for people; empty: nowhere.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        counts: Counts,
        document: Callable[[], dict[str, Any]],
    ) -> None:
        """
        @param document: what an administrator sees (C{doc/status.rst}).
        """
        self._reactor = reactor
        self._address: tuple[str, int] | None = settings.get(_SETTING)
        self._counts = counts
        self._document = document
        self._meter = LagMeter(reactor, counts)
        self._port: Any = None
        self.address = ""

    def open(self) -> bool:
        """
        Listen.

        @return: whether that is wanted.
        @raise ConfigurationError: it cannot be had, or C{prometheus_client} is not there.
        """
        if self._address is None:
            return False
        host, number = self._address
        few = _Few(self._reactor, SmallSite(self._resource(), self._reactor))
        try:
            self._port = self._reactor.listenTCP(number, few, interface=host)
        except CannotListenError as e:
            # A name that does not resolve has a number that is none of the kernel's.
            reason = e.socketError.strerror or str(e.socketError)
            raise ConfigurationError(
                f"Cannot listen on {host} port {number}, {_SETTING}: {reason}."
            ) from None
        self._meter.start()
        self.address = f"{host} port {self._port.getHost().port}"
        self.log.info("Metrics are on {address}", address=self.address)
        return True

    def close(self) -> None:
        """
        Listen no more.
        """
        self._meter.stop()
        if self._port is not None:
            self._port.stopListening()

    def _resource(self) -> Resource:
        try:
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            from rvgahp.metrics import registryOf
        except ImportError as e:
            raise ConfigurationError(
                f"{_SETTING} needs the Python package prometheus_client: {e}."
            ) from None
        registry = registryOf(self._counts, self._document)
        return _Answer(partial(generate_latest, registry), CONTENT_TYPE_LATEST)
