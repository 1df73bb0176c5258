# -*- test-case-name: tests.test_certificaterequests -*-
"""
Certificate requests (PKCS#10): what a CE asks the proxy to sign.  Layer 2:
C{cryptography} and the standard library; no files.

A request proves that who sends it has the key.  Nothing else in it counts: the proxy
knows from elsewhere which site it is for.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rvgahp.errors import CredentialError

__all__ = ["LONGEST_REQUEST", "makeRequest", "readAnswer", "readRequest", "spkiOf"]

LONGEST_REQUEST = 2048
"""Bytes of a request, at the most; ours have some 200."""


def makeRequest(key: ec.EllipticCurvePrivateKey) -> bytes:
    """
    @param key: the private key that the certificate is to be for.
    @return: the request in DER.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def readRequest(request: bytes) -> ec.EllipticCurvePublicKey:
    """
    @param request: what a CE sent, whatever it is.
    @return: the public key that it proves to have the private one of.
    @raise CredentialError: It proves nothing, or is for a key of another kind than ECDSA
        on P-256.
    """
    if len(request) > LONGEST_REQUEST:
        raise CredentialError(
            f"The certificate request has {len(request)} bytes, and {LONGEST_REQUEST} are allowed."
        )
    try:
        asked = x509.load_der_x509_csr(request)
        public = asked.public_key()
        isSigned = asked.is_signature_valid
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature):
        raise CredentialError("What was sent is no certificate request.") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise CredentialError("The certificate request is not for an ECDSA key on P-256.")
    if not isSigned:
        raise CredentialError("The certificate request is not signed by the key that it is for.")
    return public


def readAnswer(
    certificatePEM: bytes, authoritiesPEM: bytes, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    """
    @param certificatePEM: what the proxy sent as the certificate for C{key}.
    @param authoritiesPEM: what it sent as its authorities.
    @return: the certificate.
    @raise CredentialError: They would be of no use.
    """
    try:
        certificate = x509.load_pem_x509_certificates(certificatePEM)[0]
        x509.load_pem_x509_certificates(authoritiesPEM)
        isGood = spkiOf(certificate.public_key()) == spkiOf(key.public_key())
    except (ValueError, x509.InvalidVersion):
        isGood = False
    if not isGood or certificate.not_valid_after_utc <= now:
        raise CredentialError("What the proxy sent is no valid certificate for the new key.")
    if certificate.not_valid_before_utc > now:
        raise CredentialError(
            "What the proxy sent is a certificate that is not valid before"
            f" {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: is this machine's clock"
            " right?"
        )
    return certificate


def spkiOf(key: object) -> bytes:
    """
    @param key: a public key.
    @return: its SubjectPublicKeyInfo in DER.
    """
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(*form)  # type: ignore[attr-defined]  # of many classes
    return encoded
