"""
Real processes: whatever comes to the proxy in whatever number, GAHPs start meanwhile, memory,
descriptors and logs stay small, and afterwards all is as before.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import threading
import time
from collections.abc import Callable
from random import SystemRandom

from twisted.trial.unittest import SkipTest

from rvgahp.boxes import encodeBox
from rvgahp.credentials import makeCECredentials
from tests import localflooder
from tests.byhand import HandCE
from tests.flooder import SAID, Flooder
from tests.localflooder import LocalFlooder
from tests.procfs import PATIENCE, descriptors, residentBytes
from tests.programs import SOAK
from tests.wholecase import PlaygroundTestCase

#: Connections of one flood.
COUNT = 10_000 if SOAK else 600

#: Starts during the first half of a flood, and again during the second half and after it; and
#: during a local user's.
STARTS, FURTHER, LOCAL = (20, 5, 50) if SOAK else (8, 3, 8)

#: Seconds that a start may take meanwhile.  A busy machine has others to serve.
START = 1.0 if SOAK else 5.0

#: Bytes by which the proxy may grow, and its log in one flood.
GROWTH = 64 << 20
LOG_GROWTH = 64 << 10


class FloodTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    gahps = {"cat": "/bin/cat"}

    def starts(self, count: int) -> list[float]:
        """
        Start GAHPs, one after the other.

        @return: how long each took.
        """
        took = []
        for _ in range(count):
            run = self.playground.run("cat", b"text\n")
            self.assertEqual((run.status, run.output, run.errors), (0, b"text\n", ""))
            took.append(run.seconds)
        return took

    def flood(self, kind: str, source: str) -> str:
        """
        Let one come, and look at what it does.

        @return: what is in the proxy's log of it.
        """
        playground, sandbox = self.playground, self.playground.sandbox
        before = playground.quiet()
        memory, log = residentBytes(playground.proxyPid), len(playground.log("proxy"))
        flooder = Flooder(kind, COUNT, source, sandbox.port, sandbox.directory)
        try:
            began = time.monotonic()
            took = self.starts(STARTS)
            open_ = descriptors(playground.proxyPid)
            flooder.awaitLine()
            took += self.starts(FURTHER)
            told = flooder.awaitLine()
            lasted = time.monotonic() - began
            took += self.starts(FURTHER)
            open_ = max(open_, descriptors(playground.proxyPid))
        finally:
            flooder.close()
        playground.awaitAsBefore(before)
        grown = residentBytes(playground.proxyPid) - memory
        logged = len(playground.log("proxy")) - log
        print(
            f"\n{kind} from {source}: {told} in {lasted:.1f} s; the worst of {len(took)} starts"
            f" took {max(took):.2f} s; the proxy had {open_} descriptors, grew by"
            f" {grown / (1 << 20):.1f} MiB and wrote {logged} bytes"
        )
        self.assertLess(max(took), START)
        self.assertLess(open_, before["descriptors of the proxy"] + 400)
        self.assertLess(grown, GROWTH)
        self.assertLess(logged, LOG_GROWTH + 400 * len(took))
        return playground.log("proxy")[log:]


class AddressTests(FloodTestCase):
    """
    Floods from somewhere else, and from the CE's own address.
    """

    def test_elsewhere(self) -> None:
        """
        From an address without a site: it is refused unheard after some failures.
        """
        for number, kind in enumerate(SAID):
            source = f"127.0.1.{number + 1}"
            self.assertIn(f"Refused a connection from {source}:", self.flood(kind, source))

    def test_ours(self) -> None:
        """
        From the CE's own address, which is never refused.  By itself some kinds, drawn anew
        each time.
        """
        for kind in SAID if SOAK else SystemRandom().sample(list(SAID), 3):
            said = self.flood(kind, "127.0.0.1")
            self.assertNotIn("Refused a connection from 127.0.0.1:", said)


class LocalTests(FloodTestCase):
    """
    A local user who makes as many connections and calls as he can.
    """

    proxySettings = "RVGAHP_SOCKET_MODE = 0666\n"

    def test_anothers(self) -> None:
        """
        Another user's GAHPs start meanwhile, and afterwards all is as before.
        """
        if os.getuid() != 0:
            raise SkipTest("only root can be several users")
        self.playground.sandbox.directory.chmod(0o711)
        for kind in localflooder.SAID:
            self._flood(kind)

    def _flood(self, kind: str) -> None:
        playground = self.playground
        before = playground.quiet()
        memory, log = residentBytes(playground.proxyPid), len(playground.log("proxy"))
        flooder = LocalFlooder(kind, playground.sandbox.socket, pwd.getpwnam("nobody").pw_uid)
        began = time.monotonic()
        try:
            took = self.starts(LOCAL)
        finally:
            flooder.close()
        lasted = time.monotonic() - began
        playground.awaitAsBefore(before)
        grown = residentBytes(playground.proxyPid) - memory
        logged = len(playground.log("proxy")) - log
        print(
            f"\n{kind} over {flooder.connections} connections for {lasted:.1f} s: the worst of"
            f" {len(took)} starts took {max(took):.2f} s; the proxy grew by"
            f" {grown / (1 << 20):.1f} MiB and wrote {logged} bytes"
        )
        self.assertGreater(flooder.connections, 1000)
        self.assertLess(max(took), START)
        self.assertLess(grown, GROWTH)
        self.assertLess(logged, LOG_GROWTH + 400 * len(took))


class SiteTests(FloodTestCase):
    """
    A CE that has been accepted and does as it likes.
    """

    def test_unread(self) -> None:
        """
        One that asks and does not read the answers is dropped before they take much memory;
        starts at another site go on.
        """
        playground = self.playground
        before, memory = playground.quiet(), residentBytes(playground.proxyPid)
        directory = playground.sandbox.directory / "greedy"
        makeCECredentials(playground.sandbox.directory, "greedy", directory)
        with HandCE(playground.sandbox.port, directory) as ce:
            self.assertIn(b"_answer", ce.hello("greedy"))
            box = encodeBox({b"_command": b"Ping", b"_ask": b"x" * 60_000})
            with contextlib.suppress(OSError):
                for _ in range(2000):
                    ce.connection.sendall(box)
            playground.awaitLog("proxy", "it does not read what it is told", self.before("proxy"))
            took = self.starts(5)
            grown = residentBytes(playground.proxyPid) - memory
        print(f"\nthe proxy grew by {grown >> 20} MiB; the worst start took {max(took):.2f} s")
        self.assertLess(grown, GROWTH)
        playground.awaitAsBefore(before)

    def test_talker(self) -> None:
        """
        One that calls without end, and reads the answers, takes the time of no other: starts
        at another site go on.
        """
        playground = self.playground
        before = playground.quiet()
        directory = playground.sandbox.directory / "talker"
        makeCECredentials(playground.sandbox.directory, "talker", directory)
        box = encodeBox({b"_command": b"Ping", b"_ask": b"1"}) * 1000
        with HandCE(playground.sandbox.port, directory) as ce:
            self.assertIn(b"_answer", ce.hello("talker"))
            ends = [threading.Thread(target=_repeat, args=(one,)) for one in _talk(ce, box)]
            for one in ends:
                one.start()
            took = self.starts(15)
            ce.connection.shutdown(socket.SHUT_RDWR)
            for one in ends:
                one.join(PATIENCE)
        print(f"\nthe worst start took {max(took):.2f} s")
        self.assertLess(max(took), START)
        playground.awaitAsBefore(before)


def _talk(ce: HandCE, box: bytes) -> list[Callable[[], object]]:
    def listen() -> None:
        if not ce.connection.recv(1 << 16):
            raise EOFError

    return [lambda: ce.connection.sendall(box), listen]


def _repeat(act: Callable[[], object]) -> None:
    with contextlib.suppress(OSError, EOFError):
        while True:
            act()
