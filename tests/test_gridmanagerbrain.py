"""
Tests of the gridmanager double in memory: what it bears, what it dies of, what it does with
jobs.  Each expectation is the real one's: C{gc} is HTCondor's
C{src/condor_gridmanager/gahp-client.cpp}, C{ij} C{infnbatchjob.cpp}.
"""

from __future__ import annotations

from tests.gridmanagercase import BrainTestCase
from tests.gridmanagerlines import (
    CommandRefused,
    GridmanagerDied,
    GridmanagerError,
    GridmanagerHung,
    OutOfStep,
    ResourceDown,
    Times,
)
from tests.gridmanagerqueue import COMPLETED
from tests.gridmanagerrequests import TIMED_OUT
from tests.rubbishgahp import KINDS

#: What becomes of the gridmanager for each misdeed: its end, by name and reason.
ENDS: dict[str, tuple[type[GridmanagerError], str]] = {
    # The start: nothing is lost.
    "exit@BANNER": (ResourceDown, "could not start"),
    "halfExit@BANNER": (ResourceDown, "could not start"),
    "longBanner@BANNER": (ResourceDown, "could not start"),
    "silent@BANNER": (GridmanagerHung, "no banner within 30 s"),
    "half@BANNER": (GridmanagerHung, "no banner within 30 s"),
    "formless@BANNER": (GridmanagerHung, "no banner within 30 s"),
    "exit@COMMANDS": (ResourceDown, "could not start"),
    "halfExit@COMMANDS": (ResourceDown, "could not start"),
    "refuse@COMMANDS": (ResourceDown, "could not start"),
    "empty@COMMANDS": (ResourceDown, "could not start"),
    "noise@COMMANDS": (ResourceDown, "could not start"),
    # From the answer to COMMANDS on the end of the GAHP is the end of all.
    "silent@COMMANDS": (GridmanagerDied, "no line for 20 s after COMMANDS"),
    "half@COMMANDS": (GridmanagerDied, "no line for 20 s after COMMANDS"),
    "skip@COMMANDS": (GridmanagerDied, "no line for 20 s after COMMANDS"),
    "twice@COMMANDS": (OutOfStep, "blahpd said unasked: .*ASYNC_MODE_ON"),
    "longWord@COMMANDS": (GridmanagerDied, "a token of 512000 bytes"),
    "exit@ASYNC_MODE_ON": (GridmanagerDied, r"bad BLAH_PING request: \[\]"),
    "refuse@ASYNC_MODE_ON": (CommandRefused, "ASYNC_MODE_ON"),
    "silent@ASYNC_MODE_ON": (GridmanagerDied, "no line for 20 s after ASYNC_MODE_ON"),
    "exit@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request: .."),
    "halfExit@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request: .."),
    "silent@BLAH_PING": (GridmanagerDied, "no line for 20 s after BLAH_PING"),
    "half@BLAH_PING": (GridmanagerDied, "no line for 20 s after BLAH_PING"),
    "skip@BLAH_PING": (GridmanagerDied, "no line for 20 s after BLAH_PING"),
    "refuse@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request"),
    "empty@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request"),
    "noise@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request"),
    "twice@BLAH_PING": (OutOfStep, "said unasked: b'S'"),
    # Without another request on its way there is nothing to wait for.
    "limit@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request: .*Threads limit reached"),
    "longWord@BLAH_JOB_SUBMIT": (GridmanagerDied, "a token of 512000 bytes"),
    "refuse@BLAH_JOB_STATUS": (GridmanagerDied, "bad BLAH_JOB_STATUS request"),
    # The answer to RESULTS.
    "exit@RESULTS": (GridmanagerDied, r"exited with status \d"),
    "halfExit@RESULTS": (GridmanagerDied, r"exited with status \d"),
    "silent@RESULTS": (GridmanagerDied, "no line for 20 s after RESULTS"),
    "half@RESULTS": (GridmanagerDied, "no line for 20 s after RESULTS"),
    "promise@RESULTS": (GridmanagerDied, "no line for 20 s after RESULTS"),
    "negative@RESULTS": (GridmanagerDied, "RESULTS answered with"),
    "fewer@RESULTS": (GridmanagerDied, "BLAH_PING answered with .* not 3 fields"),
    "more@RESULTS": (GridmanagerDied, "BLAH_PING answered with .* not 3 fields"),
    "longToken@RESULTS": (GridmanagerDied, "a token of 512000 bytes"),
    "longWord@RESULTS": (GridmanagerDied, "a token of 512000 bytes"),
    "failure@RESULTS": (ResourceDown, "No error"),
    "refuse@RESULTS": (OutOfStep, "RESULTS answered with"),
    "noise@RESULTS": (OutOfStep, "RESULTS answered with"),
    "many@RESULTS": (OutOfStep, "RESULTS answered with"),
    "miser@RESULTS": (OutOfStep, "said unasked: b'2 0"),
    "twice@RESULTS": (OutOfStep, "said unasked"),
    "stranger@RESULTS": (OutOfStep, "the result of nothing: .*77777"),
    "nameless@RESULTS": (OutOfStep, "the result of nothing: .*NULL"),
    "again@RESULTS": (OutOfStep, "the result of nothing: .b'2'"),
    "wordCode@RESULTS": (OutOfStep, "the code of a result is b'good'"),
    "badCode@RESULTS": (OutOfStep, "the code of a result is b'-102'"),
    "lost@RESULTS": (ResourceDown, "BLAH_PING timed out"),
    # At rest.
    "exit@IDLE": (GridmanagerDied, r"bad BLAH_PING request: \[\]"),
    "noise@IDLE": (OutOfStep, "said unasked: b'libproxy"),
    "strayReply@IDLE": (OutOfStep, "said unasked: b'S 0'"),
    # The transfer GAHP.
    "refuse@CONDOR_VERSION": (CommandRefused, "CONDOR_VERSION"),
    "refuse@CREATE_CONDOR_SECURITY_SESSION": (CommandRefused, "CREATE_CONDOR"),
    "exit@CREATE_CONDOR_SECURITY_SESSION": (GridmanagerDied, r"exited with status \d"),
    "silent@CREATE_CONDOR_SECURITY_SESSION": (GridmanagerDied, "no line for 20 s after CREATE"),
    "refuse@DOWNLOAD_SANDBOX": (GridmanagerDied, "bad DOWNLOAD_SANDBOX request"),
    "silent@UPLOAD_SANDBOX": (GridmanagerDied, "no line for 20 s after UPLOAD_SANDBOX"),
    "noise@DESTROY_SANDBOX": (GridmanagerDied, "bad DESTROY_SANDBOX request"),
}

