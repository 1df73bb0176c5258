"""
Tests of L{rvgahp.primitives}.
"""

from __future__ import annotations

import importlib
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import aead
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import primitives

#: RFC 7748, section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645caf6b4b0d6b3d7e6e1d0c0d3ed0a8b2a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")

KEY, NONCE = bytes(range(32)), bytes(range(12))

#: The SHA-256 cases of RFC 5869, appendix A: secret, salt, info, result.
RFC_5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
        "cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


class OldAESGCM:
    """
    AES-GCM as it was before version 40: for C{bytes}.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def encrypt(self, *words: bytes) -> bytes:
        assert {type(word) for word in words} == {bytes}
        return self._cipher.encrypt(*words)

    def decrypt(self, *words: bytes) -> bytes:
        assert {type(word) for word in words} == {bytes}
        return self._cipher.decrypt(*words)


class OldPrivateKey:
    """
    A private key as it was before version 40, and its public one.
    """

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key

    def public_key(self) -> OldPrivateKey:
        return self

    def public_bytes(self, encoding: Encoding, format: PublicFormat) -> bytes:
        return self._key.public_key().public_bytes(encoding, format)


class X25519Tests(SynchronousTestCase):
    """
    Either way to X25519.
    """

    def check(self) -> None:
        """
        Keys of either way and of the public functions agree with one another.
        """
        bob = X25519PrivateKey.from_private_bytes(BOB)
        self.assertEqual(bob.public_key().public_bytes_raw(), BOB_PUBLIC)
        ours = primitives.generate()
        shared = primitives.exchange(ours, BOB_PUBLIC)
        self.assertEqual(shared, bob.exchange(ours.public_key()))
        self.assertEqual(len(shared), 32)
        self.assertNotEqual(shared, primitives.exchange(primitives.generate(), BOB_PUBLIC))
        self.assertRaises(ValueError, primitives.exchange, ours, bytes(32))
        self.assertRaises(ValueError, primitives.exchange, ours, BOB_PUBLIC[:-1])

    def test_direct(self) -> None:
        """
        What the public functions call is where it is looked for.
        """
        self.assertIn("_rust", type(primitives.generate()).__module__ + repr(primitives._generate))
        self.check()

    def takeFallback(self) -> None:
        """
        Load the module as if the lower functions were not there.
        """
        rust = sys.modules["cryptography.hazmat.bindings._rust"]
        real = rust.openssl
        self.addCleanup(importlib.reload, primitives)
        try:
            rust.openssl = object()  # type: ignore[attr-defined]
            del primitives.AESGCM  # reload() keeps what the module does not set
            importlib.reload(primitives)
        finally:
            rust.openssl = real  # type: ignore[attr-defined]

    def test_fallback(self) -> None:
        """
        Where it is not, the public functions serve as well.
        """
        self.takeFallback()
        self.assertEqual(primitives._generate, X25519PrivateKey.generate)
        self.check()
        sealed = primitives.AESGCM(KEY).encrypt(NONCE, b"text", b"with it")
        self.assertEqual(AESGCM(KEY).decrypt(NONCE, sealed, b"with it"), b"text")

    def test_bytesOnly(self) -> None:
        """
        An old release, which takes nothing but C{bytes}, serves as well.
        """
        self.patch(aead, "AESGCM", OldAESGCM)
        self.takeFallback()
        cipher = primitives.AESGCM(KEY)
        sealed = cipher.encrypt(NONCE, memoryview(b"text"), memoryview(b"with it"))
        self.assertEqual(sealed, AESGCM(KEY).encrypt(NONCE, b"text", b"with it"))
        self.assertEqual(cipher.decrypt(NONCE, memoryview(sealed), memoryview(b"with it")), b"text")

    def test_publicBytes(self) -> None:
        """
        A key's public bytes are those of the library, also where it has no short way to them.
        """
        bob = X25519PrivateKey.from_private_bytes(BOB)
        old = OldPrivateKey(bob)
        self.assertEqual(primitives.publicBytes(bob), BOB_PUBLIC)
        self.assertEqual(primitives.publicBytes(old), BOB_PUBLIC)  # type: ignore[arg-type]


class HKDFTests(SynchronousTestCase):
    """
    Ours is HKDF.
    """

    def test_publishedVectors(self) -> None:
        """
        It is HKDF-SHA256 as RFC 5869 has it.
        """
        for secret, salt, info, result in RFC_5869:
            expected = bytes.fromhex(result)
            made = primitives.hkdf(
                bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), len(expected)
            )
            self.assertEqual(made, expected)

    @settings(max_examples=50, deadline=None)
    @given(
        st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80), st.integers(1, 255)
    )
    def test_asTheLibrary(self, secret: bytes, salt: bytes, info: bytes, length: int) -> None:
        """
        It gives what the library's own gives, for any input.
        """
        theirs = HKDF(SHA256(), length, salt, info).derive(secret)
        self.assertEqual(primitives.hkdf(secret, salt, info, length), theirs)


class ProofTests(SynchronousTestCase):
    """
    Tests of L{primitives.hmac}, L{primitives.proves} and L{primitives.sha256}.
    """

    def test_hmac(self) -> None:
        """
        It is HMAC-SHA256: case 2 of RFC 4231.
        """
        made = primitives.hmac(b"Jefe", b"what do ya want for nothing?")
        expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        self.assertEqual(made.hex(), expected)

    def test_proves(self) -> None:
        """
        Only the whole and exact HMAC proves.
        """
        proof = primitives.hmac(b"key", b"data")
        self.assertTrue(primitives.proves(b"key", b"data", proof))
        for wrong in (proof[:-1], proof + b"\0", bytes(32), b"", proof[:-1] + b"\0"):
            self.assertFalse(primitives.proves(b"key", b"data", wrong))
        self.assertFalse(primitives.proves(b"kez", b"data", proof))

    def test_sha256(self) -> None:
        """
        It is SHA-256 of the parts together.
        """
        expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        self.assertEqual(primitives.sha256(b"a", b"", b"bc").hex(), expected)


class AESGCMTests(SynchronousTestCase):
    """
    It is the library's AES-GCM, whichever way it was found.
    """

    def test_same(self) -> None:
        """
        Either opens what the other has sealed.
        """
        key, nonce = bytes(range(32)), bytes(12)
        sealed = primitives.AESGCM(key).encrypt(nonce, b"plain", b"more")
        self.assertEqual(AESGCM(key).decrypt(nonce, sealed, b"more"), b"plain")
