"""
Tests of the gridmanager double with processes: it is content with our own batch GAHP, not with
GAHPs that misbehave, and starts them as the real one does.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from pathlib import Path

from tests import rubbishgahp
from tests.gridmanager import SINFUL, Gridmanager
from tests.gridmanagercase import SHORT, TIMES, DoubleTestCase
from tests.gridmanagerlines import (
    GridmanagerDied,
    GridmanagerError,
    GridmanagerHung,
    JobHeld,
    OutOfStep,
    ResourceDown,
    Times,
)
from tests.gridmanagerqueue import COMPLETED, HELD, REMOVED, RUNNING
from tests.procfs import descriptors, isAlive
from tests.programs import program

RUBBISH = [sys.executable, "-I", "-S", rubbishgahp.__file__]

#: What becomes of the gridmanager for each misdeed of a GAHP.
ENDS: dict[str, tuple[type[GridmanagerError], str]] = {
    "longBanner@BANNER": (ResourceDown, "could not start blahpd"),
    "exit@COMMANDS": (ResourceDown, "could not start blahpd"),
    "half@COMMANDS": (GridmanagerDied, r"no line for 0.4 s after COMMANDS"),
    "exit@BLAH_PING": (GridmanagerDied, r"bad BLAH_PING request: \[\]"),
    "skip@BLAH_PING": (GridmanagerDied, "no line for 0.4 s after BLAH_PING"),
    "refuse@BLAH_PING": (GridmanagerDied, "bad BLAH_PING request: .*No such thing"),
    "noise@BLAH_JOB_SUBMIT": (GridmanagerDied, "bad BLAH_JOB_SUBMIT request: .*libproxy"),
    "longWord@BLAH_JOB_STATUS": (GridmanagerDied, "a token of 512000 bytes"),
    "halfExit@RESULTS": (GridmanagerDied, r"exited with status \d|bad .* request: \[\]"),
    "promise@RESULTS": (GridmanagerDied, "no line for 0.4 s after RESULTS"),
    "fewer@RESULTS": (GridmanagerDied, "not 3 fields"),
    "again@RESULTS": (OutOfStep, "the result of nothing"),
    "refuse@UPLOAD_SANDBOX": (GridmanagerDied, "bad UPLOAD_SANDBOX request"),
    "half@CREATE_CONDOR_SECURITY_SESSION": (GridmanagerDied, "no line for 0.4 s after CREATE"),
}


class BatchGAHPTests(DoubleTestCase):
    """
    With C{rvgahp_blahpd}, real jobs.
    """

    def test_jobs(self) -> None:
        """
        Ten jobs run to their ends; the GAHP goes when its stdin ends, without a word.
        """
        double = self.start([program("rvgahp_blahpd")])
        for number in range(10):
            double.brain.addJob(self.forkAd(f"echo > {number}; exit {number}"))
        double.run(lambda: double.brain.isIdle)
        self.assertEqual([job.status for job in double.brain.jobs], [COMPLETED] * 10)
        for number, job in enumerate(double.brain.jobs):
            self.assertIn(b"ExitCode = %d" % number, job.ad)
            self.assertTrue(os.path.exists(os.path.join(self.directory, str(number))))
        self.assertEqual(double.leave(), [1])
        self.assertEqual(double.wires[0].errors, b"")

    def test_owner(self) -> None:
        """
        A job that is held is cancelled and, released, runs anew; one that is removed goes; the
        GAHP goes when the gridmanager ends.
        """
        double = self.start([program("rvgahp_blahpd")])
        held, removed = (double.brain.addJob(self.forkAd("sleep 60")) for _ in range(2))
        double.run(lambda: held.remote == removed.remote == RUNNING)
        held.hold()
        removed.remove()
        double.run(lambda: held.isDone and removed.isDone)
        self.assertEqual((held.status, removed.status), (HELD, REMOVED))
        held.release()
        double.run(lambda: held.remote == RUNNING)
        held.remove()
        double.run(lambda: held.isDone)
        # It may see the end of its stdin before the signal.
        self.assertIn(double.leave(isOrderly=True)[0], (1, 128 + signal.SIGTERM))

    def test_failure(self) -> None:
        """
        A job that can't be submitted is held with the GAHP's reason; the next is fine.
        """
        double = self.start([program("rvgahp_blahpd")], tolerate=(JobHeld,))
        bad = double.brain.addJob(lambda path: b"[gridtype=1]")
        good = double.brain.addJob(self.forkAd("true"))
        double.run(lambda: double.brain.isIdle)
        self.assertEqual((bad.status, good.status), (HELD, COMPLETED))
        self.assertIn("gridtype", bad.holdReason)


class MisdeedTests(DoubleTestCase):
    """
    With GAHPs that misbehave.
    """

    def test_each(self) -> None:
        """
        Of each misdeed it dies as the real one does.
        """
        for misdeed, (kind, reason) in ENDS.items():
            double = self.start(RUBBISH, ["1", "0", misdeed], times=SHORT)
            double.brain.addJob()
            error = self.assertRaises(GridmanagerError, double.run, lambda: False)
            self.assertIs(type(error), kind, f"{misdeed}: {error}")
            self.assertRegex(str(error), reason, misdeed)

    def test_borne(self) -> None:
        """
        Notices anywhere harm nobody, nor does text before the banner.
        """
        words = ["noise@BANNER", "word@COMMANDS", "notice@BLAH_PING", "between@RESULTS"]
        words += ["notice@IDLE", "word@UPLOAD_SANDBOX", "twice@R"]
        double = self.start(RUBBISH, ["1", "0", *words])
        for _ in range(5):
            double.brain.addJob()
        double.run(lambda: double.brain.isIdle)
        self.assertEqual([job.status for job in double.brain.jobs], [COMPLETED] * 5)
        self.assertEqual(double.leave(), [1, 1])

    def test_noBanner(self) -> None:
        """
        Without a banner the real one would wait for ever.
        """
        double = self.start(["/bin/sh", "-c", "read x"], times=Times(banner=0.3))
        error = self.assertRaises(GridmanagerHung, double.run, lambda: False)
        self.assertEqual(str(error), "blahpd: no banner within 0.3 s")

    def test_deaf(self) -> None:
        """
        A GAHP that does not read its stdin freezes the gridmanager, when the pipe is full.
        """
        script = 'echo "$"; read x; echo S BLAH_PING BLAH_JOB_SUBMIT; read x; echo S; '
        script += "read x; echo S 1; echo 2 0 ok; exec sleep 60"
        times = Times(write=0.5, pollWithout=0.1)
        double = self.start(["/bin/sh", "-c", script], times=times)
        double.brain.addJob(lambda path: b"x" * 100_000)
        error = self.assertRaises(GridmanagerHung, double.run, lambda: False)
        self.assertIn("blocked for 0.5 s writing to its stdin", str(error))

    def test_stays(self) -> None:
        """
        A GAHP must go when its stdin ends, and when its stdout has ended.
        """
        script = 'echo "$"; read x; echo S; while read x; do echo S 0; done; exec sleep 60'
        double = self.start(["/bin/sh", "-c", script], times=SHORT)
        self.untilKnown(double)
        error = self.assertRaises(GridmanagerHung, double.leave)
        self.assertIn("stays after the end of its stdin", str(error))
        script = 'echo "$"; read x; echo S; exec >&-; exec sleep 60'
        double = self.start(["/bin/sh", "-c", script], times=SHORT)
        error = self.assertRaises(GridmanagerHung, double.run, lambda: False)
        self.assertIn("its stdout has ended", str(error))

    def test_exitLater(self) -> None:
        """
        The exit of a GAHP that has started well is the end, at rest too and whatever the
        status; where its start failed it is nothing.
        """
        script = 'echo "$"; read x; echo S; sleep 0.2; exit 0'
        double = self.start(["/bin/sh", "-c", script])
        self.untilKnown(double)
        error = self.assertRaises(GridmanagerDied, double.run, lambda: False)
        self.assertIn("exited with status 0", str(error))
        double = self.start(["/bin/sh", "-c", "exit 3"], tolerate=(ResourceDown,))
        double.run(lambda: double.brain.resource.isDown and double.wires[0].status == 3)
        double.run(lambda: True)


class LaunchTests(DoubleTestCase):
    """
    How a GAHP is started.
    """

    def test_surroundings(self) -> None:
        """
        A GAHP has the words of the resource and its name as its arguments, three descriptors,
        SIGPIPE ignored, umask 022, our session; and what the real one puts into its
        environment, CONDOR_INHERIT for the transfer GAHP alone.
        """
        rubbish = shlex.join([*RUBBISH, "1", "0"])
        script = f"""
            echo "words $*" >&2
            echo "inherit $CONDOR_INHERIT, temp $GAHP_TEMP, home $HOME" >&2
            echo "umask $(umask), in $(pwd)" >&2
            grep SigIgn /proc/self/status >&2
            cut -d " " -f 6 /proc/self/stat >&2
            ls /proc/self/fd >&2
            exec {rubbish} $3"""
        double = self.start(["/bin/sh", "-c", script, "sh"], ["a", "b c"])
        self.untilKnown(double)
        for wire, name in zip(double.wires, ("blahpd", "condor_ft-gahp"), strict=True):
            self.untilLines(double, wire, 9)
            lines = wire.errors.decode().splitlines()
            directory = double.directory
            inherit = f"{os.getpid()} {SINFUL} 0 0" if name == "condor_ft-gahp" else ""
            home = str(Path("~").expanduser()) if "HOME" not in os.environ else ""
            self.assertEqual(lines[0], f"words a b c {name}")
            self.assertRegex(lines[1], rf"\Ainherit {re.escape(inherit)}, temp {directory}, home /")
            self.assertTrue(lines[1].endswith(home))
            self.assertEqual(lines[2], f"umask 0022, in {directory}")
            self.assertTrue(int(lines[3].split()[1], 16) >> (signal.SIGPIPE - 1) & 1)
            self.assertEqual(lines[4], str(os.getsid(0)))
            # The fourth is the directory that ls reads.
            self.assertEqual(lines[5:], ["0", "1", "2", "3"])

    def test_descriptors(self) -> None:
        """
        The double leaves no process and no descriptor behind.
        """
        before = descriptors(os.getpid())
        for _ in range(3):
            with Gridmanager(RUBBISH, ["1", "0"], times=TIMES) as double:
                self.untilKnown(double)
            self.assertFalse(any(isAlive(wire.pid) for wire in double.wires))
        self.assertEqual(descriptors(os.getpid()), before)
