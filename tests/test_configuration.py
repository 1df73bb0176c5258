"""
Tests of L{rvgahp.configuration}, with the real reader in its process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.configuration import Configuration, interpret, readConfiguration
from rvgahp.errors import ConfigurationError
from tests.condorfiles import ConfigurationTestCase


def hasEnded(pid: int) -> bool:
    """
    Whether a process that was sent KILL is gone, or waits to be reaped, within
    5 s.
    """
    giveUp = time.monotonic() + 5.0
    while time.monotonic() < giveUp:
        try:
            with open(f"/proc/{pid}/stat") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


class ReadingTests(ConfigurationTestCase):
    """
    Files that can be read.
    """

    def test_setAndUnset(self) -> None:
        """
        What a file sets is there, macros and the environment's C{HOME}
        expanded; what is only compiled into HTCondor is not.
        """
        path = self.write(
            "LIBEXEC = /usr/libexec/condor\n"
            "GLITE_LOCATION = $(LIBEXEC)/glite\n"
            "rvgahp_certfile = $ENV(HOME)/x.crt\n"
            "RVGAHP.SEC_DEFAULT_INTEGRITY = OPTIONAL\n"
            "RVGAHP_SITE =\n"
            "SOMETHING = else\n"
        )
        found = readConfiguration(path)
        self.assertEqual(found.file, path)
        self.assertEqual(
            found.settings,
            {
                "LIBEXEC": "/usr/libexec/condor",
                "GLITE_LOCATION": "/usr/libexec/condor/glite",
                "RVGAHP_CERTFILE": f"{self.home}/x.crt",
                "RVGAHP.SEC_DEFAULT_INTEGRITY": "OPTIONAL",
                "RVGAHP_SITE": "",
            },
        )
        self.assertIn("SOMETHING", found.others)
        self.assertEqual(found.notes, ())
        self.assertTrue(found.reader.startswith("htcondor2 "), found.reader)

    def test_setToTheDefault(self) -> None:
        """
        A setting that a file or the environment gives the very value that is
        compiled in counts as set all the same, though HTCondor itself forgets it.
        """
        self.assertNotIn("BATCH_GAHP", readConfiguration(self.write("A = 1\n")).settings)
        for text in ("$(BIN)/blahpd", "/usr/bin/blahpd"):
            found = readConfiguration(self.write(f"A = 1\nBATCH_GAHP = {text}\n"))
            self.assertEqual(found.settings, {"BATCH_GAHP": "/usr/bin/blahpd"})
        self.environment["_CONDOR_BATCH_GAHP"] = "$(BIN)/blahpd"
        found = readConfiguration(self.write("A = 1\n"))
        self.assertEqual(found.settings, {"BATCH_GAHP": "/usr/bin/blahpd"})

    def test_environment(self) -> None:
        """
        C{_CONDOR_NAME} in the environment replaces what the file says, and sets
        what it does not.
        """
        self.environment["_CONDOR_RVGAHP_PORT"] = "5"
        self.environment["_condor_FT_GAHP"] = "/opt/ft"
        found = readConfiguration(self.write("RVGAHP_PORT = 4\n"))
        self.assertEqual(found.settings, {"RVGAHP_PORT": "5", "FT_GAHP": "/opt/ft"})

    def test_numbers(self) -> None:
        """
        An expression for a number is evaluated as HTCondor does it; the same
        text elsewhere is left alone.
        """
        found = readConfiguration(
            self.write(
                "RVGAHP_START_TIMEOUT = 2 * $(MINUTE)\n"
                "RVGAHP.SEC_DEFAULT_SESSION_LEASE = 60 * 60\n"
                "RVGAHP_REPLAY_LIMIT = 16 MiB\n"
                "RVGAHP_SITE = 2024-1\n"
            )
        )
        self.assertEqual(found.settings["RVGAHP_START_TIMEOUT"], "120")
        self.assertEqual(found.settings["RVGAHP.SEC_DEFAULT_SESSION_LEASE"], "3600")
        self.assertEqual(found.settings["RVGAHP_REPLAY_LIMIT"], "16 MiB")
        self.assertEqual(found.settings["RVGAHP_SITE"], "2024-1")

    def test_includes(self) -> None:
        """
        Included files, conditions and metaknobs are HTCondor's.
        """
        self.write("RVGAHP_PORT = 7\n", "more/site.conf")
        path = self.write(
            "include : $(CONFIG_ROOT)/more/site.conf\n"
            "if defined RVGAHP_PORT\nRVGAHP_INTERFACE = 127.0.0.1\nendif\n"
            "use security:strong\n"
        )
        found = readConfiguration(path).settings
        self.assertEqual(found["RVGAHP_PORT"], "7")
        self.assertEqual(found["RVGAHP_INTERFACE"], "127.0.0.1")
        self.assertEqual(found["SEC_DEFAULT_ENCRYPTION"].upper(), "REQUIRED")

    def test_ownSubsystem(self) -> None:
        """
        Values are those for the subsystem RVGAHP, not for HTCondor's tools.
        """
        path = self.write(
            "TOOL.SEC_DEFAULT_ENCRYPTION = NEVER\n"
            "SEC_DEFAULT_ENCRYPTION = OPTIONAL\n"
            "RVGAHP_SITE = $(SUBSYSTEM)\n"
        )
        found = readConfiguration(path).settings
        self.assertEqual(found["SEC_DEFAULT_ENCRYPTION"], "OPTIONAL")
        self.assertEqual(found["RVGAHP_SITE"], "RVGAHP")

    def test_twoFiles(self) -> None:
        """
        Two files read by one process do not disturb one another, whatever order
        they are read in, and a broken one between them neither.
        """
        one = self.write("RVGAHP_PORT = 1\nX = $(RVGAHP_PORT)\nRVGAHP_SITE = $(X)\n", "one")
        two = self.write("X = two\nRVGAHP_SITE = $(X)\n", "two")
        broken = self.write("this is no line\n", "broken")
        for _ in range(2):
            self.assertEqual(
                readConfiguration(one).settings, {"RVGAHP_PORT": "1", "RVGAHP_SITE": "1"}
            )
            self.assertRaises(ConfigurationError, readConfiguration, broken)
            self.assertEqual(readConfiguration(two).settings, {"RVGAHP_SITE": "two"})

    def test_warnings(self) -> None:
        """
        What HTCondor merely warns of becomes a note.
        """
        found = readConfiguration(self.write("RVGAHP_PORT : 4\n"))
        self.assertEqual(found.settings, {"RVGAHP_PORT": "4"})
        self.assertEqual(len(found.notes), 1)
        self.assertIn("Line 1", found.notes[0])

    def test_selfReference(self) -> None:
        """
        A value made from the one before is no circle, nor is one name that two
        others refer to.
        """
        path = self.write(
            "A = x\nA = $(A)y\nRVGAHP.A = $(A)z\n"
            "B = $(A)\nRVGAHP_SITE = $(A)$(B)$(A)\n"
            "RVGAHP_CERTFILE = /$$(RVGAHP_CERTFILE)\n"
        )
        found = readConfiguration(path).settings
        self.assertEqual(found["RVGAHP_SITE"], "xyzxyzxyz")
        self.assertEqual(found["RVGAHP_CERTFILE"], "/$$(RVGAHP_CERTFILE)")

    def test_unrelatedCircle(self) -> None:
        """
        A circle among settings that are not ours does not concern us.
        """
        found = readConfiguration(self.write("A = $(B)\nB = $(A)\nRVGAHP_PORT = 1\n"))
        self.assertEqual(found.settings, {"RVGAHP_PORT": "1"})

    def test_homeless(self) -> None:
        """
        Where the environment has no C{HOME}, the account's is there for
        C{$ENV(HOME)}.
        """
        del self.environment["HOME"]
        found = readConfiguration(self.write("RVGAHP_CERTFILE = $ENV(HOME)/x\n"))
        self.assertEqual(found.settings["RVGAHP_CERTFILE"], os.path.expanduser("~/x"))

    def test_notFromHere(self) -> None:
        """
        The reader loads no module from the current directory, which may be
        anybody's.
        """
        path = self.write("RVGAHP_PORT = 1\n")
        for name in ("json", "htcondor2", "argparse", "rvgahp"):
            self.write("raise SystemExit('a stranger')\n", f"{name}.py")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.home)
        self.assertEqual(readConfiguration(path).settings, {"RVGAHP_PORT": "1"})

    def test_printedByTheConfiguration(self) -> None:
        """
        What an included command says on stderr does not spoil the answer.
        """
        script = self.program("echo RVGAHP_PORT=9; echo oops >&2")
        found = readConfiguration(self.write(f"include command : {script}\n"))
        self.assertEqual(found.settings, {"RVGAHP_PORT": "9"})


class RefusalTests(ConfigurationTestCase):
    """
    Files that cannot be read, and what is said then.
    """

    def refusal(self, file: str | None, deadline: float = 10.0) -> str:
        """
        The sentence with which a file is refused, which must be one printable
        line with a full stop, and not come too late.
        """
        began = time.monotonic()
        e = self.assertRaises(ConfigurationError, readConfiguration, file, deadline)
        self.assertLess(time.monotonic() - began, 40.0)
        sentence = str(e)
        self.assertTrue(sentence.isprintable(), sentence)
        self.assertTrue(sentence.endswith("."), sentence)
        return sentence

    def test_badLine(self) -> None:
        """
        A line that is none is told with its number and the file.
        """
        path = self.write("RVGAHP_PORT = 1\nthis is no line\n")
        sentence = self.refusal(path)
        self.assertIn(path, sentence)
        self.assertIn("Line 2", sentence)

    def test_missingEndif(self) -> None:
        """
        An C{if} without its end is told in HTCondor's words.
        """
        self.assertIn("endif", self.refusal(self.write("if true\nA = 1\n")))

    def test_missingInclude(self) -> None:
        """
        A file that is included and is not there is named, and so is a local one.
        """
        self.assertIn("/nowhere/x", self.refusal(self.write("include : /nowhere/x\n")))
        self.assertIn("/nowhere/y", self.refusal(self.write("LOCAL_CONFIG_FILE = /nowhere/y\n")))

    def test_badMetaknob(self) -> None:
        """
        A metaknob that does not exist is named.
        """
        self.assertIn("Nope", self.refusal(self.write("use ROLE:Nope\n")))

    def test_missing(self) -> None:
        """
        A file that is not there is an error, not an empty configuration.
        """
        path = os.path.join(self.home, "nothing")
        sentence = self.refusal(path)
        self.assertIn(path, sentence)
        self.assertIn("No such file", sentence)
        self.environment["CONDOR_CONFIG"] = path
        self.assertIn(path, self.refusal(None))

    def test_directory(self) -> None:
        """
        A directory is no file.
        """
        self.assertIn("is a directory", self.refusal(self.home))

    def test_unreadable(self) -> None:
        """
        A file that may not be read is an error, not an empty configuration.
        """
        path = self.write("RVGAHP_PORT = 1\n")
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            # Root may read anything; a path below what is no directory, nobody.
            path = os.path.join(path, "x")
        self.assertIn(f"{path} cannot be read", self.refusal(path))

    def test_notText(self) -> None:
        """
        A value that is not UTF-8 is named; rubbish instead of a file is told.
        """
        self.assertIn("RVGAHP_SITE", self.refusal(self.write(b"RVGAHP_SITE = caf\xe9\n")))
        self.assertIn("Line 1", self.refusal(self.write(bytes(range(1, 256)) * 10)))

    def test_circle(self) -> None:
        """
        Settings that refer to each other are named, wherever they stand.
        """
        self.write("A = $(B)\nB = x$(C:0)\n", "more.conf")
        path = self.write(f"include : {self.home}/more.conf\nC = $(A)\nRVGAHP_SITE = a$(A)\n")
        sentence = self.refusal(path)
        self.assertIn("RVGAHP_SITE", sentence)
        self.assertIn(path, sentence)
        self.assertIn("A refers to B and B refers to C and C refers to A", sentence)

    def test_circleInHTCondorsOwn(self) -> None:
        """
        Where HTCondor itself goes round in circles while it loads, it is ended,
        and the circle is named if it stands in the file.
        """
        path = self.write("LOCAL_DIR = $(D)\nD = $(LOCAL_DIR)\nLOCAL_CONFIG_FILE = $(D)/x\n")
        sentence = self.refusal(path)
        self.assertIn(path, sentence)
        self.assertIn("LOCAL_DIR refers to D and D refers to LOCAL_DIR", sentence)

    def test_slow(self) -> None:
        """
        A command that the file includes and that does not end is given up at
        the deadline, and leaves no process behind.
        """
        mark = os.path.join(self.home, "pid")
        script = self.program(f"echo $$ > {mark}; exec sleep 60")
        path = self.write(f"include command : {script}\n")
        for deadline in (
            0.5,
            2,
            8,
        ):  # On a busy machine the first may end before the command begins.
            sentence = self.refusal(path, deadline)
            self.assertIn(f"more than {deadline} s", sentence)
            if os.path.exists(mark):
                break
        self.assertIn(path, sentence)
        with open(mark) as file:
            self.assertTrue(hasEnded(int(file.read())))


class InterpretTests(SynchronousTestCase):
    """
    Outcomes of the reader's process that a file alone does not bring about.
    """

    def refusal(self, status: int, output: bytes = b"", words: bytes = b"") -> str:
        """
        The sentence for an outcome.
        """
        e = self.assertRaises(ConfigurationError, interpret, status, output, words, "/etc/x", 10.0)
        self.assertIn("/etc/x", str(e))
        return str(e)

    def test_silentEnd(self) -> None:
        """
        An end without a word is told by its status or signal.
        """
        self.assertIn("exit status 4", self.refusal(4))
        self.assertIn("signal 11", self.refusal(-signal.SIGSEGV))
        self.assertIn("exit status 0", self.refusal(0))
        self.assertIn("exit status 0", self.refusal(0, b"[]"))

    def test_controlCharacters(self) -> None:
        """
        HTCondor's words come on one line without control characters, and not
        without end.
        """
        sentence = self.refusal(1, b"", b"one\n\n\x1b[31m two\x00\r\n" + b"z" * 10000)
        self.assertIn("one; [31m two; zzz", sentence)
        self.assertLess(len(sentence), 1200)

    def test_spinning(self) -> None:
        """
        The limit of processor time and the deadline are told apart.
        """
        self.assertIn("refer to each other", self.refusal(-signal.SIGXCPU))
        self.assertIn("does not answer", self.refusal(-signal.SIGALRM))

    def test_where(self) -> None:
        """
        Without a file, settings stand in the environment.
        """
        answer: dict[str, Any] = {"file": None, "settings": {}, "others": [], "reader": "r"}
        found = interpret(0, json.dumps(answer).encode(), b"", None)
        self.assertEqual(found, Configuration(None, {}, (), (), "r"))
        self.assertEqual(found.where, "the environment")
        self.assertEqual(Configuration("/etc/x", {}).where, "/etc/x")


class DumpTests(ConfigurationTestCase):
    """
    Where the C{htcondor} package is missing.  No C{condor_config_val} can be
    had for a test, so what stands for it prints what the real one's source
    (HTCondor 25.14, C{src/condor_tools/config_val.cpp}) prints.
    """

    skip = None

    DUMP = """\
