"""
What the front says in outages of some lengths, row by row of C{doc/front.rst}; and what is
taken back when they are over.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.frontrules import RULES
from tests.frontworld import World

#: Seconds: not noticed, just noticed, and beyond one timer after the other.
LENGTHS = (11.0, 13.0, 100.0, 280.0, 49 * 60.0)

#: Seconds until the link counts as not live.
LIVE = 12.0

FAILED = b" 1 "
NO_NEWS = b" 0 No\\ error 0 NULL"
REFUSED = b"E "
PROMISE = b"S"
NOTHING = b""

#: By line: the GAHP; when it is answered for, in seconds from the outage's beginning, at
#: which it comes; how that answer begins after the id; and when what has not arrived is
#: carried out no more.  Written down once more, and not taken from the front's own table.
NEVER = float("inf")
CASES: dict[bytes, tuple[str, float, bytes, float]] = {
    b"BLAH_PING 2 fork": ("blahpd", LIVE, FAILED, LIVE),
    b"BLAH_JOB_STATUS 2 x": ("blahpd", LIVE, NO_NEWS, LIVE),
    b"BLAH_JOB_SUBMIT 2 ad": ("blahpd", 270.0, FAILED, 270.0),
    b"BLAH_JOB_REFRESH_PROXY 2 x y": ("blahpd", 270.0, FAILED, 270.0),
    b"BLAH_JOB_CANCEL 2 x": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_JOB_HOLD 2 x": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_JOB_RESUME 2 x": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_JOB_SEND_PROXY_TO_WORKER_NODE 2 x": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_JOB_STATUS_ALL 2": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_JOB_STATUS_SELECT 2 x": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_GET_HOSTPORT 2": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_NEW 2 x": ("blahpd", NEVER, NOTHING, NEVER),
    b"BLAH_SET_SUDO_OFF": ("blahpd", 15.0, REFUSED, 15.0),
    b"CONDOR_VERSION v": ("condor_ft-gahp", LIVE, REFUSED, LIVE),
    b"CREATE_CONDOR_SECURITY_SESSION key": ("condor_ft-gahp", LIVE, PROMISE, NEVER),
    b"GET_SANDBOX_PATH id": ("condor_ft-gahp", LIVE, REFUSED, LIVE),
    b"DOWNLOAD_SANDBOX 2 id ad": ("condor_ft-gahp", 3500.0, b" ", 3500.0),
    b"UPLOAD_SANDBOX 2 id ad": ("condor_ft-gahp", 3500.0, b" ", 3500.0),
    b"DOWNLOAD_PROXY 2 id ad": ("condor_ft-gahp", 3500.0, b" ", 3500.0),
    b"DESTROY_SANDBOX 2 id ad": ("condor_ft-gahp", NEVER, NOTHING, NEVER),
}

#: Longer than any timer.
TOO_LONG = 3600.0


def cases(*more: float) -> Iterator[tuple[bytes, str, float, bytes, float, float]]:
    """
    @return: all of them, with each length.
    """
    for line, case in CASES.items():
        for length in (*LENGTHS, *more):
            yield line, *case, length


class Outage:
    """
    One outage that begins now, one command that comes with it, and what is said to it.

    @ivar world: the front and both sides.
    @ivar answers: what the gridmanager got in its place, each with when.
    """

    def __init__(self, gahp: str, line: bytes, isLive: bool = True) -> None:
        """
        @param isLive: whether the link is still, when the command comes.
        """
        self.world = World(gahp)
        self.line = line
        self.answers: list[tuple[float, bytes]] = []
        self._began = self.world.now
        self._isLive = isLive
        if not isLive:
            self.world.link(False)
        self._hear(self.world.gridmanager(line))

    @property
    def isRequest(self) -> bool:
        """
        @return: whether it is acknowledged at once.
        """
        return b" 2" in self.line

    def _hear(self, lines: list[bytes]) -> None:
        for line in lines:
            if line == b"R":
                self._hear(self.world.results())
            else:
                self.answers.append((self.world.now - self._began, line))

    def go(self, length: float) -> None:
        """
        Let it last.
        """
        end = self._began + length
        if self._isLive and length > LIVE:
            self._hear(self.world.wait(LIVE))
            self._hear(self.world.link(False))
        while self.world.now < end:
            due = self.world.front.nextDeadline()
            step = end if due is None or due > end else max(due, self.world.now)
            self._hear(self.world.wait(step - self.world.now))

    def resume(self, lost: int) -> list[bytes]:
        """
        It is over.

        @param lost: the lines that did not arrive.
        @return: what the GAHP gets, beside RESULTS.
        """
        self._hear(self.world.resume(lost))
        return [line for line in self.world.sent() if line != b"RESULTS"]

    def told(self) -> list[tuple[float, bytes]]:
        """
        @return: the answers; of a request, the results.
        """
        if self.isRequest:
            assert self.answers[0] == (0.0, b"S"), self.answers
            return self.answers[1:]
        return self.answers


class RowTests(SynchronousTestCase):
    """
    Each row of the table, in outages of each length.
    """

    def test_all(self) -> None:
        """
        No row is left out.
        """
        rows = {name for name, rule in RULES.items() if rule.who != "local"}
        others = {b"BLAH_SET_SUDO_OFF", b"BLAH_NEW"}
        self.assertEqual({line.split()[0] for line in CASES}, rows | others)

    def assertTold(self, outage: Outage, when: float, how: bytes, length: float) -> None:
        """
        It was answered for then, and so; or not, if the outage was over before.
        """
        told = outage.told()
        case = f"{outage.line!r} {length:g}: {told}"
        if when > length:
            self.assertEqual(told, [], case)
            return
        self.assertEqual([round(time, 6) for time, _ in told], [when], case)
        prefix = b"2" + how if outage.isRequest else how
        self.assertTrue(told[0][1].startswith(prefix), case)

    def test_lost(self) -> None:
        """
        A command that was sent and did not arrive: the gridmanager is told what is true, in
        time where that can be; when the outage is over, the GAHP gets it unless it has been
        answered for, or its time is over.
        """
        for line, gahp, when, how, until, length in cases(TOO_LONG):
            outage = Outage(gahp, line)
            outage.go(length)
            # Whether what was sent has arrived is not known before the end.
            unknown = until == when > LIVE and outage.isRequest
            self.assertTold(outage, NEVER if unknown else when, how, length)
            got = outage.resume(1)
            self.assertEqual(got, [line] if length < until else [], (line, length))
            if unknown and length >= when:
                self.assertTold(outage, length, how, length)
            self.assertLessEqual(len(outage.told()), 1)

    def test_held(self) -> None:
        """
        A command that comes while the link is not live: what is unsent can be withdrawn in
        time, before the gridmanager's own timer.
        """
        for line, gahp, when, how, until, length in cases(TOO_LONG):
            outage = Outage(gahp, line, isLive=False)
            outage.go(length)
            atOnce = when == LIVE and outage.isRequest
            self.assertTold(outage, 0.0 if atOnce else when, how, length)
            got = outage.resume(0)
            self.assertEqual(got, [line] if length < until and not atOnce else [], (line, length))

    def test_arrived(self) -> None:
        """
        A command that arrived before: it is not sent again, and where it may have been
        obeyed nothing is made up.
        """
        for line, gahp, when, how, until, length in cases(TOO_LONG):
            outage = Outage(gahp, line)
            self.assertEqual(outage.world.sent(), [line])
            outage.go(length)
            unknown = until == when > LIVE and outage.isRequest
            self.assertTold(outage, NEVER if unknown else when, how, length)
            self.assertEqual(outage.resume(0), [], (line, length))
            self.assertLessEqual(len(outage.told()), 1)

    def test_knownPath(self) -> None:
        """
        GET_SANDBOX_PATH, the path known: told at once when the link is not live, and cut.
        """
        for lost in (0, 1):
            outage = Outage("condor_ft-gahp", b"DOWNLOAD_SANDBOX 2 id ad")
            outage.world.site(b"S")
            outage.world.conclude(b"2 NULL /path")
            outage.world.results()
            outage.world.take()
            self.assertEqual(outage.world.gridmanager(b"GET_SANDBOX_PATH id"), [])
            if not lost:
                outage.world.sent()
            outage.world.wait(LIVE - 0.5)
            self.assertEqual(outage.world.link(False), [b"S /path"])
            self.assertEqual(outage.resume(lost), [])


class TakeBackTests(SynchronousTestCase):
    """
    L{rvgahp.front.Front.resumed}.
    """

    def test_order(self) -> None:
        """
        What is taken back is sent again in its order, before what came later, and what the
        GAHP is asked by the front itself is asked again; what arrived is not.
        """
        world = World()
        lines = [
            b"BLAH_JOB_SUBMIT 2 a",
            b"BLAH_SET_SUDO_OFF",
            b"BLAH_JOB_SUBMIT 3 b",
            b"BLAH_JOB_CANCEL 4 x",
            b"BLAH_SET_SUDO_OFF",
            b"BLAH_JOB_HOLD 5 x",
        ]
        world.gridmanager(*lines)
        world.site(b"R")
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 6 c")
        world.resume(lost=6)
        self.assertEqual(world.sent(), [lines[0], b"RESULTS", *lines[1:], b"BLAH_JOB_SUBMIT 6 c"])
        world.site(b"S", b"S 0", b"S one", b"S", b"S", b"S two", b"S", b"S")
        self.assertEqual((world.heard(), world.output.over), ([], []))

    def test_again(self) -> None:
        """
        It can be taken back any number of times, while the link is live and while it is not.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a")
        for length in (0, 5, 50, 100):
            world.link(length < 12)
            world.wait(length)
            world.resume(lost=1)
        self.assertEqual(world.sent(), [b"BLAH_JOB_SUBMIT 2 a"])
        world.link(False)
        world.wait(115)
        world.resume()
        world.site(b"S")
        world.conclude(b"2 0 No\\ error slurm/1/1")
        self.assertEqual(world.results(), [b"2 0 No\\ error slurm/1/1"])

    def test_greeting(self) -> None:
        """
        The greeting itself can be taken back.
        """
        world = World(isReady=False)
        world.front.siteStarted()
        world.link(True)
        world.front.siteData(b"$GahpVersion: 1 $\r\n")
        world.resume(lost=2)
        self.assertEqual(world.sent(), [b"COMMANDS", b"ASYNC_MODE_ON"])
        world.front.siteData(b"S " + world.listed() + b"\n")
        self.assertEqual(world.site(b"S"), [b"$GahpVersion: 1 $"])

    def test_secret(self) -> None:
        """
        The security session is sent once more, though it has been promised, and is first.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(b"CREATE_CONDOR_SECURITY_SESSION key")
        self.assertEqual(world.wait(12), [b"S"])
        world.gridmanager(b"DOWNLOAD_SANDBOX 2 id ad")
        world.resume(lost=2)
        lines = [b"CREATE_CONDOR_SECURITY_SESSION key", b"DOWNLOAD_SANDBOX 2 id ad"]
        self.assertEqual(world.sent(), lines)
        world.site(b"S", b"S")
        self.assertEqual(world.heard(), [])
        world.front.siteLost("gone")
        self.assertEqual(world.start(), lines[:1])

    def test_notLive(self) -> None:
        """
        What no channel has carried when the link ceases to be live is held: a submit is
        withdrawn in time.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a", b"BLAH_JOB_STATUS 3 x")
        world.output.lost = 2
        world.link(False)
        self.assertEqual(world.results(), [b"3 0 No\\ error 0 NULL"])
        world.wait(269)
        self.assertEqual(world.results(), [])
        world.wait(1)
        self.assertEqual(world.results()[0][:4], b"2 1 ")
        self.assertEqual(world.resume(), [])
        self.assertEqual(world.sent(), [])

    def test_over(self) -> None:
        """
        When the GAHP is over, what certainly has not reached the site goes to the next one;
        of what may have, the outcome is unknown.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a", b"BLAH_JOB_SUBMIT 3 b")
        world.output.lost = 1
        world.front.siteLost("the site has been restarted")
        world.heard()
        (result,) = world.results()
        self.assertTrue(result.startswith(b"2 1 the\\ GAHP\\ ended"), result)
        self.assertEqual(world.start(), [b"BLAH_JOB_SUBMIT 3 b"])

    def test_overLate(self) -> None:
        """
        If its time is over, that is told.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a")
        world.link(False)
        world.wait(280)
        world.output.lost = 1
        world.front.siteLost("the site has been restarted")
        world.heard()
        (result,) = world.results()
        self.assertTrue(result.startswith(b"2 1 it\\ never\\ reached\\ the\\ site"), result)
        self.assertEqual(world.start(), [])

    def test_answeredUnsent(self) -> None:
        """
        A GAHP that has answered what it has not got is over.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a")
        world.site(b"S")
        world.resume(lost=1)
        self.assertEqual(len(world.output.over), 1)
        self.assertIn("was not sent", world.output.over[0])
        (result,) = world.results()
        self.assertTrue(result.startswith(b"2 1 the\\ GAHP\\ ended"), result)

    def test_gridmanagerGone(self) -> None:
        """
        The gridmanager goes in an outage: a cancel that has not arrived is delivered after
        it, and nothing else is sent.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a", b"BLAH_JOB_CANCEL 3 x", b"BLAH_JOB_HOLD 4 x")
        world.link(False)
        world.front.gridmanagerEnded()
        self.assertTrue(world.front.owes())
        world.resume(lost=3)
        self.assertEqual(world.sent(), [b"BLAH_JOB_CANCEL 3 x"])
        self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
        world.confirmAll()
        world.site(b"S")
        world.conclude(b"3 0 No\\ error")
        self.assertEqual((world.front.owes(), world.output.ends), (False, 1))

    def test_afterTheEnd(self) -> None:
        """
        After the end of the GAHP's stdin what is taken back is gone for good.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a")
        world.front.gridmanagerEnded()
        self.assertEqual(world.output.ends, 1)
        world.resume(lost=1)
        self.assertEqual((world.sent(), world.output.ends, world.front.owes()), ([], 1, False))

    def test_lateResult(self) -> None:
        """
        An id whose command was taken back is not in use at the GAHP: what it says to it is
        dropped.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_STATUS 2 x", b"BLAH_JOB_CANCEL 3 x")
        world.link(False)
        world.results()
        world.resume(lost=2)
        self.assertEqual(world.sent(), [b"BLAH_JOB_CANCEL 3 x"])
        world.site(b"S")
        world.conclude(b"2 0 No\\ error 2 [\\ ]", b"3 0 No\\ error")
        self.assertEqual(world.results(), [b"3 0 No\\ error"])

    def test_window(self) -> None:
        """
        What is taken back takes no room at the GAHP.
        """
        world = World()
        lines = [b"BLAH_JOB_HOLD %d x" % number for number in range(2, 62)]
        world.gridmanager(*lines)
        world.resume(lost=30)
        self.assertEqual(world.sent(), lines[:50])
