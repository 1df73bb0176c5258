"""
Tests of L{rvgahp.tracewords}.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.accessrules import PROXY, START, Subject, parse
from rvgahp.errors import ProtocolError
from rvgahp.proxysocket import DEFAULT_SOCKET
from rvgahp.tracewords import (
    REMEDIES,
    account,
    notAllowed,
    policyWords,
    sourceOf,
    when,
    whyNot,
)


class WordsTests(SynchronousTestCase):
    """
    What was seen, for people.
    """

    def test_account(self) -> None:
        """
        An account has its number; one without a name has nothing else.
        """
        self.assertEqual(account(0), "root (uid 0)")
        self.assertEqual(account(3999999), "uid 3999999")

    def test_when(self) -> None:
        """
        A time is one that programs read too, and any number is one.
        """
        now = int(time.time())
        self.assertEqual(datetime.fromisoformat(when(now)).timestamp(), now)
        self.assertIn("after 1970", when(10**30))

    def test_policyWords(self) -> None:
        """
        A policy's letters are words.
        """
        self.assertEqual(
            policyWords("P:O:AES"), "encryption PREFERRED, integrity OPTIONAL, methods AES"
        )
        self.assertIn("methods none", policyWords("N:N:"))
        self.assertRaises(ProtocolError, policyWords, "nonsense")

    def test_notAllowed(self) -> None:
        """
        Where a DENY rule is the reason, it is that which has to go, and its file and line are
        named; else an ALLOW rule is missing.
        """
        things = {"site": "s", "gahp": "g", "account": ""}
        for text, words in (
            ("ALLOW START *\nDENY START alice@x.org", "the DENY rule at /etc/a b:2, or"),
            ("ALLOW START bob@x.org", "for a line ALLOW START in its access file"),
        ):
            rules = parse(text, "/etc/a b", PROXY)
            refusal = rules.decide(START, Subject("alice@x.org"), things).refusal
            self.assertIn(words, notAllowed(refusal))
            self.assertIn("is told to those who may use it.", notAllowed(refusal))

    def test_sourceOf(self) -> None:
        """
        Where a path comes from, in the client's order.
        """
        clean = {k: v for k, v in os.environ.items() if k != "_CONDOR_RVGAHP_SOCKET"}
        self.patch(os, "environ", clean)
        self.assertIn("condor_config", sourceOf("/x", None))
        self.assertIn("default", sourceOf(DEFAULT_SOCKET, None))
        os.environ["_CONDOR_RVGAHP_SOCKET"] = "/x"
        self.assertIn("environment", sourceOf("/x", None))
        self.assertIn("command line", sourceOf("/x", "/x"))

    def test_remedies(self) -> None:
        """
        Each is sentences for people, without a line end.
        """
        for remedy in REMEDIES.values():
            self.assertRegex(remedy, r"^[A-Z][^\n]*\.$")
            self.assertNotIn("  ", remedy)


class WhyNotTests(SynchronousTestCase):
    """
    Why a socket cannot be connected to.
    """

    def setUp(self) -> None:
        self.directory = os.path.abspath(self.mktemp())
        os.mkdir(self.directory)
        self.path = os.path.join(self.directory, "s")

    def test_nothing(self) -> None:
        """
        Nothing is there: the proxy does not run, or has another socket.
        """
        for path in (self.path, "/dev/null/s"):
            self.assertIn("Start the proxy on this host", whyNot(path))
            self.assertIn("RVGAHP_SOCKET", whyNot(path))

    def test_noSocket(self) -> None:
        """
        Something else is there.
        """
        self.assertIn("no socket", whyNot(self.directory))

    def test_left(self) -> None:
        """
        A socket that nobody listens on was left behind.
        """
        self.makeSocket()
        self.assertIn("does not listen any more", whyNot(self.path))

    def makeSocket(self) -> None:
        """
        Make a socket that nobody listens on.
        """
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind("s")  # the whole path may be too long

    def test_notAllowed(self) -> None:
        """
        Who may not connect, or not even look, is told whom to ask.
        """
        self.makeSocket()
        os.chmod(self.path, 0o640)
        denied = PermissionError(13, "Permission denied")
        self.patch(os, "access", lambda path, mode: False)
        self.assertIn("with mode 0640", whyNot(self.path))
        self.assertIn("RVGAHP_SOCKET_MODE", whyNot(self.path))

        def stat(path: str) -> None:
            raise denied

        self.patch(os, "stat", stat)
        self.assertIn("may not enter its directory", whyNot(self.path))
