"""
Tests of L{rvgahp.front}: the rows of the table of the front, one after the other, as a
gridmanager and a GAHP would see them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits
from rvgahp.front import Front
from rvgahp.frontrules import Timers
from tests.frontworld import BANNERS, BATCH_COMMANDS, World

#: The sentences of made-up failures, as they stand in a line.
UNSENT = b"it\\ never\\ reached\\ the\\ site;\\ it\\ is\\ safe\\ to\\ release\\ the\\ job"
NOT_LIVE = b"nothing\\ is\\ heard\\ from\\ the\\ site"

LATE = "no reply to %s came: the site did not answer in time"

CLAIM = b'CREATE_CONDOR_SECURITY_SESSION 0a1b#[Encryption="YES"]c0ffee'


class BannerTests(SynchronousTestCase):
    """
    The row of the banner, COMMANDS and what else the front answers itself.
    """

    def test_banner(self) -> None:
        """
        The banner is passed on as it came, and not before the front itself has the
        replies to COMMANDS and ASYNC_MODE_ON.
        """
        for gahp, banner in BANNERS.items():
            world = World(gahp, isReady=False)
            world.link(True)
            world.front.siteData(b"motd\nof the site\n" + banner)
            self.assertEqual(world.sent(), [b"COMMANDS", b"ASYNC_MODE_ON"])
            self.assertEqual(world.site(b"S COMMANDS QUIT"), [])
            self.assertEqual(world.output.said, b"")
            world.front.siteData(b"S")
            self.assertEqual(world.output.said, b"")
            world.front.siteData(b"\n")
            self.assertEqual(world.output.said, banner)

    def test_benignTrouble(self) -> None:
        """
        Before the banner any trouble ends the client with a status other than 0, one
        sentence and nothing on stdout.
        """
        for words in (
            b"$ no COMMANDS\nE\n",
            b"$ no mode\nS COMMANDS\nF nothing\\ for\\ you\n",
            b"$ another line\nhello\nhello\nhello\n",
            b"$" + b"x" * 150,
            b"x" * (frontlimits.BANNER_NOISE_BYTES + 1),
            b"$ token\nS " + b"x" * (frontlimits.TOKEN_BYTES + 1) + b"\n",
        ):
            world = World(isReady=False)
            world.link(True)
            self.bringLines(world, words)
            self.assertBenign(world)

    def test_benignEnd(self) -> None:
        """
        So does the GAHP's end, the loss of its stream, and 20 s without being ready, at
        whatever point.
        """
        for begun in (b"", b"$Gahp", b"$Gahp $\n", b"$Gahp $\nS COMMANDS\n", b"$Gahp $\nS\nS"):
            for status in (0, 1, 137):
                world = World(isReady=False)
                world.link(True)
                self.bringLines(world, begun)
                world.front.siteEnded(status)
                self.assertBenign(world)
                self.assertEqual(world.output.finished[0][0], status or None)
            world = World(isReady=False)
            world.link(True)
            self.bringLines(world, begun)
            world.front.siteLost("the connection to the site was lost")
            self.assertBenign(world)
            world = World(isReady=False)
            world.link(True)
            self.bringLines(world, begun)
            world.wait(19.9)
            self.assertEqual(world.output.finished, [])
            world.wait(0.2)
            self.assertBenign(world)

    def test_patience(self) -> None:
        """
        How long a GAHP may take can be said.
        """
        world = World(isReady=False)
        front = Front("blahpd", world.output, lambda: world.now, patience=5.0)
        self.assertEqual(front.nextDeadline(), world.now + 5.0)

    @staticmethod
    def bringLines(world: World, words: bytes) -> None:
        """
        Bring what a GAHP says, each line when it could come.
        """
        for line in words.splitlines(keepends=True):
            world.front.siteData(line)

    def assertBenign(self, world: World) -> None:
        """
        The gridmanager takes it for a site that is down.
        """
        [(status, sentence)] = world.output.finished
        self.assertNotEqual(status, 0)
        self.assertTrue(sentence)
        self.assertEqual((world.output.said, world.output.complaints), (b"", []))

    def test_earlyInput(self) -> None:
        """
        What comes before the banner is answered after it.
        """
        world = World(isReady=False)
        world.link(True)
        world.gridmanager(b"VERSION", b"COMMANDS")
        self.assertGreater(world.front.heldBytes(), 10)
        world.front.siteData(BANNERS["blahpd"])
        banner = BANNERS["blahpd"].strip()
        said = world.site(b"S COMMANDS", b"S")
        self.assertEqual(said, [banner, b"S " + banner, b"S COMMANDS"])
        self.assertEqual(world.front.heldBytes(), 0)

    def test_commands(self) -> None:
        """
        COMMANDS is answered from what was obtained, without RESPONSE_PREFIX, and not by
        the GAHP.
        """
        world = World(isReady=False)
        world.link(True)
        world.front.siteData(BANNERS["blahpd"])
        world.site(b"S QUIT Response_Prefix a\\ b BLAH_PING", b"S")
        world.take()
        self.assertEqual(world.gridmanager(b"COMMANDS"), [b"S QUIT a\\ b BLAH_PING"])
        self.assertEqual(world.gridmanager(b"commands"), [b"S QUIT a\\ b BLAH_PING"])
        self.assertEqual(world.sent(), [])

    def test_local(self) -> None:
        """
        ASYNC_MODE_ON/OFF, VERSION and RESPONSE_PREFIX are answered locally, at once, also
        when the link is not live.
        """
        world = World()
        world.link(False)
        banner = BANNERS["blahpd"].strip()
        self.assertEqual(world.gridmanager(b"ASYNC_MODE_OFF"), [b"S"])
        self.assertEqual(world.gridmanager(b"ASYNC_MODE_ON"), [b"S"])
        self.assertEqual(world.gridmanager(b"VERSION"), [b"S " + banner])
        self.assertEqual(world.gridmanager(b"RESPONSE_PREFIX GAHP:"), [b"E Unknown\\ command"])
        world.link(True)
        self.assertEqual(world.sent(), [])

    def test_quit(self) -> None:
        """
        QUIT is answered locally; nothing is obeyed after it, the GAHP's stdin ends, and
        the client exits with 0.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"QUIT", b"BLAH_PING 2 slurm"), [b"S"])
        self.assertEqual((world.sent(), world.output.ends), ([], 1))
        world.front.siteEnded(1)
        self.assertEqual(world.output.finished, [(0, "")])

    def test_asyncMode(self) -> None:
        """
        R is said in asynchronous mode only; turned on, it tells of what waits already.
        """
        world = World()
        world.link(False)
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 slurm"), [b"S", b"R"])
        self.assertEqual(len(world.results()), 1)
        self.assertEqual(world.gridmanager(b"ASYNC_MODE_OFF"), [b"S"])
        self.assertEqual(world.gridmanager(b"BLAH_PING 3 slurm"), [b"S"])
        self.assertEqual(world.gridmanager(b"ASYNC_MODE_ON"), [b"S", b"R"])


