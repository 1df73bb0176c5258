"""
What is measured.  Each measurement takes all its contestants in turn, again and
again (A B C, B C A, ...), so that a noisy minute of the machine strikes all alike.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from contestants import INTERPRETER, Contestant
from gahps import GO, PATTERN_BYTES, READ_BYTES, Gahps
from launcher import PATIENCE, BenchError, Launcher, within
from series import Series

#: A direction of throughput.
BOTH = "both ways at once"

#: Seconds between two starts: the last one's processes are still being tidied away.
_SETTLE = 0.03

#: Round trips of one contestant before the next one's turn.
_BLOCK = 100

#: The line that goes there and back, with its end.
_LINE = b"x" * 63 + b"\n"

#: Bytes per second below which a transfer is given up.
_SLOWEST = 4e6


def inTurn(contestants: list[Contestant], rounds: int) -> Iterator[tuple[int, Contestant]]:
    """
    @return: round and contestant; each round begins with another one.
    """
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            yield number, contestant


# -- start ------------------------------------------------------------------


def start(contestants: list[Contestant], rounds: int) -> Series:
    """
    Seconds from the start of a launcher to the GAHP's banner; of the bare
    interpreter, to its exit.
    """
    bare = Contestant(INTERPRETER, lambda name: [sys.executable, "-c", "pass"])
    everyone = [bare, *contestants]
    series = Series([one.name for one in everyone])
    for contestant in everyone:
        startOnce(contestant)  # fills the caches
    for _, contestant in inTurn(everyone, rounds):
        series.add(contestant.name, startOnce(contestant))
    return series


def startOnce(contestant: Contestant) -> float:
    """
    @return: seconds from the start of the launcher to the GAHP's banner.
    """
    with contestant.launch("bench-banner") as launcher:
        if contestant.name == INTERPRETER:
            launcher.status()
            taken = time.perf_counter() - launcher.begun
        else:
            taken = launcher.banner()
        launcher.finish()
    time.sleep(_SETTLE)
    return taken


# -- burst ------------------------------------------------------------------


def burst(contestants: list[Contestant], many: int, rounds: int) -> tuple[Series, dict[str, int]]:
    """
    Seconds for C{many} starts at once, until all have given their banner, had the
    end of their input, and exited.

    @return: those, and how many failed.
    """
    series = Series([one.name for one in contestants])
    failures = dict.fromkeys(series.names, 0)
    for contestant in contestants:
        startOnce(contestant)
    for _, contestant in inTurn(contestants, rounds):
        taken, failed = _burstOnce(contestant, many)
        series.add(contestant.name, taken)
        failures[contestant.name] += failed
        time.sleep(10 * _SETTLE)
    return series, failures


def _burstOnce(contestant: Contestant, many: int) -> tuple[float, int]:
    launchers: list[Launcher] = []
    begun = time.perf_counter()
    try:
        for _ in range(many):
            launchers.append(contestant.launch("bench-banner"))
        greeted = _serveAll(launchers, begun + PATIENCE + many)
        failed = sum(launcher.status() != 0 or launcher not in greeted for launcher in launchers)
        return time.perf_counter() - begun, failed
    finally:
        for launcher in launchers:
            launcher.kill()


def _serveAll(launchers: list[Launcher], end: float) -> set[Launcher]:
    """
    @return: those that gave a banner.
    """
    waiting = {launcher.output: launcher for launcher in launchers}
    greeted = set()
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting:
        ready = poll.poll(max(0.0, end - time.perf_counter()) * 1000)
        if not ready:
            raise BenchError(f"{launchers[0].name}: {len(waiting)} of {len(launchers)} hang")
        for fd, _ in ready:
            launcher = waiting[fd]
            if not os.read(fd, 4096):
                poll.unregister(fd)
                del waiting[fd]
            elif launcher not in greeted:
                greeted.add(launcher)
                launcher.closeInput()
    return greeted


# -- throughput -------------------------------------------------------------


def throughput(contestants: list[Contestant], gahps: Gahps, rounds: int) -> dict[str, Series]:
    """
    @return: bytes per second, by direction; both ways at once counts the bytes of
        one way.
    """
    directions: dict[str, Callable[[Contestant, Gahps], float]] = {
        BOTH: _both,
        "to the GAHP": _toGAHP,
        "from the GAHP": _fromGAHP,
    }
    everything = {}
    for title, measure in directions.items():
        series = Series([one.name for one in contestants])
        for _, contestant in inTurn(contestants, rounds):
            series.add(contestant.name, gahps.total / measure(contestant, gahps))
        everything[title] = series
    return everything


def _transfer(launcher: Launcher, gahps: Gahps) -> AbstractContextManager[None]:
    return within(PATIENCE + gahps.total / _SLOWEST, f"{launcher.name}: {gahps.total} bytes")


def _both(contestant: Contestant, gahps: Gahps) -> float:
    with contestant.launch("bench-echo") as launcher:
        launcher.banner()
        launcher.enlarge()
        writer = threading.Thread(target=_write, args=(launcher, gahps), daemon=True)
        with _transfer(launcher, gahps):
            begun = time.perf_counter()
            writer.start()
            _read(launcher, gahps)
            taken = time.perf_counter() - begun
            writer.join()
        launcher.finish()
    return taken


def _toGAHP(contestant: Contestant, gahps: Gahps) -> float:
    with contestant.launch("bench-sink") as launcher:
        launcher.banner()
        launcher.enlarge()
        with _transfer(launcher, gahps):
            begun = time.perf_counter()
            _write(launcher, gahps)
            launcher.closeInput()
            answer = os.read(launcher.output, 4096)
            taken = time.perf_counter() - begun
        launcher.finish()
    if answer.strip() != b"%d" % gahps.total:
        raise BenchError(f"{contestant.name}: of {gahps.total} bytes arrived {answer!r}")
    return taken


def _fromGAHP(contestant: Contestant, gahps: Gahps) -> float:
    with contestant.launch("bench-source") as launcher:
        launcher.banner()
        launcher.enlarge()
        with _transfer(launcher, gahps):
            begun = time.perf_counter()
            os.write(launcher.input, GO)
            _read(launcher, gahps)
            taken = time.perf_counter() - begun
        launcher.finish()
    return taken


def _write(launcher: Launcher, gahps: Gahps) -> None:
    """
    Write all.  C{splice} puts the pattern's pages into the pipe without a copy.
    """
    with gahps.pattern.open("rb") as pattern:
        sent = 0
        while sent < gahps.total:
            offset = sent % PATTERN_BYTES
            try:
                sent += os.splice(
                    pattern.fileno(), launcher.input, PATTERN_BYTES - offset, offset_src=offset
                )
            except OSError:
                return  # the launcher is gone; who reads will find the end


def _read(launcher: Launcher, gahps: Gahps) -> None:
    """
    Read all, and compare it.
    """
    buffer = memoryview(bytearray(READ_BYTES))
    received = 0
    while received < gahps.total:
        count = os.readv(launcher.output, [buffer])
        if not count:
            raise BenchError(f"{launcher.name}: the end after {received} of {gahps.total} bytes")
        if not gahps.isRight(received, buffer[:count]):
            raise BenchError(f"{launcher.name}: other bytes than were sent, after {received}")
        received += count


# -- round trip -------------------------------------------------------------


def roundTrip(contestants: list[Contestant], lines: int) -> tuple[Series, Series]:
    """
    @return: seconds for a line to a GAHP that echoes and back, for each line; and
        for each block of lines their median, of which pairs are made.
    """
    each, blocks = (Series([one.name for one in contestants]) for _ in range(2))
    launchers = {}
    try:
        for contestant in contestants:
            launchers[contestant.name] = launcher = contestant.launch("bench-echo")
            launcher.banner()
            _trips(launcher, _BLOCK)
        for _, contestant in inTurn(contestants, max(1, lines // _BLOCK)):
            block = Series([contestant.name])
            for taken in _trips(launchers[contestant.name], min(lines, _BLOCK)):
                block.add(contestant.name, taken)
                each.add(contestant.name, taken)
            blocks.add(contestant.name, block.median(contestant.name))
        for launcher in launchers.values():
            launcher.finish()
    finally:
        for launcher in launchers.values():
            launcher.kill()
    return each, blocks


def _trips(launcher: Launcher, count: int) -> list[float]:
    taken = []
    with within(PATIENCE, f"{launcher.name}: {count} round trips of a line"):
        for _ in range(count):
            begun = time.perf_counter()
            os.write(launcher.input, _LINE)
            data = os.read(launcher.output, 4096)
            while 0 < len(data) < len(_LINE):
                more = os.read(launcher.output, 4096)
                data = data + more if more else b""
            taken.append(time.perf_counter() - begun)
            if data != _LINE:
                raise BenchError(f"{launcher.name}: another line came back: {data!r}")
    return taken
