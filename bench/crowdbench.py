"""
The topic of a crowd: how long people and Prometheus wait for an answer of a proxy that has many
sites and sessions, and what their asking costs a start.
"""

from __future__ import annotations

import argparse
import json
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import measurements
from contestants import INTERPRETER, Contestant, installed
from gahps import SCRIPTS, Gahps
from launcher import PATIENCE, BenchError, Daemon, freePort, waitUntil, within
from report import Column, Criterion, Report
from series import Series

from rvgahp.sandbox import SITE, Sandbox

_STATUS, _LIST, _DOCUMENT, _SCRAPE = (
    "rvgahp status",
    "rvgahp list",
    "GET /v1/status",
    "GET /metrics",
)
_ALONE, _ASKED = "nobody asks", "asked each second"

#: Seconds between two questions of each kind while starts are measured.
_EVERY = 1.0

#: Of the proxy: one user is to have them all, and at once.
_SETTINGS = """\
RVGAHP_METRICS_ADDRESS = 127.0.0.1:{port}
RVGAHP_MAX_SESSIONS_PER_USER = 100000
RVGAHP_MAX_STARTS_PER_SECOND = 100000
"""


class _Asking:
    """
    Asks for the metrics and the status, once a second, as long as it is entered.
    """

    def __init__(self, bench: CrowdBench) -> None:
        self._bench = bench
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while True:
            self._bench.scrape()
            self._bench.document()
            if self._over.wait(_EVERY):
                return


class CrowdBench:
    """
    The measurements and their tables.
    """

    def __init__(
        self, options: argparse.Namespace, report: Report, gahps: Gahps, directory: Path
    ) -> None:
        self._many: int = options.crowd
        self._rounds: int = options.rounds
        self._starts: int = options.starts
        self._report = report
        self._gahps = gahps
        self._log = directory / "crowd.log"
        self._port = freePort()
        lines = {name: shlex.join(gahps.words(name)) for name in SCRIPTS}
        settings = {"rvgahp-proxy": _SETTINGS.format(port=self._port)}
        self._sandbox = Sandbox(gahps=lines, extraSettings=settings)
        self._door = str(self._sandbox.directory / "proxy.status")

    def run(self) -> None:
        """
        Set up, measure, tidy up.
        """
        with ExitStack() as stack:
            stack.enter_context(self._sandbox)
            stack.callback(self._gather().stop)
            waitUntil(self._isTold, PATIENCE, "news of all sessions")
            self._answers()
            self._latency()

    def _gather(self) -> Daemon:
        box = self._sandbox
        words = [sys.executable, str(Path(__file__).with_name("crowd.py")), str(box.directory)]
        words += [str(box.port), box.socket, str(self._many), str(self._many)]
        with self._log.open("wb") as stderr:
            crowd = Daemon(words, stderr)
        try:
            assert crowd.process.stdout is not None
            with within(PATIENCE + self._many / 10, "the crowd"):
                line = crowd.process.stdout.readline()
            if not line:
                raise BenchError(f"the crowd did not come: {self._log.read_text().strip()}")
            json.loads(line)
        except BaseException:
            crowd.stop()
            raise
        return crowd

    # -- what is asked ------------------------------------------------------

    def scrape(self) -> None:
        """
        As Prometheus does.
        """
        url = f"http://127.0.0.1:{self._port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            if answer.read().count(b"rvgahp_site_up{") <= self._many:
                raise BenchError("the metrics do not have all sites")

    def document(self) -> list[dict[str, Any]]:
        """
        As a program does.

        @return: the sessions.
        """
        with closing(socket.socket(socket.AF_UNIX)) as asking:
            asking.settimeout(PATIENCE)
            asking.connect(self._door)
            asking.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: asking.recv(1 << 20), b""))
        sessions: list[dict[str, Any]] = json.loads(answer.partition(b"\r\n\r\n")[2])["sessions"]
        if len(sessions) < self._many:
            raise BenchError("the status does not have all sessions")
        return sessions

    def _isTold(self) -> bool:
        return all(one["received"] for one in self.document())

    def _command(self, *words: str) -> None:
        done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise BenchError(f"{shlex.join(words)}: {done.stderr.decode(errors='replace').strip()}")

    def _show(self, word: str) -> None:
        self._command(*installed("rvgahp", "rvgahp.cli"), word, "--socket", self._door)

    # -- what is measured ---------------------------------------------------

    def _answers(self) -> None:
        asked = {
            INTERPRETER: lambda: self._command(sys.executable, "-c", "pass"),
            _STATUS: lambda: self._show("status"),
            _LIST: lambda: self._show("list"),
            _DOCUMENT: self.document,
            _SCRAPE: self.scrape,
        }
        series = Series(list(asked))
        for _ in range(self._rounds):
            for name, ask in asked.items():
                begun = time.perf_counter()
                ask()
                series.add(name, time.perf_counter() - begun)
        columns = [
            Column("median ms", None, 1e3, 1),
            Column("min ms", 0.0, 1e3, 1),
            Column("max ms", 1.0, 1e3, 1),
        ]
        title = f"Answers of a proxy with {self._many} sites and sessions, {self._rounds} rounds"
        self._report.table(title, series, columns, list(asked), "", plain=("/python", INTERPRETER))
        for name, most in ((_STATUS, 1000), (_LIST, 1000), (_SCRAPE, 200)):
            taken = 1e3 * series.median(name)
            self._report.criterion(Criterion(f"{name}, ms", taken, most))

    def _latency(self) -> None:
        """
        Blocks of starts, with and without questions, one after the other.
        """
        client = installed("rvgahp_client", "rvgahp.client")
        words = [*client, "--socket", self._sandbox.socket, SITE]
        ours = Contestant("rvgahp", lambda name: [*words, name])
        series = Series([_ALONE, _ASKED])
        for _ in range(self._rounds):
            for name in series.names:
                with ExitStack() as stack:
                    if name == _ASKED:
                        stack.enter_context(_Asking(self))
                    for _ in range(self._starts):
                        series.add(name, measurements.startOnce(ours))
        columns = [
            Column("median ms", None, 1e3, 1),
            Column("p95 ms", 0.95, 1e3, 1),
            Column("max ms", 1.0, 1e3, 1),
        ]
        count = self._rounds * self._starts
        title = f"Start at such a proxy, one at a time, {count} starts"
        self._report.table(title, series, columns, series.names, "", plain=("/alone", _ALONE))
        ratio = series.median(_ASKED) / series.median(_ALONE)
        self._report.criterion(Criterion("asked each second / nobody asks, medians", ratio, 1.15))
