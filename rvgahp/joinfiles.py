# -*- test-case-name: tests.test_join -*-
"""
The files of a site that joins (C{rvgahp join}), written so that whatever is killed when, the
same command can be given again.  Layer 6; L{rvgahp.files}, L{rvgahp.keyexchange}.

The new key is written before the proxy is asked, under a name from the code's secret, and
goes last.  As long as it is there the join is not complete, and files that are there are its
own.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rvgahp.certificates import makeKey, siteOf
from rvgahp.errors import CredentialError
from rvgahp.files import makeDirectory, readFile, refuseExisting, writeFile
from rvgahp.invitecode import InviteCode
from rvgahp.keyexchange import PRIVATE, PUBLIC, exchange, fittingKey, pemOf

__all__ = ["CONFIG", "CREDENTIALS", "JoinDirectory"]

CONFIG = "condor_config.rvgahp"
"""The name of the CE's configuration file."""

_ACCESS = "access"
CREDENTIALS = ("ce.crt", "ce.key", "ca.crt")
"""The names of the files with these."""


#: Keys of joins; and what L{rvgahp.files} writes before it has its name.
_LEFT = re.compile(r"join-[0-9a-f]{16}\.key|(join-.*|access|c[ae]\.\w+|condor_c.*)\.[0-9a-f]{16}")

_CONFIG_TEXT = """\
# The CE of site {site}.  Written by rvgahp join; yours to change.

# The proxy, by the name that its certificate has.
RVGAHP_BROKER_HOST = {host}
RVGAHP_BROKER_PORT = {port}
{connect}
# The programs that HTCondor's gridmanager needs at a site, blahpd and condor_ft-gahp: the
# first line is for an installation of condor_remote_cluster, the others are for programs
# that lie elsewhere.
{bosco}RVGAHP_BOSCO_DIR = $ENV(HOME)/bosco
#BATCH_GAHP = /usr/bin/blahpd
#FT_GAHP = /usr/sbin/condor_ft-gahp
"""

#: What is said before each setting of the way.
_CONNECT_TEXTS = {
    "RVGAHP_CONNECT_TO": "What is dialled in its place.",
    "RVGAHP_CONNECT_THROUGH": "Through what.",
    "RVGAHP_CONNECT_THROUGH_CREDENTIALS": "User and password for that: a file of one line.",
}

_ACCESS_TEXT = """\
# Who may start GAHPs at this site.  Written by rvgahp join: the one who has invited it, and
# nobody else.
ALLOW START {owner}
"""


class JoinDirectory:
    """
    The directory of one CE, for one join.

    @cvar names: the files that are written there.
    """

    names: tuple[str, ...] = (*CREDENTIALS, CONFIG, _ACCESS)

    def __init__(self, path: str, code: InviteCode) -> None:
        """
        @param path: made if need be.
        @raise CredentialError: it cannot be made, or another join is at work there.
        """
        self._path = path
        name = hashlib.sha256(code.secret).hexdigest()[:16]
        self._pending = self.file(f"join-{name}.key")
        makeDirectory(path)
        self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(self._lock)
            if e.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise CredentialError(f"Another rvgahp join is at work in {path}.") from None

    def close(self) -> None:
        """
        Let others join here.
        """
        os.close(self._lock)

    def file(self, name: str) -> str:
        """
        @return: the path of one of the files.
        """
        return os.path.join(self._path, name)

    def key(self, *, replace: bool) -> ec.EllipticCurvePrivateKey:
        """
        @param replace: whether files that are there may be replaced.
        @return: the new key; that of an earlier try with the same code if there was one.
        @raise CredentialError: a file is there, or cannot be written or read.
        """
        if not os.path.lexists(self._pending):
            if not replace:
                self.refuseExisting()
            writeFile(self._pending, pemOf(makeKey()), PRIVATE, replace=False)
        try:
            key: Any = load_pem_private_key(readFile(self._pending), None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CredentialError(f"{self._pending} is no key of rvgahp join: remove it.")
        return key

    def refuseExisting(self) -> None:
        """
        @raise CredentialError: a file is there.
        """
        try:
            refuseExisting(*map(self.file, self.names))
        except CredentialError as e:
            raise CredentialError(
                f"{e}  To have the CE here serve one proxy more: rvgahp join --as NAME."
            ) from None

    def giveUp(self) -> None:
        """
        The code is good for nothing: keep no key for it.
        """
        os.unlink(self._pending)

    def finish(
        self,
        code: InviteCode,
        route: Mapping[str, str],
        owner: str,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        certificatePEM: bytes,
        authoritiesPEM: bytes,
    ) -> tuple[list[str], list[str]]:
        """
        Write all.

        @param route: further settings, of how the proxy is reached.
        @return: the paths of the files that were written, and of those that were kept.
        @raise CredentialError: one cannot be written.
        """
        site = siteOf(certificate)
        oldKey, isSame = self._former(site)
        writeFile(self.file("ca.crt"), authoritiesPEM, PUBLIC, replace=True)
        written, kept = self.tell(code, route, owner, site, isSame=isSame)
        exchange(self.file("ce.crt"), self.file("ce.key"), oldKey, pemOf(key), certificatePEM)
        self._tidy()
        return [*map(self.file, CREDENTIALS), *written], kept

    def tell(
        self, code: InviteCode, route: Mapping[str, str], owner: str, site: str, *, isSame: bool
    ) -> tuple[list[str], list[str]]:
        """
        Write what the CE has to know, beside its credentials.  It may be done twice.

        @param isSame: whether the files that are there are of the same site.
        @return: as of L{finish}.
        @raise CredentialError: a file cannot be written.
        """
        texts = {CONFIG: _config(code, route, site), _ACCESS: _ACCESS_TEXT.format(owner=owner)}
        kept = [name for name in texts if isSame and os.path.lexists(self.file(name))]
        for name, text in texts.items():
            if name not in kept:
                writeFile(self.file(name), text.encode(), PUBLIC, replace=True)
        written = [name for name in texts if name not in kept]
        return [*map(self.file, written)], [*map(self.file, kept)]

    def _tidy(self) -> None:
        """
        Remove keys of joins that are over, and what was left of writes that were cut short.
        """
        for name in os.listdir(self._path):
            if _LEFT.fullmatch(name):
                os.unlink(self.file(name))

    def _former(self, site: str) -> tuple[bytes, bool]:
        """
        @return: the key that is there for the certificate that is there, and whether that is
            of the same site; nothing and false where there is none that could be read.
        """
        try:
            former = x509.load_pem_x509_certificates(readFile(self.file("ce.crt")))[0]
            isSame = siteOf(former) == site
            return fittingKey(readFile(self.file("ce.key")), former), isSame
        except (CredentialError, ValueError, x509.InvalidVersion):
            return b"", False


def _config(code: InviteCode, route: Mapping[str, str], site: str) -> str:
    """
    @return: the configuration file.
    """
    connect = "".join(
        f"\n# {_CONNECT_TEXTS[name]}\n{name} = {value}\n" for name, value in route.items()
    )
    return _CONFIG_TEXT.format(
        site=site,
        host=code.host,
        port=code.port,
        connect=connect,
        bosco="" if os.path.isdir(os.path.expanduser("~/bosco")) else "#",
    )