# Configuration from machine: host.example
BATCH_GAHP = /usr/bin/blahpd
 # at: <Default>
 # raw: BATCH_GAHP = $(BIN)/blahpd
 # default: $(BIN)/blahpd
LIBEXEC = /usr/libexec/condor
 # at: /etc/condor/condor_config, line 3
 # raw: LIBEXEC = /usr/libexec/condor
 # default: $(RELEASE_DIR)/libexec
Rvgahp_Site @=end
   one
   two
@end
 # at: /etc/condor/condor_config, line 9
 # raw: Rvgahp_Site @=end
 #     one
 #     two
 # @end
RVGAHP_PORT = 5
 # at: <Environment>
 # raw: RVGAHP_PORT = 5
RVGAHP_CERTFILE =
 # at: /etc/condor/condor_config, line 12
 # raw: RVGAHP_CERTFILE =
"""

    def setUp(self) -> None:
        """
        Hide the package from the process that reads.
        """
        super().setUp()
        self.write("print('noise')\nraise ImportError('hidden')\n", "hidden/htcondor2.py")
        self.patch(sys, "path", [os.path.join(self.home, "hidden"), *sys.path])
        self.environment["PATH"] = os.path.join(self.home, "bin")

    def test_dump(self) -> None:
        """
        Of what is dumped, the defaults are left out; and what a library prints
        on stdout does not spoil the answer.
        """
        dump = self.write(self.DUMP, "dump")
        path = self.write("")
        self.program(
            f'[ "$CONDOR_CONFIG" = "{path}" ] || exit 3\n'
            '[ "$*" = "-subsystem RVGAHP -dump -expanded -verbose" ] || exit 4\n'
            f"while IFS= read -r line; do printf '%s\\n' \"$line\"; done < {dump}",
            "condor_config_val",
        )
        found = readConfiguration(path)
        self.assertEqual(
            found.settings,
            {
                "LIBEXEC": "/usr/libexec/condor",
                "RVGAHP_SITE": "one\ntwo",
                "RVGAHP_PORT": "5",
                "RVGAHP_CERTFILE": "",
            },
        )
        self.assertTrue(found.reader.endswith("condor_config_val"), found.reader)
        self.assertEqual(found.notes, (f"HTCondor says of {path}: noise",))

    def test_failure(self) -> None:
        """
        A failure is told by the program's status; one that goes round in circles
        is ended like the library.
        """
        self.program("exit 1", "condor_config_val")
        e = self.assertRaises(ConfigurationError, readConfiguration, self.write(""))
        self.assertIn("exit status 1", str(e))
        self.program("while :; do :; done", "condor_config_val")
        path = self.write("A = $(B)\nB = $(A)\n")
        e = self.assertRaises(ConfigurationError, readConfiguration, path)
        self.assertIn("A refers to B and B refers to A", str(e))

    def test_nothing(self) -> None:
        """
        With neither, the sentence says what to install.
        """
        e = self.assertRaises(ConfigurationError, readConfiguration, self.write(""))
        self.assertIn("pip install htcondor", str(e))
        self.assertIn("condor_config_val", str(e))