class ResultsTests(SynchronousTestCase):
    """
    The row of RESULTS, and the front's own R.
    """

    def test_atOnce(self) -> None:
        """
        RESULTS is answered at once with S, n and n whole lines from the queue, and the
        GAHP hears nothing of it.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"RESULTS"), [b"S 0"])
        world.gridmanager(b"BLAH_PING 2 slurm", b"BLAH_JOB_CANCEL 3 slurm/1/2")
        self.assertEqual(world.sent(), [b"BLAH_PING 2 slurm", b"BLAH_JOB_CANCEL 3 slurm/1/2"])
        self.assertEqual(world.site(b"S", b"S", b"R"), [])
        self.assertEqual(world.sent(), [b"RESULTS"])
        self.assertEqual(world.site(b"S 2", b"3 0 No\\ error", b"2 1 no\\ such"), [b"R"])
        said = world.gridmanager(b"RESULTS", b"RESULTS")
        self.assertEqual(said, [b"S 2", b"3 0 No\\ error", b"2 1 no\\ such", b"S 0"])
        self.assertEqual(world.sent(), [])

    def test_atMost(self) -> None:
        """
        At most 100 lines and 1 MiB at a time; R follows when there are more.
        """
        world = World()
        world.link(False)
        for number in range(2, 252):
            world.gridmanager(b"BLAH_PING %d slurm" % number)
        counts = []
        for _ in range(4):
            head, *lines = world.gridmanager(b"RESULTS")
            counts.append((head, lines[-1:] == [b"R"]))
        self.assertEqual(
            counts, [(b"S 100", True), (b"S 100", True), (b"S 50", False), (b"S 0", False)]
        )

    def test_once(self) -> None:
        """
        A line leaves the queue when it is written: no result comes twice.
        """
        world = World()
        world.link(False)
        world.gridmanager(b"BLAH_PING 2 slurm")
        self.assertEqual(len(world.results()), 1)
        self.assertEqual(world.results(), [])

    def test_noticeOnce(self) -> None:
        """
        R is said once when results begin to wait, and again only after the next RESULTS.
        """
        world = World()
        world.link(False)
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x", b"BLAH_PING 3 x"), [b"S", b"S", b"R"])
        self.assertEqual(world.gridmanager(b"BLAH_PING 4 x"), [b"S"])
        self.assertEqual(len(world.results()), 3)
        self.assertEqual(world.gridmanager(b"BLAH_PING 5 x"), [b"S", b"R"])

    def test_tooMany(self) -> None:
        """
        Who fetches no results is refused new requests before they fill the memory.
        """
        self.patch(frontlimits, "RESULTS_HELD", 3)
        world = World()
        world.link(False)
        for number in range(2, 5):
            self.assertEqual(world.gridmanager(b"BLAH_PING %d x" % number)[0], b"S")
        refused = world.gridmanager(b"BLAH_PING 5 x")
        self.assertEqual(refused, [b"E too\\ many\\ results\\ wait\\ to\\ be\\ fetched"])
        world.results()
        self.assertEqual(world.gridmanager(b"BLAH_PING 5 x")[0], b"S")


class SynchronousTests(SynchronousTestCase):
    """
    The rows of the commands without a request id.
    """

    def test_condorVersion(self) -> None:
        """
        CONDOR_VERSION: the reply is the GAHP's.
        """
        world = World("condor_ft-gahp")
        self.assertEqual(world.gridmanager(b"CONDOR_VERSION $a\\ b$"), [])
        self.assertEqual(world.sent(), [b"CONDOR_VERSION $a\\ b$"])
        self.assertEqual(
            world.site(b"S $CondorVersion:\\ 25.14.0\\ $"), [b"S $CondorVersion:\\ 25.14.0\\ $"]
        )
        self.assertEqual(world.output.complaints, [])

    def test_condorVersionUnsent(self) -> None:
        """
        CONDOR_VERSION: after 12 s E, and the unsent command is cut.
        """
        world = World("condor_ft-gahp")
        world.link(False)
        world.gridmanager(b"CONDOR_VERSION v")
        self.assertEqual(world.wait(11.9), [])
        [reply] = world.wait(0.2)
        self.assertTrue(reply.startswith(b"E "))
        world.link(True)
        self.assertEqual(world.sent(), [])
        self.assertEqual(world.output.complaints, [])

    def test_condorVersionSent(self) -> None:
        """
        CONDOR_VERSION: sent already, after 12 s E, stderr has a line, and the late reply is
        not taken for that of the next command.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(b"CONDOR_VERSION v")
        self.assertEqual(world.wait(12)[0][:2], b"E ")
        self.assertEqual(world.output.complaints, [LATE % "CONDOR_VERSION"])
        world.gridmanager(b"GET_SANDBOX_PATH id")
        self.assertEqual(world.site(b"S late", b"S /path"), [b"S /path"])

    def test_securitySession(self) -> None:
        """
        CREATE_CONDOR_SECURITY_SESSION: the reply is the GAHP's if it comes in time.
        """
        for reply in (b"S", b"E"):
            world = World("condor_ft-gahp")
            self.assertEqual(world.gridmanager(CLAIM), [])
            self.assertEqual(world.sent(), [CLAIM])
            self.assertEqual(world.site(reply), [reply])
            self.assertEqual(world.wait(100), [])

    def test_securitySessionPromise(self) -> None:
        """
        CREATE_CONDOR_SECURITY_SESSION: after 12 s S as a promise; it is first in the
        queue, never withdrawn, and kept for a restart of the GAHP.
        """
        world = World("condor_ft-gahp")
        world.link(False)
        world.gridmanager(b"DESTROY_SANDBOX 2 id ad", b"CONDOR_VERSION v")
        world.gridmanager(CLAIM)
        self.assertEqual(world.wait(12)[-1:], [b"S"])
        world.gridmanager(b"GET_SANDBOX_PATH id")
        self.assertEqual(world.wait(2000)[0][:2], b"E ")
        world.link(True)
        self.assertEqual(world.sent(), [CLAIM, b"DESTROY_SANDBOX 2 id ad"])
        self.assertEqual(world.site(b"S", b"S"), [])
        world.front.siteLost("gone")
        self.assertEqual(world.start(), [CLAIM, b"DESTROY_SANDBOX 2 id ad"])
        self.assertEqual(world.output.complaints, [])

    def test_securitySessionPromiseBroken(self) -> None:
        """
        CREATE_CONDOR_SECURITY_SESSION: a GAHP that refuses what was promised is told of
        on stderr, and the gridmanager hears nothing of it.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(CLAIM)
        self.assertEqual(world.wait(13), [b"S"])
        self.assertEqual(world.site(b"E"), [])
        [sentence] = world.output.complaints
        self.assertIn("security session", sentence)

    def test_securitySessionSecret(self) -> None:
        """
        CREATE_CONDOR_SECURITY_SESSION is never logged, whatever happens to it.
        """
        for case in range(6):
            world = World("condor_ft-gahp", isReady=case != 4)
            world.link(case != 0)
            world.gridmanager(CLAIM)
            world.wait(13)
            if case == 2:
                world.site(b"E c0ffee\\ is\\ no\\ key")
            elif case == 3:
                world.site(b"R", b"S", b"hello", b"hello")
            elif case == 5:
                world.gridmanager(CLAIM + b"x" * frontlimits.COMMAND_BYTES)
            world.front.siteLost("gone")
            said = str(world.output.complaints) + str(world.output.finished)
            self.assertNotIn("c0ffee", said)
            self.assertNotIn("0a1b", said)

    def test_sandboxPath(self) -> None:
        """
        GET_SANDBOX_PATH: the reply is the GAHP's.
        """
        world = World("condor_ft-gahp")
        self.assertEqual(world.gridmanager(b"GET_SANDBOX_PATH a\\ b"), [])
        self.assertEqual(world.site(b"S /here/a\\ b"), [b"S /here/a\\ b"])

    def test_sandboxPathKnown(self) -> None:
        """
        GET_SANDBOX_PATH: else the path from an earlier result for that id, at once when
        the link is not live, after 12 s when it is.
        """
        world = World("condor_ft-gahp")
        world.gridmanager(b"DOWNLOAD_SANDBOX 2 a\\ b ad", b"GET_SANDBOX_PATH c")
        world.site(b"S /there/c", b"S")  # what is urgent was sent first
        world.conclude(b"2 NULL /here/a\\ b")
        world.take()
        self.assertEqual(world.gridmanager(b"GET_SANDBOX_PATH a\\ b"), [])
        self.assertEqual(world.link(False), [b"S /here/a\\ b"])
        self.assertEqual(world.gridmanager(b"GET_SANDBOX_PATH c"), [b"S /there/c"])
        world.link(True)
        world.site(b"S /late")
        world.take()
        world.gridmanager(b"GET_SANDBOX_PATH c")
        self.assertEqual(world.wait(12.1), [b"S /there/c"])
        self.assertEqual(world.sent(), [b"GET_SANDBOX_PATH c"])

    def test_sandboxPathUnknown(self) -> None:
        """
        GET_SANDBOX_PATH: else after 12 s E and a sentence.
        """
        for isLive in (True, False):
            world = World("condor_ft-gahp")
            world.link(isLive)
            world.gridmanager(b"GET_SANDBOX_PATH a")
            self.assertEqual(world.wait(11.9), [])
            [reply] = world.wait(0.2)
            self.assertGreater(len(reply.split(b" ", 1)[1]), 10)
            self.assertEqual(reply.replace(b"\\ ", b"").count(b" "), 1)

    def test_sandboxPathWrong(self) -> None:
        """
        GET_SANDBOX_PATH: a path with a space, which condor_ft-gahp does not escape, would
        end the gridmanager, and becomes E with a line on stderr.
        """
        for reply in (b"S /a path", b"S"):
            world = World("condor_ft-gahp")
            world.gridmanager(b"GET_SANDBOX_PATH a")
            self.assertEqual(world.site(reply)[0][:2], b"E ")
            self.assertEqual(len(world.output.complaints), 1)

    def test_anythingElse(self) -> None:
        """
        Anything else is forwarded; after 15 s E, and withdrawn if unsent.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"BLAH_SET_SUDO_ID a\\ b"), [])
        self.assertEqual(world.sent(), [b"BLAH_SET_SUDO_ID a\\ b"])
        self.assertEqual(world.site(b"F not\\ you"), [b"F not\\ you"])
        world.link(False)
        world.gridmanager(b"BLAH_SET_SUDO_OFF")
        self.assertEqual(world.wait(14.9), [])
        self.assertEqual(world.wait(0.2)[0][:2], b"E ")
        world.link(True)
        self.assertEqual(world.sent(), [])
        self.assertEqual(world.output.complaints, [])
        world.gridmanager(b"SECRET_OF_THE_USER 17 words")
        self.assertEqual(world.wait(15.1)[0][:2], b"E ")
        self.assertEqual(world.output.complaints, [LATE % "a command"])

    def test_order(self) -> None:
        """
        Replies come in the order of the commands, though later ones are ready sooner.
        """
        world = World()
        world.gridmanager(b"FIRST", b"BLAH_JOB_CANCEL 2 x", b"RESULTS", b"SECOND", b"VERSION")
        self.assertEqual(world.heard(), [])
        said = world.site(b"S one", b"S")
        self.assertEqual(said, [b"S one", b"S", b"S 0"])
        said = world.site(b"S two")
        self.assertEqual(said, [b"S two", b"S " + BANNERS["blahpd"].strip()])
        self.assertEqual(world.front.heldBytes(), 0)


