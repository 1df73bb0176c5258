"""
Tests of L{rvgahp.doctorgahps}: real programs.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from rvgahp import doctorgahps
from rvgahp.doctorgahps import batchSystem, gahps
from rvgahp.findings import Finding
from tests.procfs import isAlive, waitFor
from tests.programs import speaker
from tests.test_doctor import DoctorTestCase


class GAHPTests(DoctorTestCase):
    """
    What becomes of GAHPs.
    """

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
        self.patch(doctorgahps, "_END_LIMIT", 0.1)
        pids = self.directory / "pids"
        found = self.found(
            f"#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $$ $! > {pids}\nwait\nwait\nsleep 1000\n"
        )
        self.assertEqual(found.level, "wrong")
        self.assertIn("the banner of own did not come within 0.5 s", found.sentence)
        for pid in map(int, pids.read_text().split()):
            waitFor(partial(self.isGone, pid), f"the end of {pid}")

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
            [one.level for one in found], ["warning", "wrong", "wrong"], found
        )  # no condor_ft-gahp; and by both names
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
