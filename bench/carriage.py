"""
What is measured of tunnels: how fast they carry, how fast the GAHP beside them answers
meanwhile, and how long one takes to open.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

from gahps import PATTERN_BYTES, READ_BYTES, Gahps
from launcher import PATIENCE, BenchError, within
from measurements import inTurn
from series import Series
from tunnels import Forwarder

#: Directions.
TO_SUBMIT, TO_SITE = "site to submit host", "submit host to site"

#: Bytes per second below which a transfer is given up.
_SLOWEST = 4e6

#: Seconds between two lines to the GAHP while a tunnel carries.
_PAUSE = 0.01


class Rates:
    """
    What was found in one direction.

    @ivar rates: bytes per second.
    @ivar trips: seconds of each line to the GAHP and back meanwhile.
    @ivar longest: of each transfer the longest of these, of which pairs are made.
    """

    def __init__(self, forwarders: list[Forwarder]) -> None:
        names = [one.name for one in forwarders]
        self.rates, self.trips, self.longest = (Series(names) for _ in range(3))


def carry(forwarders: list[Forwarder], gahps: Gahps, total: int, rounds: int) -> dict[str, Rates]:
    """
    @param total: bytes of a transfer, a multiple of the pattern's.
    @return: by direction.
    """
    found = {direction: Rates(forwarders) for direction in (TO_SUBMIT, TO_SITE)}
    for direction, rates in found.items():
        for _, forwarder in inTurn(forwarders, rounds):
            taken, trips = _carryOnce(forwarder, gahps, total, direction)
            rates.rates.add(forwarder.name, total / taken)
            for trip in trips:
                rates.trips.add(forwarder.name, trip)
            rates.longest.add(forwarder.name, max(trips))
    return found


def _carryOnce(
    forwarder: Forwarder, gahps: Gahps, total: int, direction: str
) -> tuple[float, list[float]]:
    with forwarder.launch() as tunnels:
        with within(PATIENCE, f"{forwarder.name}: a connection"):
            site, near, _ = tunnels.open()
        source, target = (site, near) if direction == TO_SUBMIT else (near, site)
        transfer = Transfer(source, target, gahps, total)
        trips = []
        with within(PATIENCE + total / _SLOWEST, f"{forwarder.name}: {total} bytes"), site, near:
            transfer.start()
            while not transfer.isOver(_PAUSE):
                trips.append(tunnels.trip())
            trips.append(tunnels.trip())  # there is one, however fast it was
            with suppress(OSError):  # it is broken already
                source.shutdown(socket.SHUT_RDWR)  # what wakes a writer whose reader has failed
            taken = transfer.seconds(forwarder.name)
        tunnels.finish()
    return taken, trips


class Transfer:
    """
    Bytes on their way, by two threads.
    """

    def __init__(
        self, source: socket.socket, target: socket.socket, gahps: Gahps, total: int
    ) -> None:
        for end in (source, target):
            end.settimeout(None)
        self._source = source
        self._target = target
        self._gahps = gahps
        self._total = total
        self._begun = self._ended = 0.0
        self._problem = ""
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=one, daemon=True) for one in (self._write, self._read)
        ]

    def start(self) -> None:
        self._begun = time.perf_counter()
        for thread in self._threads:
            thread.start()

    def isOver(self, seconds: float) -> bool:
        """
        @return: whether the last byte has come, or none will, after so long at the most.
        """
        return self._over.wait(seconds)

    def seconds(self, name: str) -> float:
        """
        @return: from the first byte's writing to the last one's arrival.
        @raise BenchError: they are not what was sent.
        """
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._problem:
            raise BenchError(f"{name}: {self._problem}")
        return self._ended - self._begun

    def _write(self) -> None:
        """
        The pattern from the page cache, without a copy.
        """
        with self._gahps.pattern.open("rb") as pattern:
            sent = 0
            while sent < self._total:
                offset = sent % PATTERN_BYTES
                count = PATTERN_BYTES - offset
                try:
                    sent += os.sendfile(self._source.fileno(), pattern.fileno(), offset, count)
                except OSError:
                    return  # who reads will find the end

    def _read(self) -> None:
        """
        Read all, and compare it.
        """
        buffer = memoryview(bytearray(READ_BYTES))
        received = 0
        while received < self._total and not self._problem:
            try:
                count = self._target.recv_into(buffer)
            except OSError as e:
                count = 0
                self._problem = f"after {received} of {self._total} bytes: {e}"
            if not count:
                self._problem = self._problem or f"the end after {received} of {self._total} bytes"
            elif not self._gahps.isRight(received, buffer[:count]):
                self._problem = f"other bytes than were sent, after {received}"
            received += count
        self._ended = time.perf_counter()
        self._over.set()


def opening(forwarders: list[Forwarder], rounds: int) -> Series:
    """
    @return: seconds from a connection at the site to the first byte from the gridmanager.
    """
    series = Series([one.name for one in forwarders])
    launched = {}
    try:
        for forwarder in forwarders:
            launched[forwarder.name] = forwarder.launch()
        for number, forwarder in inTurn(forwarders, rounds + 1):
            with within(PATIENCE, f"{forwarder.name}: a connection"):
                site, near, taken = launched[forwarder.name].open()
            site.close()
            near.close()
            if number:  # the first one filled the caches
                series.add(forwarder.name, taken)
        for tunnels in launched.values():
            tunnels.finish()
    finally:
        for tunnels in launched.values():
            tunnels.__exit__()
    return series
