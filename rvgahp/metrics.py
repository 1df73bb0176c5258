# -*- test-case-name: tests.test_metrics -*-
"""
A daemon's metrics, for Prometheus.  C{doc/metrics.rst} has them all.

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
from rvgahp.gahpend import NOT_STARTED, OUTCOMES

__all__ = ["DaemonCollector", "registryOf"]

_DIRECTIONS = (
    ("rvgahp_stream_bytes", "Bytes of GAHPs' stdin and stdout.", "received", "sent"),
    ("rvgahp_tunnel_bytes", "Bytes of tunnels.", "tunnelsReceived", "tunnelsSent"),
)


class DaemonCollector(Collector):
    """
    Makes metrics of what a daemon shows and counts, when they are asked for.
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
        yield _outcomes(self._counts, seen["role"])
        if seen["role"] == "proxy":
            yield from _ofSites(seen["sites"], self._counts)
        else:
            yield from _ofProxies(seen["proxies"], self._counts)
            yield from _ofReplay(seen["replay"])


def registryOf(counts: Counts, document: Callable[[], dict[str, Any]]) -> CollectorRegistry:
    """
    @return: what has one daemon's metrics, and no others.
    """
    # Else all would be made once for nothing, before the daemon is ready.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DaemonCollector(counts, document))
    return registry


# -- of both ----------------------------------------------------------------


def _gauges(seen: dict[str, Any]) -> Iterator[Metric]:
    states = Counter(one["state"] for one in seen["sessions"])
    yield _gauge("rvgahp_sessions", "Sessions, by state.", "state", states)
    tunnels = sum(one.get("tunnels") or 0 for one in seen["sessions"])
    yield GaugeMetricFamily("rvgahp_tunnels", "Tunnels that are open.", value=tunnels)
    drained = float(seen["draining"])
    yield GaugeMetricFamily("rvgahp_draining", "1 while nothing new is started.", value=drained)
    yield from _limits(seen)
    ends = {"": seen["certificateExpires"]}
    ends |= {one["site"]: one.get("certificateExpires") for one in seen.get("sites", ())}
    text = "When a certificate ends: the daemon's own (no site), or a site's."
    name = "rvgahp_certificate_expiry_timestamp_seconds"
    yield _gauge(name, text, "site", ends)


def _limits(seen: dict[str, Any]) -> Iterator[Metric]:
    """
    Of each limit how near the nearest is to it.
    """
    # Who that is, is not for everyone who can read metrics.
    rows = {row["limit"]: row for row in reversed(seen["limits"])}
    if "replay" in seen:
        rows["RVGAHP_REPLAY_TOTAL"] = seen["replay"]
    text = "Limits, as they are set."
    most = {name: row["most"] for name, row in rows.items()}
    yield _gauge("rvgahp_limit", text, "limit", most)
    text = "What the one who is nearest to a limit has of it."
    used = {name: row["used"] for name, row in rows.items()}
    yield _gauge("rvgahp_limit_used", text, "limit", used)


def _counters(counts: Counts) -> Iterator[Metric]:
    yield _counter("rvgahp_starts", "GAHPs that were started.", "gahp", counts.starts)
    yield _counter("rvgahp_start_failures", "Starts that failed.", "reason", counts.failures)
    yield _counter("rvgahp_session_ends", "Sessions that have ended.", "by", counts.ends)
    text = "Times that a session had lost its channel."
    yield CounterMetricFamily("rvgahp_stalls", text, value=counts.stalls)
    text = "Times that a session has got another channel."
    yield CounterMetricFamily("rvgahp_resumptions", text, value=counts.resumptions)
    for name, text, received, sent in _DIRECTIONS:
        carried = {"to_site": counts.carried[received], "from_site": counts.carried[sent]}
        yield _counter(name, text, "direction", carried)
    text = "Seconds from the request for a GAHP to its start."
    yield _histogram("rvgahp_start_seconds", text, counts.startSeconds)
    text = "Seconds by which the event loop was late, looked at each second."
    yield _histogram("rvgahp_event_loop_lag_seconds", text, counts.lag)


def _outcomes(counts: Counts, role: str) -> Metric:
    outcomes = OUTCOMES if role == "proxy" else (*OUTCOMES, NOT_STARTED)
    # With zeros, so that the first of each is an increase.
    ends = {name: counts.outcomes[name] for name in outcomes}
    return _counter("rvgahp_gahp_ends", "GAHPs that have ended, by how.", "outcome", ends)


# -- of a proxy -------------------------------------------------------------


def _ofSites(sites: Iterable[dict[str, Any]], counts: Counts) -> Iterator[Metric]:
    connected = {one["site"]: one["connected"] for one in sites}
    yield _gauge("rvgahp_site_up", "1 while a site is connected.", "site", connected)
    trips = {one["site"]: one.get("roundTrip") for one in sites}
    text = "Seconds that a site's last answer to a ping took."
    yield _gauge("rvgahp_site_round_trip_seconds", text, "site", trips)
    yield _counter("rvgahp_refusals", "What was refused to sites.", "action", counts.refusals)


# -- of a CE ----------------------------------------------------------------


def _ofProxies(proxies: Iterable[dict[str, Any]], counts: Counts) -> Iterator[Metric]:
    names = {f"{one['host']}:{one['port']}": one for one in proxies}
    connected = {name: one["connected"] for name, one in names.items()}
    yield _gauge("rvgahp_proxy_up", "1 while the proxy is connected.", "proxy", connected)
    since = {name: one["since"] for name, one in names.items()}
    text = "Since when that is so."
    yield _gauge("rvgahp_proxy_since_timestamp_seconds", text, "proxy", since)
    yield CounterMetricFamily("rvgahp_proxy_dials", "Dials of the proxy.", value=counts.dials)
    text = "Dials of the proxy that have failed, and connections to it that have ended."
    yield _counter("rvgahp_proxy_losses", text, "reason", counts.losses)


def _ofReplay(replay: dict[str, int]) -> Iterator[Metric]:
    text = "Bytes that were sent and are not acknowledged yet."
    yield GaugeMetricFamily("rvgahp_replay_kept_bytes", text, value=replay["kept"])
    text = "Bytes that had to be sent once more over another channel."
    yield CounterMetricFamily("rvgahp_replayed_bytes", text, value=replay["replayed"])


# -- families ---------------------------------------------------------------


def _gauge(name: str, text: str, label: str, values: Mapping[str, float | None]) -> Metric:
    return _labelled(GaugeMetricFamily(name, text, labels=[label]), values)


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _labelled(CounterMetricFamily(name, text, labels=[label]), values)


def _labelled(family: Any, values: Mapping[str, float | None]) -> Metric:
    """
    @param values: by label; what is L{None} is not known, and left out.
    """
    for label in sorted(values):
        if values[label] is not None:
            family.add_metric([label], values[label])
    made: Metric = family
    return made


def _histogram(name: str, text: str, values: Distribution) -> Metric:
    bounds = [*map(str, values.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(values.counts), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=values.total)
