"""
Tests of L{rvgahp.credentials}, with real TLS handshakes in memory.
"""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from OpenSSL.crypto import X509StoreFlags
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.accesssample import CE_SAMPLE
from rvgahp.certificates import Authority, makeKey, siteOf
from rvgahp.credentials import (
    Credentials,
    loadAuthority,
    loadCredentials,
    makeCA,
    makeCECredentials,
    makeHostCredentials,
)
from rvgahp.errors import ConfigurationError, CredentialError
from rvgahp.files import readFile
from tests.pki import unknownVersion

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)

EXPIRED = 10
UNKNOWN_ISSUER = 20
WRONG_PURPOSE = 26
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, _UNABLE_TO_GET_ISSUER_CERT_LOCALLY and
_INVALID_PURPOSE."""


def keyOf(path: str) -> ec.EllipticCurvePrivateKey:
    """
    The private key of a file.
    """
    key = load_pem_private_key(readFile(path), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


class CredentialsTestCase(SynchronousTestCase):
    """
    A test with an authority, a proxy's and a CE's credentials in directories of
    their own.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        root = os.path.abspath(self.mktemp())
        self.ca, self.host, self.ce = (os.path.join(root, name) for name in ("ca", "host", "ce"))
        makeCA(self.ca)
        makeHostCredentials(self.ca, "submit.example.org", ["192.0.2.1"], self.host)
        makeCECredentials(self.ca, "hpcc", self.ce)


class MakingTests(CredentialsTestCase):
    """
    What is made.
    """

    def test_files(self) -> None:
        """
        Each party gets its own files, keys for their owners alone, and no more.
        """
        for directory, names in (
            (self.ca, ["ca.crt", "ca.key"]),
            (self.host, ["ca.crt", "host.crt", "host.key"]),
            (self.ce, ["access", "ca.crt", "ce.crt", "ce.key"]),
        ):
            self.assertEqual(sorted(os.listdir(directory)), names)
            self.assertEqual(stat.S_IMODE(os.stat(directory).st_mode), 0o700)
            for name in names:
                mode = stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode)
                self.assertEqual(mode & 0o077 == 0, name.endswith(".key") or mode == 0o600, name)
        self.assertEqual(readFile(f"{self.ca}/ca.crt"), readFile(f"{self.ce}/ca.crt"))
        for path in (f"{self.ca}/ca.key", f"{self.host}/host.key", f"{self.ce}/ce.key"):
            self.assertTrue(readFile(path).startswith(b"-----BEGIN PRIVATE KEY-----"))
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_sameDirectory(self) -> None:
        """
        All may lie in the authority's own directory.
        """
        self.assertEqual(
            makeHostCredentials(self.ca, "localhost"),
            [f"{self.ca}/host.crt", f"{self.ca}/host.key"],
        )
        makeCECredentials(self.ca, "s")
        loadCredentials(f"{self.ca}/ce.crt", f"{self.ca}/ce.key", f"{self.ca}/ca.crt")

    def test_notReplaced(self) -> None:
        """
        Nothing that is there is replaced unasked, neither one's own files nor
        another authority's certificate; and then nothing at all is written.
        """
        before = {name: readFile(f"{self.ce}/{name}") for name in os.listdir(self.ce)}
        self.assertRaises(CredentialError, makeCA, self.ca)
        self.assertRaises(CredentialError, makeCECredentials, self.ca, "other", self.ce)
        os.unlink(f"{self.ce}/ce.crt")
        e = self.assertRaises(CredentialError, makeCECredentials, self.ca, "other", self.ce)
        self.assertIn(f"{self.ce}/ce.key", str(e))
        self.assertEqual(readFile(f"{self.ce}/ce.key"), before["ce.key"])
        other = self.ca + "2"
        makeCA(other)
        e = self.assertRaises(CredentialError, makeHostCredentials, other, "a.example", (), self.ce)
        self.assertIn(f"{self.ce}/ca.crt", str(e))
        self.assertEqual(sorted(os.listdir(self.ce)), ["access", "ca.crt", "ce.key"])

    def test_replaced(self) -> None:
        """
        What is asked to be replaced is, with a new key.
        """
        before = readFile(f"{self.ce}/ce.key")
        makeCECredentials(self.ca, "other", self.ce, replace=True)
        self.assertNotEqual(readFile(f"{self.ce}/ce.key"), before)
        found = loadCredentials(f"{self.ce}/ce.crt", f"{self.ce}/ce.key", f"{self.ce}/ca.crt")
        self.assertEqual(siteOf(found.certificate), "other")

    def test_access(self) -> None:
        """
        Beside a CE's certificate lies a sample of an access file, which is never replaced.
        """
        path = f"{self.ce}/access"
        self.assertEqual(readFile(path).decode(), CE_SAMPLE)
        with open(path, "w") as file:
            file.write("ALLOW START *\n")
        written = makeCECredentials(self.ca, "hpcc", self.ce, replace=True)
        self.assertNotIn(path, written)
        self.assertEqual(readFile(path), b"ALLOW START *\n")

    def test_lifetime(self) -> None:
        """
        The validity is as long as is asked for.
        """
        makeHostCredentials(self.ca, "a", (), self.host, 7 * DAY, replace=True)
        certificate = x509.load_pem_x509_certificate(readFile(f"{self.host}/host.crt"))
        self.assertLess(abs(certificate.not_valid_after_utc - NOW - 7 * DAY), timedelta(minutes=10))

    def test_refused(self) -> None:
        """
        Impossible names and a directory without an authority are refused before
        anything is written.
        """
        out = self.ce + "2"
        self.assertRaises(ConfigurationError, makeCECredentials, self.ca, "a b", out)
        self.assertRaises(CredentialError, makeHostCredentials, self.ca, "a b", (), out)
        e = self.assertRaises(CredentialError, makeCECredentials, self.ce, "a", out)
        self.assertIn(f"{self.ce}/ca.key", str(e))
        self.assertFalse(os.path.exists(out))

    def test_foreignAuthority(self) -> None:
        """
        An authority with a key that we do not make ourselves is left to its own
        tools.
        """
        key = ed25519.Ed25519PrivateKey.generate()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + DAY)
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open(f"{self.ca}/ca.key", "wb") as file:
            file.write(pem)
        with open(f"{self.ca}/ca.crt", "wb") as file:
            file.write(builder.sign(key, None).public_bytes(Encoding.PEM))
        e = self.assertRaises(CredentialError, loadAuthority, self.ca)
        self.assertIn("another kind", str(e))


