"""
Tests of L{rvgahp.metrics} and L{rvgahp.metricsport}, and that the manual and the alerts have the
metrics that there are.
"""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import watchlimits
from rvgahp.counts import Counts
from rvgahp.errors import ConfigurationError
from rvgahp.metrics import registryOf
from rvgahp.metricsport import LagMeter, MetricsPort
from tests.privatereactor import ReactorTestCase
from tests.steppedloop import descriptorCount

ROOT = Path(__file__).parent.parent

SITE = {"site": "a", "connected": True, "roundTrip": 0.02, "certificateExpires": 2000}

SEEN: dict[str, Any] = {
    "role": "proxy",
    "sites": [SITE, {"site": "b", "connected": False}],
    "sessions": [{"state": "running", "tunnels": 2}, {"state": "stalled", "tunnels": None}],
    "draining": False,
    "certificateExpires": 1000,
    "limits": [
        {"limit": "PER_USER", "most": 10, "used": 9, "by": "alice"},
        {"limit": "PER_USER", "most": 10, "used": 8, "by": "bob"},
    ],
}

PROXY = {"host": "h", "port": 1, "connected": True, "since": 77}

#: What a CE shows.
CE_SEEN: dict[str, Any] = {name: SEEN[name] for name in ("sessions", "draining", "limits")}
CE_SEEN |= {"role": "ce", "proxies": [PROXY], "certificateExpires": 1000}
CE_SEEN |= {"replay": {"kept": 5, "replayed": 6, "used": 7, "most": 8}}


class SettingsDouble:
    """
    One setting.
    """

    def __init__(self, address: tuple[str, int] | None) -> None:
        self._address = address

    def get(self, name: str) -> tuple[str, int] | None:
        assert name == "RVGAHP_METRICS_ADDRESS"
        return self._address


class PortTestCase(ReactorTestCase):
    """
    A port of the kernel's choice.
    """

    def setUp(self) -> None:
        super().setUp()
        # Twisted keeps a descriptor in reserve from the first port on.
        count = descriptorCount()
        self.reactor.listenTCP(0, Factory(), interface="127.0.0.1").stopListening()
        self.turn()
        self.before += descriptorCount() - count
        self.counts = Counts()
        self.seen_ = SEEN

    def open(self) -> MetricsPort:
        """
        @return: it, listening.
        """
        settings: Any = SettingsDouble(("127.0.0.1", 0))
        port = MetricsPort(self.reactor, settings, self.counts, lambda: self.seen_)
        self.assertTrue(port.open())
        return port

    def ask(self, port: MetricsPort, path: str) -> tuple[int, str]:
        """
        @return: status and answer.
        """
        with socket.create_connection(("127.0.0.1", int(port.address.split()[-1]))) as asking:
            asking.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            asking.setblocking(False)
            answer = bytearray()

            def isOver() -> bool:
                try:
                    data = asking.recv(1 << 16)
                except BlockingIOError:
                    return False
                answer.extend(data)
                return not data

            self.until(isOver)
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]), body

    def close(self, port: MetricsPort) -> None:
        """
        Nothing of it is left.
        """
        port.close()
        self.until(lambda: set(self.reactor.getReaders()) <= set(self._own))


class MetricsTests(PortTestCase):
    """
    What is told.
    """

    def values(self) -> dict[str, float]:
        """
        @return: all samples, as Prometheus' own parser reads them.
        """
        port = self.open()
        status, text = self.ask(port, "/metrics")
        self.close(port)
        self.assertEqual(status, 200)
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def test_gauges(self) -> None:
        """
        Sites, sessions and certificates, as they are; of a site that is away its round trip is
        not known.
        """
        values = self.values()
        for name, value in (
            ("rvgahp_site_up a", 1),
            ("rvgahp_site_up b", 0),
            ("rvgahp_site_round_trip_seconds a", 0.02),
            ("rvgahp_sessions running", 1),
            ("rvgahp_sessions stalled", 1),
            ("rvgahp_tunnels", 2),
            ("rvgahp_draining", 0),
            ("rvgahp_certificate_expiry_timestamp_seconds ", 1000),
            ("rvgahp_certificate_expiry_timestamp_seconds a", 2000),
            ("rvgahp_limit PER_USER", 10),
            ("rvgahp_limit_used PER_USER", 9),
        ):
            self.assertEqual(values[name], value, name)
        self.assertNotIn("rvgahp_site_round_trip_seconds b", values)

    def test_counters(self) -> None:
        """
        What is counted, with the names that counters have; histograms add up.
        """
        self.counts.started("cat", 0.07)
        self.counts.started("cat", 60)
        self.counts.failures["Busy"] += 2
        self.counts.ends["client"] += 3
        self.counts.refusals["register"] += 1
        self.counts.outcomes["crashed"] += 4
        self.counts.stalls, self.counts.resumptions = 5, 6
        self.counts.carried.update(received=7, tunnelsSent=8)
        values = self.values()
        for name, value in (
            ("rvgahp_starts_total cat", 2),
            ("rvgahp_start_failures_total Busy", 2),
            ("rvgahp_session_ends_total client", 3),
            ("rvgahp_refusals_total register", 1),
            ("rvgahp_gahp_ends_total crashed", 4),
            ("rvgahp_stalls_total", 5),
            ("rvgahp_resumptions_total", 6),
            ("rvgahp_stream_bytes_total to_site", 7),
            ("rvgahp_stream_bytes_total from_site", 0),
            ("rvgahp_tunnel_bytes_total from_site", 8),
            ("rvgahp_start_seconds_bucket 0.05", 0),
            ("rvgahp_start_seconds_bucket 0.1", 1),
            ("rvgahp_start_seconds_bucket +Inf", 2),
            ("rvgahp_start_seconds_count", 2),
            ("rvgahp_start_seconds_sum", 60.07),
        ):
            self.assertAlmostEqual(values[name], value, msg=name)

    def test_ce(self) -> None:
        """
        A CE tells how it stands with its proxy and what its streams keep, and of the rest the
        same under the same names; nothing of sites.
        """
        self.seen_ = CE_SEEN
        self.counts.dials = 3
        self.counts.losses["ConnectionLost"] += 2
        values = self.values()
        for name, value in (
            ("rvgahp_proxy_up h:1", 1),
            ("rvgahp_proxy_since_timestamp_seconds h:1", 77),
            ("rvgahp_proxy_dials_total", 3),
            ("rvgahp_proxy_losses_total ConnectionLost", 2),
            ("rvgahp_replay_kept_bytes", 5),
            ("rvgahp_replayed_bytes_total", 6),
            ("rvgahp_limit_used RVGAHP_REPLAY_TOTAL", 7),
            ("rvgahp_sessions stalled", 1),
            ("rvgahp_certificate_expiry_timestamp_seconds ", 1000),
        ):
            self.assertEqual(values[name], value, name)
        self.assertFalse([name for name in values if name.startswith("rvgahp_site")])

    def test_manual(self) -> None:
        """
        The manual has each metric, and no other; alerts and dashboard use no other.
        """
        of: dict[str, set[str]] = {}
        for seen in (SEEN, CE_SEEN):
            self.seen_ = seen
            for one in registryOf(self.counts, lambda: self.seen_).collect():
                name = f"{one.name}_total" if one.type == "counter" else one.name
                of.setdefault(name, set()).add(seen["role"])
        page = (ROOT / "doc" / "metrics.rst").read_text()
        said = dict(re.findall(r"\* - ``(\w+)``\n     - (\w+)\n", page))
        whose = {name: "both" if len(roles) == 2 else min(roles) for name, roles in of.items()}
        self.assertEqual({name: one.lower() for name, one in said.items()}, whose)
        names = set(of)
        for path in (ROOT / "contrib" / "prometheus").iterdir():
            used = set(re.findall(r"\brvgahp_\w+", path.read_text()))
            used = {name.removesuffix("_bucket") for name in used}
            self.assertEqual(used - names, set(), path)
            self.assertGreater(len(used), 5, path)