class PingTests(SynchronousTestCase):
    """
    The row of BLAH_PING.
    """

    def test_live(self) -> None:
        """
        BLAH_PING: S at once, and the result is the GAHP's.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 slurm"), [b"S"])
        self.assertEqual(world.wait(299), [])
        world.site(b"S")
        world.conclude(b"2 0 fine")
        self.assertEqual(world.results(), [b"2 0 fine"])

    def test_notLive(self) -> None:
        """
        BLAH_PING: not live, at once the failure; it is never held.
        """
        world = World()
        world.link(False)
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 slurm"), [b"S", b"R"])
        self.assertEqual(world.results(), [b"2 1 " + NOT_LIVE])
        world.link(True)
        self.assertEqual(world.sent(), [])

    def test_linkLost(self) -> None:
        """
        BLAH_PING: one that is out when the link is lost fails at once, and the late
        result is dropped.
        """
        world = World()
        world.gridmanager(b"BLAH_PING 2 slurm")
        self.assertEqual(world.link(False), [b"R"])
        self.assertEqual(world.results(), [b"2 1 " + NOT_LIVE])
        world.link(True)
        world.site(b"S")
        world.conclude(b"2 0 fine")
        self.assertEqual(world.results(), [])

    def test_notBehindOthers(self) -> None:
        """
        BLAH_PING does not wait for the window, nor behind what waits for it.
        """
        world = World()
        for number in range(2, 62):
            world.gridmanager(b"BLAH_JOB_CANCEL %d x" % number)
        self.assertEqual(len(world.sent()), frontlimits.WINDOW)
        world.gridmanager(b"BLAH_PING 99 slurm")
        self.assertEqual(world.sent(), [b"BLAH_PING 99 slurm"])


class StatusTests(SynchronousTestCase):
    """
    The row of BLAH_JOB_STATUS.
    """

    NO_NEWS = b"2 0 No\\ error 0 NULL"

    def test_live(self) -> None:
        """
        BLAH_JOB_STATUS: S, and the result is the GAHP's.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"BLAH_JOB_STATUS 2 x"), [b"S"])
        world.site(b"S")
        world.conclude(b"2 0 No\\ error 2 [\\ a=1;\\ ]")
        self.assertEqual(world.results(), [b"2 0 No\\ error 2 [\\ a=1;\\ ]"])

    def test_notLive(self) -> None:
        """
        BLAH_JOB_STATUS: not live, no news at once, and the command is not sent later.
        """
        world = World()
        world.link(False)
        self.assertEqual(world.gridmanager(b"BLAH_JOB_STATUS 2 x"), [b"S", b"R"])
        self.assertEqual(world.results(), [self.NO_NEWS])
        world.link(True)
        self.assertEqual(world.sent(), [])

    def test_late(self) -> None:
        """
        BLAH_JOB_STATUS: no news at 240 s, sent or not; the late result is dropped.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_STATUS 2 x")
        self.assertEqual(world.wait(239.9), [])
        self.assertEqual(world.wait(0.2), [b"R"])
        self.assertEqual(world.results(), [self.NO_NEWS])
        world.site(b"S")
        world.conclude(b"2 0 No\\ error 2 [\\ a=1;\\ ]")
        self.assertEqual(world.results(), [])
        self.assertEqual(world.output.finished, [])

    def test_neverRemembered(self) -> None:
        """
        BLAH_JOB_STATUS: never a remembered state, also when one was told before.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_STATUS 3 x")
        world.site(b"S")
        world.conclude(b"3 0 No\\ error 4 [\\ ExitCode=0;\\ ]")
        world.results()
        world.gridmanager(b"BLAH_JOB_STATUS 2 x")
        world.link(False)
        self.assertEqual(world.results(), [self.NO_NEWS])