class LoadingTests(CredentialsTestCase):
    """
    What is loaded, and what is not.
    """

    def load(self, **more: Any) -> Credentials:
        """
        The CE's credentials.
        """
        return loadCredentials(
            f"{self.ce}/ce.crt", f"{self.ce}/ce.key", f"{self.ce}/ca.crt", **more
        )

    def refusal(self, **more: Any) -> str:
        """
        The sentence with which they are refused.
        """
        e = self.assertRaises(CredentialError, self.load, **more)
        self.assertTrue(str(e).isprintable(), str(e))
        return str(e)

    def write(self, name: str, content: bytes) -> None:
        """
        Put something else in a file's place, with its permissions.
        """
        with open(f"{self.ce}/{name}", "wb") as file:
            file.write(content)

    def test_loaded(self) -> None:
        """
        The PEM texts are as the files have them, and the key is not shown.
        """
        found = self.load(role="ce")
        self.assertEqual(found.certificatePEM, readFile(f"{self.ce}/ce.crt"))
        self.assertEqual(found.keyPEM, readFile(f"{self.ce}/ce.key"))
        self.assertEqual(found.caPEM, readFile(f"{self.ca}/ca.crt"))
        self.assertEqual(siteOf(found.certificate), "hpcc")
        self.assertNotIn("PRIVATE", repr(found))

    def test_missing(self) -> None:
        """
        A missing file is named, whichever it is.
        """
        for name in ("ce.crt", "ce.key", "ca.crt"):
            os.rename(f"{self.ce}/{name}", f"{self.ce}/away")
            self.assertIn(f"{self.ce}/{name} cannot be read", self.refusal())
            os.rename(f"{self.ce}/away", f"{self.ce}/{name}")

    def test_rubbish(self) -> None:
        """
        What is no PEM, empty, or cut off, is named, and nothing of it is shown.
        """
        for name, what in (
            ("ce.crt", "certificate"),
            ("ce.key", "private key"),
            ("ca.crt", "certificate"),
        ):
            whole = readFile(f"{self.ce}/{name}")
            for content in (
                b"",
                b"SECRETRUBBISH",
                b"\xff" * 1000,
                whole[:100],
                whole.replace(b"M", b"!"),
            ):
                self.write(name, content)
                sentence = self.refusal()
                self.assertEqual(sentence, f"{self.ce}/{name} is no {what} in PEM.")
            self.write(name, whole)
        self.load()

    def test_version(self) -> None:
        """
        A certificate of a version that is not known is named as rubbish is.
        """
        for name in ("ce.crt", "ca.crt"):
            whole = readFile(f"{self.ce}/{name}")
            self.write(name, unknownVersion(whole))
            self.assertEqual(self.refusal(), f"{self.ce}/{name} is no certificate in PEM.")
            self.write(name, whole)

    def test_exchanged(self) -> None:
        """
        A key in the place of a certificate and the other way round.
        """
        certificate, key = readFile(f"{self.ce}/ce.crt"), readFile(f"{self.ce}/ce.key")
        self.write("ce.crt", key)
        self.assertIn("is no certificate", self.refusal())
        self.write("ce.crt", certificate)
        self.write("ce.key", certificate)
        self.assertIn("is no private key", self.refusal())

    def test_otherKey(self) -> None:
        """
        A key that is not the certificate's, of the same or another algorithm.
        """
        for key in (makeKey(), rsa.generate_private_key(65537, 2048)):
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self.write("ce.key", pem)
            self.assertIn("is not that of the certificate", self.refusal())

    def test_passphrase(self) -> None:
        """
        A key under a passphrase is refused with the way to take it off.
        """
        key = load_pem_private_key(readFile(f"{self.ce}/ce.key"), None)
        protection = BestAvailableEncryption(b"x")
        self.write("ce.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        self.assertIn("openssl pkey -in", self.refusal())

    def test_openToOthers(self) -> None:
        """
        A key that others may read or write is refused with the command that
        mends it.
        """
        path = f"{self.ce}/ce.key"
        for mode in (0o640, 0o604, 0o620, 0o602, 0o777):
            os.chmod(path, mode)
            self.assertIn(f"chmod 600 {path}", self.refusal())
        os.chmod(path, 0o400)
        self.load()

    def test_times(self) -> None:
        """
        Certificates are refused before and after their time, with the date; the
        authority's too.
        """
        end = self.load().certificate.not_valid_after_utc
        self.load(now=end)
        sentence = self.refusal(now=end + timedelta(seconds=1))
        self.assertIn(f"{self.ce}/ce.crt has expired, on {end:%Y-%m-%d}", sentence)
        early = NOW - timedelta(minutes=30)
        self.assertIn(f"{self.ce}/ce.crt is not valid before", self.refusal(now=early))
        # Where there is a grace, only the authority's counts.
        sentence = self.refusal(now=early, grace=timedelta())
        self.assertIn(f"{self.ce}/ca.crt is not valid before", sentence)
        self.assertIn("clock", sentence)
        old = Authority.new(keyOf(f"{self.ca}/ca.key"), NOW - 20 * DAY, 10 * DAY)
        expired = old.certificate.public_bytes(Encoding.PEM)
        valid = readFile(f"{self.ce}/ca.crt")
        self.write("ca.crt", expired)
        self.assertIn(f"{self.ce}/ca.crt has expired", self.refusal())
        self.write("ca.crt", expired + valid)
        self.load()

    def test_role(self) -> None:
        """
        A CE's certificate is refused for a proxy and a host's for a CE; one that
        does not say is for both.
        """
        self.assertIn("is not for TLS servers", self.refusal(role="proxy"))
        host = f"{self.host}/host.crt", f"{self.host}/host.key", f"{self.host}/ca.crt"
        loadCredentials(*host, role="proxy")
        e = self.assertRaises(CredentialError, loadCredentials, *host, role="ce")
        self.assertIn("is not for TLS clients", str(e))
        ca = f"{self.ca}/ca.crt", f"{self.ca}/ca.key", f"{self.ca}/ca.crt"
        loadCredentials(*ca, role="ce")


class HandshakeTests(CredentialsTestCase):
    """
    OpenSSL's opinion of the certificates: TLS 1.3 in memory, both sides
    verifying.
    """

    def context(self, directory: str, name: str, ca: str | None = None) -> SSL.Context:
        """
        TLS with these credentials, as strict as OpenSSL can be.
        """
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.use_certificate_chain_file(f"{directory}/{name}.crt")
        context.use_privatekey_file(f"{directory}/{name}.key")
        context.load_verify_locations(f"{ca or directory}/ca.crt")
        store = context.get_cert_store()
        assert store is not None
        store.set_flags(X509StoreFlags.X509_STRICT)
        return context

    def shake(self, server: SSL.Context, client: SSL.Context) -> SSL.Connection:
        """
        One handshake; C{refused} has then which side found what wrong with the
        other's certificate, by OpenSSL's number, and C{failed} which sides it
        failed for.

        @return: The client's side.
        """
        self.refused: list[tuple[str, int]] = []
        self.failed: set[str] = set()
        sides = {"server": SSL.Connection(server), "client": SSL.Connection(client)}
        sides["server"].set_accept_state()
        sides["client"].set_connect_state()
        for name, side in sides.items():

            def verify(
                _: object, _2: object, error: int, _3: int, ok: int, name: str = name
            ) -> bool:
                if not ok:
                    self.refused.append((name, error))
                return bool(ok)

            side.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        for _ in range(6):
            for name, side in sides.items():
                try:
                    side.do_handshake()
                    side.recv(1)  # A refusal of the client's certificate comes after its finish.
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    self.failed.add(name)
                self.carry(side, sides["client" if name == "server" else "server"])
        return sides["client"]

    def carry(self, one: SSL.Connection, other: SSL.Connection) -> None:
        """
        Give the one side's bytes to the other.
        """
        try:
            while True:
                other.bio_write(one.bio_read(65536))
        except SSL.WantReadError:
            pass

    def test_accepted(self) -> None:
        """
        Proxy and CE accept one another; the CE finds the name and the address
        that it dialled, and no others.
        """
        connection = self.shake(self.context(self.host, "host"), self.context(self.ce, "ce"))
        self.assertEqual((self.refused, self.failed), ([], set()))
        self.assertEqual(connection.get_protocol_version_name(), "TLSv1.3")
        verify_hostname(connection, "submit.example.org")
        verify_ip_address(connection, "192.0.2.1")
        self.assertRaises(VerificationError, verify_hostname, connection, "other.example.org")
        self.assertRaises(VerificationError, verify_ip_address, connection, "192.0.2.2")

    def test_CEAsServer(self) -> None:
        """
        A CE's certificate is no server's: a site cannot pass for a proxy.
        """
        self.shake(self.context(self.ce, "ce"), self.context(self.ce, "ce"))
        self.assertEqual(self.refused, [("client", WRONG_PURPOSE)])
        self.assertEqual(self.failed, {"server", "client"})

    def test_hostAsClient(self) -> None:
        """
        A host certificate is no client's: a proxy cannot pass for a site.
        """
        self.shake(self.context(self.host, "host"), self.context(self.host, "host"))
        self.assertEqual(self.refused, [("server", WRONG_PURPOSE)])
        self.assertEqual(self.failed, {"server", "client"})

    def test_otherAuthority(self) -> None:
        """
        Certificates of another authority are refused, by either side.
        """
        other = self.ca + "2"
        makeCA(other)
        makeHostCredentials(other, "submit.example.org", (), f"{other}/host")
        makeCECredentials(other, "hpcc", f"{other}/ce")
        stranger = self.context(f"{other}/host", "host", self.ca)
        self.shake(stranger, self.context(self.ce, "ce"))
        self.assertEqual(self.refused, [("client", UNKNOWN_ISSUER)])
        stranger = self.context(f"{other}/ce", "ce", self.ca)
        self.shake(self.context(self.host, "host"), stranger)
        self.assertEqual(self.refused, [("server", UNKNOWN_ISSUER)])
        self.assertEqual(self.failed, {"server", "client"})

    def test_expired(self) -> None:
        """
        Certificates out of their time are refused, by either side.
        """
        authority = loadAuthority(self.ca)
        begun = authority.certificate.not_valid_before_utc
        minute = timedelta(minutes=1)
        public = keyOf(f"{self.ce}/ce.key").public_key()
        expired = authority.issueCE(public, "hpcc", begun, minute)
        with open(f"{self.ce}/ce.crt", "wb") as file:
            file.write(expired.public_bytes(Encoding.PEM))
        self.shake(self.context(self.host, "host"), self.context(self.ce, "ce"))
        self.assertEqual(self.refused, [("server", EXPIRED)])
        public = keyOf(f"{self.host}/host.key").public_key()
        expired = authority.issueHost(public, "submit.example.org", [], begun, minute)
        with open(f"{self.host}/host.crt", "wb") as file:
            file.write(expired.public_bytes(Encoding.PEM))
        self.shake(self.context(self.host, "host"), self.context(self.ce, "ce"))
        self.assertEqual(self.refused, [("client", EXPIRED)])