class PortTests(PortTestCase):
    """
    The port.
    """

    def test_paths(self) -> None:
        """
        There is nothing else on it.
        """
        port = self.open()
        for path in ("/", "/v1/status", "/metrics/x"):
            self.assertEqual(self.ask(port, path), (404, "try /metrics\n"))
        self.close(port)

    def test_off(self) -> None:
        """
        Without the setting nothing listens, and nothing is measured.
        """
        settings: Any = SettingsDouble(None)
        port = MetricsPort(self.reactor, settings, self.counts, lambda: SEEN)
        self.assertFalse(port.open())
        port.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_taken(self) -> None:
        """
        A port that is another's is an error that names it.
        """
        with socket.create_server(("127.0.0.1", 0)) as other:
            settings: Any = SettingsDouble(("127.0.0.1", other.getsockname()[1]))
            port = MetricsPort(self.reactor, settings, self.counts, lambda: SEEN)
            e = self.assertRaises(ConfigurationError, port.open)
            self.assertIn(f"port {other.getsockname()[1]}, RVGAHP_METRICS_ADDRESS", str(e))

    def test_unresolved(self) -> None:
        """
        Nor can a host be listened on that nobody knows; the resolver's words say so.
        """
        settings: Any = SettingsDouble(("no.such.host.invalid", 9710))
        port = MetricsPort(self.reactor, settings, self.counts, lambda: SEEN)
        e = self.assertRaises(ConfigurationError, port.open)
        self.assertNotIn("Unknown error", str(e))
        self.assertIn("no.such.host.invalid port 9710, RVGAHP_METRICS_ADDRESS: ", str(e))

    def test_missing(self) -> None:
        """
        Without prometheus_client the sentence says what to install.
        """
        settings: Any = SettingsDouble(("127.0.0.1", 0))
        port = MetricsPort(self.reactor, settings, self.counts, lambda: SEEN)
        with mock.patch.dict(sys.modules, {"prometheus_client": None}):
            e = self.assertRaises(ConfigurationError, port.open)
        self.assertIn("needs the Python package prometheus_client", str(e))

    def test_most(self) -> None:
        """
        Who comes when there are many is not let in, and the others are answered.
        """
        self.patch(watchlimits, "METRICS_CONNECTIONS", 2)
        port = self.open()
        address = ("127.0.0.1", int(port.address.split()[-1]))
        kept = [socket.create_connection(address) for _ in range(3)]
        kept[2].setblocking(False)

        def isClosed() -> bool:
            try:
                return kept[2].recv(1) == b""
            except BlockingIOError:
                return False

        self.until(isClosed)
        for one in kept:
            one.close()
        self.turn()
        self.turn()
        self.assertEqual(self.ask(port, "/metrics")[0], 200)
        self.close(port)


class LagTests(SynchronousTestCase):
    """
    How late the loop is.
    """

    def test_lag(self) -> None:
        """
        A second that takes longer counts as late by the rest.
        """
        clock, counts = Clock(), Counts()
        meter = LagMeter(clock, counts)
        meter.start()
        clock.advance(1.0)
        clock.advance(1.3)
        self.assertAlmostEqual(counts.lag.total, 0.3)
        self.assertEqual(sum(counts.lag.counts), 2)
        meter.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
