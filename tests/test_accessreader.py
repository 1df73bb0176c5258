"""
Tests of L{rvgahp.accessreader}.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.accessreader import readAccessFile, readAccessRules
from rvgahp.accessrules import CE, PROXY, START, AccessRules, Subject, parse
from rvgahp.accesssample import CE_SAMPLE
from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError
from rvgahp.settings import settingsFrom

CONTRIB = Path(__file__).parent.parent / "contrib"


class ReaderTests(SynchronousTestCase):
    """
    A file, in a directory of its own.
    """

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = self.directory / "access"

    def write(self, text: str | bytes, mode: int = 0o644) -> None:
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.path.chmod(mode)

    def read(
        self, role: str = PROXY, answers: dict[str, list[str] | str] | None = None
    ) -> tuple[AccessRules, list[str]]:
        """
        @param answers: the resolver's, by name.
        """

        def lookup(names: Iterable[str], seconds: float) -> dict[str, list[str] | str]:
            self.assertEqual(seconds, maplimits.FILE_LOOKUP_TIMEOUT)
            return {name: (answers or {})[name] for name in names}

        return readAccessFile(str(self.path), role, lookup)

    def refused(self, answers: dict[str, list[str] | str] | None = None) -> str:
        """
        @return: why the file is refused.
        """
        return str(self.assertRaises(ConfigurationError, self.read, PROXY, answers))

    def test_read(self) -> None:
        """
        The rules of the file count; what is no UTF-8 may stand in comments.
        """
        self.write(b"# \xff\nALLOW START alice@x.org\n")
        rules, notes = self.read()
        self.assertTrue(rules.isThere)
        self.assertEqual((notes, rules.levels()), ([], {START}))
        self.write(b"ALLOW START \xff@x.org\n")
        self.assertIn(f"{self.path}:1: it has other characters", self.refused())

    def test_absent(self) -> None:
        """
        Where there is no file there are no rules, and a refusal says so.
        """
        rules, notes = self.read()
        self.assertEqual((rules.isThere, notes), (False, []))
        things = {"site": "s", "gahp": "g", "account": ""}
        refusal = rules.decide(START, Subject("a@x"), things).refusal
        self.assertIn(f"there is no file {self.path}", refusal)

    def test_unreadable(self) -> None:
        """
        What is there and cannot be read, or is no file, or too large, is an error.
        """
        self.path.mkdir()
        self.assertIn("it is no file", self.refused())
        self.path.rmdir()
        os.mkfifo(self.path)
        self.assertIn("it is no file", self.refused())
        self.path.unlink()
        self.path.symlink_to(self.path)
        self.assertIn(f"{self.path} cannot be read: Too many", self.refused())
        self.path.unlink()
        self.patch(maplimits, "ACCESS_FILE_BYTES", 20)
        self.write("#" * 20)
        self.read()
        self.write("#" * 21)
        self.assertIn("20 bytes", self.refused())

    def test_writable(self) -> None:
        """
        A file that others could write, or put another in its place, is refused with the remedy;
        so is one behind a link.
        """
        for mode in (0o664, 0o646):
            self.write("", mode)
            self.assertIn(f"chmod go-w {self.path}", self.refused())
        self.write("")
        for mode in (0o770, 0o707, 0o1777):
            self.directory.chmod(mode)
            self.assertIn(f"chmod go-w {self.directory}", self.refused())
        self.directory.chmod(0o700)
        further = self.directory / "further"
        further.mkdir(mode=0o700)
        shutil.move(self.path, further / "real")
        self.path.symlink_to(further / "real")
        self.read()
        further.chmod(0o770)
        self.assertIn(f"chmod go-w {further}", self.refused())

    def test_anothersDirectory(self) -> None:
        """
        A directory of an account that is neither the file's owner, nor root, nor ours is named
        with it.
        """
        self.write("")
        nobody = pwd.getpwnam("nobody").pw_uid
        os.chown(self.directory, nobody, -1)
        self.addCleanup(os.chown, self.directory, os.geteuid(), -1)
        self.read()  # not for a daemon
        values: dict[str, str] = {}
        config = Configuration(str(self.directory / "c"), values)
        e = self.assertRaises(ConfigurationError, readAccessRules, settingsFrom(PROXY, config))
        self.assertIn("of nobody, who could put", str(e))
        values["RVGAHP_ACCOUNT"] = "nobody"
        readAccessRules(settingsFrom(PROXY, config))
        values.clear()
        os.chown(self.path, nobody, -1)
        readAccessRules(settingsFrom(PROXY, config))

    if os.geteuid() != 0:
        test_anothersDirectory.skip = "only root may give files away"  # type: ignore[attr-defined]  # trial's own mark

    def test_hosts(self) -> None:
        """
        Hosts have the addresses that they have when the file is read.
        """
        self.write("ALLOW START */h.x.org */g.x.org\nDENY START *.y.org\n")
        rules, notes = self.read(CE, {"h.x.org": ["192.0.2.1"], "g.x.org": "Name is not known"})
        things = {"gahp": "g", "account": "a"}
        for address, isAllowed in (("192.0.2.1", True), ("192.0.2.2", False)):
            decision = rules.decide(START, Subject("a@x", address), things)
            self.assertEqual(decision.isAllowed, isAllowed)
        (note,) = notes
        for word in (str(self.path), "g.x.org", "Name is not known"):
            self.assertIn(word, note)

    def test_deniedHost(self) -> None:
        """
        A host in a DENY rule without an address refuses the file, also if an ALLOW rule has it
        too.
        """
        self.write("ALLOW START h.x.org\nDENY START h.x.org\n")
        sentence = self.refused({"h.x.org": "no answer"})
        for word in (f"{self.path}:2: ", "h.x.org", "no answer", "write its address"):
            self.assertIn(word, sentence)

    def test_manyHosts(self) -> None:
        """
        Not more names are looked up than there may be.
        """
        self.patch(maplimits, "ACCESS_HOSTS", 2)
        self.write("ALLOW START a.x b.x c.x\n")
        self.assertIn("names 3 hosts", self.refused())

    def test_settings(self) -> None:
        """
        The daemon's own file counts, beside its configuration file; one that the setting names
        must be there.
        """
        config = str(self.directory / "condor_config")
        for role in (PROXY, CE):
            values = {"RVGAHP_BROKER_HOST": "h"}
            settings = settingsFrom(role, Configuration(config, values))
            rules, notes = readAccessRules(settings)
            self.assertEqual((rules.path, rules.role), (str(self.path), role))
            self.assertEqual(rules.isThere, False)
            self.assertEqual(len(notes), int(role == CE))
        values["RVGAHP_ACCESS_FILE"] = str(self.path)
        settings = settingsFrom(CE, Configuration(config, values))
        e = self.assertRaises(ConfigurationError, readAccessRules, settings)
        self.assertIn(f"{self.path} cannot be read: there is no such file", str(e))

    def test_closed(self) -> None:
        """
        A CE at which nobody may start anything says so, with the remedy.
        """
        settings = settingsFrom(
            CE,
            Configuration(str(self.directory / "c"), {"RVGAHP_BROKER_HOST": "h"}),
        )
        for text, words in ((None, "is not there"), (CE_SAMPLE, "has no ALLOW rule")):
            if text is not None:
                self.write(text)
            _, (note,) = readAccessRules(settings)
            for word in (str(self.path), words, "ALLOW START owner@domain", "again"):
                self.assertIn(word, note)
        self.write("ALLOW START *\n")
        self.assertEqual(readAccessRules(settings)[1], [])


class SampleTests(SynchronousTestCase):
    """
    What is written for others to change.
    """

    def test_ce(self) -> None:
        """
        In a new CE's file no line counts; each becomes a rule without its #.
        """
        self.assertEqual(parse(CE_SAMPLE, "/a", CE).levels(), set())
        lines = CE_SAMPLE.splitlines()
        first = next(n for n, line in enumerate(lines) if line.startswith("# ALLOW"))
        text = "\n".join(
            line.removeprefix("# ") if line.startswith(("# ALLOW", "# DENY", "#    ")) else line
            for line in lines[first:]
        )
        things = {"gahp": "blahpd", "account": "a"}
        rules = parse(text, "/a", CE)
        for name, isAllowed in (("bob", True), ("mallory", False)):
            subject = Subject(f"{name}@submit.example.org", "192.0.2.1")
            self.assertEqual(rules.decide(START, subject, things).isAllowed, isAllowed)

    def test_contrib(self) -> None:
        """
        The samples of contrib/ are read, and have no rule that counts.
        """
        for role in (PROXY, CE):
            text = (CONTRIB / f"access.rvgahp-{role}").read_text()
            self.assertEqual(parse(text, "/a", role).levels(), set())
            self.assertIn("ALLOW START", text)
        self.assertEqual(text, CE_SAMPLE)
