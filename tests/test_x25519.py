"""
Tests of L{rvgahp.x25519}.
"""

from __future__ import annotations

import importlib
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import x25519

#: RFC 7748, section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645caf6b4b0d6b3d7e6e1d0c0d3ed0a8b2a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")


class X25519Tests(SynchronousTestCase):
    """
    Either way to the primitive.
    """

    def check(self) -> None:
        """
        Keys of either way and of the public functions agree with one another.
        """
        bob = X25519PrivateKey.from_private_bytes(BOB)
        self.assertEqual(bob.public_key().public_bytes_raw(), BOB_PUBLIC)
        ours = x25519.generate()
        shared = x25519.exchange(ours, BOB_PUBLIC)
        self.assertEqual(shared, bob.exchange(ours.public_key()))
        self.assertEqual(len(shared), 32)
        self.assertNotEqual(shared, x25519.exchange(x25519.generate(), BOB_PUBLIC))
        self.assertRaises(ValueError, x25519.exchange, ours, bytes(32))
        self.assertRaises(ValueError, x25519.exchange, ours, BOB_PUBLIC[:-1])

    def test_direct(self) -> None:
        """
        What the public functions call is where it is looked for.
        """
        self.assertIn("_rust", type(x25519.generate()).__module__ + repr(x25519._generate))
        self.check()

    def test_fallback(self) -> None:
        """
        Where it is not, the public functions serve as well.
        """
        rust = sys.modules["cryptography.hazmat.bindings._rust"]
        real = rust.openssl  # type: ignore[attr-defined]  # it is there
        self.addCleanup(importlib.reload, x25519)
        try:
            rust.openssl = object()  # type: ignore[attr-defined]
            importlib.reload(x25519)
        finally:
            rust.openssl = real  # type: ignore[attr-defined]
        self.assertEqual(x25519._generate, X25519PrivateKey.generate)
        self.check()
