"""
Tests of L{rvgahp.doctoraccount}.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from unittest import SkipTest

from rvgahp import doctoraccount
from rvgahp.doctoraccount import closedTo, may, readable
from rvgahp.doctorcertificates import certificates
from tests.identities import ceCredentials
from tests.test_doctor import DoctorTestCase


class AccountTests(DoctorTestCase):
    """
    A CE that becomes another account.
    """

    def setUp(self) -> None:
        """
        Put all into a directory that every account can enter.
        """
        super().setUp()
        if os.geteuid():
            raise SkipTest("only root can look as another account")
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.directory.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        self.patch(doctoraccount, "accountOf", lambda _: nobody)

    def test_may(self) -> None:
        """
        The kernel is asked as that account.
        """
        path = Path(self.path("x"))
        path.touch(0o644)
        nobody = pwd.getpwnam("nobody")
        self.assertTrue(may(nobody, "r", str(path)))
        self.assertFalse(may(nobody, "w", str(path)))
        self.assertTrue(may(None, "w", str(path)))
        path.chmod(0o600)
        self.assertFalse(may(nobody, "r", str(path)))

    def test_renewal(self) -> None:
        """
        It is not said that a certificate is renewed where the account cannot write it.
        """
        case = self.case(given=ceCredentials())
        words = ("cannot be renewed: nobody may not write into", "RVGAHP_CERTFILE")
        self.assertFinding(certificates(case), "warning", *words)
        self.directory.chmod(0o777)
        self.assertEqual(closedTo(case, [self.path("ce.crt")]), "")
        self.assertFinding(certificates(case), "ok", "renewed by itself")

    def test_readable(self) -> None:
        """
        It is told which files the account cannot read again.
        """
        case = self.case(given=ceCredentials())
        for name in ("ce.crt", "ca.crt"):
            os.chmod(self.path(name), 0o644)
        words = (f"nobody, which the CE becomes, may not read {self.path('ce.key')}: ", "-m 700")
        self.assertFinding(readable(case), "warning", *words)
        os.chmod(self.path("ce.key"), 0o644)
        self.assertFinding(readable(case), "ok", "can read its files")

    def test_none(self) -> None:
        """
        Nothing is said of a CE that stays what it is.
        """
        self.patch(doctoraccount, "accountOf", lambda _: None)
        self.assertEqual(list(readable(self.case())), [])
