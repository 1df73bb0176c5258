"""
The gridmanager double, rvgahp_client's front and GAHPs that talk rubbish, in memory: whatever
these do, the gridmanager lives, and each of its requests has one result.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.gridmanagerlife import Life
from tests.programs import SOAK

#: Dialogues, a client's each; and the seconds after which it is enough.
DIALOGUES, SECONDS = (100_000, 7200.0) if SOAK else (600, 5.0)


class FuzzTests(SynchronousTestCase):
    """
    Rubbish.
    """

    def test_fuzz(self) -> None:
        """
        A site's GAHP that prints rubbish, half lines, wrong field counts, replies out of
        turn, 1 MB tokens, or R in odd places, or exits or says nothing, with outages besides:
        the gridmanager lives, each request gets just one result, or the client ends before
        the banner with a sentence.
        """
        base = random.SystemRandom().getrandbits(32)
        print(f"seed {base}")
        end = time.monotonic() + SECONDS
        counts: Counter[str] = Counter()
        for seed in itertools.count(base):
            if counts["dialogues"] >= DIALOGUES or time.monotonic() > end:
                break
            life = Life(seed)
            try:
                life.live()
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
            counts.update(self.count(life))
        print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
        for name in ("GAHPs", "GAHPs that were over", "results", "jobs done", "jobs held"):
            self.assertGreater(counts[name], 10, name)

    def count(self, life: Life) -> dict[str, int]:
        """
        @return: what one life had of everything.
        """
        clients, jobs = life.clients, life.brain.jobs
        return {
            "gridmanagers": 1,
            "dialogues": len(clients),
            "GAHPs": sum(client.starts for client in clients),
            "GAHPs that were over": sum(len(client.over) for client in clients),
            "clients that ended before the banner": sum(not client.said for client in clients),
            "requests": sum(len(client.requests) for client in clients),
            "results": sum(client.results.total() for client in clients),
            "jobs done": sum(job.isDone and job not in life.brain.held for job in jobs),
            "jobs held": len(life.brain.held),
        }
