"""
Tests of L{rvgahp.condorconfig} and L{rvgahp.condorraw}, as far as a process of
its own is not needed; L{tests.test_configuration} has the rest.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import condorconfig
from rvgahp.condorraw import assignmentsIn, cycleFrom, cycleInWords
from tests.condorfiles import ConfigurationTestCase
from tests.procfs import PATIENCE

GRAPHS = st.dictionaries(st.sampled_from("ABCDE"), st.text("ABCDE", max_size=3), max_size=5)


class ProgramTests(ConfigurationTestCase):
    """
    The program as a person runs it.
    """

    def run_(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """
        Run it.
        """
        return subprocess.run(
            [sys.executable, "-m", "rvgahp.condorconfig", *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
            env={**self.environment, "PYTHONPATH": ":".join(filter(None, sys.path)), **environment},
        )

    def test_answer(self) -> None:
        """
        One line of JSON on stdout and nothing on stderr.
        """
        path = self.write("RVGAHP_PORT = 1\n")
        done = self.run_("--config", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("\n"), 1)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["file"], answer["settings"]), (path, {"RVGAHP_PORT": "1"}))

    def test_error(self) -> None:
        """
        A refusal is JSON too, with exit status 1.
        """
        done = self.run_("--config", self.home)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("is a directory", json.loads(done.stdout)["error"])

    def test_HTCondorsEnd(self) -> None:
        """
        Where HTCondor ends the process its words are on stderr and stdout is
        empty.
        """
        done = self.run_("--config", self.write("no line\n"))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("Line 1", done.stderr)

    def test_whereFrom(self) -> None:
        """
        Without C{--config}, C{CONDOR_CONFIG} says where the settings are: a
        file, a command, or nowhere but in the environment.
        """
        path = self.write("RVGAHP_PORT = 1\n")
        for value, file, settings in (
            (path, path, {"RVGAHP_PORT": "1", "RVGAHP_SITE": "s"}),
            ("echo RVGAHP_PORT=2 |", None, {"RVGAHP_PORT": "2", "RVGAHP_SITE": "s"}),
            ("ONLY_ENV", None, {"RVGAHP_SITE": "s"}),
            ("/dev/null", None, {"RVGAHP_SITE": "s"}),
        ):
            done = self.run_(CONDOR_CONFIG=value, _CONDOR_RVGAHP_SITE="s")
            answer = json.loads(done.stdout)
            self.assertEqual((answer["file"], answer["settings"]), (file, settings), value)


class RootFileTests(ConfigurationTestCase):
    """
    Which file is the root file.
    """

    skip = None

    def setUp(self) -> None:
        """
        Let HTCondor's usual places lie in the home directory.
        """
        super().setUp()
        self.usual = [os.path.join(self.home, name) for name in ("first", "second")]
        self.patch(condorconfig, "_usualFiles", lambda: self.usual)

    def test_usualPlaces(self) -> None:
        """
        The first of the usual places that has a readable file, or none.
        """
        self.assertIsNone(condorconfig._rootFile(None, {}))
        second = self.write("", "second")
        self.assertEqual(condorconfig._rootFile(None, {}), second)
        first = self.write("", "first")
        self.assertEqual(condorconfig._rootFile(None, {}), first)

    def test_named(self) -> None:
        """
        A named file comes before C{CONDOR_CONFIG}, and that before the usual
        places; the path that comes out is absolute.
        """
        self.write("", "first")
        one, two = self.write("", "one"), self.write("", "two")
        self.assertEqual(condorconfig._rootFile(one, {"CONDOR_CONFIG": two}), one)
        self.assertEqual(condorconfig._rootFile(None, {"CONDOR_CONFIG": two}), two)
        relative = os.path.relpath(one)
        self.assertEqual(condorconfig._rootFile(relative, {}), one)


class CycleTests(SynchronousTestCase):
    """
    Tests of L{cycleFrom}.
    """

    def test_shapes(self) -> None:
        """
        A circle is told from where it closes; chains, diamonds, names that have
        no text, C{$$()} and functions are none.
        """
        texts = {"A": "$(b)", "B": "x$(C:1)y", "C": "$(B)", "D": "$(E)$(F)", "E": "$(F)", "F": "f"}
        self.assertEqual(cycleFrom("A", texts.get), ["B", "C", "B"])
        self.assertEqual(cycleFrom("C", texts.get), ["C", "B", "C"])
        self.assertEqual(cycleFrom("D", texts.get), [])
        self.assertEqual(cycleFrom("X", texts.get), [])
        self.assertEqual(cycleFrom("G", {"G": "$$(G) $ENV(G) $(H)"}.get), [])
        self.assertEqual(cycleInWords(["B", "C", "B"]), "B refers to C and C refers to B")
        self.assertEqual(cycleInWords([]), "")

    @given(GRAPHS, st.sampled_from("ABCDE"))
    def test_anyGraph(self, graph: dict[str, str], start: str) -> None:
        """
        A circle is found just where following the references never ends, and
        is one.
        """
        texts = {name: "".join(f"$({to})" for to in edges) for name, edges in graph.items()}
        level = {start}
        for _ in range(6):  # Five names: a path of six steps meets one twice.
            level = {to for name in level for to in graph.get(name, "")}
        found = cycleFrom(start, texts.get)
        self.assertEqual(bool(found), bool(level))
        for a, b in itertools.pairwise(found):
            self.assertIn(b, graph[a])
        if found:
            self.assertEqual(found[0], found[-1])


class AssignmentsTests(ConfigurationTestCase):
    """
    Tests of L{assignmentsIn}.
    """

    skip = None

    def test_file(self) -> None:
        """
        The last of each assignment counts, comments do not.
        """
        path = self.write(b" a = 1\nB=\n#C = 1\nA= x \xff = y\ninclude : z\n")
        self.assertEqual(assignmentsIn(path), {"A": "x \ufffd = y", "B": ""})
        self.assertEqual(assignmentsIn(self.home), {})

    def test_noFile(self) -> None:
        """
        Neither a pipe that nobody writes to nor a device without an end is read.
        """
        pipe = os.path.join(self.home, "pipe")
        os.mkfifo(pipe)
        for path in (pipe, "/dev/zero"):
            self.assertEqual(assignmentsIn(path), {})


class LackingLibraryTests(ConfigurationTestCase):
    """
    A library that lacks the functions behind C{htcondor2.param}.
    """

    def test_byValue(self) -> None:
        """
        What differs from its default counts as set, by a file or by the
        environment.
        """
        path = self.write(
            "FT_GAHP = /opt/ft\nRVGAHP_PORT = 1\nRVGAHP.X = 2\nBATCH_GAHP = $(BIN)/blahpd\n"
        )
        program = (
            "import ctypes, json, os\n"
            "def lacking(*arguments): raise OSError('no symbols')\n"
            "ctypes.CDLL = lacking\n"
            "from rvgahp.condorconfig import main\n"
            "raise SystemExit(main(['--config', os.environ['FILE']]))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
            env={
                **self.environment,
                "PYTHONPATH": ":".join(filter(None, sys.path)),
                "FILE": path,
                "_CONDOR_BLAHPD_LOCATION": "/opt/blah",
            },
        )
        self.assertEqual(
            json.loads(done.stdout)["settings"],
            {
                "FT_GAHP": "/opt/ft",
                "RVGAHP_PORT": "1",
                "RVGAHP.X": "2",
                "BLAHPD_LOCATION": "/opt/blah",
            },
            done.stderr,
        )


class EvaluatedTests(SynchronousTestCase):
    """
    Tests of the evaluation of numbers.
    """

    def test_withoutClassAds(self) -> None:
        """
        Plain numbers need no ClassAds, and where there are none an expression is
        left as it is.
        """
        modules = {name: module for name, module in sys.modules.items() if name != "classad2"}
        self.patch(condorconfig, "sys", SimpleNamespace(modules=modules))
        self.assertEqual(condorconfig._evaluated("10"), "10")
        self.assertEqual(condorconfig._evaluated("2 * 3"), "2 * 3")
