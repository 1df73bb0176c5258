"""
The gridmanager double, rvgahp_client's front and its streams, in memory, and a network that
breaks: the gridmanager lives, each of its requests has one result, nothing that it has given
up is done, and what is owed is delivered.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from typing import Any

from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.clientlink import SiteLink
from rvgahp.frontanswers import Answers
from rvgahp.frontqueue import Command
from rvgahp.frontsite import Site
from tests.gridmanageroutages import WELL, OutageLife
from tests.programs import SOAK

#: Breaks of the network, and the seconds after which it is enough.
BREAKS, SECONDS = (200_000, 3600.0) if SOAK else (2_500, 6.0)

#: Seconds of the longest outage that a session survives; and in which a mutant is found.
LONG, PATIENCE = 49 * 60.0, 60.0


class OutageTests(SynchronousTestCase):
    """
    Outages.
    """

    def test_random(self) -> None:
        """
        Outages and cuts at any time, with requests in their midst; the gridmanager goes at
        any time, too.
        """
        base = random.SystemRandom().getrandbits(32)
        print(f"seed {base}")
        end = time.monotonic() + SECONDS
        counts: Counter[str] = Counter()
        for seed in itertools.count(base):
            breaks = counts["outages both ways"] + counts["outages one way"] + counts["cuts"]
            if breaks >= BREAKS or time.monotonic() > end:
                break
            life = OutageLife(seed)
            try:
                life.live()
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
            finally:
                life.close()
            counts.update(life.network.counts)
            counts.update(self.count(life))
        print(", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())))
        for name in ("cuts", "outages both ways", "outages one way", "lines taken back"):
            self.assertGreater(counts[name], 10, name)

    def count(self, life: OutageLife) -> dict[str, int]:
        """
        @return: what one life had of everything.
        """
        clients, jobs = life.clients, life.brain.jobs
        return {
            "gridmanagers": 1,
            "clients": len(clients),
            "GAHPs": sum(client.starts for client in clients),
            "sessions lost": sum(client.losses for client in clients),
            "requests": sum(len(client.requests) for client in clients),
            "results": sum(client.results.total() for client in clients),
            "lines taken back": sum(client.takenBack for client in clients),
            "jobs done": sum(job.isDone and job not in life.brain.held for job in jobs),
            "jobs held": len(life.brain.held),
        }

    def during(self, seed: int) -> OutageLife:
        """
        @return: one whose network has swallowed everything for 49 minutes, in which it has
            been asked for much.
        """
        life = OutageLife(seed)
        self.addCleanup(life.close)
        life.spend(100.0)
        for _ in range(20):
            life.ask()
        life.network.down()
        end = life.memory.time + LONG
        while life.memory.time < end:
            life.ask()
            life.spend(min(20.0, end - life.memory.time))
        return life

    def test_long(self) -> None:
        """
        49 minutes in which the network swallows everything: the GAHPs and the clients are
        those of the beginning, and each request has just one result.
        """
        for seed in range(5):
            life = self.during(seed)
            life.network.up()
            life.spend(WELL)
            for client in life.clients:
                life.checkAnswered(client)
                self.assertEqual((client.status, client.starts, client.over), (None, 1, []))
                self.assertEqual(set(client.results.values()), {1})
                old = {one for one in client.requests if one not in client.results}
                self.assertEqual(old, set())
            self.assertTrue(all(life.asked))
            life.memory.close()
            life.afterwards(life.clients, WELL)

    def test_gone(self) -> None:
        """
        The gridmanager goes in the midst of such an outage: what is owed is delivered when it
        is over, and then the clients go.
        """
        for seed in range(5):
            life = self.during(seed)
            owing = [client for client in life.clients if client.front.owes()]
            self.assertEqual(len(owing), 2)
            life.memory.close()
            life.afterwards(life.clients, 30.0)
            self.assertEqual([client.status for client in owing], [None, None])
            life.network.up()
            life.afterwards(life.clients, WELL)
            for client in owing:
                self.assertIsNotNone(client.status)
                self.assertEqual((client.starts, client.over), (1, []))
                life.checkOwed(client)


def _forget(site: Any, count: int) -> list[Command]:
    for line, sent in site._sent.takeBack(count):
        site._expected.pop()
        if isinstance(sent, Command):
            site.requests.remove(sent)
        else:
            site._own.appendleft((line, sent))
    return []


def _forgetOwn(site: Any, count: int) -> list[Command]:
    again = []
    for line, sent in site._sent.takeBack(count):
        site._expected.pop()
        if isinstance(sent, Command) and site._holdAgain(sent, line):
            again.append(sent)
    return again


def _leaveThere(link: Any) -> int:
    """
    What is taken back is sent all the same.
    """
    count = 0
    while link._lines and link._lines[-1][0] >= link._carrier.stream.position():
        link._lines.pop()
        count += 1
    return count


#: What is put in whose place, and how that is found out.
MUTANTS: dict[str, tuple[object, str, object, str]] = {
    "nothing is taken back": (
        SiteLink,
        "takeBack",
        lambda link: 0,
        "given up before|after the gridmanager",
    ),
    "time is not looked at": (
        Answers,
        "returned",
        lambda answers, command: None,
        "given up before|after the gridmanager",
    ),
    "what is taken back is forgotten": (Site, "takeBack", _forget, "no result|undelivered"),
    "the front's own lines are forgotten": (Site, "takeBack", _forgetOwn, "no result"),
    "what is taken back is sent, too": (SiteLink, "takeBack", _leaveThere, "repeated"),
    "nothing is owed": (Site, "owes", lambda site, now: False, "undelivered"),
}


class MutantTests(SynchronousTestCase):
    """
    The front, changed in one place each.
    """

    def test_mutants(self) -> None:
        """
        Each of these is found out in some life.
        """
        for name, (where, attribute, value, reason) in MUTANTS.items():
            patcher = MonkeyPatcher((where, attribute, value))
            patcher.patch()
            try:
                self.assertRegex(str(self.trouble()), reason, name)
            finally:
                patcher.restore()

    def trouble(self) -> Exception | None:
        """
        @return: the first that a gridmanager has.
        """
        end = time.monotonic() + PATIENCE
        for seed in itertools.count():
            if time.monotonic() > end:
                break
            life = OutageLife(seed)
            try:
                life.live()
            except Exception as error:
                return error
            finally:
                life.close()
        return None
