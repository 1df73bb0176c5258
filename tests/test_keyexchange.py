"""
Tests of L{rvgahp.keyexchange}, and of how a pair is read while it is exchanged.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.certificates import makeKey
from rvgahp.credentials import loadCredentials
from rvgahp.errors import CredentialError
from rvgahp.keyexchange import exchange, fittingKey, pemOf
from tests.identities import SITE, authority, ceCredentials, written
from tests.kills import killedAfter


class ExchangeTests(SynchronousTestCase):
    """
    An old pair and a new one.
    """

    def setUp(self) -> None:
        """
        Write the old one.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.old = ceCredentials()
        cert, key, ca = written(self.old, self.directory).values()
        self.files = cert, key, ca
        new = makeKey()
        made = authority("ours").issueCE(new.public_key(), SITE, datetime.now(timezone.utc))
        self.new = made.public_bytes(Encoding.PEM)
        self.newKey = pemOf(new)

    def exchange(self) -> None:
        """
        Put the new one in the old one's place.
        """
        cert, key, _ = self.files
        exchange(cert, key, self.old.keyPEM, self.newKey, self.new)

    def test_whole(self) -> None:
        """
        Afterwards there are the new certificate and the new key, and not the old ones.
        """
        self.exchange()
        found = loadCredentials(*self.files, "ce")
        self.assertEqual((found.certificatePEM, found.keyPEM), (self.new, self.newKey))
        self.assertEqual(Path(self.files[1]).read_bytes(), self.newKey)
        self.assertEqual(os.stat(self.files[1]).st_mode & 0o777, 0o600)

    def test_killed(self) -> None:
        """
        Killed after any of its steps there is a pair that works, the old one or the new one,
        and the exchange can be done again.
        """
        seen = set()
        changes, isDone = 0, False
        while not isDone:
            written(self.old, self.directory)
            isDone = killedAfter(changes, self.exchange)
            found = loadCredentials(*self.files, "ce")
            pairs = {self.old.certificatePEM: self.old.keyPEM, self.new: self.newKey}
            self.assertEqual(found.keyPEM, pairs[found.certificatePEM])
            seen.add(found.certificatePEM)
            self.exchange()
            self.assertEqual(loadCredentials(*self.files, "ce").certificatePEM, self.new)
            changes += 1
        self.assertGreater(changes, 9)
        self.assertEqual(len(seen), 2)

    def test_fittingKey(self) -> None:
        """
        Of several keys the certificate's counts, wherever it stands and whatever is between;
        one alone is taken as it is.
        """
        certificate = self.old.certificate
        other = pemOf(makeKey())
        for content in (other + self.old.keyPEM, self.old.keyPEM + b"# text\n\n" + other):
            self.assertEqual(fittingKey(content, certificate), self.old.keyPEM)
        self.assertEqual(fittingKey(other, certificate), other)
        self.assertEqual(fittingKey(b"rubbish", certificate), b"rubbish")
        Path(self.files[1]).write_bytes(other + other)
        self.assertIn(
            "is not that of the certificate",
            str(self.assertRaises(CredentialError, loadCredentials, *self.files)),
        )
