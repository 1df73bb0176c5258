"""
Tests of the gridmanager double's jobs and its resource: holds, releases, removals, pings, and
what it does when time runs out (C{ij} is HTCondor's
C{src/condor_gridmanager/infnbatchjob.cpp}).
"""

from __future__ import annotations

from tests.gridmanagercase import BrainTestCase
from tests.gridmanagerjobs import Job
from tests.gridmanagerlines import JobHeld, OutOfStep, ResourceDown
from tests.gridmanagermemory import PureGAHP
from tests.gridmanagerqueue import COMPLETED, HELD, IDLE, REMOVED

#: A result of BLAH_JOB_STATUS, without the id.
STATUS = b"0 No\\ error %d [JobStatus=%d]"
NO_NEWS = b"0 No\\ error 0 NULL"
RUNS = STATUS % (2, 2)
FAILS = b"1 not\\ now 0 N/A"


class HoldTests(BrainTestCase):
    """
    What holds a job, and what does not.
    """

    def test_failures(self) -> None:
        """
        What fails once holds the job, with the reason; a failure of the batch GAHP also makes
        a ping, one of the transfer GAHP does not.
        """
        for command, result, pings in (
            (b"BLAH_JOB_SUBMIT", b"1 no\\ room N/A", 2),
            (b"DOWNLOAD_SANDBOX", b"no\\ room NULL", 1),
            (b"UPLOAD_SANDBOX", b"no\\ room", 1),
            (b"DESTROY_SANDBOX", b"no\\ room", 1),
        ):
            self.start({command: result}, tolerate=(JobHeld,))
            job = self.untilState(self.brain.addJob(), "DELETE")
            self.ping(pings)
            self.assertEqual((job.status, job.holdReason), (HELD, "no room"), command)
            self.assertRaises(AssertionError, self.memory.run, lambda: False, 600)
            self.assertEqual(self.brain.resource.pings, pings)

    def test_strict(self) -> None:
        """
        A job that the gridmanager holds is an error where that is not expected.
        """
        self.start({b"BLAH_JOB_SUBMIT": b"1 no\\ room N/A"})
        error = self.assertRaises(JobHeld, self.finish)
        self.assertEqual(str(error), "1.0: no room")

    def test_callTimeout(self) -> None:
        """
        A request to the batch GAHP is given up after 300 s, one to the transfer GAHP after
        3600; the job is held.  The answer may come later: it is nothing.
        """
        for command, seconds in ((b"BLAH_JOB_SUBMIT", 300), (b"UPLOAD_SANDBOX", 3600)):
            self.start({command: b""}, tolerate=(JobHeld,))
            job = self.brain.addJob()
            name = "blahpd" if command.startswith(b"BLAH") else "condor_ft-gahp"
            self.untilSeen(name, command)
            begun = self.memory.time
            self.untilDone(job)
            self.assertApproximates(self.memory.time - begun, seconds, 2)
            self.assertEqual(job.holdReason, f"{command.decode()} timed out")
            dialogue = self.brain.batch if name == "blahpd" else self.brain.transfers
            assert dialogue is not None
            late = self.gahps[name].lastIds[command] + b" 0 No\\ error rubbish/1/5\n"
            self.gahps[name].results.append(late)
            self.untilLate(dialogue)

    def test_status(self) -> None:
        """
        Of five failures of BLAH_JOB_STATUS in a row the fifth holds the job and makes a ping;
        four do not, nor do four again after a success, nor twenty times no news.
        """
        script = [RUNS, *[FAILS] * 4, RUNS, *[FAILS] * 4, *[NO_NEWS] * 20, STATUS % (4, 4)]
        self.start({b"BLAH_JOB_STATUS": script})
        self.finish()
        self.assertEqual(self.brain.resource.pings, 1)
        self.start({b"BLAH_JOB_STATUS": [RUNS, FAILS]}, tolerate=(JobHeld,))
        job = self.untilState(self.brain.addJob(), "DELETE")
        self.ping(2)
        self.assertEqual((job.status, job.holdReason), (HELD, "not now"))
        self.assertEqual(self.gahps["blahpd"].commandsSeen.count(b"BLAH_JOB_STATUS"), 6)

    def test_statusTimeouts(self) -> None:
        """
        BLAH_JOB_STATUS not answered, five times running, holds the job after half an hour.
        """
        self.start({b"BLAH_JOB_STATUS": b""}, tolerate=(JobHeld,))
        job = self.untilState(self.brain.addJob(), "SUBMITTED")
        begun = self.memory.time
        self.untilDone(job)
        self.assertEqual(job.holdReason, "BLAH_JOB_STATUS timed out")
        self.assertApproximates(self.memory.time - begun, 5 * 361, 10)

    def test_atTheSite(self) -> None:
        """
        A job that the site holds is held with the site's reason, and cancelled there; one that
        has gone from there is held too.
        """
        ad = b'[\\ JobStatus\\ =\\ 5;\\ HoldReason\\ =\\ "too\\ big"\\ ]'
        script = [RUNS, b"0 No\\ error 5 " + ad]
        self.start({b"BLAH_JOB_STATUS": script}, tolerate=(JobHeld,))
        job = self.untilState(self.brain.addJob(), "DELETE")
        self.assertEqual((job.status, job.holdReason, job.jobId), (HELD, "too big", b""))
        self.assertIn("CANCEL", job.states)
        self.start({b"BLAH_JOB_STATUS": STATUS % (3, 3)}, tolerate=(JobHeld,))
        job = self.untilState(self.brain.addJob(), "DELETE")
        self.assertEqual((job.status, bool(job.sandboxId), job.jobId), (HELD, True, b""))

    def test_badStatus(self) -> None:
        """
        A status, or its ad, that means nothing is noticed; N/A means no news.
        """
        for status in (b"0 No\\ error 9 [a=1]", b"0 No\\ error x [a=1]", b"0 No\\ error 2 a=1"):
            self.start({b"BLAH_JOB_STATUS": status})
            self.assertRaises(OutOfStep, self.finish)
        self.start({b"BLAH_JOB_STATUS": [b"0 No\\ error 2 N/A", STATUS % (4, 4)]})
        self.finish()

    def test_release(self) -> None:
        """
        A job that failed to be submitted is, when it is released, transferred and submitted
        again; one whose output failed asks for the status and transfers the output again.
        """
        script = [b"1 no\\ room N/A", b"0 No\\ error rubbish/1/9"]
        self.start({b"BLAH_JOB_SUBMIT": script}, tolerate=(JobHeld,))
        job = self.untilState(self.brain.addJob(), "DELETE")
        job.release()
        self.untilDone(job)
        self.assertEqual((job.status, job.states.count("TRANSFER_INPUT")), (COMPLETED, 2))
        script = [b"broken", b"NULL"]
        self.start({b"UPLOAD_SANDBOX": script}, tolerate=(JobHeld,))
        job = self.untilState(self.brain.addJob(), "DELETE")
        self.assertEqual((job.status, job.holdReason), (HELD, "broken"))
        job.release()
        self.untilDone(job)
        self.assertEqual((job.status, job.states.count("SUBMIT")), (COMPLETED, 1))

    def test_owner(self) -> None:
        """
        A job that its owner holds is cancelled, its sandbox destroyed, and all forgotten; when
        it is released it is a new one.
        """
        self.start({b"BLAH_JOB_STATUS": [RUNS] * 3 + [STATUS % (4, 4)]})
        job = self.untilState(self.brain.addJob(), "SUBMITTED")
        job.hold()
        self.untilDone(job)
        self.assertEqual((job.status, job.sandboxId, job.jobId), (HELD, b"", b""))
        self.assertEqual(
            job.states[-5:], ["CANCEL", "DELETE_SANDBOX", "CLEAR_REQUEST", "UNSUBMITTED", "DELETE"]
        )
        job.release()
        self.untilDone(job)
        self.assertEqual((job.status, job.states.count("SUBMIT")), (COMPLETED, 2))

    def test_proxy(self) -> None:
        """
        A renewed proxy certificate goes to the site, also for a job of an earlier gridmanager,
        whose path is asked for.
        """
        self.start({b"BLAH_JOB_STATUS": RUNS})
        job = self.brain.addJob(gridJobId=(b"sand", b"rubbish/1/1"))
        self.untilState(job, "SUBMITTED")
        job.renewProxy(b"/home/x/proxy")
        self.memory.run(lambda: "REFRESH_PROXY" in job.states and job.state == "SUBMITTED")
        asked = b"".join(self.gahps["blahpd"].inputs)
        self.assertRegex(asked, rb"BLAH_JOB_REFRESH_PROXY \d+ rubbish/1/1 /sandbox/sand/proxy\r\n")


