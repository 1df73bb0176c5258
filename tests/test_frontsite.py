"""
Tests of L{rvgahp.frontsite}: the dialogue with the GAHP, below the table.
"""

from __future__ import annotations

import gc
import random
import time

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.frontqueue import Command
from rvgahp.frontrules import Timers
from rvgahp.gahplines import splitTokens
from tests.frontworld import BANNERS, PlayedGAHP, World

THREADS = b"F Threads\\ limit\\ reached"


def cancels(first: int, last: int) -> list[bytes]:
    """
    @return: cancels with these request ids.
    """
    return [b"BLAH_JOB_CANCEL %d x" % number for number in range(first, last + 1)]


class DialogueTests(SynchronousTestCase):
    """
    Lines from the site.
    """

    def play(self, size: int) -> list[bytes]:
        """
        @param size: bytes that come at a time.
        @return: all that the gridmanager hears of a dialogue with everything in it.
        """
        world = World()
        gahp = PlayedGAHP(world)
        said = world.gridmanager(*cancels(2, 4), b"WHAT\\ ever a\\\\", b"BLAH_JOB_SUBMIT 5 ad")
        gahp.read()
        gahp.finish(b"3", b"1 a\\ \\\r\\\n\\\\b")
        gahp.finish(b"5")
        while gahp.unread:
            gahp.deliver(size)
            gahp.read()
            said += world.heard()
        self.assertEqual(world.output.finished, [])
        return [*said, *world.results()]

    def test_everyByte(self) -> None:
        """
        However a GAHP's bytes are cut, the gridmanager gets the same whole lines.
        """
        expected = [b"S"] * 3 + [b"S WHAT\\\\ ever\\ a\\\\", b"S", b"R"]
        expected += [b"3 1 a\\ \\\r\\\n\\\\b", b"5 0 No\\ error slurm/1/5"]
        for size in range(1, 120):
            self.assertEqual(self.play(size), expected)

    def test_inOrder(self) -> None:
        """
        Replies are matched to commands in order, of whatever kind they are.
        """
        world = World()
        world.gridmanager(b"ONE", b"BLAH_JOB_CANCEL 2 x", b"TWO", b"BLAH_JOB_CANCEL 3 x")
        self.assertEqual(world.site(b"S one"), [b"S one", b"S"])
        self.assertEqual(world.site(b"S", b"F two"), [b"F two", b"S"])
        self.assertEqual(world.site(b"E no"), [b"R"])
        self.assertEqual(world.results(), [b"3 1 no"])

    def test_notice(self) -> None:
        """
        R is swallowed, wherever it stands, and makes the front collect the results
        itself; so is any line of one token that begins with R.
        """
        for word in (b"R", b"Results", b"\\R"):
            world = World()
            world.gridmanager(b"BLAH_JOB_CANCEL 2 x", b"BLAH_JOB_CANCEL 3 x")
            world.take()
            self.assertEqual(world.site(word), [])
            self.assertEqual(world.sent(), [b"RESULTS"])
            self.assertEqual(world.site(b"S", word, b"S"), [])
            self.assertEqual(world.sent(), [])
            self.assertEqual(world.site(b"S 2", b"2 0 a", word, b"3 0 b"), [b"R"])
            self.assertEqual(world.sent(), [b"RESULTS"])
            self.assertEqual(world.site(b"S 0"), [])
            self.assertEqual(world.sent(), [])
            self.assertEqual(world.results(), [b"2 0 a", b"3 0 b"])

    def test_noAcknowledgementYet(self) -> None:
        """
        A GAHP may say R before it acknowledges the very request that is done.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.site(b"R")
        world.site(b"S", b"S 1", b"2 0 quick")
        self.assertEqual(world.results(), [b"2 0 quick"])

    def test_poll(self) -> None:
        """
        Results are asked for every 60 s too, while some are to come and the link is live.
        """
        world = World()
        world.wait(1000)
        self.assertEqual(world.sent(), [])
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad")
        world.take()
        world.site(b"S")
        world.wait(59.9)
        self.assertEqual(world.sent(), [])
        world.wait(0.2)
        self.assertEqual(world.sent(), [b"RESULTS"])
        world.wait(299)
        self.assertEqual(world.sent(), [])
        world.site(b"S 0")
        world.link(False)
        world.wait(1000)
        world.link(True)
        world.wait(0.1)
        self.assertEqual(world.sent(), [b"RESULTS"])
        world.site(b"S 1", b"2 0 No\\ error a/b")
        world.wait(1000)
        self.assertEqual(world.sent(), [])

    def test_resultsFull(self) -> None:
        """
        While very much waits for the gridmanager, the GAHP is not asked for more.
        """
        self.patch(frontlimits, "RESULTS_HELD_BYTES", 1000)
        world = World()
        world.gridmanager(*cancels(2, 4))
        world.take()
        world.site(b"S", b"S", b"S", b"R")
        world.site(b"S 1", b"2 1 " + b"x" * 1000)
        world.take()
        world.site(b"R")
        world.wait(1000)
        self.assertEqual(world.sent(), [])
        world.results()
        self.assertEqual(world.sent(), [b"RESULTS"])

    def test_lineEnds(self) -> None:
        """
        LF ends a line, with a CR or without; a bare CR within counts for nothing, as with
        the gridmanager, and so do empty lines.
        """
        world = World()
        world.gridmanager(b"WHAT", b"WHAT", b"WHAT")
        world.front.siteData(b"\n\r\nS a\\ b\n\r\r\nS c\r\r\nS d\re\r\n")
        self.assertEqual(world.heard(), [b"S a\\ b", b"S c", b"S de"])


class RubbishTests(SynchronousTestCase):
    """
    What ends a GAHP.
    """

    def assertEnded(self, world: World, *lines: bytes) -> None:
        """
        These lines end the GAHP with a sentence, and none of them is passed on: what the
        gridmanager hears is ours.
        """
        for said in world.site(*lines):
            self.assertTrue(said == b"R" or said.startswith(b"E the\\ GAHP\\ ended"), said)
        [sentence] = world.output.over
        self.assertTrue(sentence)
        self.assertEqual(world.output.finished, [])

    def test_outOfTurn(self) -> None:
        """
        A line out of turn ends the GAHP with a sentence and is not passed on.
        """
        for line in (b"S", b"2 0 x", b"S 0", b"Segmentation fault", b"E", b"$GahpVersion $"):
            world = World()
            self.assertEqual(world.gridmanager(b"BLAH_JOB_CANCEL 2 x"), [b"S"])
            self.assertEqual(world.site(b"S"), [])
            self.assertEnded(world, line)

    def test_noReply(self) -> None:
        """
        A line in its turn that is no reply, such as what a program wrote by mistake, ends
        the GAHP too: all later replies would be taken for those of other commands.
        """
        for line in (b"Segmentation fault", b"Warning: x", b"$GahpVersion $", b"s", b"2 0 x"):
            for command in (b"BLAH_JOB_CANCEL 2 x", b"WHAT"):
                world = World()
                world.gridmanager(command)
                self.assertEnded(world, line)

    def test_longToken(self) -> None:
        """
        A token over 500 KiB would end the gridmanager; it ends the GAHP.  One that the
        gridmanager just takes is passed on, also with every byte escaped.
        """
        longest = frontlimits.TOKEN_BYTES
        for token in (b"x" * longest, b"\\ " * longest):
            for extra in (b"", b"x"):
                world = World()
                world.gridmanager(b"BLAH_JOB_STATUS 2 x", b"WHAT")
                world.take()
                if extra:
                    self.assertEnded(world, b"S", b"S a " + token + extra)
                    continue
                self.assertEqual(world.site(b"S", b"S a " + token), [b"S a " + token])
                world.conclude(b"2 0 ok 2 " + token)
                self.assertEqual(world.results(), [b"2 0 ok 2 " + token])
        world = World()
        world.gridmanager(b"BLAH_JOB_STATUS 2 x")
        world.site(b"S", b"R")
        self.assertEnded(world, b"S 1", b"2 0 ok 2 x" + b"x" * longest)

    def test_longLine(self) -> None:
        """
        A line without an end ends the GAHP before it fills the memory.
        """
        world = World()
        part = b"x " * 512 * 1024
        for _ in range(frontlimits.SITE_LINE_BYTES // len(part)):
            world.front.siteData(part)
            self.assertEqual(world.output.over, [])
        world.front.siteData(b"x")
        self.assertEqual(len(world.output.over), 1)

    def test_results(self) -> None:
        """
        An answer to RESULTS that is none ends the GAHP.
        """
        for lines in (
            [b"E"],
            [b"S"],
            [b"S x"],
            [b"S -1"],
            [b"S 9999999999"],
            [b"F 0"],
            [b"S 1", b"S"],
            [b"S 1", b"x 0 y"],
            [b"S 0", b"2 0 x"],
        ):
            world = World()
            world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
            world.take()
            world.site(b"S", b"R")
            self.assertEnded(world, *lines)

    def test_fuzz(self) -> None:
        """
        Whatever bytes a GAHP sends, nothing but whole lines in their turn reach the
        gridmanager, and nothing is raised.
        """
        seed = random.SystemRandom().getrandbits(32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        end = time.monotonic() + 3.0
        for _ in range(1000):
            if time.monotonic() > end:
                break
            self.fuzz(chance)

    def fuzz(self, chance: random.Random) -> None:
        """
        One dialogue, gone wrong somewhere.
        """
        world = World(isReady=chance.random() < 0.8)
        world.link(True)
        pieces = [
            b"S",
            b"R",
            b"F",
            b"E",
            b" ",
            b"\\",
            b"\n",
            b"\r\n",
            b"\0",
            b"\r",
            b"0",
            b"1",
            b"2",
        ]
        pieces += [b"S\r\n", b"S\r\n", b"R\r\n", b"S 1\r\n", b"2 0 No\\ error\r\n", b"3 0 a b\r\n"]
        pieces += [THREADS, BANNERS["blahpd"], b"S COMMANDS\r\n", b"NULL", b"\xff", b"9" * 30]
        asked: list[bytes] = []
        for _ in range(chance.randint(1, 40)):
            if world.output.finished:
                break
            if world.output.over:
                world.output.over.clear()
                world.start()
            lines = [
                b"BLAH_PING %d x",
                b"BLAH_JOB_SUBMIT %d x",
                b"GET_SANDBOX_PATH %d",
                b"RESULTS %d",
            ]
            line = chance.choice(lines) % chance.randint(2, 5)
            asked.append(line.split()[0])
            said = world.gridmanager(line)
            world.front.siteData(b"".join(chance.choices(pieces, k=chance.randint(0, 12))))
            said += world.heard() + world.wait(chance.choice((0.0, 1.0, 100.0)))
            self.checkLines(said, asked)

    def checkLines(self, lines: list[bytes], asked: list[bytes]) -> None:
        """
        @param asked: the commands that have no reply yet; those that have are taken away.
        """
        left = 0  # of an answer to RESULTS
        for line in lines:
            tokens = splitTokens(line)
            if left:
                left -= 1
                self.assertIn(tokens[0], (b"2", b"3", b"4", b"5"))
                self.assertIn(len(tokens), (3, 4))
            elif line not in (b"R", BANNERS["blahpd"].strip()):
                name = asked.pop(0)
                if name == b"RESULTS":
                    self.assertEqual(tokens[0], b"S")
                    left = int(tokens[1])
                elif name != b"GET_SANDBOX_PATH":
                    self.assertIn(tokens[0], (b"S", b"E"))
                elif tokens[0][:1] == b"S":
                    self.assertEqual(len(tokens), 2)
        self.assertEqual(left, 0)


class SilenceTests(SynchronousTestCase):
    """
    A GAHP that says nothing though a line is due.
    """

    SENTENCE = "it has been silent for 300 s, though a reply is due"

    def test_mute(self) -> None:
        """
        One that acknowledges nothing, or has no answer to RESULTS, or not all of it, for the
        300 s of the gridmanager's own timer is ended, and what it was given is answered for.
        """
        for replies in ([], [b"S"], [b"S", b"S 2"], [b"S", b"S 2", b"7 0 of nothing"]):
            world = World()
            world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad")
            world.wait(100)
            world.take()
            world.site(*replies)
            if replies == [b"S"]:
                world.site(b"R")  # RESULTS, which then has no answer
            world.wait(199.9 if not replies else 299.9)
            self.assertEqual(world.output.over, [], replies)
            self.assertEqual(world.wait(0.2), [b"R"])
            self.assertEqual(world.output.over, [self.SENTENCE], replies)
            self.assertEqual([one[:4] for one in world.results()], [b"2 1 "])
            world.start()
            world.wait(10_000)
            self.assertEqual(len(world.output.over), 1)

    def test_withoutRequest(self) -> None:
        """
        So is one that has no reply to a command without a request id; that the gridmanager
        has an answer already makes no difference.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(b"GET_SANDBOX_PATH id")
        self.assertEqual([one[:2] for one in world.wait(13)], [b"E "])
        world.wait(286.9)
        self.assertEqual(world.output.over, [])
        world.wait(0.2)
        self.assertEqual(world.output.over, [self.SENTENCE])

    def test_slowResult(self) -> None:
        """
        A result may take as long as it likes: only a reply is due.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.take()
        world.site(b"S")
        for _ in range(300):
            world.wait(60.1)
            self.assertEqual(world.sent(), [b"RESULTS"])
            world.wait(200)
            world.site(b"S 0")
        world.output.asked = 0
        world.conclude(b"2 0 done")
        self.assertEqual(world.results(), [b"2 0 done"])
        self.assertEqual(world.output.over, [])

    def test_slowReply(self) -> None:
        """
        One that is stopped for less, or has a line on its way however slowly, is not ended;
        the time counts from the last that came, or from when something became due.
        """
        world = World()
        world.wait(299)
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x", b"BLAH_JOB_CANCEL 3 x")
        for data in (b"E", b" No", b"\\ thread", b"\r\n", b"S\n"):
            world.wait(299)
            world.front.siteData(data)
        self.assertEqual(world.output.over, [])
        self.assertEqual(world.results(), [b"2 1 No\\ thread"])

    def test_notices(self) -> None:
        """
        R is no reply, and empty lines are nothing: one that says only these is ended.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        for _ in range(3):
            world.wait(90)
            world.site(b"R", b"")
        self.assertEqual(world.output.over, [])
        world.wait(30.1)
        self.assertEqual(world.output.over, [self.SENTENCE])

    def test_outage(self) -> None:
        """
        Only time in which the link is live counts, and after each outage it counts anew.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        for seconds in (10, 5000, 1, 300):
            world.wait(299)
            world.link(False)
            world.wait(seconds)
            world.link(True)
        self.assertEqual(world.output.over, [])
        world.wait(299.9)
        world.site(b"S")
        self.assertEqual(world.output.over, [])

    def test_asleep(self) -> None:
        """
        A tick that comes very late tells that the machine has slept: the time counts anew.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.now += 100_000
        world.front.tick()
        world.wait(299)
        self.assertEqual(world.output.over, [])
        world.wait(1.1)
        self.assertEqual(world.output.over, [self.SENTENCE])

    def test_anyTime(self) -> None:
        """
        Whatever the clock shows, the tick that was asked for is the one that ends it.
        """
        chance = random.Random(5)
        for _ in range(300):
            world = World()
            world.wait(chance.random() * 1e4)
            world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
            world.wait(61)
            world.wait(240)
            self.assertEqual(world.output.over, [self.SENTENCE])

    def test_nothingDue(self) -> None:
        """
        One that owes nothing may be silent for ever, and no tick is asked for.
        """
        world = World()
        world.gridmanager(b"BLAH_PING 2 x")
        world.site(b"S")
        world.conclude(b"2 0 ok")
        self.assertIsNone(world.front.nextDeadline())
        world.wait(100_000)
        self.assertEqual(world.output.over, [])

    def test_settings(self) -> None:
        """
        The time is the gridmanager's own for a result, but never less than three times that
        for a line; without a limit to a result it is that of the default.
        """
        for call, response, seconds in (
            (300, 20, 300),
            (30, 20, 60),
            (1, 2, 6),
            (3000, 20, 3000),
            (0, 20, 300),
            (0, 200, 600),
        ):
            world = World(timers=Timers(call, response))
            world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
            world.wait(seconds - 0.1)
            self.assertEqual(world.output.over, [])
            world.wait(0.2)
            self.assertEqual(world.output.over, [self.SENTENCE.replace("300", str(seconds))])

    def test_gridmanagerGone(self) -> None:
        """
        Without a gridmanager one that has still to take a cancel is replaced; one whose
        stdin has ended is the site's to end.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.front.gridmanagerEnded()
        world.wait(300.1)
        self.assertEqual((world.output.over, world.output.finished), ([self.SENTENCE], []))
        self.assertEqual(world.start(), [b"BLAH_JOB_CANCEL 2 x"])
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad")
        world.front.gridmanagerEnded()
        self.assertEqual(world.output.ends, 1)
        self.assertEqual(world.wait(299), [])
        self.assertIsNone(world.front.nextDeadline())
        world.now += 5
        world.front.tick()
        self.assertEqual((world.output.over, world.output.finished), ([], []))


class WindowTests(SynchronousTestCase):
    """
    How many requests a GAHP has at a time.
    """

    def test_fifty(self) -> None:
        """
        At most 50 requests are at work; each result lets the next one go.
        """
        world = World()
        world.gridmanager(*cancels(2, 101))
        self.assertEqual(world.sent(), cancels(2, 51))
        world.site(*[b"S"] * 50)
        self.assertEqual(world.sent(), [])
        world.conclude(b"7 0 ok", b"2 0 ok")
        self.assertEqual(world.sent(), [b"RESULTS", *cancels(52, 53)])

    def test_givenUp(self) -> None:
        """
        A request that the gridmanager has given up does not keep others back.
        """
        world = World()
        world.gridmanager(*cancels(2, 52), *[b"BLAH_JOB_STATUS %d x" % n for n in range(60, 70)])
        self.assertEqual(len(world.sent()), 50)
        world.site(*[b"S"] * 50)
        world.wait(299)
        world.site(b"S 0")
        self.assertNotIn(cancels(52, 52)[0], world.sent())
        world.wait(2)
        world.results()
        self.assertIn(cancels(52, 52)[0], world.sent())

    def test_threadsLimit(self) -> None:
        """
        "Threads limit reached" puts the command back at the head of the queue and lowers
        the window to what the GAHP has at work; the gridmanager hears nothing of it.
        """
        world = World()
        world.gridmanager(*cancels(2, 61))
        world.take()
        said = world.site(*[b"S"] * 10, *[THREADS] * 40)
        self.assertEqual((said, world.sent()), ([], []))
        world.wait(4.9)
        self.assertEqual(world.sent(), [])
        world.conclude(b"2 0 ok", b"4 0 ok")
        self.assertEqual(world.sent(), [b"RESULTS", *cancels(12, 13)])
        world.site(b"S", b"S")
        world.wait(100)
        self.assertNotIn(cancels(14, 14)[0], world.sent())

    def test_threadsLimitAtOnce(self) -> None:
        """
        A GAHP that takes no request at all is asked again every 5 s, with one.
        """
        world = World()
        world.gridmanager(*cancels(2, 3))
        world.take()
        world.site(THREADS, THREADS)
        for _ in range(5):
            self.assertEqual(world.sent(), [])
            world.wait(5.0)
            self.assertEqual(world.sent(), cancels(2, 2))
            world.site(THREADS)
        world.wait(5.0)
        world.site(b"S")
        world.conclude(b"2 0 ok")
        self.assertEqual(world.sent()[-1:], cancels(3, 3))

    def test_threadsLimitPing(self) -> None:
        """
        A ping that meets it is not sent again and again either, and goes when a request is done.
        """
        world = World()
        world.gridmanager(*cancels(2, 3))
        world.take()
        world.site(b"S", b"S")
        world.gridmanager(b"BLAH_PING 4 slurm")
        self.assertEqual(world.sent(), [b"BLAH_PING 4 slurm"])
        world.site(THREADS)
        world.wait(30)
        self.assertEqual(world.sent(), [])
        world.conclude(b"2 0 ok")
        self.assertEqual(world.sent()[-1:], [b"BLAH_PING 4 slurm"])

    def test_threadsLimitOverdue(self) -> None:
        """
        A submit that comes back after its limit is withdrawn and fails: it never ran.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad")
        world.wait(271)
        self.assertEqual(world.site(THREADS), [b"R"])
        self.assertTrue(world.results()[0].startswith(b"2 1 it\\ never\\ reached"))
        world.take()
        world.wait(100)
        self.assertEqual(world.sent(), [])

    def test_threadsLimitHeld(self) -> None:
        """
        One that comes back is held like any other: it can be withdrawn, and a ping that
        was answered in the meantime is not sent again.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_PING 3 x")
        world.take()
        world.link(False)
        self.assertEqual(len(world.results()), 1)
        world.site(THREADS, THREADS)
        self.assertEqual(world.wait(269), [])
        self.assertEqual(world.wait(2), [b"R"])
        self.assertTrue(world.results()[0].startswith(b"2 1 it\\ never\\ reached"))
        world.link(True)
        world.wait(100)
        self.assertEqual(world.sent(), [])

    def test_threadsLimitBetween(self) -> None:
        """
        What counts is what the GAHP has acknowledged when it has no thread for one more.
        """
        world = World()
        world.gridmanager(*cancels(2, 61))
        world.site(*[b"S"] * 10, THREADS, *[b"S"] * 39)
        world.take()
        world.conclude(b"2 0 ok", b"3 0 ok")
        self.assertEqual(world.sent(), [b"RESULTS"])

    def test_lines(self) -> None:
        """
        A line is not kept when it cannot be needed again.
        """
        world = World("condor_ft-gahp")
        mark = b"m" * 1000
        world.gridmanager(b"UPLOAD_SANDBOX 2 %b a" % mark, b"GET_SANDBOX_PATH /%b" % mark)
        self.assertEqual(len(self.kept(mark)), 2)
        world.site(b"S /x", b"S")
        self.assertEqual(self.kept(mark), [])
        world.link(False)
        world.gridmanager(b"DOWNLOAD_PROXY 3 x ad", b"UPLOAD_SANDBOX 4 %b a" % mark)
        world.wait(3501)
        self.assertEqual(self.kept(mark), [])
        world.link(True)
        world.conclude(b"2 NULL")
        world.gridmanager(b"UPLOAD_SANDBOX 5 x ad", b"UPLOAD_SANDBOX 6 %b a" % mark)
        world.site(THREADS, b"E")
        self.assertEqual(self.kept(mark), [])

    @staticmethod
    def kept(mark: bytes) -> list[Command]:
        """
        @return: the commands whose line has the mark.
        """
        found = [one for one in gc.get_objects() if isinstance(one, Command)]
        return [command for command in found if mark in command.line]

    def test_threadsLimitAnswered(self) -> None:
        """
        A request that comes back when it has been answered is not sent again.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_STATUS 2 x")
        world.wait(241)
        self.assertEqual(len(world.results()), 1)
        world.take()
        world.site(THREADS)
        world.wait(100)
        self.assertEqual((world.sent(), world.results()), ([], []))
        self.assertEqual(world.gridmanager(b"BLAH_JOB_CANCEL 2 x"), [b"S"])

    def test_unanswered(self) -> None:
        """
        A GAHP that answers nothing is not sent more and more.
        """
        world = World()
        world.gridmanager(*[b"WHAT"] * 300)
        self.assertEqual(len(world.sent()), frontlimits.UNANSWERED)
        self.assertEqual(len(world.wait(15.1)), 300)
        world.site(*[b"S"] * frontlimits.UNANSWERED)
        self.assertEqual((world.sent(), world.heard()), ([], []))

    def test_forgotten(self) -> None:
        """
        Requests that a GAHP never finishes are forgotten when they are too many, the
        oldest first; a result that comes after all is dropped.
        """
        self.patch(frontlimits, "FORGOTTEN", 60)
        world = World()
        for number in range(2, 100):
            world.gridmanager(b"BLAH_JOB_STATUS %d x" % number)
            world.site(b"S")
            world.link(False)
            world.link(True)
            world.results()
        self.assertEqual(world.gridmanager(b"BLAH_PING 99 x")[0][:1], b"E")
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x"), [b"S"])
        world.site(b"S")
        world.conclude(b"3 0 ok 2 x", b"99 0 ok 2 x", b"2 0 ok")
        self.assertEqual(world.results(), [b"2 0 ok"])

    def test_forgottenUnanswered(self) -> None:
        """
        So are those that nobody has answered, with all that is known of them; and they get
        no result at the GAHP's end.
        """

        def known() -> list[Command]:
            gc.collect()
            return [one for one in gc.get_objects() if isinstance(one, Command)]

        self.patch(frontlimits, "FORGOTTEN", 60)
        before = len(known())
        world = World()
        for number in range(2, 200):
            world.gridmanager(b"BLAH_JOB_HOLD %d x" % number)
            world.site(b"S")
            world.confirmAll()
            for _ in range(2):
                world.wait(151)
                if world.output.asked:
                    world.conclude()
        self.assertLess(len(known()) - before, 70)
        world.front.siteLost("gone")
        world.heard()
        self.assertLessEqual(len(world.results()), 60)


class ConfirmedTests(SynchronousTestCase):
    """
    What the CE has acknowledged.
    """

    def test_lines(self) -> None:
        """
        A cancel is delivered when its line is, and no sooner, whatever stood before it.
        """
        world = World()
        before = world.output.unconfirmed
        world.gridmanager(b"WHAT", b"BLAH_JOB_CANCEL 2 a", b"BLAH_JOB_CANCEL 3 b")
        world.site(b"S")
        world.front.gridmanagerEnded()
        for count in (before, 1):
            world.confirm(count)
            self.assertIsNone(world.front._site.requests.graceEnd(world.now))
        world.confirm(1)
        self.assertEqual(world.front._site.requests.graceEnd(world.now), world.now + 30)
        world.wait(31)
        self.assertTrue(world.front.owes())
        world.confirmAll()
        world.wait(31)
        self.assertFalse(world.front.owes())
