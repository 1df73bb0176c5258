"""
Tests of L{rvgahp.front}: the end of a GAHP after the banner, and the next one.
"""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.frontqueue import Command
from rvgahp.frontrules import AT_ONCE, OTHER_REQUEST, RULES, SITE
from tests.frontworld import BANNERS, PlayedGAHP, World

CLAIM = b'CREATE_CONDOR_SECURITY_SESSION 0a1b#[Encryption="YES"]c0ffee'

#: The sentence of a made-up failure, as it stands in a line.
OVER = (
    b"the\\ GAHP\\ ended\\ before\\ it\\ answered;"
    b"\\ what\\ it\\ was\\ asked\\ for\\ may\\ have\\ been\\ done"
)

#: The requests that go to the next GAHP.
OWED = (b"BLAH_JOB_CANCEL", b"DESTROY_SANDBOX")

REQUESTS = [name for name, rule in RULES.items() if rule.who == AT_ONCE] + [b"BLAH_NEW"]

THREADS = b"F Threads\\ limit\\ reached"


def worldOf(name: bytes) -> World:
    """
    @return: a world with the GAHP that has such a command.
    """
    isFiles = name.startswith((b"CONDOR", b"CREATE", b"GET", b"DESTROY", b"DOWN", b"UP"))
    return World("condor_ft-gahp" if isFiles else "blahpd")


