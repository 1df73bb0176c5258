"""
Tests of the manual: what it names is there.  That its own references lead somewhere is for Sphinx
to say (C{make doc}).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.cetap import Options as CEOptions
from rvgahp.cli import makeParser
from rvgahp.logformats import journalName
from rvgahp.logrecord import FIELDS
from rvgahp.proxytap import Options as ProxyOptions
from rvgahp.settingreader import proxySetting
from rvgahp.settingrow import GAHP_PREFIX, OF_PROXY
from rvgahp.settingtable import TABLE
from tests.test_cli import commandsOf

ROOT = Path(__file__).parent.parent

#: What people read: pages, samples, and what is new.
TEXTS = [
    ROOT / "README.md",
    *sorted(ROOT.glob("doc/**/*.rst")),
    *sorted(ROOT.glob("newsfragments/*.*")),
    *sorted(path for path in ROOT.glob("contrib/**/*") if path.is_file()),
]

#: Names that look like settings: variables of the environment, and of other programs' texts.
NO_SETTINGS = {"RVGAHP_BLAH_DIR", "RVGAHP_SOAK", "RVGAHP_FAULTS_SECONDS"}
NO_SETTINGS |= {journalName(name) for name in (*FIELDS, "form", "logger")}

#: What is written as a command is, and is none: a word of the protocol.
NO_COMMANDS = {"session"}

#: A command within a sentence.
_QUOTED = re.compile(r"`{1,2}rvgahp (\w[^`]*)`")

#: One on a line of a literal block.
_LINE = re.compile(r"(?:^|\s{2}|\$ |/)rvgahp ([a-z].*)")

#: A daemon's words.
_DAEMON = re.compile(r"twistd [^`\n]*?\brvgahp-(proxy|ce)\b([^`\n]*)")


def words(text: str) -> list[str]:
    """
    @return: the words of a command line, without a comment, to where something else begins.
    """
    line = re.split(r"\s#|[|;>&]| \.\.\.|\s{2,}", text.replace("\n", " ").replace("'", " "))[0]
    return shlex.split(line.replace('"', " "), comments=True)


def literalLines(text: str) -> Iterator[str]:
    """
    @return: the lines of a page's literal blocks.
    """
    margin = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line == "```":  # in Markdown, before and after
            margin = None if margin is not None else -1
        elif margin is not None and line.strip() and indent <= margin:
            margin = None
        if margin is not None:
            yield line
        elif line.endswith("::"):
            margin = indent


def commandLines() -> Iterator[tuple[str, list[str]]]:
    """
    @return: where something of C{rvgahp} is called, and its words.
    """
    for path in TEXTS:
        text = path.read_text()
        found = [match[1] for match in _QUOTED.finditer(text)]
        found += [match[1] for match in map(_LINE.search, literalLines(text)) if match]
        for line in map(words, found):
            if line[0] not in NO_COMMANDS:
                yield path.name, line


class NamesTests(SynchronousTestCase):
    """
    Commands, options, settings and files.
    """

    def test_commands(self) -> None:
        """
        Each command of rvgahp that is named exists, and has the options with which it is named.
        """
        whole, seen = makeParser(), set()
        for where, line in commandLines():
            parser = whole
            for word in line:
                below = commandsOf(parser)
                if not below or not re.fullmatch("[a-z]+", word):
                    break
                self.assertIn(word, below, f"{where}: rvgahp {' '.join(line)}")
                parser = below[word]
                seen.add(word)
            options = {name for action in parser._actions for name in action.option_strings}
            for word in line:
                if word.startswith("--"):
                    name = re.split("[=.,/)]", word)[0]
                    self.assertIn(name, options, f"{where}: rvgahp {' '.join(line)}")
        self.assertEqual(seen & {"doctor", "install", "host"}, {"doctor", "install", "host"})

    def test_daemons(self) -> None:
        """
        Each option of a daemon that is named exists.
        """
        seen = set()
        for path in TEXTS:
            for match in _DAEMON.finditer(path.read_text()):
                daemon = {"proxy": ProxyOptions, "ce": CEOptions}[match[1]]()
                options = {name.rstrip("=") for name in daemon.longOpt}
                for name in re.findall(r"--([a-z-]+)", match[2]):
                    self.assertIn(name, options, f"{path.name}: {match[0]}")
                    seen.add(name)
        self.assertIn("config", seen)

    def test_settings(self) -> None:
        """
        Each setting that is named exists.
        """
        known = {setting.name for setting in TABLE} | NO_SETTINGS
        known |= {proxySetting("physics", what) for what in OF_PROXY}
        for path in TEXTS:
            for name in re.findall(r"\bRVGAHP_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()):
                if not name.startswith(GAHP_PREFIX):
                    self.assertIn(name, known, f"{path.name}: {name}")

    def test_files(self) -> None:
        """
        Each file of the project that is named exists.
        """
        pattern = re.compile(r"(?<![\w/.~-])(?:contrib|doc|tests|bench)/[\w./*-]*[\w*]")
        seen = 0
        for path in TEXTS:
            for name in pattern.findall(path.read_text()):
                seen += 1
                if not name.startswith("doc/_build"):  # of make doc
                    self.assertTrue(list(ROOT.glob(name)), f"{path.name}: {name}")
        self.assertGreater(seen, 20)
