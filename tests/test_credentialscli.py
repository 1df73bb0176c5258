"""
Tests of L{rvgahp.credentialscli}.
"""

from __future__ import annotations

import contextlib
import io
import os

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.certificates import siteOf
from rvgahp.commandparser import CommandParser
from rvgahp.credentials import loadCredentials
from rvgahp.credentialscli import addCommands
from rvgahp.errors import CredentialError
from rvgahp.files import readFile


class CommandTests(SynchronousTestCase):
    """
    The commands as a person gives them.
    """

    def setUp(self) -> None:
        """
        Make a parser that has them, and a directory.
        """
        self.parser = CommandParser(prog="rvgahp")
        addCommands(self.parser.add_subparsers(required=True))
        self.directory = os.path.abspath(self.mktemp())
        self.ca = os.path.join(self.directory, "ca")

    def give(self, *words: str) -> str:
        """
        Give a command and have what it prints.
        """
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            arguments = self.parser.parse_args(["credentials", *words])
            self.assertEqual(arguments.run(arguments), 0)
        return printed.getvalue()

    def complaint(self, *words: str) -> str:
        """
        What a command that cannot be parsed, or asks for help, prints.
        """
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self.assertRaises(SystemExit, self.parser.parse_args, ["credentials", *words])
        return printed.getvalue()

    def test_three(self) -> None:
        """
        The three commands make what the two daemons load, and say what they
        wrote.
        """
        host, ce = os.path.join(self.directory, "host"), os.path.join(self.directory, "ce")
        printed = self.give("ca", self.ca)
        self.assertIn(f"wrote {self.ca}/ca.crt\nwrote {self.ca}/ca.key\n", printed)
        self.assertIn("Keep ca.key", printed)
        printed = self.give(
            "host",
            self.ca,
            "submit.example.org",
            "--address",
            "192.0.2.1",
            "--address",
            "::1",
            "--out",
            host,
        )
        self.assertIn(f"wrote {host}/host.key\n", printed)
        printed = self.give("ce", self.ca, "hpcc", "--out", ce)
        self.assertIn(f"wrote {ce}/ce.crt\n", printed)
        found = loadCredentials(f"{host}/host.crt", f"{host}/host.key", f"{host}/ca.crt", "proxy")
        names = found.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        self.assertEqual(
            list(map(str, names.value.get_values_for_type(x509.IPAddress))), ["192.0.2.1", "::1"]
        )
        found = loadCredentials(f"{ce}/ce.crt", f"{ce}/ce.key", f"{ce}/ca.crt", "ce")
        self.assertEqual(siteOf(found.certificate), "hpcc")

    def test_noSecretPrinted(self) -> None:
        """
        What is printed has nothing of a key.
        """
        printed = self.give("ca", self.ca) + self.give("ce", self.ca, "hpcc")
        for name in ("ca.key", "ce.key"):
            for line in readFile(f"{self.ca}/{name}").decode().splitlines()[1:-1]:
                self.assertNotIn(line, printed)

    def test_days(self) -> None:
        """
        C{--days} sets the validity; impossible ones are refused.
        """
        self.give("ca", self.ca, "--days", "10")
        certificate = x509.load_pem_x509_certificate(readFile(f"{self.ca}/ca.crt"))
        validity = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        self.assertEqual(validity.days, 10)
        for days in ("0", "-1", "x", "1.5", "36501", "9" * 400):
            self.assertIn(
                "is not a whole number from 1 to 36500", self.complaint("ca", "x", "--days", days)
            )

    def test_replace(self) -> None:
        """
        A second time needs C{--replace}.
        """
        self.give("ca", self.ca)
        before = readFile(f"{self.ca}/ca.key")
        self.assertRaises(CredentialError, self.give, "ca", self.ca)
        self.assertEqual(readFile(f"{self.ca}/ca.key"), before)
        self.give("ca", self.ca, "--replace")
        self.assertNotEqual(readFile(f"{self.ca}/ca.key"), before)

    def test_help(self) -> None:
        """
        Help is there for each, and the general one tells the order.
        """
        general = self.complaint("-h")
        for command in ("ca DIR", "host DIR HOSTNAME", "ce DIR SITE"):
            self.assertIn(f"rvgahp credentials {command}", general)
            self.assertIn("--days", self.complaint(command.split()[0], "--help"))
        self.assertIn("required", self.complaint())