#: Misdeeds that do nothing to it.
BORNE = [
    "noise@BANNER",
    "notice@COMMANDS",
    "word@COMMANDS",
    "notice@ASYNC_MODE_ON",
    "notice@BLAH_PING",
    "word@BLAH_PING",
    "twice@R",
    "notice@R",
    "skip@R",
    "notice@RESULTS",
    "word@RESULTS",
    "between@RESULTS",
    # The first result is that of a ping.
    "nothing@RESULTS",
    "notice@IDLE",
    "notice@CREATE_CONDOR_SECURITY_SESSION",
    "word@DOWNLOAD_SANDBOX",
]


class MisdeedTests(BrainTestCase):
    """
    What a GAHP may not do.
    """

    def test_none(self) -> None:
        """
        A good GAHP is served, job after job, to the end.
        """
        self.start()
        self.finish(20)
        self.assertEqual([job.status for job in self.brain.jobs], [COMPLETED] * 20)
        transfers = self.brain.transfers
        assert transfers is not None
        for dialogue, issued in ((self.brain.batch, 1 + 20 * 4), (transfers, 20 * 3)):
            wanted = {"issued": issued, "answered": issued, "timedOut": 0, "late": 0}
            self.assertEqual(dialogue.counts, wanted)

    def test_each(self) -> None:
        """
        Of each misdeed it dies, or not, as the real one does.
        """
        for misdeed, (kind, reason) in ENDS.items():
            self.start({}, misdeed)
            error = self.assertRaises(GridmanagerError, self.finish)
            self.assertIs(type(error), kind, f"{misdeed}: {error}")
            self.assertRegex(str(error), reason, misdeed)
            # And it stays so.
            self.assertIs(self.assertRaises(kind, self.brain.wake), error)

    def test_borne(self) -> None:
        """
        Notices, of any kind and anywhere, text before the banner, and no text where there
        may be none, harm nobody.
        """
        for misdeed in BORNE:
            self.start({}, misdeed)
            self.finish(3)
            self.assertEqual([job.status for job in self.brain.jobs], [COMPLETED] * 3)
            done = [name for gahp in self.gahps.values() for name, _ in gahp.done]
            self.assertIn(misdeed.partition("@")[0], done)

    def test_all(self) -> None:
        """
        No misdeed is left out.
        """
        tried = {word.partition("@")[0] for word in [*ENDS, *BORNE]}
        self.assertEqual({name for kind in KINDS.values() for name in kind} - tried, {"garble"})

    def test_outOfStep(self) -> None:
        """
        Where the real one goes on although a line was wrong, the double can too.  A line too
        many is taken for the answer to the next command.
        """
        for misdeed, fate in (
            ("stranger@RESULTS", "BLAH_PING timed out"),
            ("miser@RESULTS", "BLAH_PING timed out"),
            # Another RESULTS comes with the next notice.
            ("twice@BLAH_PING", ""),
            ("again@RESULTS", ""),
        ):
            times = Times().scaled(0.01)
            self.start({}, misdeed, tolerate=(OutOfStep, ResourceDown), times=times)
            self.ping()
            self.assertEqual(self.brain.resource.reason, fate)
            self.assertIsInstance(self.brain.troubles[0], OutOfStep)

    def test_resultOfNothingYet(self) -> None:
        """
        The result of a request that the GAHP was not given yet is the end (C{gc} C{poll}).
        """
        self.start({b"BLAH_PING": b""})
        brain = self.brain
        self.memory.run(lambda: brain.batch.counts["issued"] == 1)
        answers = [brain.request(brain.batch, 3, b"BLAH_PING", b"x") for _ in range(50)]
        self.memory.run(lambda: brain.batch.counts["issued"] == 50)
        brain.batch.received(b"R\n")
        gahp = self.gahps["blahpd"]
        gahp.results.append(b"52 0 No\\ error\n")
        error = self.assertRaises(GridmanagerDied, self.memory.run, lambda: False)
        self.assertIn("not issued yet", str(error))
        self.assertEqual(answers, [[]] * 50)