class SubmitTests(SynchronousTestCase):
    """
    The rows of BLAH_JOB_SUBMIT and BLAH_JOB_REFRESH_PROXY.
    """

    def test_live(self) -> None:
        """
        BLAH_JOB_SUBMIT: S, and the result is the GAHP's.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"BLAH_JOB_SUBMIT 2 [\\ a=1\\ ]"), [b"S"])
        self.assertEqual(world.sent(), [b"BLAH_JOB_SUBMIT 2 [\\ a=1\\ ]"])
        world.site(b"S")
        world.conclude(b"2 0 No\\ error slurm/1/2")
        self.assertEqual(world.results(), [b"2 0 No\\ error slurm/1/2"])
        self.assertEqual(world.output.complaints, [])

    def test_unsent(self) -> None:
        """
        BLAH_JOB_SUBMIT, BLAH_JOB_REFRESH_PROXY: unsent at 270 s, withdrawn and a failure
        that says that it never reached the site.
        """
        for line, end in (
            (b"BLAH_JOB_SUBMIT 2 ad", b" N/A"),
            (b"BLAH_JOB_REFRESH_PROXY 2 x proxy", b""),
        ):
            world = World()
            world.link(False)
            self.assertEqual(world.gridmanager(line), [b"S"])
            self.assertEqual(world.wait(269.9), [])
            self.assertEqual(world.wait(0.2), [b"R"])
            self.assertEqual(world.results(), [b"2 1 " + UNSENT + end])
            world.link(True)
            self.assertEqual(world.sent(), [])
            self.assertEqual(world.front.heldBytes(), 0)

    def test_sentInTime(self) -> None:
        """
        BLAH_JOB_SUBMIT: held for 269 s it is sent when the link is live again.
        """
        world = World()
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad")
        world.wait(269)
        world.link(True)
        self.assertEqual(world.sent(), [b"BLAH_JOB_SUBMIT 2 ad"])
        world.site(b"S")
        self.assertEqual(world.work(3000), [])

    def test_sent(self) -> None:
        """
        BLAH_JOB_SUBMIT, BLAH_JOB_REFRESH_PROXY: sent, nothing is ever invented, with the
        link live or not.
        """
        for line in (b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_JOB_REFRESH_PROXY 2 x proxy"):
            for acknowledged in (True, False):
                world = World()
                world.gridmanager(line)
                if acknowledged:
                    world.site(b"S")
                self.assertEqual(world.wait(100), [])
                self.assertEqual(world.link(False), [])
                self.assertEqual(world.wait(10_000), [])
                self.assertEqual(world.results(), [])

    def test_lateJob(self) -> None:
        """
        BLAH_JOB_SUBMIT: a result after the gridmanager's timer is still written; if it
        names a job, its id goes to stderr.
        """
        for result, isJob in (
            (b"2 0 No\\ error slurm/2/3", True),
            (b"2 1 no\\ such\\ queue N/A", False),
            (b"2 0 No\\ error slurm/2/3" + b"3" * 5000, True),
        ):
            world = World()
            world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad")
            world.site(b"S")
            world.wait(301)
            world.conclude(result)
            self.assertEqual(world.results(), [result])
            self.assertTrue(all(len(one) < 1000 for one in world.output.complaints))
            self.assertEqual(
                [("slurm/2/3" in one) for one in world.output.complaints], [True] * isJob
            )


class OwedTests(SynchronousTestCase):
    """
    The row of BLAH_JOB_CANCEL and DESTROY_SANDBOX.
    """

    CASES = (
        ("blahpd", b"BLAH_JOB_CANCEL 2 x", b"2 0 No\\ error"),
        ("condor_ft-gahp", b"DESTROY_SANDBOX 2 id ad", b"2 NULL"),
    )

    def test_whenever(self) -> None:
        """
        BLAH_JOB_CANCEL, DESTROY_SANDBOX: S, and delivered whenever, also after their
        timers; the result is only the site's.
        """
        for gahp, line, result in self.CASES:
            world = World(gahp)
            world.link(False)
            self.assertEqual(world.gridmanager(line), [b"S"])
            self.assertEqual(world.wait(10_000), [])
            self.assertEqual(world.results(), [])
            world.link(True)
            self.assertEqual(world.sent(), [line])
            world.site(b"S")
            world.conclude(result)
            self.assertEqual(world.results(), [result])

    def test_gridmanagerGone(self) -> None:
        """
        BLAH_JOB_CANCEL, DESTROY_SANDBOX: with one undelivered at the end of stdin the
        client has to stay until it is delivered, and nothing else is sent any more.
        """
        for gahp, line, result in self.CASES:
            world = World(gahp)
            world.link(False)
            world.gridmanager(b"BLAH_JOB_SUBMIT 3 ad", b"DOWNLOAD_SANDBOX 4 id ad", line)
            world.front.gridmanagerEnded()
            self.assertTrue(world.front.owes())
            world.wait(1000)
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.link(True)
            self.assertEqual(world.sent(), [line])
            self.assertTrue(world.front.owes())
            world.confirm(world.output.unconfirmed - 1)
            world.wait(299)
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.confirmAll()
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.site(b"S")
            world.conclude(result)
            self.assertEqual((world.front.owes(), world.output.ends), (False, 1))

    def test_deliveredWithoutResult(self) -> None:
        """
        BLAH_JOB_CANCEL, DESTROY_SANDBOX: delivered, it has 30 s more for its result.
        """
        for gahp, line, _ in self.CASES:
            world = World(gahp)
            world.gridmanager(line)
            world.confirmAll()
            world.front.gridmanagerEnded()
            world.wait(29.9)
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.wait(0.2)
            self.assertEqual((world.front.owes(), world.output.ends), (False, 1))

    def test_notHeardOf(self) -> None:
        """
        BLAH_JOB_CANCEL, DESTROY_SANDBOX: those 30 s count only while the link is live: the
        GAHP may have had no thread for it.
        """
        for gahp, line, _ in self.CASES:
            world = World(gahp)
            world.gridmanager(line)
            world.confirmAll()
            world.link(False)
            world.front.gridmanagerEnded()
            world.wait(1000)
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.link(True)
            world.wait(29)
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.take()
            world.site(b"F Threads\\ limit\\ reached")
            world.wait(6)
            self.assertEqual(world.sent(), [line])
            world.link(False)
            world.link(True)
            world.wait(250)
            self.assertEqual((world.front.owes(), world.output.ends), (True, 0))
            world.confirmAll()
            world.wait(31)
            self.assertEqual((world.front.owes(), world.output.ends), (False, 1))

    def test_afterTheEnd(self) -> None:
        """
        Once the GAHP's stdin has ended nothing is owed, and nothing sent.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        world.confirmAll()
        world.front.gridmanagerEnded()
        world.wait(31)
        world.take()
        world.site(b"F Threads\\ limit\\ reached")
        world.wait(100)
        self.assertEqual((world.front.owes(), world.sent(), world.output.ends), (False, [], 1))

    def test_nothingOwed(self) -> None:
        """
        With nothing owed, the GAHP's stdin ends when ours does; also before the banner.
        """
        for world in (World(), World(isReady=False)):
            world.front.gridmanagerEnded()
            world.front.gridmanagerEnded()
            self.assertEqual(world.output.ends, 1)
            self.assertFalse(world.front.owes())
        world = World()
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 3 ad")
        world.front.gridmanagerEnded()
        self.assertEqual(world.output.ends, 1)

    def test_repliesFirst(self) -> None:
        """
        Commands that came before the end of stdin get their replies, from a pipe too
        that ended before the banner.
        """
        world = World(isReady=False)
        world.gridmanager(b"VERSION", b"BLAH_SET_SUDO_OFF")
        world.front.gridmanagerEnded()
        world.link(True)
        world.front.siteData(BANNERS["blahpd"])
        world.site(b"S x", b"S")
        self.assertEqual(world.output.ends, 0)
        self.assertEqual(world.site(b"S Sudo\\ off"), [b"S Sudo\\ off"])
        self.assertEqual(world.output.ends, 1)

    def test_droppedInSilence(self) -> None:
        """
        What is dropped when the gridmanager goes gets no result later on.
        """
        world = World()
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_JOB_CANCEL 3 x")
        world.front.gridmanagerEnded()
        self.assertEqual(world.wait(1000), [])
        self.assertIsNone(world.front.nextDeadline())

    def test_refusedAfterTheEnd(self) -> None:
        """
        A submit that the GAHP has no thread for is not tried again for a gridmanager
        that has gone; a cancel is.
        """
        world = World()
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_JOB_CANCEL 3 x")
        world.front.gridmanagerEnded()
        world.take()
        world.site(b"F Threads\\ limit\\ reached", b"F Threads\\ limit\\ reached")
        world.wait(6)
        self.assertEqual(world.sent(), [b"BLAH_JOB_CANCEL 3 x"])


