#!/usr/bin/env python3
"""
Compares rvgahp with a plain local pipe and with ssh on loopback, in one run.

C{README.rst} beside this file says what the figures mean.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import measurements
import opensshd
from contestants import INTERPRETER, PIPE, RVGAHP, SSH, SSH_GCM, SSH_SHARED, Contestant, gather
from crowdbench import CrowdBench
from gahps import PATTERN_BYTES, Gahps
from launcher import BenchError
from orphans import adoptOrphans, endOrphans
from report import Column, Criterion, Report
from tunnelbench import TunnelBench

TOPICS = ("start", "burst", "throughput", "roundtrip", "tunnel", "crowd")

#: Those that set up what they need themselves.
APART = {"tunnel", "crowd"}

#: Who takes part in what.
STARTERS = [PIPE, SSH, SSH_SHARED, RVGAHP]
CARRIERS = [PIPE, SSH, SSH_GCM, RVGAHP]
TALKERS = [PIPE, SSH, RVGAHP]

#: What --quick changes.
QUICK = {"starts": 7, "rounds": 3, "megabytes": 32, "lines": 600, "tunnel_megabytes": 64}
QUICK |= {"crowd": 100}

_EPILOG = """\
Every figure is of the same run, the contestants in turn; ratios are made round by
round.  An sshd of its own is started on loopback where OpenSSH is installed.
Exit status: 0 also where a criterion is not met, since machines are noisy; 1 if
something did not work.
"""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """
    @return: the options.
    """
    parser = argparse.ArgumentParser("bench.py", description=__doc__, epilog=_EPILOG)
    add = parser.add_argument
    add("topics", nargs="*", metavar="TOPIC", help=f"{', '.join(TOPICS)} (default: all)")
    add("--quick", action="store_true", help="a short run, about a minute")
    add("--no-ssh", action="store_true", help="leave ssh out")
    add("--json", metavar="FILE", help="write all samples there, in seconds and bytes per second")
    add("--starts", type=int, default=30, metavar="N", help="starts one at a time (30)")
    add("--many", type=int, default=100, metavar="N", help="starts at once (100)")
    add("--rounds", type=int, default=5, metavar="N", help="of burst, throughput, tunnel (5)")
    add("--megabytes", type=int, default=512, metavar="N", help="MiB of a transfer (512)")
    add("--lines", type=int, default=3000, metavar="N", help="round trips (3000)")
    add("--tunnel-megabytes", type=int, default=1024, metavar="N", help="of one tunnel (1024)")
    add("--crowd", type=int, default=1000, metavar="N", help="sites, and sessions (1000)")
    options = parser.parse_args(words)
    for topic in options.topics:
        if topic not in TOPICS:
            parser.error(f"there is no topic {topic!r}; there are {', '.join(TOPICS)}")
    for name, short in QUICK.items():
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be positive")
        if options.quick:
            setattr(options, name, min(short, getattr(options, name)))
    if options.many < 1:
        parser.error("--many must be positive")
    options.topics = options.topics or list(TOPICS)
    return options


def environment(options: argparse.Namespace) -> dict[str, Any]:
    """
    @return: what a reader must know of the machine.
    """
    facts = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "OpenSSH": opensshd.version() if opensshd.isInstalled() else "not installed",
    }
    if options.no_ssh:
        facts["OpenSSH"] = "left out"
    for name in ("rvgahp", "Twisted", "cryptography"):
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed as a package"
    return facts


class Bench:
    """
    One run.
    """

    def __init__(self, options: argparse.Namespace, report: Report) -> None:
        self._options = options
        self._report = report
        self._everyone: list[Contestant] = []
        pieces = -(-options.megabytes * 2**20 // PATTERN_BYTES)
        self._total = pieces * PATTERN_BYTES

    def run(self) -> None:
        """
        Set up, measure, tidy up.
        """
        with ExitStack() as stack:
            stack.callback(self._noteOrphans)
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="rvgahp-bench-"))
            self._path = Path(name)
            self._gahps = Gahps(self._path, self._total)
            if set(self._options.topics) - APART:
                wantsSSH = not self._options.no_ssh
                self._everyone = gather(stack, self._path, self._gahps, wantsSSH)
            for topic in TOPICS:
                if topic in self._options.topics:
                    getattr(self, f"_{topic}")()

    def _noteOrphans(self) -> None:
        left = endOrphans()
        if left:
            print(f"bench: {len(left)} processes were left and have been killed", file=sys.stderr)

    def _some(self, names: list[str]) -> list[Contestant]:
        return [one for one in self._everyone if one.name in names]

    def _start(self) -> None:
        rounds = self._options.starts
        series = measurements.start(self._some(STARTERS), rounds)
        columns = [
            Column("median ms", None, 1e3, 1),
            Column("min ms", 0.0, 1e3, 1),
            Column("max ms", 1.0, 1e3, 1),
        ]
        self._report.table(
            f"Start, one at a time, {rounds} rounds", series, columns, [INTERPRETER, *STARTERS], SSH
        )
        over = 1e3 * series.difference(RVGAHP, INTERPRETER)
        self._report.criterion(Criterion("rvgahp less the bare interpreter, ms", over, 40))

    def _burst(self) -> None:
        many, rounds = self._options.many, self._options.rounds
        series, failures = measurements.burst(self._some(STARTERS), many, rounds)
        columns = [
            Column("median s", None, 1, 2),
            Column("min s", 0.0, 1, 2),
            Column("max s", 1.0, 1, 2),
        ]
        title = f"Start, {many} at once, {rounds} rounds"
        self._report.table(title, series, columns, STARTERS, SSH, extra={"failed": failures})
        self._report.criterion(Criterion("rvgahp / ssh", series.ratio(RVGAHP, SSH), 0.5))
        self._report.criterion(Criterion("starts by rvgahp that failed", failures[RVGAHP], 0))

    def _throughput(self) -> None:
        rounds = self._options.rounds
        found = measurements.throughput(self._some(CARRIERS), self._gahps, rounds)
        columns = [
            Column("MB/s", None, 1e-6, 0),
            Column("min", 0.0, 1e-6, 0),
            Column("max", 1.0, 1e-6, 0),
        ]
        for direction, series in found.items():
            title = f"Throughput, {direction}, {self._total >> 20} MiB, {rounds} rounds"
            self._report.table(title, series, columns, CARRIERS, SSH_GCM)
            if direction == measurements.BOTH:
                ratio = series.ratio(RVGAHP, SSH_GCM)
                criterion = Criterion("rvgahp / ssh, aes256-gcm", ratio, 1, atMost=False)
                self._report.criterion(criterion)

    def _roundtrip(self) -> None:
        everyone = self._some(TALKERS)
        each, blocks = measurements.roundTrip(everyone, self._options.lines)
        columns = [
            Column("median us", None, 1e6, 0),
            Column("p99 us", 0.99, 1e6, 0),
            Column("min us", 0.0, 1e6, 0),
        ]
        title = f"Round trip of a line of 64 bytes, {len(each.samples[RVGAHP])} lines"
        self._report.table(title, each, columns, TALKERS, SSH, pairs=blocks)
        self._report.criterion(Criterion("rvgahp / ssh", blocks.ratio(RVGAHP, SSH), 4))

    def _tunnel(self) -> None:
        TunnelBench(self._options, self._report, self._gahps, self._path).run()

    def _crowd(self) -> None:
        CrowdBench(self._options, self._report, self._gahps, self._path).run()


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupted(number: int, frame: object) -> None:
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)  # the tidying up is not to be interrupted
    raise KeyboardInterrupt


def main() -> int:
    """
    The program.
    """
    options = parse()
    for number in _ENDING:
        signal.signal(number, _interrupted)
    adoptOrphans()
    # Who sets this, for a tree to be kept clean, would have every start compile.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        report = Report(environment(options))
        Bench(options, report).run()
        if options.json:
            Path(options.json).write_text(json.dumps(report.asDictionary(), indent=1) + "\n")
    except BenchError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything has been stopped", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
