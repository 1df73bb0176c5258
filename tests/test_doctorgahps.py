"""
Tests of L{rvgahp.doctorgahps}: real programs.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from rvgahp import doctorgahps, doctorprograms
from rvgahp.doctorgahps import batchSystem, gahps
from rvgahp.findings import Finding
from tests.procfs import isAlive, waitFor
from tests.programs import speaker
from tests.test_doctor import DoctorTestCase


class GAHPTests(DoctorTestCase):
    """
    What becomes of GAHPs.

    @ivar seen: what the CE that runs says.
    """

    seen: dict[str, Any] | None = None

    def found(self, script: str) -> Finding:
        """
        @return: what is found of a GAHP that is this program.
        """
        program = self.directory / "program"
        program.write_text(script)
        program.chmod(0o755)
        case = self.case(
            RVGAHP_GAHP_NAMES="own", RVGAHP_GAHP_OWN=str(program), FT_GAHP=self.path("ft")
        )
        case.seen = self.seen
        return next(one for one in gahps(case) if one.sentence.startswith("own: "))

    def test_good(self) -> None:
        """
        One that says its banner.
        """
        found = self.found(speaker("good one"))
        self.assertEqual(found.level, "ok", found)
        self.assertTrue(found.sentence.endswith("says $GahpVersion: 1.0 good one $"), found)

    def test_dies(self) -> None:
        """
        One that ends at once, with its last words.
        """
        found = self.found("#!/bin/sh\necho no licence >&2\nexit 3\n")
        self.assertEqual(found.level, "wrong")
        self.assertIn(
            "exited with status 3 before its banner; it says 'no licence'", found.sentence
        )
        self.assertIn("start it by hand", found.remedy)

    def test_silent(self) -> None:
        """
        One that is none of HTCondor's.
        """
        self.assertEqual(self.found("#!/bin/sh\necho hello\n").level, "warning")

    def test_hangs(self) -> None:
        """
        One that says nothing, ignores TERM, and leaves another behind: all are gone.
        """
        self.patch(doctorgahps, "BANNER_LIMIT", 0.5)
        self.patch(doctorprograms, "END_LIMIT", 0.1)
        pids = self.directory / "pids"
        found = self.found(
            f"#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $$ $! > {pids}\nwait\nwait\nsleep 1000\n"
        )
        self.assertEqual(found.level, "wrong")
        self.assertIn("the banner of own did not come within 0.5 s", found.sentence)
        for pid in map(int, pids.read_text().split()):
            waitFor(partial(self.isGone, pid), f"the end of {pid}")

    def test_garbage(self) -> None:
        """
        One that writes without end, to either, is ended, and it is not said that it ended so by
        itself; little of it is shown.
        """
        for where in ("", ">&2"):
            found = self.found(f"#!/bin/sh\nexec cat /dev/zero {where}\n")
            self.assertEqual(found.level, "wrong")
            self.assertIn("it writes without end, and no version banner", found.sentence)
            self.assertLess(len(found.sentence), 1000)

    def test_long(self) -> None:
        """
        Of a banner that is long the beginning is shown.
        """
        found = self.found("#!/bin/sh\nprintf '$GahpVersion: %05000d\\n' 1\n")
        self.assertEqual(found.level, "ok", found)
        self.assertLess(len(found.sentence), 1000)

    def test_daemonizes(self) -> None:
        """
        What has left its session is ended, too, whoever holds its output.
        """
        self.patch(doctorgahps, "BANNER_LIMIT", 0.5)
        pids = self.directory / "pids"
        script = (
            f"#!/bin/sh\nsetsid sleep 1000 &\necho $! >> {pids}\n"
            f"setsid sleep 1000 >/dev/null 2>&1 &\necho $! >> {pids}\n"
        )
        self.assertEqual(self.found(script).level, "wrong")
        for pid in map(int, pids.read_text().split()):
            waitFor(partial(self.isGone, pid), f"the end of {pid}")

    def test_interpreter(self) -> None:
        """
        A script whose interpreter is not there is told from one that is not there itself.
        """
        found = self.found("#!/nonexistent/sh\n")
        self.assertEqual(found.level, "wrong")
        self.assertIn("the interpreter that it names is not there", found.sentence)

    def test_environment(self) -> None:
        """
        It has the environment of the CE that runs, not that of the shell.
        """
        self.patch(doctorgahps, "environmentOf", lambda _: {"PATH": "/bin", "THEIRS": "yes"})
        self.seen = {"pid": 1}
        found = self.found('#!/bin/sh\necho "\\$GahpVersion: $THEIRS \\$"\n')
        self.assertTrue(found.sentence.endswith("says $GahpVersion: yes $"), found)

    @staticmethod
    def isGone(pid: int) -> bool:
        """
        @return: whether a process has ended.
        """
        return not isAlive(pid)

    def test_others(self) -> None:
        """
        Those that run as their owners' accounts are not started.
        """
        self.patch(doctorgahps, "separationOf", lambda *_: object())
        trace = self.directory / "trace"
        found = self.found(f"#!/bin/sh\ntouch {trace}\n")
        self.assertEqual(found.level, "ok")
        self.assertIn("not started here", found.sentence)
        self.assertFalse(trace.exists())

    def test_format(self) -> None:
        """
        One that is no program.
        """
        found = self.found("no program")
        self.assertEqual(found.level, "wrong")
        self.assertIn("cannot be started", found.sentence)

    def test_absent(self) -> None:
        """
        Programs that are not there.
        """
        case = self.case(BATCH_GAHP=self.path("none"))
        found = [one for one in gahps(case) if one.level != "ok"]
        self.assertEqual(
            [one.level for one in found], ["warning", "wrong"], found
        )  # no condor_ft-gahp; and once for both names
        self.assertIn("is not there", found[1].sentence)
        self.assertIn("BATCH_GAHP", found[1].remedy)


class BatchSystemTests(DoctorTestCase):
    """
    What is on the path.
    """

    def test_found(self) -> None:
        """
        A command is found, or none.
        """
        self.patch(os, "environ", {**os.environ, "PATH": str(self.directory)})
        self.assertFinding(batchSystem(self.case()), "warning", "none was found", "login shell")
        command = Path(self.path("sbatch"))
        command.touch(0o755)
        self.assertFinding(batchSystem(self.case()), "ok", f"Slurm ({command})")

    def test_running(self) -> None:
        """
        What the shell finds is of no use to a CE that was started with another PATH.
        """
        self.patch(os, "environ", {**os.environ, "PATH": str(self.directory)})
        Path(self.path("sbatch")).touch(0o755)
        case = self.case()
        case.seen = {"pid": 17}
        self.patch(doctorgahps, "environmentOf", lambda _: {"PATH": "/nonexistent"})
        words = (
            "PATH of the CE that runs, process 17, /nonexistent; this shell has Slurm",
            "ce inst",
        )
        self.assertFinding(batchSystem(case), "warning", *words)
        self.patch(doctorgahps, "environmentOf", lambda _: None)
        self.assertFinding(batchSystem(case), "ok", "on the PATH of this shell")