class TransferTests(SynchronousTestCase):
    """
    The row of DOWNLOAD_SANDBOX, UPLOAD_SANDBOX and DOWNLOAD_PROXY.
    """

    CASES = (
        (b"DOWNLOAD_SANDBOX", b" NULL", b"2 NULL /path"),
        (b"UPLOAD_SANDBOX", b"", b"2 NULL"),
        (b"DOWNLOAD_PROXY", b"", b"2 NULL"),
    )

    def test_live(self) -> None:
        """
        Transfers: S, and the result is the GAHP's, however late.
        """
        for name, _, result in self.CASES:
            world = World("condor_ft-gahp")
            self.assertEqual(world.gridmanager(name + b" 2 id ad"), [b"S"])
            world.site(b"S")
            self.assertEqual(world.work(5000), [])
            world.conclude(result)
            self.assertEqual(world.results(), [result])

    def test_unsent(self) -> None:
        """
        Transfers: unsent at 3500 s, withdrawn, failure.
        """
        for name, end, _ in self.CASES:
            world = World("condor_ft-gahp")
            world.link(False)
            self.assertEqual(world.gridmanager(name + b" 2 id ad"), [b"S"])
            self.assertEqual(world.wait(3499.9), [])
            world.wait(0.2)
            self.assertEqual(world.results(), [b"2 " + UNSENT + end])
            world.link(True)
            self.assertEqual(world.sent(), [])

    def test_neverTwice(self) -> None:
        """
        Transfers are never issued twice, whatever the link does.
        """
        for name, _, _ in self.CASES:
            world = World("condor_ft-gahp")
            world.gridmanager(name + b" 2 id ad")
            self.assertEqual(world.sent(), [name + b" 2 id ad"])
            for _ in range(5):
                world.link(False)
                world.wait(1000)
                world.link(True)
            self.assertEqual([one for one in world.sent() if one != b"RESULTS"], [])