class RemovalTests(BrainTestCase):
    """
    Jobs that their owner removes.
    """

    def test_everywhere(self) -> None:
        """
        Whatever a job is at when it is removed, it leaves the queue, and what was submitted is
        cancelled.
        """
        for state in ("INIT", "TRANSFER_INPUT", "SUBMIT", "SUBMITTED", "POLL_ACTIVE"):
            self.start({b"BLAH_JOB_STATUS": RUNS})
            job = self.brain.addJob()
            self.untilState(job, state)
            job.remove()
            self.untilDone(job)
            self.assertEqual(job.status, REMOVED)
            seen = self.gahps["blahpd"].commandsSeen
            submitted = seen.count(b"BLAH_JOB_SUBMIT")
            self.assertEqual(seen.count(b"BLAH_JOB_CANCEL"), submitted, state)
            self.assertEqual(submitted, state not in ("INIT", "TRANSFER_INPUT"))
            destroyed = b"DESTROY_SANDBOX" in self.gahps["condor_ft-gahp"].commandsSeen
            self.assertEqual(destroyed, state != "INIT")

    def test_cancelTimeout(self) -> None:
        """
        A job whose cancel is not answered leaves the queue at the time-out, its job at the site
        forgotten; held instead, it keeps what is known of it.
        """
        for action, status, isForgotten in ((Job.remove, REMOVED, True), (Job.hold, HELD, False)):
            self.start({b"BLAH_JOB_STATUS": RUNS, b"BLAH_JOB_CANCEL": b""})
            job = self.brain.addJob()
            self.untilState(job, "SUBMITTED")
            begun = self.memory.time
            action(job)
            self.untilDone(job)
            self.assertApproximates(self.memory.time - begun, 300, 2)
            self.assertEqual((job.status, job.jobId == b""), (status, isForgotten))

    def test_held(self) -> None:
        """
        A held job that is removed is cancelled if anything is known of it.
        """
        self.start({b"UPLOAD_SANDBOX": b"broken"}, tolerate=(JobHeld,))
        job = self.brain.addJob()
        self.untilDone(job)
        job.remove()
        self.untilDone(job)
        self.assertEqual(job.status, REMOVED)
        self.assertEqual(self.gahps["blahpd"].commandsSeen.count(b"BLAH_JOB_CANCEL"), 1)

    def test_removedIsHeld(self) -> None:
        """
        A removed job whose sandbox can't be destroyed is held, and removed when released.
        """
        script = [b"busy", b"NULL"]
        results = {b"BLAH_JOB_STATUS": RUNS, b"DESTROY_SANDBOX": script}
        self.start(results, tolerate=(JobHeld,))
        job = self.brain.addJob()
        self.untilState(job, "SUBMITTED")
        job.remove()
        self.untilDone(job)
        self.assertEqual(job.status, HELD)
        job.release()
        self.untilDone(job)
        self.assertEqual(job.status, REMOVED)


