# -*- test-case-name: tests.test_keyexchange -*-
"""
The exchange of a certificate and its key in their files, so that a pair that works can be
read at every moment, whatever is killed when.  Layer 3; L{rvgahp.files}.

The new key is put before the old one in the key's file, then the certificate is
replaced, then the old key is dropped.  Each is one rename, and of two keys in a file the one
counts that is the certificate's.
"""

from __future__ import annotations

import re
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rvgahp.certificaterequests import spkiOf
from rvgahp.files import writeFile

__all__ = ["PRIVATE", "PUBLIC", "exchange", "fittingKey", "pemOf"]

PRIVATE = 0o600
"""The mode of a file with a secret."""

PUBLIC = 0o644
"""The mode of a certificate's file."""

_KEYS = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----\r?\n?", re.DOTALL)


def pemOf(key: ec.EllipticCurvePrivateKey) -> bytes:
    """
    @return: a private key as we write it.  B{Secret}.
    """
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def fittingKey(content: bytes, certificate: x509.Certificate) -> bytes:
    """
    @param content: of a key's file.
    @return: the one of its keys that is the certificate's, or the last; where there are not
        several, C{content} as it is.
    """
    keys = [match[0] for match in _KEYS.finditer(content)]
    if len(keys) < 2:
        return content
    return next((one for one in keys if _fits(one, certificate)), keys[-1])


def _fits(pem: bytes, certificate: x509.Certificate) -> bool:
    try:
        key: Any = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        return False
    return spkiOf(key.public_key()) == spkiOf(certificate.public_key())


def exchange(
    certFile: str, keyFile: str, oldKey: bytes, newKey: bytes, certificatePEM: bytes
) -> None:
    """
    Put a certificate and its key in the place of others.

    @param oldKey: in PEM, that of the certificate that is there.
    @param newKey: in PEM, that of the new one.
    @param certificatePEM: the new one, perhaps with intermediate ones.
    @raise CredentialError: a file cannot be written.  Then the old pair or the new one is
        there, and works.
    """
    writeFile(keyFile, newKey + oldKey, PRIVATE, replace=True)
    writeFile(certFile, certificatePEM, PUBLIC, replace=True)
    writeFile(keyFile, newKey, PRIVATE, replace=True)