class OtherRequestTests(SynchronousTestCase):
    """
    The row of the requests that are never answered by us.
    """

    LINES = (
        b"BLAH_JOB_HOLD 2 x",
        b"BLAH_JOB_RESUME 2 x",
        b"BLAH_JOB_STATUS_ALL 2",
        b"BLAH_JOB_STATUS_SELECT 2 a",
        b"BLAH_JOB_SEND_PROXY_TO_WORKER_NODE 2 x proxy node",
        b"BLAH_GET_HOSTPORT 2",
        b"BLAH_NEW 2 x",
    )

    def test_forwarded(self) -> None:
        """
        BLAH_JOB_HOLD, RESUME, STATUS_ALL, STATUS_SELECT and others with a request id: S,
        forwarded, never answered by us.
        """
        for line in self.LINES:
            world = World()
            self.assertEqual(world.gridmanager(line), [b"S"])
            self.assertEqual(world.sent(), [line])
            world.link(False)
            self.assertEqual(world.gridmanager(line.replace(b" 2", b" 3")), [b"S"])
            self.assertEqual(world.wait(10_000), [])
            self.assertEqual(world.results(), [])
            world.link(True)
            self.assertEqual(world.sent(), [line.replace(b" 2", b" 3")])

    def test_unlisted(self) -> None:
        """
        A command that neither we nor the GAHP know has no request id: the reply is the
        GAHP's.
        """
        world = World()
        self.assertEqual(world.gridmanager(b"BLAH_NEWER 2 x"), [])
        self.assertEqual(world.site(b"E Unknown\\ command"), [b"E Unknown\\ command"])


