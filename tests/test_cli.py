"""
Tests of L{rvgahp.cli}: words, and what becomes of errors.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rvgahp import __version__, cli, demo, sandbox
from rvgahp.commandparser import CommandParser
from rvgahp.errors import StartFailed
from tests.commandcase import CommandTestCase

PAGES = Path(__file__).parent.parent / "doc"


def commandsOf(parser: CommandParser) -> dict[str, CommandParser]:
    """
    @return: the commands right below one, by name.
    """
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def leaves(
    parser: CommandParser, path: tuple[str, ...] = ("rvgahp",)
) -> Iterator[tuple[tuple[str, ...], CommandParser]]:
    """
    @return: all commands that have none below them, each after the words that call it.
    """
    below = commandsOf(parser)
    if not below:
        yield path, parser
    for name, one in below.items():
        yield from leaves(one, (*path, name))


class CommandTests(CommandTestCase):
    """
    Tests of the command, run in this process.
    """

    def setUp(self) -> None:
        """
        Put signals and descriptors back as they were.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        make = os.pipe2

        def pipe2(flags: int) -> tuple[int, int]:
            pair = make(flags)
            for fd in pair:
                self.addCleanup(os.close, fd)
            return pair

        self.patch(os, "pipe2", pipe2)

    def test_help(self) -> None:
        """
        The help names each command once, with what it does, in lines that fit a terminal.
        """
        status, output, _ = self.run_("--help")
        self.assertEqual(status, 0)
        listed = re.findall(r"(?m)^  ([a-z]+) +(.*)$", output.partition("\noptions:")[0])
        commands = commandsOf(cli.makeParser())
        self.assertEqual(dict(listed), {name: one.summary for name, one in commands.items()})
        self.assertEqual(len(listed), len(commands))
        self.assertLessEqual(max(map(len, output.splitlines())), 90)
        for word in ("twistd rvgahp-proxy", "twistd rvgahp-ce", "rvgahp_client"):
            self.assertIn(word, output)

    def test_helpOfEach(self) -> None:
        """
        The help of each command has an example, which is right, and names a page of the
        manual, which is there.
        """
        for path, parser in leaves(cli.makeParser()):
            self.assertTrue(parser.examples, path)
            self.assertTrue((PAGES / f"{parser.page}.rst").is_file(), path)
            for example in parser.examples:
                words = shlex.split(example.partition(">")[0])
                self.assertEqual(words[: len(path)], list(path))
                cli.makeParser().parse_args(words[1:])
                self.assertIn(f"\n  {example}\n", parser.format_help())
            self.assertIn(f"\nmanual: doc/{parser.page}.rst\n", parser.format_help())

    def test_version(self) -> None:
        """
        It has a version.
        """
        self.assertEqual(self.run_("--version"), (0, f"rvgahp {__version__}\n", ""))

    def test_badWords(self) -> None:
        """
        Words that make no sense are named, with status 2.
        """
        for words, said in (
            ([], "COMMAND"),
            (["emacs"], "emacs"),
            (["demo", "more"], "more"),
            (["sandbox", "--port", "much"], "'much' is no port: 0 to 65535"),
            (["sandbox", "--port", "65536"], "'65536' is no port"),
            (["sandbox", "--port=-1"], "'-1' is no port"),
            (["sandbox", "--port", "9" * 5000], "is no port"),
        ):
            status, output, errors = self.run_(*words)
            self.assertEqual((status, output), (2, ""), words)
            self.assertIn(said, errors)

    def test_badSandbox(self) -> None:
        """
        What a sandbox cannot be made of is told in one line, with status 1.
        """
        for words, said in (
            (["--gahp", "cat"], "'cat'"),
            (["--gahp", "b@d=x"], "'b@d'"),
            (["--ce-connect", "nowhere"], "'nowhere'"),
            (["--dir", "/tmp/" + "x" * 100], "too long"),
            (["--dir", "/dev/null/x"], "/dev/null/x: Not a directory"),
        ):
            status, output, errors = self.run_("sandbox", *words)
            self.assertEqual((status, output, errors.count("\n")), (1, "", 1), words)
            self.assertTrue(errors.startswith("rvgahp: "))
            self.assertIn(said, errors)

    def failing(self, problem: BaseException) -> Callable[..., Any]:
        """
        @return: a function that fails so.
        """

        def fail(*arguments: Any) -> Any:
            raise problem

        return fail

    def test_errors(self) -> None:
        """
        What goes wrong is one line, with status 1, whatever it says of itself.
        """
        for problem, line in (
            (StartFailed("it did not start"), "it did not start"),
            (StartFailed("another's\n\x1b[2Jwords"), "another's  [2Jwords"),
            (FileNotFoundError(2, "No such file", "/a/file"), "/a/file: No such file"),
            (OSError("AF_UNIX path too long"), "AF_UNIX path too long"),
            (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),
        ):
            self.patch(demo, "run", self.failing(problem))
            self.assertEqual(self.run_("demo"), (1, "", f"rvgahp: {line}\n"))

    def test_sandboxWords(self) -> None:
        """
        What is given on the command line is what the sandbox is made of.
        """
        made: list[tuple[Any, ...]] = []

        def make(*arguments: Any, **more: Any) -> None:
            made.append(arguments)
            raise StartFailed("enough")

        self.patch(sandbox, "Sandbox", make)
        self.run_("sandbox")
        words = ["--dir=/d", "--port=7", "--ce-connect=h:1", "--gahp=a=x y", "--gahp", "b=z"]
        self.run_("sandbox", *words)
        self.assertEqual(made, [(None, 0, {}, None), ("/d", 7, {"a": "x y", "b": "z"}, ("h", 1))])
