# -*- test-case-name: tests.test_metrics -*-
"""
A proxy's metrics, for Prometheus.  C{doc/metrics.rst} has them all.

Layer 4: C{prometheus_client}, which is loaded only where metrics are wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rvgahp.counts import Counts, Distribution

__all__ = ["ProxyCollector", "registryOf"]

_DIRECTIONS = (
    ("rvgahp_stream_bytes", "Bytes of GAHPs' stdin and stdout.", "received", "sent"),
    ("rvgahp_tunnel_bytes", "Bytes of tunnels.", "tunnelsReceived", "tunnelsSent"),
)


class ProxyCollector(Collector):
    """
    Makes metrics of what a proxy shows and counts, when they are asked for.
    """

    def __init__(self, counts: Counts, document: Callable[[], dict[str, Any]]) -> None:
        """
        @param document: what an administrator sees (C{doc/status.rst}).
        """
        self._counts = counts
        self._document = document

    def collect(self) -> Iterator[Metric]:
        """
        @return: all metrics.
        """
        seen = self._document()
        yield from _gauges(seen)
        yield from _counters(self._counts)


def registryOf(counts: Counts, document: Callable[[], dict[str, Any]]) -> CollectorRegistry:
    """
    @return: what has one proxy's metrics, and no others.
    """
    # Else all would be made once for nothing, before the proxy is ready.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProxyCollector(counts, document))
    return registry


def _gauges(seen: dict[str, Any]) -> Iterator[Metric]:
    states = Counter(one["state"] for one in seen["sessions"])
    yield _labelled(
        GaugeMetricFamily("rvgahp_sessions", "Sessions, by state.", labels=["state"]), states
    )
    tunnels = sum(one.get("tunnels") or 0 for one in seen["sessions"])
    yield GaugeMetricFamily("rvgahp_tunnels", "Tunnels that are open.", value=tunnels)
    drained = float(seen["draining"])
    yield GaugeMetricFamily("rvgahp_draining", "1 while nothing new is started.", value=drained)
    yield from _sites(seen["sites"])
    ends = {"": seen["certificateExpires"]}
    ends |= {one["site"]: one.get("certificateExpires") for one in seen["sites"]}
    text = "When a certificate ends: the daemon's own (no site), or a site's."
    name = "rvgahp_certificate_expiry_timestamp_seconds"
    known = {site: end for site, end in ends.items() if end is not None}
    yield _labelled(GaugeMetricFamily(name, text, labels=["site"]), known)


def _sites(sites: Iterable[dict[str, Any]]) -> Iterator[Metric]:
    connected = {one["site"]: one["connected"] for one in sites}
    yield _labelled(
        GaugeMetricFamily("rvgahp_site_up", "1 while a site is connected.", labels=["site"]),
        connected,
    )
    trips = {one["site"]: one["roundTrip"] for one in sites if one.get("roundTrip") is not None}
    text = "Seconds that a site's last answer to a ping took."
    yield _labelled(
        GaugeMetricFamily("rvgahp_site_round_trip_seconds", text, labels=["site"]), trips
    )


def _counters(counts: Counts) -> Iterator[Metric]:
    for name, text, label, values in (
        ("rvgahp_starts", "GAHPs that were started.", "gahp", counts.starts),
        ("rvgahp_start_failures", "Starts that failed.", "reason", counts.failures),
        ("rvgahp_session_ends", "Sessions that have ended.", "by", counts.ends),
        ("rvgahp_refusals", "What was refused to sites.", "action", counts.refusals),
    ):
        yield _labelled(CounterMetricFamily(name, text, labels=[label]), values)
    text = "Times that a session had lost its channel."
    yield CounterMetricFamily("rvgahp_stalls", text, value=counts.stalls)
    text = "Times that a session has got another channel."
    yield CounterMetricFamily("rvgahp_resumptions", text, value=counts.resumptions)
    for name, text, received, sent in _DIRECTIONS:
        carried = {"to_site": counts.carried[received], "from_site": counts.carried[sent]}
        yield _labelled(CounterMetricFamily(name, text, labels=["direction"]), carried)
    text = "Seconds from a client's request to the start of its GAHP."
    yield _histogram("rvgahp_start_seconds", text, counts.startSeconds)
    text = "Seconds by which the event loop was late, looked at each second."
    yield _histogram("rvgahp_event_loop_lag_seconds", text, counts.lag)


def _labelled(family: Any, values: Mapping[str, float]) -> Metric:
    for label in sorted(values):
        family.add_metric([label], values[label])
    made: Metric = family
    return made


def _histogram(name: str, text: str, values: Distribution) -> Metric:
    bounds = [*map(str, values.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(values.counts), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=values.total)