class PingTests(BrainTestCase):
    """
    The resource, down and up.
    """

    def test_down(self) -> None:
        """
        While the resource is down, for 300 s each time, jobs stay as they are and nothing is
        asked; then all goes on.
        """
        script = [b"1 away", b"1 away", b"0 No\\ error"]
        self.start({b"BLAH_PING": script}, tolerate=(ResourceDown,))
        job = self.brain.addJob()
        self.ping(2)
        self.assertEqual((job.state, job.status), ("UNSUBMITTED", IDLE))
        self.assertEqual(self.brain.resource.reason, "away")
        self.assertApproximates(self.memory.time, 1300, 2)
        self.untilDone(job)
        self.assertEqual(job.status, COMPLETED)
        self.assertEqual([str(error) for error in self.brain.troubles], ["away", "away"])

    def test_spacing(self) -> None:
        """
        However often a ping is asked for, there are 15 s between two while the resource is up,
        300 while it is down.
        """
        for result, seconds in ((b"0 No\\ error", 15), (b"1 away", 300)):
            self.start({b"BLAH_PING": result}, tolerate=(ResourceDown,))
            self.ping()
            self.brain.resource.pingSoon()
            self.ping(2)
            self.assertApproximates(self.memory.time - 1000, seconds, 1)

    def test_restart(self) -> None:
        """
        After a failed start the next ping starts anew, the transfer GAHP alone if it was that,
        and gives that its security session.
        """
        self.start(tolerate=(ResourceDown,))
        make = self.memory.make
        starts: list[str] = []

        def failTwice(name: str) -> PureGAHP:
            starts.append(name)
            gahp = make(name)
            if len(starts) in (1, 3):
                gahp.take()
                gahp.status = 1
            return gahp

        self.memory.make = failTwice
        self.ping(3)
        self.assertEqual(starts, ["blahpd", "blahpd", "condor_ft-gahp", "condor_ft-gahp"])
        self.assertApproximates(self.memory.time, 1600, 2)
        asked = b"".join(self.gahps["condor_ft-gahp"].inputs)
        self.assertEqual(asked.count(b"CREATE_CONDOR_SECURITY_SESSION "), 1)

    def test_other(self) -> None:
        """
        Anything may be asked: a request of any kind, a command that the real one never uses.
        """
        self.start()
        self.ping()
        brain = self.brain
        held = brain.request(brain.batch, 3, b"BLAH_JOB_HOLD", b"rubbish/1/1")
        version = brain.ask(brain.batch, b"VERSION")
        unknown = brain.ask(brain.batch, b"FROB", b"a b")
        self.memory.run(lambda: bool(held and version and unknown))
        assert isinstance(held[0], list), held
        self.assertEqual(held[0][1:], [b"0", b"No error"])
        self.assertEqual((version, unknown), ([[b"S"]], [[b"E", b"Not understood"]]))

    def test_local(self) -> None:
        """
        A local batch GAHP is all there is: no transfers.
        """
        self.start(isRemote=False)
        self.finish(2)
        self.assertEqual(list(self.gahps), ["blahpd"])
        self.assertEqual({job.status for job in self.brain.jobs}, {COMPLETED})