class RequestTests(SynchronousTestCase):
    """
    What becomes of a request.
    """

    def assertAnswered(self, world: World, name: bytes) -> None:
        """
        It was sent, and is answered for: one result, and never again sent.
        """
        [result] = world.results()
        if name == b"BLAH_JOB_STATUS":
            self.assertEqual(result, b"2 0 No\\ error 0 NULL")
        else:
            rule = RULES.get(name, OTHER_REQUEST)
            expected = [one.replace(b" ", b"\\ ") for one in rule.failed(b"2", b"@")]
            self.assertEqual(result, b" ".join(expected).replace(b"@", OVER))
        self.assertEqual(world.start(), [])
        self.assertEqual(world.wait(10_000), [])
        self.assertEqual((world.sent(), world.results()), ([], []))

    def assertAgain(self, world: World, name: bytes) -> None:
        """
        It goes to the next GAHP, whose result is its own.
        """
        self.assertEqual(world.results(), [])
        self.assertEqual(world.start(), [name + b" 2 x y z"])
        self.assertEqual(world.site(b"S"), [])
        result = b" ".join([b"2", *[b"0"] * (len(RULES[name].failure) or 1)])
        world.conclude(result)
        self.assertEqual(world.results(), [result])

    def test_sent(self) -> None:
        """
        A request that was sent, acknowledged or not, has one result: no news for a status,
        a failure for the others; but what is owed goes to the next GAHP.
        """
        for name in REQUESTS:
            for replies in ([], [b"S"], [b"S", b"R"]):
                world = worldOf(name)
                self.assertEqual(world.gridmanager(name + b" 2 x y z"), [b"S"])
                self.assertEqual(world.sent(), [name + b" 2 x y z"])
                world.site(*replies)
                world.front.siteEnded(1)
                self.assertEqual(world.heard(), [] if name in OWED else [b"R"])
                if name in OWED:
                    self.assertAgain(world, name)
                else:
                    self.assertAnswered(world, name)
                self.assertEqual(world.output.finished, [])

    def test_inResults(self) -> None:
        """
        The same in the middle of an answer to RESULTS: what it told counts, and the rest
        is answered for.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_JOB_SUBMIT 3 ad")
        world.site(b"S", b"S", b"R")
        world.site(b"S 2", b"3 0 No\\ error a/b")
        world.front.siteData(b"2 0 No\\ err")
        world.front.siteLost("gone")
        self.assertEqual(world.results(), [b"3 0 No\\ error a/b", b"2 1 %b N/A" % OVER])
        world.start()
        self.assertEqual(world.wait(1000), [])

    def test_held(self) -> None:
        """
        What was not sent waits for the next GAHP, except what is answered because the link
        is not live.
        """
        for name in REQUESTS:
            world = worldOf(name)
            world.link(False)
            world.gridmanager(name + b" 2 x y z")
            world.front.siteLost("gone")
            isAnswered = name in (b"BLAH_PING", b"BLAH_JOB_STATUS")
            self.assertEqual(len(world.results()), isAnswered)
            self.assertEqual(world.start(), [] if isAnswered else [name + b" 2 x y z"])

    def test_meanwhile(self) -> None:
        """
        What comes between two GAHPs is answered as when the link is not live.
        """
        for name in REQUESTS:
            world = worldOf(name)
            world.front.siteLost("gone")
            isAnswered = name in (b"BLAH_PING", b"BLAH_JOB_STATUS")
            said = world.gridmanager(name + b" 2 x y z")
            self.assertEqual(said, [b"S", b"R"] if isAnswered else [b"S"])
            self.assertEqual(world.start(), [] if isAnswered else [name + b" 2 x y z"])

    def test_starting(self) -> None:
        """
        A ping that waits for a GAHP which does not get ready is answered when that is
        given up.
        """
        world = World()
        world.front.siteLost("gone")
        world.front.siteStarted()
        world.link(True)
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x"), [b"S"])
        self.assertEqual(world.sent(), [])
        self.assertEqual(world.wait(frontlimits.GREETING + 1), [b"R"])
        self.assertEqual(len(world.output.over), 2)

    def test_answered(self) -> None:
        """
        What was answered for the GAHP already is not answered twice, nor sent again; its id
        is free.
        """
        world = World()
        world.gridmanager(b"BLAH_PING 2 x", b"BLAH_JOB_STATUS 3 x")
        world.link(False)
        self.assertEqual(len(world.results()), 2)
        world.link(True)
        world.front.siteLost("gone")
        self.assertEqual((world.results(), world.start()), ([], []))
        self.assertEqual(world.gridmanager(b"BLAH_JOB_SUBMIT 2 x"), [b"S"])

    def test_unacknowledged(self) -> None:
        """
        A request that the GAHP had no thread for, and that is held again when the GAHP
        ends, goes to the next at once: its threads are others.
        """
        world = World()
        world.gridmanager(*[b"BLAH_JOB_CANCEL %d x" % number for number in range(2, 6)])
        world.site(b"S", THREADS, THREADS)
        world.take()
        world.front.siteEnded(0)
        sent = world.start()
        self.assertEqual(sent, [b"BLAH_JOB_CANCEL %d x" % number for number in range(2, 6)])

    def test_order(self) -> None:
        """
        What goes again is before what was held, in the order it came.
        """
        world = World("condor_ft-gahp")
        lines = [b"DESTROY_SANDBOX %d x" % number for number in range(2, 102)]
        world.gridmanager(*lines)
        self.assertEqual(world.sent(), lines[:50])
        world.front.siteEnded(0)
        self.assertEqual(world.start(), lines[:50])


class SynchronousCommandTests(SynchronousTestCase):
    """
    What becomes of a command without a request id.
    """

    def test_again(self) -> None:
        """
        A question that changes nothing, and has no reply yet, goes to the next GAHP.
        """
        for line, isKept in ((b"CONDOR_VERSION v", True), (b"GET_SANDBOX_PATH x", False)):
            world = World("condor_ft-gahp")
            self.assertEqual(world.gridmanager(line), [])
            world.sent()
            world.front.siteEnded(1)
            self.assertEqual(world.heard(), [])
            self.assertEqual(world.start(), [line])
            self.assertEqual(world.site(b"S a"), [b"S a"])
            for _ in range(3):
                world.front.siteEnded(1)
                # condor_ft-gahp speaks to its peer as to one of that version.
                self.assertEqual(world.start(), [line] if isKept else [])
                self.assertEqual(world.site(*([b"S b"] if isKept else [])), [])

    def test_deadline(self) -> None:
        """
        Its reply comes at its limit at the latest, counted from its coming.
        """
        for name, reply in (
            (b"CONDOR_VERSION", b"E"),
            (b"GET_SANDBOX_PATH", b"E"),
            (b"CREATE_CONDOR_SECURITY_SESSION", b"S"),
        ):
            world = World("condor_ft-gahp")
            world.gridmanager(name + b" x")
            world.wait(6)
            world.front.siteEnded(1)
            self.assertEqual(world.wait(5.9), [])
            self.assertEqual([one[:1] for one in world.wait(0.2)], [reply])

    def test_knownPath(self) -> None:
        """
        A known path is told at once.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(b"GET_SANDBOX_PATH x")
        world.site(b"S /path")
        world.gridmanager(b"GET_SANDBOX_PATH x")
        world.front.siteEnded(1)
        self.assertEqual(world.heard(), [b"S /path"])
        self.assertEqual(world.start(), [])

    def test_others(self) -> None:
        """
        Any other may have been obeyed: it is refused at once, and said so on stderr.
        """
        world = World()
        world.gridmanager(b"BLAH_SET_SUDO_OFF")
        world.front.siteEnded(1)
        self.assertEqual(world.heard(), [b"E " + OVER])
        [sentence] = world.output.complaints
        self.assertTrue(sentence.startswith("no reply to a command came: "), sentence)
        self.assertEqual(world.start(), [])

    def test_local(self) -> None:
        """
        What the front answers itself is answered between two GAHPs too, with the words of
        the last one, and then with those of the new one.
        """
        world = World()
        lines = world.gridmanager(b"VERSION", b"COMMANDS")
        world.front.siteEnded(1)
        self.assertEqual(world.gridmanager(b"RESULTS"), [b"S 0"])
        self.assertEqual(world.gridmanager(b"VERSION", b"COMMANDS"), lines)
        world.front.siteStarted()
        world.link(True)
        world.front.siteData(b"$GahpVersion: another $\n")
        world.site(b"S COMMANDS NEW", b"S")
        lines = [b"S $GahpVersion: another $", b"S COMMANDS NEW"]
        self.assertEqual(world.gridmanager(b"VERSION", b"COMMANDS"), lines)