class LimitTests(BrainTestCase):
    """
    Lengths, numbers and times.
    """

    def test_banner(self) -> None:
        """
        A banner of 149 bytes and LF is read, one more is a failed start; backslashes and what
        stands before the $ do not count.
        """
        for text, isGood in (
            (b"$" + b"x" * 148, True),
            (b"$" + b"x" * 149, False),
            (b"hello\n$" + b"\\x" * 148, True),
            (b"$" + b"x" * 148 + b"\r", False),
        ):
            self.start(banner=text + b"\n", tolerate=(ResourceDown,))
            self.ping()
            self.assertEqual(not self.brain.resource.isDown, isGood, text)

    def test_token(self) -> None:
        """
        A token may have 511,999 bytes, escapes not counted; the number of tokens is free.
        """
        for token, isGood in (
            (b"/" + b"x" * 511_998, True),
            (b"/" + b"\\x" * 1000 + b"x" * 510_998, True),
            (b"/" + b"x" * 511_999, False),
        ):
            self.start({b"BLAH_JOB_SUBMIT": b"0 No\\ error " + token})
            if isGood:
                self.finish()
            else:
                self.assertRaises(GridmanagerDied, self.finish)
        self.start({b"BLAH_JOB_SUBMIT": b"0" + b" x" * 500_000})
        self.assertRegex(str(self.assertRaises(GridmanagerDied, self.finish)), "4 fields")

    def test_requests(self) -> None:
        """
        One GAHP has at most 50 requests; the others wait for room and then go.
        """
        most: list[int] = []

        def count() -> bool:
            most.append(self.brain.batch.inFlight)
            return self.brain.isIdle

        self.start()
        for _ in range(120):
            self.brain.addJob()
        self.memory.run(count)
        self.assertEqual(max(most), 50)
        self.assertEqual({job.status for job in self.brain.jobs}, {COMPLETED})

    def test_threadsLimit(self) -> None:
        """
        A GAHP that takes no more, while it has some, gets the request again and fewer at once.
        """
        self.start(limit=3)
        self.finish(10)
        self.assertEqual({job.status for job in self.brain.jobs}, {COMPLETED})
        self.assertEqual(self.brain.batch.counts["issued"], 41)
        self.assertEqual(self.brain.batch.limit, 3)

    def test_givenUp(self) -> None:
        """
        A request that is given up makes room, though its answer may still come.
        """
        self.start({b"BLAH_JOB_HOLD": b""})
        answers = [
            self.brain.request(self.brain.batch, 3, b"BLAH_JOB_HOLD", b"x") for _ in range(60)
        ]
        self.memory.run(lambda: all(answers))
        self.assertEqual(answers, [[TIMED_OUT]] * 60)

    def test_polls(self) -> None:
        """
        A notice makes one RESULTS, and none makes one each 60 s; without notices it is 5 s.
        """
        for misdeeds, interval in (((), 60), (("refuse@ASYNC_MODE_ON",), 5)):
            self.start({}, *misdeeds, tolerate=(CommandRefused,), isRemote=False)
            self.ping()
            inputs = self.gahps["blahpd"].inputs
            self.assertEqual(inputs.count(b"RESULTS"), 1)
            self.assertRaises(AssertionError, self.memory.run, lambda: False, 600)
            self.assertApproximates(inputs.count(b"RESULTS"), 1 + 600 / interval, 1)

    def test_fragments(self) -> None:
        """
        A command is written in the real one's pieces, its arguments escaped.
        """
        self.start(isRemote=False)
        self.brain.addJob(lambda path: b"[Cmd = \\\n]")
        self.memory.run(lambda: self.brain.isIdle)
        inputs = self.gahps["blahpd"].inputs
        self.assertEqual(inputs[:4], [b"COMMANDS", b"\r\n", b"ASYNC_MODE_ON", b"\r\n"])
        at = inputs.index(b"BLAH_JOB_SUBMIT")
        wanted = [b"BLAH_JOB_SUBMIT", b" 3 ", b"[Cmd\\ =\\ \\\\\\\n]", b"\r\n"]
        self.assertEqual(inputs[at : at + 4], wanted)

    def test_stderr(self) -> None:
        """
        The tunnel's port is learnt from a line that begins so; a failed start tells the last
        four lines, and forgets the port.
        """
        self.start({}, "exit@COMMANDS", tolerate=(ResourceDown,))
        self.memory.run(lambda: bool(self.memory.wires))
        dialogue = self.brain.batch
        dialogue.receivedError(b"a\nb\nAllocated por")
        dialogue.receivedError(b"t 7 for remote forward to x\nno Allocated port 8 for\n")
        self.assertEqual(dialogue.port, 0)
        dialogue.receivedError(b"Allocated port 9 for remote forward to\r\nAllocated port 5 f\nz")
        self.assertEqual(dialogue.port, 9)
        self.memory.run(lambda: self.brain.resource.isDown)
        lines = ["Allocated port 7 for remote forward to x", "no Allocated port 8 for"]
        lines += ["Allocated port 9 for remote forward to", "Allocated port 5 f"]
        said = "".join(f"{line}\\n" for line in lines)
        self.assertEqual(self.brain.resource.reason, f"could not start blahpd: {said}")
        self.assertEqual(dialogue.port, 0)
