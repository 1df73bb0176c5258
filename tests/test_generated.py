"""
Tests of C{doc/generated.py}: what the manual is made of.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

import rvgahp
from rvgahp import errors
from rvgahp.cetap import Options as CEOptions
from rvgahp.cli import makeParser
from rvgahp.proxytap import Options as ProxyOptions
from rvgahp.settingtable import TABLE
from tests.procfs import PATIENCE
from tests.test_cli import leaves

SOURCE = Path(__file__).parent.parent / "doc" / "generated.py"


def load() -> ModuleType:
    """
    @return: the module, which is no part of the package.
    """
    spec = importlib.util.spec_from_file_location("generated", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generated = load()


class ProseTests(SynchronousTestCase):
    """
    A help's text becomes reStructuredText.
    """

    def test_marked(self) -> None:
        """
        What is code is marked, and nothing else is markup.
        """
        for text, marked in (
            (
                "the setting RVGAHP_PORT, or --port N",
                "the setting ``RVGAHP_PORT``, or ``--port`` N",
            ),
            ("see ~/.rvgahp/ce.log.", "see ``~/.rvgahp/ce.log``."),
            ("as for rvgahp_client", "as for ``rvgahp_client``"),
            ("give rvgahp list, and rvgahp says", "give ``rvgahp list``, and rvgahp says"),
            ("NAME@site.rvgahp is one", "``NAME@site.rvgahp`` is one"),
            ("'rvgahp COMMAND --help' has more", "``rvgahp COMMAND --help`` has more"),
            ("the user's, the site's and 'batch'", "the user's, the site's and 'batch'"),
            ("a * and a `b` | c", r"a \* and a \`b\` \| c"),
            ("/DC=org/CN=alice", "``/DC=org/CN=alice``"),
            ("status and/or more", "status and/or more"),
        ):
            self.assertEqual(generated.marked(text), marked)

    def test_paragraphs(self) -> None:
        """
        Lines are joined, and blank lines part.
        """
        self.assertEqual(generated.prose("one\ntwo.\n\nthree\n"), "one two.\n\nthree\n")

    def test_definitions(self) -> None:
        """
        Two columns become a list of definitions, whose terms and texts may go on.
        """
        text = (
            "Words:\n\n  A       is first,\n          and last\n  --b B,\n  --c\n          both\n"
        )
        expected = "Words:\n\n``A``\n    is first, and last\n\n``--b B, --c``\n    both\n"
        self.assertEqual(generated.prose(text), expected)

    def test_literal(self) -> None:
        """
        What is indented otherwise stays as it is.
        """
        for text in ('{"step": S}    begins\n   "more"', "$ true\nout     a word", "one line"):
            indented = text.replace("\n", "\n  ")
            literal = text.replace("\n", "\n    ")
            self.assertEqual(generated.prose(f"  {indented}\n"), f"::\n\n    {literal}\n")


class PartsTests(SynchronousTestCase):
    """
    What the parts of the manual have.
    """

    def test_commands(self) -> None:
        """
        Each command is there, with each of its words and examples.
        """
        text = generated.commands()
        for path, parser in leaves(makeParser()):
            name = " ".join(path)
            self.assertRegex(text, rf"\n{name}\n[-~]+\n")
            own = text.partition(f".. program:: {name}\n")[2].partition(".. program::")[0]
            for action in parser._actions:
                if action.help and "-h" not in action.option_strings:
                    for word in action.option_strings or [str(action.metavar)]:
                        self.assertRegex(own, rf"\.\. option:: .*{re.escape(word)}")
            for example in parser.examples:
                self.assertIn(f"\n    {example}\n", own)

    def test_daemons(self) -> None:
        """
        Each option of a daemon is there, with the setting that it overrides.
        """
        for name, options in (("proxy", ProxyOptions), ("ce", CEOptions)):
            text = generated.daemonOptions(name)
            for row in options.optParameters:
                own = text.partition(f"--{row[0]} ")[2].partition(".. option::")[0]
                setting = options.overrides.get(row[0])
                self.assertTrue(own, row)
                self.assertEqual(":confval:" in own, setting is not None)
                self.assertIn(f":confval:`{setting}`" if setting else "", own)

    def test_settings(self) -> None:
        """
        Each setting is there, with what it means, what is allowed and its default.
        """
        text = generated.settings()
        for setting in TABLE:
            own = text.partition(f".. confval:: {setting.name}\n")[2].partition(".. confval::")[0]
            for part in (setting.doc, setting.kind.allowed, setting.default, setting.kind.typeName):
                self.assertIn(part, own)
            self.assertEqual("at the next start" in own, setting.isFixed)

    def test_errors(self) -> None:
        """
        Each kind of error is there, with a sentence.
        """
        text = generated.errorKinds()
        for name, kind in vars(errors).items():
            if isinstance(kind, type) and issubclass(kind, errors.RvgahpError):
                self.assertRegex(text, rf"(?m)^``{name}``\n    [A-Z].*\.$")
        self.assertNotIn("C{", text)

    def test_programs(self) -> None:
        """
        The client and the batch GAHP are there.
        """
        self.assertIn("rvgahp_client [OPTIONS] SOCKPATH GAHP", generated.clientUsage())
        self.assertIn("\n``--rgahp-user USER``\n", generated.clientHelp())
        self.assertIn("\n``RVGAHP_BLAH_DIR``\n", generated.blahpdHelp())


class SphinxTests(SynchronousTestCase):
    """
    What Sphinx knows of it.
    """

    if importlib.util.find_spec("sphinx") is None:
        skip = "Sphinx is not installed"

    def test_dependencies(self) -> None:
        """
        A page that is made of the program is read again when the program has changed: the manual
        may be built on top of an older one.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "conf.py").write_text('extensions = ["directives"]\n')
        (directory / "index.rst").write_text("Page\n====\n\n.. generated:: errorKinds\n")
        code = (
            "import sys; from sphinx.application import Sphinx; d = sys.argv[1];"
            " app = Sphinx(d, d, d + '/out', d + '/trees', 'dummy', status=None, warning=None);"
            " app.build(); print(*app.env.dependencies['index'], sep='\\n')"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(directory)],
            env={"PYTHONPATH": f"{SOURCE.parent}:{Path(rvgahp.__file__).parent.parent}"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        found = {Path(line).name for line in run.stdout.splitlines()}
        self.assertLessEqual({"generated.py", "errors.py", "settingtable.py"}, found)
