"""
A session's connections are cut at every byte, in memory: whatever the byte, nothing is
lost and nothing comes twice.

By itself only some of the bytes, chosen by a printed seed; with C{RVGAHP_SOAK=1} all.
"""

from __future__ import annotations

import os
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from tests.faultlink import DIALOGUE_BYTES, Fault, Link, Run
from tests.programs import SOAK
from tests.steppedloop import descriptorCount
from tests.test_splice import CE, CLIENT, Tunnel
from tests.tlspair import TWISTED_WARNINGS

#: Every so manieth byte is tried.
STRIDE = 1 if SOAK else 47

#: Silences, which end with the 15 s after which a peer is taken for dead.
SILENCE_STRIDE = 7 if SOAK else 307

#: Two cuts in one session.
PAIRS = 4000 if SOAK else 50

#: Seconds of the clock for a session that is cut once: the first redial is after 30 ms.
#: Three times 0.2 s are those for which acknowledgements wait.
PROMPT = 1.0


class EveryByteTests(SynchronousTestCase):
    """
    One cut or two, and one silence.
    """

    suppress = TWISTED_WARNINGS

    def setUp(self) -> None:
        """
        Begin with a link.
        """
        self.before = descriptorCount()
        self.link = Link()
        self.seed = int(os.environ.get("RVGAHP_FAULTS_SEED") or Random().randrange(1, 1 << 32))
        self.random = Random(self.seed)
        self.worst = 0.0
        self.redials = 0

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.link.close()
        self.assertEqual(self.link.loop.readers, {})
        self.assertEqual(descriptorCount(), self.before)

    def played(self, isTunnel: bool, faults: list[Fault], seconds: float = PROMPT) -> Run:
        """
        @return: a session with these faults, in which all has arrived.
        """
        run = Run(self.link, isTunnel, self.seed, faults)
        try:
            run.play(60)
            run.check()
            self.assertLess(run.seconds, seconds)
        except BaseException as e:
            raise AssertionError(f"seed {self.seed}, {faults}: {e!r}") from e
        finally:
            run.close()
        self.worst = max(self.worst, run.seconds)
        self.redials += run.dials - 1 - isTunnel
        return run

    def sizes(self, isTunnel: bool) -> tuple[int, int]:
        """
        @return: bytes of an undisturbed connection to the CE and to the client.
        """
        (carried,) = self.played(isTunnel, []).carried
        self.assertGreater(min(carried), DIALOGUE_BYTES)
        return carried

    def everyByte(self, isTunnel: bool, stride: int, isSilent: bool, seconds: float) -> None:
        """
        Cut after each byte of either direction.
        """
        sizes = self.sizes(isTunnel)
        count = 0
        for toCE, size in zip((True, False), sizes, strict=True):
            for at in range(self.random.randrange(stride), size, stride):
                self.played(isTunnel, [Fault(toCE, at, isSilent)], seconds)
                count += 1
        what = "silences" if isSilent else "cuts"
        print(
            f"\n{count} {what} in dialogues of {sizes[0]} and {sizes[1]} bytes,"
            f" {self.redials} redials, the worst {self.worst:.2f} s of the clock;"
            f" seed {self.seed}"
        )

    def test_stdio(self) -> None:
        """
        The channel of a GAHP's stdio is cut after every byte of either direction.
        """
        self.everyByte(False, STRIDE, False, PROMPT)

    def test_tunnel(self) -> None:
        """
        A tunnel's channel is cut after every byte of either direction.
        """
        self.everyByte(True, STRIDE, False, PROMPT)

    def test_stdioSilent(self) -> None:
        """
        A direction falls silent after a byte; both ends notice, and the stream goes on.
        """
        self.everyByte(False, SILENCE_STRIDE, True, limits.SILENCE_LIMIT + 2)

    def test_tunnelSilent(self) -> None:
        """
        The same with a tunnel.
        """
        self.everyByte(True, SILENCE_STRIDE, True, limits.SILENCE_LIMIT + 2)

    def test_again(self) -> None:
        """
        Channels that are cut in their handshakes, time after time: the client asks for the
        next dial, however long the CE would wait for it by now.
        """
        faults = [Fault(False, self.random.randrange(limits.PREAMBLE_BYTES, 100)) for _ in "a" * 12]
        whole = self.sizes(False)[1]
        faults = [Fault(False, whole // 2), *faults]
        self.played(False, faults, len(faults) * limits.REDIAL_ASK_AGAIN)

    def test_firstMessage(self) -> None:
        """
        A tunnel's channel falls silent before its first message has come: the time for that
        begins anew with the next one.
        """
        for at in range(180, 260, 5):
            self.played(True, [Fault(False, at, True)], limits.SILENCE_LIMIT + 2)

    def test_pairs(self) -> None:
        """
        A channel is cut, and then the one that follows it, each anywhere.
        """
        for isTunnel in (False, True):
            sizes = self.sizes(isTunnel)
            for _ in range(PAIRS):
                faults = []
                for _ in range(2):
                    toCE = self.random.random() < 0.5
                    faults.append(Fault(toCE, self.random.randrange(sizes[not toCE])))
                self.played(isTunnel, faults, 2 * PROMPT)
        print(f"\n{2 * PAIRS} pairs of cuts, {self.redials} redials; seed {self.seed}")


class ForgottenTests(SynchronousTestCase):
    """
    A tunnel of which the other end knows nothing any more.
    """

    def test_undelivered(self) -> None:
        """
        Both programs have said all, but what one of them said has not reached the other
        when the far end turns out to be gone: that is no end in good order.
        """
        tunnel = Tunnel(buffer=8192)
        self.addCleanup(tunnel.close)
        tunnel.connect()
        tunnel.loop.settle()
        data = os.urandom(500_000)
        rest = tunnel.programs[CE].write(data)
        while rest < len(data):
            tunnel.loop.settle()
            rest += tunnel.programs[CE].write(data[rest:])
        for program in tunnel.programs:
            program.finish()
        tunnel.loop.spend(1)
        tunnel.splices[CLIENT].forgotten("it is not known there")
        self.assertEqual(tunnel.overs[CLIENT], ["it is not known there"])
        tunnel.programs[CLIENT].readOn()
        self.assertEqual(tunnel.programs[CLIENT].end, "reset")
        self.assertLess(len(tunnel.programs[CLIENT].came), len(data))