class RequestIdTests(SynchronousTestCase):
    """
    Request ids.
    """

    def test_none(self) -> None:
        """
        A request whose id is no number cannot have a result, and is refused.
        """
        world = World()
        for line in (b"BLAH_PING", b"BLAH_PING  2 x", b"BLAH_PING x 2", b"BLAH_PING -2 x"):
            self.assertEqual(
                world.gridmanager(line), [b"E a\\ request\\ id\\ must\\ be\\ a\\ decimal\\ number"]
            )
        self.assertEqual(world.sent(), [])

    def test_inUse(self) -> None:
        """
        An id that is in use is refused, until its result has been fetched.
        """
        inUse = [b"E this\\ request\\ id\\ is\\ in\\ use"]
        world = World()
        world.gridmanager(b"BLAH_JOB_CANCEL 2 x")
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x"), inUse)
        world.site(b"S")
        world.conclude(b"2 0 No\\ error")
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x"), inUse)
        self.assertEqual(world.results(), [b"2 0 No\\ error"])
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x"), [b"S"])
        world.link(False)
        world.gridmanager(b"BLAH_JOB_CANCEL 3 x")
        self.assertEqual(world.gridmanager(b"BLAH_JOB_CANCEL 3 x"), inUse)

    def test_stillAtTheSite(self) -> None:
        """
        An id that was answered for the GAHP is in use until the GAHP answers too: its
        late result must not be taken for another's.
        """
        world = World()
        world.gridmanager(b"BLAH_PING 2 x")
        world.link(False)
        world.results()
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x")[0][:1], b"E")
        world.link(True)
        world.site(b"S")
        world.conclude(b"2 0 fine")
        self.assertEqual(world.gridmanager(b"BLAH_PING 2 x"), [b"S"])


class InputTests(SynchronousTestCase):
    """
    Bytes from the gridmanager.
    """

    def test_separators(self) -> None:
        """
        In the input CR, LF and NUL separate, and empty lines count for nothing.
        """
        world = World()
        world.front.gridmanagerData(b"\n\r\n\0RESULTS\r\r\nRESULTS\0\0RESULTS\r\n\nRESULTS")
        self.assertEqual(world.heard(), [b"S 0"] * 3)
        world.front.gridmanagerData(b"\r")
        self.assertEqual(world.heard(), [b"S 0"])

    def test_fragments(self) -> None:
        """
        A line may come byte by byte; the last one, if it is not whole, counts for nothing.
        """
        world = World()
        for byte in b"BLAH_JOB_CANCEL 2 a\\ b\r\nBLAH_JOB_CANCEL 3 c":
            world.front.gridmanagerData(bytes((byte,)))
        self.assertEqual(world.heard(), [b"S"])
        world.front.gridmanagerEnded()
        self.assertEqual(world.sent(), [b"BLAH_JOB_CANCEL 2 a\\ b"])

    def test_unchanged(self) -> None:
        """
        A line reaches the GAHP byte for byte, whatever is escaped in it.
        """
        world = World("condor_ft-gahp")
        line = b"UPLOAD_SANDBOX 2 a\\ \\\\\\\r\\\nb \\[\\ \xff\\ ]"
        self.assertEqual(world.gridmanager(line), [b"S"])
        self.assertEqual(world.output.sent, line + b"\r\n")

    def test_tooLongForTheGAHP(self) -> None:
        """
        blahpd exits over a line near 1 MiB: it is not sent, and fails alone.
        """
        world = World()
        ad = b"x" * frontlimits.BLAHPD_COMMAND_BYTES
        self.assertEqual(world.gridmanager(b"BLAH_JOB_SUBMIT 2 " + ad), [b"S", b"R"])
        [result] = world.results()
        self.assertTrue(result.startswith(b"2 1 the\\ command\\ is\\ longer"))
        self.assertTrue(result.endswith(b" N/A"))
        self.assertEqual(world.gridmanager(b"BLAH_SET_SUDO_ID " + ad)[0][:2], b"E ")
        self.assertEqual((world.sent(), world.front.heldBytes()), ([], 0))

    def test_unsendable(self) -> None:
        """
        blahpd ends a line at a CR, LF or NUL that is escaped too, and would answer twice:
        such a line is not sent, and fails alone.
        """
        for byte in (b"\r", b"\n", b"\0"):
            world = World()
            world.gridmanager(b"BLAH_JOB_SUBMIT 2 a\\" + byte + b"b")
            [result] = world.results()
            self.assertEqual(result.count(b" ") - result.count(b"\\ "), 3)
            self.assertEqual(world.sent(), [])

    def test_tooLong(self) -> None:
        """
        A line over 8 MiB gets E, and the next one is a new one.
        """
        world = World("condor_ft-gahp")
        line = b"UPLOAD_SANDBOX 2 id " + b"x" * frontlimits.COMMAND_BYTES
        self.assertEqual(
            world.gridmanager(line, b"RESULTS"), [b"E the\\ line\\ is\\ too\\ long", b"S 0"]
        )

    def test_held(self) -> None:
        """
        What is held is told: half a line, a held command, a reply that waits.
        """
        world = World()
        world.front.gridmanagerData(b"x" * 1000)
        self.assertEqual(world.front.heldBytes(), 1000)
        world.gridmanager()
        world.front.gridmanagerData(b"\n")
        waiting = world.front.heldBytes()
        self.assertLess(0, waiting)
        world.link(False)
        world.gridmanager(b"BLAH_JOB_CANCEL 2 " + b"x" * 5000)
        self.assertLess(waiting + 5000, world.front.heldBytes())
        world.link(True)
        world.site(b"S", b"S")
        self.assertEqual(world.front.heldBytes(), 0)


