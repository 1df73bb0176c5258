"""
Tests of the GAHP that misbehaves, and of the gridmanager double against it.

The seeds are fixed and stand in each message.  C{RVGAHP_SOAK=1} makes it 100,000 dialogues.
"""

from __future__ import annotations

import sys
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests import rubbishgahp
from tests.gridmanagerlines import (
    CommandRefused,
    GridmanagerDied,
    GridmanagerError,
    GridmanagerHung,
    JobHeld,
    OutOfStep,
    ResourceDown,
    Times,
)
from tests.gridmanagermemory import Memory
from tests.programs import SOAK, runProgram
from tests.rubbishgahp import MISDEEDS, RubbishGAHP

#: How many dialogues, and the probability of a misdeed.
DIALOGUES = 100_000 if SOAK else 600
RATE = 0.02

SURVIVED = (CommandRefused, JobHeld, OutOfStep, ResourceDown)


class RubbishTests(SynchronousTestCase):
    """
    The GAHP.
    """

    DIALOGUE = (
        b"COMMANDS\r\nVERSION\r\nNONSENSE\r\nBLAH_PING 2 fork\r\nRESULTS\r\n"
        b"BLAH_JOB_SUBMIT 3 a\\ b\\\nc\r\nBLAH_JOB_STATUS 4 rubbish/1/1\r\nBLAH_PING 5\r\n"
        b"RESULTS\r\nRESULTS\r\nQUIT\r\n"
    )

    def speak(self, seed: int, rate: float, *misdeeds: str) -> tuple[bytes, int | None]:
        """
        @return: what it says to the dialogue, and its exit status.
        """
        gahp = RubbishGAHP(seed, rate, misdeeds)
        gahp.received(self.DIALOGUE)
        gahp.inputEnded()
        return gahp.take(), gahp.status

    def test_good(self) -> None:
        """
        Without a misdeed it is a GAHP.
        """
        text, status = self.speak(1, 0)
        banner, commands, *lines = text.splitlines()
        self.assertTrue(banner.startswith(b"$GahpVersion"))
        self.assertIn(b" BLAH_JOB_SUBMIT ", commands)
        wanted = b"S|E Not\\ understood|S|S 1|2 0 No\\ error|S|S|E Not\\ understood|S 2"
        wanted += b"|3 0 No\\ error rubbish/1/2|4 0 No\\ error 1 "
        self.assertTrue(b"|".join(lines).startswith(wanted), lines)
        self.assertEqual(lines[-2:], [b"S 0", b"S"])
        self.assertEqual(status, 0)

    def test_seed(self) -> None:
        """
        The same seed makes the same rubbish, in a process too; another makes another.
        """
        said = {seed: self.speak(seed, 0.3, "garble", "twice", "halfExit") for seed in range(40)}
        self.assertGreater(len({text for text, _ in said.values()}), 20)
        for seed in range(3, 6):
            self.assertEqual(self.speak(seed, 0.3, "garble", "twice", "halfExit"), said[seed])
            words = [sys.executable, "-I", "-S", rubbishgahp.__file__, str(seed), "0.3"]
            run = runProgram([*words, "garble", "twice", "halfExit", "blahpd"], self.DIALOGUE)
            self.assertEqual((run.output, run.status), said[seed], f"seed {seed}: {run}")

    def test_once(self) -> None:
        """
        A misdeed with a command is done there, once.
        """
        text, _ = self.speak(1, 0, "twice@RESULTS")
        self.assertEqual(text.count(b"S 1\n2 0"), 2)
        self.assertEqual(text.count(b"S 2\n3 0"), 1)


class FuzzTests(SynchronousTestCase):
    """
    Dialogues with the gridmanager double in memory.
    """

    def hold(self, seed: int, rate: float) -> tuple[GridmanagerError | None, Memory]:
        """
        @return: how a dialogue ended, if not well.
        """

        def make(name: str) -> RubbishGAHP:
            gahps.append(RubbishGAHP(seed * 1000 + len(gahps), rate, (), name))
            return gahps[-1]

        gahps: list[RubbishGAHP] = []
        memory = Memory(make, tolerate=SURVIVED, times=Times().scaled(0.1))
        for _ in range(2):
            memory.brain.addJob()
        try:
            memory.run(lambda: memory.brain.isIdle, 20_000)
        except GridmanagerError as error:
            return error, memory
        except AssertionError:
            # A result code that is the real one's own word for "not yet".
            if not any("b'-102'" in str(trouble) for trouble in memory.brain.troubles):
                raise
        finally:
            self.done.update(name for gahp in gahps for name, _ in gahp.done)
        return None, memory

    def test_rubbish(self) -> None:
        """
        Whatever a GAHP says, the double lives or ends with a reason that the real one has: it
        never fails otherwise, nor does it wait for ever; no request has two results.
        """
        self.done: Counter[str] = Counter()
        ends: Counter[type[GridmanagerError] | None] = Counter()
        for seed in range(DIALOGUES):
            try:
                error, memory = self.hold(seed, RATE)
            except Exception as failure:
                raise AssertionError(f"seed {seed}, rate {RATE}") from failure
            ends[error if error is None else type(error)] += 1
            for dialogue in (memory.brain.batch, memory.brain.transfers):
                assert dialogue is not None
                counts = dialogue.counts
                self.assertLessEqual(counts["answered"] + counts["timedOut"], counts["issued"])
        self.assertEqual(set(ends), {None, GridmanagerDied, GridmanagerHung}, ends)
        self.assertEqual(set(self.done), set(MISDEEDS), "every misdeed is among the seeds")

    def test_good(self) -> None:
        """
        Without misdeeds every job of every dialogue is done, and nothing is complained of.
        """
        self.done = Counter()
        for seed in range(50):
            error, memory = self.hold(seed, 0)
            self.assertEqual((error, memory.brain.troubles, memory.brain.held), (None, [], []))
