"""
The topic of tunnels: ssh's remote forward and ours, on loopback and a long way apart.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path

import carriage
from contestants import RVGAHP, SSH, SSH_GCM, Sandbox
from gahps import PATTERN_BYTES, TUNNEL_GAHP, Gahps
from launcher import PATIENCE, Daemon, freePort, within
from opensshd import GCM, PrivateSSHD, isInstalled
from report import Column, Criterion, Report
from tunnels import Forwarder, Gridmanager

#: The contestant without anything between the two ends but the relay.
TCP = "plain TCP"

_CARRIERS = [TCP, SSH, SSH_GCM, RVGAHP]
_OPENERS = [TCP, SSH, RVGAHP]
_PLAIN = ("/TCP", TCP)

#: Seconds that everything takes on the long way, each way.
_DELAY = 0.025

_NEAR, _FAR = "loopback", f"{2e3 * _DELAY:g} ms round trip"

#: The share of the bytes, and of the openings, that the long way gets.
_FAR_SHARE = {"bytes": 8, "openings": 3}

#: How many times as fast as ssh we must be.
_FASTER = {_NEAR: 1, _FAR: 3}

#: Milliseconds that a GAHP's reply may take meanwhile.
_REPLY = 200


class _Relay:
    """
    The process that makes the way long.
    """

    def __init__(self, targets: list[int]) -> None:
        path = str(Path(__file__).with_name("delay.py"))
        words = [sys.executable, path, str(_DELAY), *map(str, targets)]
        self._daemon = Daemon(words)
        assert self._daemon.process.stdout is not None
        with within(PATIENCE, "the relay"):
            self.ports: list[int] = json.loads(self._daemon.process.stdout.readline())

    def __enter__(self) -> _Relay:
        return self

    def __exit__(self, *exception: object) -> None:
        self._daemon.stop()


class TunnelBench:
    """
    The measurements and their tables.
    """

    def __init__(
        self, options: argparse.Namespace, report: Report, gahps: Gahps, directory: Path
    ) -> None:
        self._options = options
        self._report = report
        self._gahps = gahps
        self._directory = directory
        self._gridmanager: Gridmanager
        self._sshd: PrivateSSHD | None = None

    def run(self) -> None:
        """
        Set up, measure, tidy up.
        """
        with ExitStack() as stack:
            self._gridmanager = stack.enter_context(Gridmanager())
            if isInstalled() and not self._options.no_ssh:
                self._sshd = stack.enter_context(PrivateSSHD(self._directory / "tunnel-ssh"))
            near = stack.enter_context(self._sandbox("near"))
            self._measure(_NEAR, self._gather(near, self._gridmanager.port, None))
            farPort = freePort()
            ports = [self._gridmanager.port, farPort, self._sshd.port if self._sshd else 0]
            relay = stack.enter_context(_Relay(ports))
            connect = f"--ce-connect=127.0.0.1:{relay.ports[1]}"
            far = stack.enter_context(self._sandbox("far", f"--port={farPort}", connect))
            self._measure(_FAR, self._gather(far, relay.ports[0], relay.ports[2]))

    def _sandbox(self, name: str, *options: str) -> Sandbox:
        return Sandbox(self._gahps, self._directory / f"{name}.log", options)

    def _gather(self, sandbox: Sandbox, port: int, sshPort: int | None) -> list[Forwarder]:
        """
        @param port: leads to the gridmanager.
        @param sshPort: leads to the sshd; L{None}: its own.
        @return: all that this machine has.
        """
        gahp = self._gahps.words(TUNNEL_GAHP)
        found = [Forwarder(TCP, gahp, self._gridmanager, port)]
        if self._sshd is not None:
            options = ["-R", f"0:127.0.0.1:{self._gridmanager.port}"]
            options += ["-o", "LogLevel=INFO"]  # which the forward's port is said at
            options += ["-p", str(sshPort or self._sshd.port)]
            for name, cipher in ((SSH, None), (SSH_GCM, GCM)):
                words = self._sshd.words(gahp, cipher, options=options)
                found.append(Forwarder(name, words, self._gridmanager))
        return [*found, Forwarder(RVGAHP, sandbox.words(TUNNEL_GAHP), self._gridmanager)]

    def _measure(self, where: str, forwarders: list[Forwarder]) -> None:
        isFar = where == _FAR
        total = self._options.tunnel_megabytes << 20
        total = -(-total // PATTERN_BYTES // (_FAR_SHARE["bytes"] if isFar else 1)) * PATTERN_BYTES
        rounds = self._options.rounds
        for direction, rates in carriage.carry(forwarders, self._gahps, total, rounds).items():
            self._showRates(f"{direction}, {where}, {total >> 20} MiB, {rounds} rounds", rates)
            bound = _FASTER[where]
            ratio = rates.rates.ratio(RVGAHP, SSH_GCM)
            self._report.criterion(
                Criterion("rvgahp / ssh -R, aes256-gcm", ratio, bound, atMost=False)
            )
            slowest = 1e3 * rates.trips.quantile(RVGAHP, 1.0)
            self._report.criterion(Criterion("slowest reply of rvgahp, ms", slowest, _REPLY))
        opened = max(1, self._options.starts // (_FAR_SHARE["openings"] if isFar else 1))
        series = carriage.opening([one for one in forwarders if one.name in _OPENERS], opened)
        columns = [
            Column("median ms", None, 1e3, 1),
            Column("min ms", 0.0, 1e3, 1),
            Column("max ms", 1.0, 1e3, 1),
        ]
        title = f"Tunnel, connect to first byte back, {where}, {opened} rounds"
        self._report.table(title, series, columns, _OPENERS, SSH, plain=_PLAIN)

    def _showRates(self, title: str, rates: carriage.Rates) -> None:
        columns = [
            Column("MB/s", None, 1e-6, 0),
            Column("min", 0.0, 1e-6, 0),
            Column("max", 1.0, 1e-6, 0),
        ]
        self._report.table(
            f"Tunnel, {title}", rates.rates, columns, _CARRIERS, SSH_GCM, plain=_PLAIN
        )
        columns = [
            Column("median ms", None, 1e3, 1),
            Column("p99 ms", 0.99, 1e3, 1),
            Column("max ms", 1.0, 1e3, 1),
        ]
        title = f"The GAHP's replies meanwhile, {title}"
        self._report.table(
            title, rates.trips, columns, _CARRIERS, SSH_GCM, pairs=rates.longest, plain=_PLAIN
        )
