"""
Tests of L{rvgahp.enrolmentcli}: words, and what is printed.  The commands themselves are run
in L{tests.test_whole_enrolment}.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from datetime import datetime, timezone

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.cli import main, makeParser
from rvgahp.enrolmentcli import _tell
from rvgahp.join import Joined


class WordsTests(SynchronousTestCase):
    """
    The words of the commands.
    """

    def run_(self, *words: str, said: str = "") -> tuple[int, str]:
        """
        @return: the exit status and what came on stderr.
        """
        errors = io.StringIO()
        self.patch(sys, "argv", ["rvgahp", *words])
        self.patch(sys, "stdin", io.StringIO(said))
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = main()
            except SystemExit as e:
                status = int(e.code or 0)
        return status, errors.getvalue()

    def test_mistakes(self) -> None:
        """
        A mistake in the words is status 2.
        """
        for words in (
            ["invite"],
            ["invite", "a", "b"],
            ["revoke"],
            ["join", "code", "--connect-to", "nowhere"],
            ["join", "code", "--connect-to", "host:0"],
        ):
            self.assertEqual(self.run_(*words)[0], 2, words)

    def test_code(self) -> None:
        """
        A code that cannot be one is told before anything is done; without one on the command
        line it is read from stdin, and there must be one.
        """
        directory = os.path.abspath(self.mktemp())
        for words, said in ((["x:1/y"], ""), ([], "x:1/y\n")):
            status, errors = self.run_("join", *words, "--dir", directory, said=said)
            self.assertEqual(status, 1)
            self.assertIn("This is not a code of rvgahp invite", errors)
        self.assertIn("no code was given", self.run_("join", "--dir", directory)[1])
        self.assertFalse(os.path.exists(directory))

    def test_address(self) -> None:
        """
        --connect-to takes names, addresses, and IPv6 addresses in brackets.
        """
        for word, target in (
            ("host.example:443", ("host.example", 443)),
            ("[2001:db8::1]:41000", ("2001:db8::1", 41000)),
        ):
            parsed = makeParser().parse_args(["join", "--connect-to", word])
            self.assertEqual(parsed.connect_to, (target,))

    def test_gateway(self) -> None:
        """
        --connect-through takes a gateway's URL; one with a password is refused, and not
        repeated.
        """
        parsed = makeParser().parse_args(["join", "--connect-through", "socks5h://squid:1080"])
        self.assertEqual(parsed.connect_through, ("socks5h", "squid", 1080))
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            words = ["join", "--connect-through", "http://alice:secret@squid:1"]
            self.assertRaises(SystemExit, makeParser().parse_args, words)
        self.assertIn("RVGAHP_CONNECT_THROUGH_CREDENTIALS", errors.getvalue())
        self.assertNotIn("secret", errors.getvalue())

    def test_told(self) -> None:
        """
        What is printed has each file, and commands that start the CE as it is: with
        --config where the directory is not the usual one, quoted where need be.
        """
        for path, option in (
            (os.path.expanduser("~/.rvgahp"), "\n"),
            ("/a b", " --config '/a b'/condor_config.rvgahp\n"),
        ):
            output = io.StringIO()
            self.patch(os, "environ", {**os.environ, "PATH": "/nonexistent"})
            joined = Joined("s", "o@d", datetime.now(timezone.utc), [f"{path}/x"], [f"{path}/y"])
            with contextlib.redirect_stdout(output):
                _tell(joined, path)
            text = output.getvalue()
            self.assertIn(f"wrote {path}/x\nkept {path}/y: see", text)
            self.assertIn(f"rvgahp-ce{option}", text)
            self.assertTrue(text.endswith(f"rvgahp ce install{option}"), text)
