# -*- test-case-name: tests.test_hostidentity -*-
"""
What the proxy shows to CEs, and the authority of its own that signs their certificates
(C{doc/enrolment.rst}).  Layer 3: files in RVGAHP_STATE_DIR; the time is passed in.

Where the administrator has given no credentials the host's certificate is made here,
too, and renewed.  Its key stays the same for ever, because the codes of invitations have
its fingerprint.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import crypto
from twisted.logger import Logger

from rvgahp.accountnames import accountName
from rvgahp.certificaterequests import spkiOf
from rvgahp.certificates import (
    LEAF_LIFETIME,
    Authority,
    makeKey,
    renewalTime,
    renewedLifetime,
)
from rvgahp.credentials import Credentials, loadAuthority, loadCredentials, makeCA
from rvgahp.errors import CredentialError
from rvgahp.files import makeDirectory, writeFile
from rvgahp.invitecode import fingerprintOf
from rvgahp.keyexchange import PRIVATE, PUBLIC, pemOf
from rvgahp.settingkinds import HOST
from rvgahp.tls import isFor

__all__ = ["HostIdentity", "makeStateDirectory"]

#: Bytes of authorities that a site is given, at the most: they must fit in a box.
_MOST_AUTHORITIES = 8 * 1024


def makeStateDirectory(path: str, uid: int, gid: int) -> None:
    """
    Make RVGAHP_STATE_DIR, if it is not there, for an account that we may still have to
    become.

    @raise CredentialError: it cannot be made, or others may enter it.
    """
    if not os.path.isdir(path):
        makeDirectory(path)
        if os.geteuid() == 0:
            os.chown(path, uid, gid, follow_symlinks=False)
    found = os.stat(path)
    if found.st_uid not in (0, uid):
        raise CredentialError(
            f"The directory {path} (RVGAHP_STATE_DIR) is of {accountName(found.st_uid)}, who could"
            f" read and change the keys there: make it one of {accountName(uid)}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(
            f"The directory {path} (RVGAHP_STATE_DIR) has mode {mode:04o}, and holds keys:"
            f" chmod 700 {path}"
        )


class HostIdentity:
    """
    What the proxy shows, and whom it believes.

    @ivar credentials: the host's key and certificate, and all authorities of sites.
    @ivar authority: signs the certificates of sites that are enrolled here.
    @ivar isOwn: whether the host's certificate is made here.
    """

    log = Logger()

    def __init__(
        self,
        directory: str,
        given: Credentials | None,
        names: Sequence[str],
        now: Callable[[], datetime],
        lifetime: timedelta = LEAF_LIFETIME,
    ) -> None:
        """
        Read what is there, and make what is missing.  It blocks.

        @param directory: RVGAHP_STATE_DIR, which is there.
        @param given: the administrator's credentials, if there are any.
        @param names: by which CEs dial, the first by preference; what can be no name is left
            out.
        @param now: tells the time.
        @param lifetime: of the host's certificate.
        @raise CredentialError: something is there and cannot be used, or cannot be written.
        """
        self._directory = directory
        self._given = given
        self._names = [name for name in dict.fromkeys(names) if _isName(name)]
        self._now = now
        self._lifetime = lifetime
        self._problem = ""
        self.isOwn = given is None
        self.authority = self._readAuthority()
        self._ownPEM = self.authority.certificate.public_bytes(Encoding.PEM)
        if given is None:
            self._key = self._readKey()
            self.credentials = self._read() or self._renewed(lifetime)
        else:
            self.take(given)

    def take(self, given: Credentials) -> None:
        """
        The administrator's credentials are these now.
        """
        self._given = given
        both = given.caPEM.rstrip(b"\n") + b"\n" + self._ownPEM
        self.credentials = Credentials(given.certificatePEM, given.keyPEM, both, given.certificate)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    # -- the authority ------------------------------------------------------

    def _readAuthority(self) -> Authority:
        if not os.path.lexists(self._path("ca.crt")):
            # A key without a certificate is left of a start that was cut short.
            written = makeCA(self._directory, replace=True)
            self.log.info("Made an authority for sites: {files}", files=", ".join(written))
        return loadAuthority(self._directory)

    # -- the host -----------------------------------------------------------

    def _readKey(self) -> ec.EllipticCurvePrivateKey:
        path = self._path("host.key")
        if not os.path.lexists(path):
            writeFile(path, pemOf(makeKey()), PRIVATE, replace=False)
        try:
            with open(path, "rb") as file:
                key: Any = load_pem_private_key(file.read(), None)
        except (OSError, ValueError, TypeError) as e:
            raise CredentialError(f"{path} cannot be used: {_reason(e)}.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CredentialError(f"{path} cannot be used: it is no ECDSA key.")
        return key

    def _read(self) -> Credentials | None:
        """
        @return: the host's credentials, if they are as they should be.
        """
        files = [self._path(name) for name in ("host.crt", "host.key", "ca.crt")]
        try:
            found = loadCredentials(files[0], files[1], files[2], "proxy", self._now())
        except CredentialError:
            return None
        isOurs = _isIssuedBy(found.certificate, self.authority)
        isNamed = all(isFor(found.certificate, name) for name in self._names)
        return found if isOurs and isNamed else None

    def _renewed(self, lifetime: timedelta) -> Credentials:
        if not self._names:
            raise CredentialError(
                "This host has no name that could be in a certificate: set RVGAHP_PUBLIC_ADDRESS"
                " to the name or address and the port that sites dial."
            )
        certificate = self.authority.issueHost(
            self._key.public_key(), self._names[0], self._names[1:], self._now(), lifetime
        )
        pem = certificate.public_bytes(Encoding.PEM)
        path = self._path("host.crt")
        writeFile(path, pem, PUBLIC, replace=True)
        self.log.info(
            "Made a certificate for {names}, good until {end}: {path}",
            names=", ".join(self._names),
            end=certificate.not_valid_after_utc,
            path=path,
        )
        return Credentials(pem, pemOf(self._key), self._ownPEM, certificate)

    def renewIfDue(self) -> bool:
        """
        Renew the host's certificate if it was made here, and its time has come, or has not
        come yet by a clock that has been set back.

        @return: whether there are other credentials now.
        """
        former, now = self.credentials.certificate, self._now()
        if not self.isOwn or former.not_valid_before_utc <= now < renewalTime(former):
            return False
        try:
            self.credentials = self._renewed(renewedLifetime(former, now, self._lifetime))
        except CredentialError as e:
            if str(e) != self._problem:  # else it has been said
                self._problem = str(e)
                self.log.error("The host's certificate is not renewed: {reason}", reason=e)
            return False
        self._problem = ""
        return True

    # -- for sites ----------------------------------------------------------

    @property
    def authorities(self) -> bytes:
        """
        In PEM, those by which a CE is to know the proxy.
        """
        return self._ownPEM if self._given is None else self._given.caPEM

    @property
    def fingerprint(self) -> bytes:
        """
        Of the host's key, as it stands in codes.
        """
        return fingerprintOf(spkiOf(self.credentials.certificate.public_key()))

    def isOurs(self, certificate: x509.Certificate) -> bool:
        """
        @return: whether a certificate was made here.
        """
        return _isIssuedBy(certificate, self.authority)

    def checkFor(self, host: str) -> None:
        """
        See that a CE that dials C{host} and has L{authorities} will believe that we are
        the proxy.

        @raise CredentialError: it will not.  The sentence is for the administrator.
        """
        if not isFor(self.credentials.certificate, host):
            raise CredentialError(
                f"the proxy's certificate is not for {host}, which sites would dial; its"
                " administrator must set RVGAHP_PUBLIC_ADDRESS to a name that the certificate has"
            )
        if self._given is None:
            return
        if len(self.authorities) > _MOST_AUTHORITIES:
            raise CredentialError(
                f"RVGAHP_CAFILE has {len(self.authorities)} bytes, and sites can be given"
                f" {_MOST_AUTHORITIES}; its administrator must move the authorities of the sites"
                " to RVGAHP_SITE_CAFILE"
            )
        if not _isVerified(self.credentials.certificatePEM, self.authorities):
            raise CredentialError(
                "no authority of RVGAHP_CAFILE has signed the proxy's certificate, so sites could"
                " not know it; its administrator must add that authority"
            )


def _isName(name: str) -> bool:
    try:
        HOST.parse(name)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else "it is no private key in PEM"


def _isIssuedBy(certificate: x509.Certificate, authority: Authority) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _isVerified(chainPEM: bytes, authoritiesPEM: bytes) -> bool:
    """
    @return: whether a certificate, with intermediate ones after it, is of one of these
        authorities.
    """
    own, *further = x509.load_pem_x509_certificates(chainPEM)
    store = crypto.X509Store()
    for authority in x509.load_pem_x509_certificates(authoritiesPEM):
        store.add_cert(crypto.X509.from_cryptography(authority))
    chain = [crypto.X509.from_cryptography(one) for one in further]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(own), chain)
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True