class SecuritySessionTests(SynchronousTestCase):
    """
    CREATE_CONDOR_SECURITY_SESSION.
    """

    def test_each(self) -> None:
        """
        Each GAHP gets it once, before all else, whether the last one had answered it or
        not; the gridmanager has one reply.
        """
        world = World("condor_ft-gahp")
        self.assertEqual(world.gridmanager(CLAIM), [])
        self.assertEqual(world.sent(), [CLAIM])
        for turn in range(5):
            world.front.siteEnded(1)
            world.gridmanager(b"UPLOAD_SANDBOX %d x ad" % (turn + 2))
            self.assertEqual(world.start(), [CLAIM, b"UPLOAD_SANDBOX %d x ad" % (turn + 2)])
            if turn:
                said = world.site(b"S", b"S")
                # Behind the first are those of the transfers that came meanwhile.
                replies = [one for one in said if one != b"R"]
                self.assertEqual(replies, [b"S"] * 3 if turn == 1 else [])
        self.assertEqual(world.output.complaints, [])

    def test_notYet(self) -> None:
        """
        A GAHP that is over before it was ready has not had it, and the next gets it once.
        """
        world = World("condor_ft-gahp")
        world.link(False)
        world.gridmanager(CLAIM)
        for _ in range(3):
            world.front.siteLost("the site is not connected")
            world.front.siteStarted()
        self.assertEqual(world.wait(12), [b"S"])
        self.assertEqual(world.start(), [CLAIM])
        self.assertEqual(world.site(b"S"), [])

    def test_refused(self) -> None:
        """
        That a later GAHP refuses it is told on stderr, without it.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(CLAIM)
        world.site(b"S")
        world.front.siteEnded(0)
        world.start()
        self.assertEqual(world.site(b"E c0ffee"), [])
        [sentence] = world.output.complaints
        self.assertIn("security session", sentence)
        self.assertNotIn("c0ffee", sentence)

    def test_none(self) -> None:
        """
        Without one, nothing goes to the next GAHP.
        """
        world = World("condor_ft-gahp")
        world.front.siteEnded(0)
        self.assertEqual(world.start(), [])


class RestartTests(SynchronousTestCase):
    """
    One GAHP after the other.
    """

    def test_greeting(self) -> None:
        """
        A GAHP that is started again has as long as the first, and gives no banner to the
        gridmanager; until then it gets no command.
        """
        world = World()
        world.front.siteLost("gone")
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        self.assertEqual(world.wait(10_000), [])
        world.front.siteStarted()
        world.link(True)
        self.assertEqual(world.wait(19.9), [])
        world.front.siteData(BANNERS["blahpd"])
        self.assertEqual(world.site(b"S BLAH_JOB_CANCEL"), [])
        self.assertEqual(world.sent(), [b"COMMANDS", b"ASYNC_MODE_ON"])
        self.assertEqual((world.site(b"S"), world.output.greetings), ([], 2))
        self.assertEqual(world.sent(), [b"BLAH_JOB_CANCEL 2 x"])
        world.wait(50)
        self.assertEqual(len(world.output.over), 1)

    def test_troubleBeforeReady(self) -> None:
        """
        Whatever a GAHP that was started again does before it is ready ends that GAHP.
        """
        for words in (b"$" + b"x" * 200, b"$Gahp\nS a\nF no\n", b"$Gahp\nE\n", b"$Gahp\n\\"):
            world = World()
            world.front.siteLost("gone")
            world.front.siteStarted()
            world.link(True)
            world.front.siteData(words)
            world.wait(21)
            self.assertEqual((len(world.output.over), world.output.finished), (2, []))
            self.assertEqual(world.heard(), [])

    def test_confirmedAnew(self) -> None:
        """
        What the CE has acknowledged is counted anew for each GAHP.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.confirmAll()
        world.front.siteLost("gone")
        world.start()
        world.front.gridmanagerEnded()
        world.wait(31)
        self.assertTrue(world.front.owes())
        world.confirmAll()
        world.wait(31)
        self.assertEqual((world.front.owes(), world.output.ends), (False, 1))

    def test_window(self) -> None:
        """
        The window is wide again.
        """
        world = World()
        world.gridmanager(*[b"BLAH_JOB_CANCEL %d x" % number for number in range(2, 60)])
        world.site(b"S", *[THREADS] * 49)
        world.front.siteLost("gone")
        self.assertEqual(len(world.start()), frontlimits.WINDOW)

    def test_loop(self) -> None:
        """
        A thousand GAHPs that end, at all stages, leave nothing behind: every command has one
        reply and every request one result.
        """
        world = World()
        gc.collect()
        before = len([one for one in gc.get_objects() if isinstance(one, Command)])
        results = 0
        for turn in range(1000):
            world.gridmanager(b"BLAH_JOB_STATUS %d x" % (2 * turn + 2))
            world.gridmanager(b"BLAH_JOB_SUBMIT %d x" % (2 * turn + 3))
            world.site(*[b"S"] * (turn % 3))
            if turn % 5 == 0:
                world.site(b"rubbish") if turn % 3 else world.wait(300)
            if world.output.over == []:
                world.front.siteLost("gone")
            world.take()
            results += len(world.results())
            self.assertEqual(len(world.output.over), 1)
            world.output.over.clear()
            for _ in range(turn % 4):
                world.front.siteStarted()
                world.front.siteLost("not yet")
            world.output.over.clear()
            world.start()
        self.assertEqual(results, 2000)
        self.assertEqual(world.front.heldBytes(), 0)
        world.front.nextDeadline()
        gc.collect()
        after = len([one for one in gc.get_objects() if isinstance(one, Command)])
        self.assertLess(after - before, 400)

    def test_sameSite(self) -> None:
        """
        Late answers of one GAHP are not those of another: nothing is waited for any more.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_JOB_CANCEL 3 x")
        world.site(b"S", b"S")
        world.front.siteLost("gone")
        world.take()
        world.start()
        world.site(b"S")
        world.conclude(b"2 0 No\\ error a/b", b"3 0 No\\ error")
        results = world.results()
        self.assertEqual([one[:4] for one in results], [b"2 1 ", b"3 0 "])

    def test_played(self) -> None:
        """
        After any number of ends a GAHP that behaves serves the gridmanager as if it were
        the first.
        """
        world = World()
        for turn in range(3):
            gahp = PlayedGAHP(world)
            world.gridmanager(b"BLAH_JOB_SUBMIT %d ad" % (turn + 2))
            gahp.read()
            gahp.finish(b"%d" % (turn + 2))
            for _ in range(3):
                gahp.deliver(1 << 16)
                gahp.read()
            world.heard()
            self.assertEqual(len(world.results()), 1)
            world.front.siteEnded(turn)
            world.start()


class GridmanagerGoneTests(SynchronousTestCase):
    """
    The gridmanager goes while GAHPs come and go.
    """

    def test_nothingOwed(self) -> None:
        """
        Between two GAHPs the client ends at once if nothing is owed, and when the last
        reply is said if one is due.
        """
        for line in (b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_PING 2 x", b"BLAH_JOB_STATUS 2 x"):
            world = World()
            world.gridmanager(line)
            world.front.siteLost("gone")
            world.front.gridmanagerEnded()
            self.assertEqual((world.output.ends, world.output.finished), (1, []))
        world = World()
        world.front.siteLost("gone")
        world.gridmanager(b"WHAT")
        world.front.gridmanagerEnded()
        self.assertEqual((world.output.ends, world.heard()), (0, []))
        self.assertEqual(world.wait(15.1)[0][:2], b"E ")
        self.assertEqual(world.output.ends, 1)

    def test_owed(self) -> None:
        """
        What is owed is delivered to whichever GAHP takes it, and then its stdin ends.
        """
        for phase in range(4):
            world = World()
            world.gridmanager(b"BLAH_JOB_CANCEL 2 x", b"BLAH_JOB_SUBMIT 3 ad")
            if phase < 2:
                world.front.gridmanagerEnded()
            if phase % 2:
                world.site(b"S", b"S")
            world.front.siteLost("gone")
            if phase >= 2:
                world.front.gridmanagerEnded()
            self.assertTrue(world.front.owes())
            self.assertEqual(world.output.finished, [])
            for _ in range(3):
                world.front.siteStarted()
                world.front.siteLost("not yet")
            self.assertEqual(world.start(), [b"BLAH_JOB_CANCEL 2 x"])
            world.confirmAll()
            world.site(b"S")
            self.assertEqual(world.output.ends, 0)
            world.conclude(b"2 0 No\\ error")
            self.assertEqual((world.output.ends, world.front.owes()), (1, False))
            world.front.siteEnded(0)
            self.assertEqual(world.output.finished, [(0, "")])

    def test_done(self) -> None:
        """
        A GAHP that has had its time with what is owed is not replaced: its end is the
        client's.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.confirmAll()
        world.front.gridmanagerEnded()
        world.wait(31)
        world.front.siteEnded(1)
        self.assertEqual((world.output.over, world.output.finished), ([], [(1, "")]))

    def test_starting(self) -> None:
        """
        A GAHP that is being started when the gridmanager goes, and nothing is owed, is told
        so and ends the client.
        """
        world = World()
        world.front.siteLost("gone")
        world.front.siteStarted()
        world.link(True)
        world.front.gridmanagerEnded()
        self.assertEqual(world.output.ends, 1)
        world.front.siteEnded(1)
        self.assertEqual(world.output.finished, [(1, "")])

    def test_quit(self) -> None:
        """
        QUIT between two GAHPs is answered, and ends the client.
        """
        world = World()
        world.front.siteLost("gone")
        self.assertEqual(world.gridmanager(b"QUIT"), [b"S"])
        self.assertEqual(world.output.ends, 1)


class TableTests(SynchronousTestCase):
    """
    These tests and the table.
    """

    def test_all(self) -> None:
        """
        Every command has a case here.
        """
        asked = {b"CONDOR_VERSION", b"GET_SANDBOX_PATH", b"CREATE_CONDOR_SECURITY_SESSION"}
        self.assertEqual({name for name, rule in RULES.items() if rule.who == SITE}, asked)
        self.assertEqual([name for name in REQUESTS if name in OWED], list(OWED))