class TimersTests(SynchronousTestCase):
    """
    The gridmanager's timers.
    """

    def test_known(self) -> None:
        """
        The limits follow the gridmanager's own settings where they are known.
        """
        world = World(timers=Timers(call=30, response=10))
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"DOWNLOAD_SANDBOX 3 id ad")
        self.assertEqual(world.wait(26), [])
        self.assertEqual(world.wait(2), [b"R"])
        world.results()
        self.assertEqual(world.wait(3471), [])
        self.assertEqual(world.wait(2), [b"R"])
        world.gridmanager(b"CONDOR_VERSION v")
        self.assertEqual(world.wait(5.6), [])
        self.assertEqual(len(world.wait(0.2)), 1)

    def test_endless(self) -> None:
        """
        Where the gridmanager waits for results as long as it takes, so does the front: it
        asks for no tick that never comes, and answers nothing in the GAHP's place but what
        it answers at once.
        """
        world = World(timers=Timers(call=0))
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"BLAH_JOB_REFRESH_PROXY 3 job x")
        self.assertIsNone(world.front.nextDeadline())
        self.assertEqual(world.wait(1e9), [])
        world.link(True)
        world.site(b"S", b"S")
        world.conclude(b"2 0 No\\ error slurm/1/2", b"3 0 No\\ error")
        self.assertEqual(len(world.results()), 2)
        self.assertEqual(world.output.complaints, [])

    def test_clockStep(self) -> None:
        """
        A clock that steps by hours, as after a suspend, answers everything that is due in
        one tick.
        """
        world = World()
        world.link(False)
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 ad", b"CONDOR_VERSION v", b"DOWNLOAD_PROXY 3 i a")
        world.now += 100_000.0
        world.front.tick()
        self.assertEqual([one[:1] for one in world.heard()], [b"E", b"S", b"R"])
        self.assertEqual(len(world.results()), 2)
        self.assertIsNone(world.front.nextDeadline())

    def test_idle(self) -> None:
        """
        A front with nothing to do asks for no tick.
        """
        world = World()
        self.assertIsNone(world.front.nextDeadline())
        world.gridmanager(b"BLAH_PING 2 x")
        world.site(b"S")
        world.conclude(b"2 0 ok")
        self.assertIsNone(world.front.nextDeadline())


class EndTests(SynchronousTestCase):
    """
    The GAHP's end, after the banner; what becomes of the commands then is in
    L{tests.test_frontrestart}.
    """

    def test_goneBefore(self) -> None:
        """
        When the gridmanager has gone and nothing is owed, the client exits with the GAHP's
        status, and says what the site says of it.
        """
        for status, sentence in ((0, ""), (1, ""), (143, "killed by its administrator")):
            world = World()
            world.gridmanager(b"BLAH_PING 2 x", b"BLAH_JOB_SUBMIT 3 ad")
            world.take()
            world.front.gridmanagerEnded()
            world.front.siteEnded(status, sentence)
            self.assertEqual(world.output.finished, [(status, sentence)])
            self.assertEqual(world.heard(), [])

    def test_sentence(self) -> None:
        """
        What the site says of the GAHP's end is said here, once; if it says nothing, the
        status is told.
        """
        world = World(isReady=False)
        world.front.siteEnded(1, "killed by its administrator")
        self.assertEqual(world.output.finished, [(1, "killed by its administrator")])
        world = World()
        world.front.siteEnded(1, "killed by its administrator")
        world.start()
        world.front.siteEnded(3)
        world.front.siteStarted()
        world.front.siteEnded(0)
        self.assertEqual(
            world.output.over,
            [
                "killed by its administrator",
                "it ended with status 3",
                "it ended with status 0 before it was ready",
            ],
        )
        self.assertEqual(world.output.finished, [])

    def test_halfLine(self) -> None:
        """
        Half a line at the GAHP's end is not passed on, and said so if the client ends.
        """
        world = World()
        world.gridmanager(b"CONDOR_VERSION v")
        world.front.siteData(b"S half")
        world.front.siteEnded(3)
        self.assertEqual((len(world.output.over), world.heard()), (1, []))
        world = World()
        world.front.gridmanagerEnded()
        world.front.siteData(b"S half")
        world.front.siteEnded(3)
        [(status, sentence)] = world.output.finished
        self.assertEqual((status, bool(sentence), world.heard()), (3, True, []))

    def test_nothingAfterTheEnd(self) -> None:
        """
        When it is over nothing more comes out, whatever goes in.
        """
        for begun in (True, False):
            world = World(isReady=begun)
            world.link(True)
            world.gridmanager(b"CONDOR_VERSION v")
            if begun:
                world.front.gridmanagerEnded()
            world.site(b"$GahpVersion $" if not begun else b"rubbish", b"more of it")
            world.site(b"$GahpVersion $", b"S COMMANDS", b"S")
            self.assertEqual(len(world.output.finished), 1)
            self.assertEqual(world.output.greetings, begun)
            world.take()
            world.now += 100
            world.front.tick()
            world.site(b"S", b"R")
            world.gridmanager(b"RESULTS")
            world.link(False)
            world.link(True)
            world.confirmAll()
            world.wait(10_000)
            world.front.gridmanagerEnded()
            world.front.siteEnded(0)
            world.front.siteLost("again")
            self.assertEqual((world.heard(), world.sent(), world.output.ends), ([], [], 0))
            self.assertIsNone(world.front.nextDeadline())

    def test_olderName(self) -> None:
        """
        batch_gahp is blahpd's older name, and has the same front.
        """
        world = World("batch_gahp")
        self.assertEqual(world.gridmanager(b"COMMANDS"), [b"S " + BATCH_COMMANDS])
        world.gridmanager(b"BLAH_JOB_SUBMIT 2 a\\\nb")
        self.assertEqual(len(world.results()), 1)
