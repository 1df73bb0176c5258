# -*- test-case-name: tests.test_x25519 -*-
"""
X25519, of C{cryptography}, at the price of what is used of it.

Layer 0.  The public functions load the whole of the library's OpenSSL backend (RSA,
ECDSA, ciphers) to ask it whether X25519 is supported: 5 ms of processor time in each
client.  What they then call is called here, if it is where it has been since version
40; else the public functions are.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

try:
    from cryptography.hazmat.bindings._rust import openssl as _openssl

    _generate = _openssl.x25519.generate_key
    _fromPublicBytes = _openssl.x25519.from_public_bytes
except (ImportError, AttributeError):
    from cryptography.hazmat.primitives.asymmetric import x25519 as _public

    _generate = _public.X25519PrivateKey.generate
    _fromPublicBytes = _public.X25519PublicKey.from_public_bytes


def generate() -> X25519PrivateKey:
    """
    @return: a new private key.  B{Secret.}
    """
    return _generate()


def exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    """
    @param public: the peer's public key, 32 bytes.
    @return: the shared secret.  B{Secret.}
    @raise ValueError: the peer's key is malformed, or gives an all-zero secret.
    """
    peer: X25519PublicKey = _fromPublicBytes(public)
    return private.exchange(peer)
