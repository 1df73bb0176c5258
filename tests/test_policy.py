"""
Tests of L{rvgahp.policy}.
"""

from __future__ import annotations

import itertools
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import ConfigurationError, PolicyConflict, ProtocolError
from rvgahp.policy import MAX_ENCODED, Level, Outcome, Policy, reconcile, resolve
from tests.procfs import PATIENCE
from tests.texts import oddTexts

R, P, OPT, N = Level.REQUIRED, Level.PREFERRED, Level.OPTIONAL, Level.NEVER

YES, NO, FAIL = True, False, None

TABLE = {
    (R, R): YES, (R, P): YES, (R, OPT): YES, (R, N): FAIL,
    (P, R): YES, (P, P): YES, (P, OPT): YES, (P, N): NO,
    (OPT, R): YES, (OPT, P): YES, (OPT, OPT): NO, (OPT, N): NO,
    (N, R): FAIL, (N, P): NO, (N, OPT): NO, (N, N): NO,
}  # fmt: skip
"""CEDAR's table, written out cell by cell."""

AES = ("AES",)

methods = st.lists(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=32),
    unique=True,
    max_size=7,
)
policies = st.builds(
    lambda e, i, m: Policy(e, i, tuple(m)), st.sampled_from(Level), st.sampled_from(Level), methods
)


class LevelTests(SynchronousTestCase):
    """
    Tests of L{Level}.
    """

    def test_spellings(self) -> None:
        """
        The first letter decides, in either case, with yes, true and false.
        """
        for text, level in (
            ("REQUIRED", R), ("required", R), ("r", R), ("Yes", R), ("TRUE", R), ("t", R),
            ("PREFERRED", P), ("p", P), ("Optional", OPT), ("o", OPT),
            ("NEVER", N), ("no", N), ("False", N), (" never ", N),
        ):  # fmt: skip
            self.assertIs(Level.parse(text), level, text)

    def test_otherText(self) -> None:
        """
        Any other text is refused with a sentence that shows it.
        """
        for text in ("", " ", "maybe", "1", "AES", "\n", "x" * 10000):
            e = self.assertRaises(ConfigurationError, Level.parse, text)
            self.assertIn(repr(text[:5])[:-1], str(e))
            self.assertLess(len(str(e)), 300)

    def test_atLeast(self) -> None:
        """
        The stronger of two levels comes out, whichever is asked.
        """
        order = [N, OPT, P, R]
        for a, b in itertools.product(order, order):
            self.assertIs(a.atLeast(b), order[max(order.index(a), order.index(b))])


class ReconcileTests(SynchronousTestCase):
    """
    Tests of L{reconcile} and L{resolve}.
    """

    def test_table(self) -> None:
        """
        Every cell of CEDAR's table is as written.
        """
        for (a, b), result in TABLE.items():
            if result is FAIL:
                self.assertRaises(PolicyConflict, reconcile, a, b)
            else:
                self.assertIs(reconcile(a, b), result, (a, b))

    def test_allCombinations(self) -> None:
        """
        For all 256 pairs of policies the outcome follows from the table:
        encryption implies integrity, and a failure in either is a conflict.
        """
        seen: list[Outcome | None] = []
        for se, si, ce, ci in itertools.product(Level, repeat=4):
            server, client = Policy(se, si, AES), Policy(ce, ci, AES)
            encryption, integrity = TABLE[se, ce], TABLE[si, ci]
            if encryption is FAIL or integrity is FAIL:
                self.assertRaises(PolicyConflict, resolve, server, client)
                seen.append(None)
                continue
            outcome, method = resolve(server, client)
            if encryption:
                expected = Outcome.ENCRYPT
            elif integrity:
                expected = Outcome.INTEGRITY
            else:
                expected = Outcome.NONE
            self.assertEqual(
                (outcome, method), (expected, "AES" if outcome.value != "none" else "")
            )
            seen.append(outcome)
        self.assertEqual(len(seen), 256)
        # 8 of 16 cells are yes, 6 no, 2 fail.
        self.assertEqual(seen.count(None), 256 - 14 * 14)
        self.assertEqual(seen.count(Outcome.ENCRYPT), 8 * 14)
        self.assertEqual(seen.count(Outcome.INTEGRITY), 6 * 8)
        self.assertEqual(seen.count(Outcome.NONE), 6 * 6)

    def test_serversOrder(self) -> None:
        """
        The method is the first of the server's that the client has, wherever
        the client has it.
        """
        server, client = Policy(R, R, ("A", "B", "C")), Policy(R, R, ("C", "B"))
        self.assertEqual(resolve(server, client), (Outcome.ENCRYPT, "B"))
        self.assertEqual(resolve(client, server), (Outcome.ENCRYPT, "C"))

    def test_nothingInCommon(self) -> None:
        """
        Without a common method there is a conflict that names both lists, but
        only if something is to be protected.
        """
        server = Policy(P, OPT, ("A",))
        e = self.assertRaises(PolicyConflict, resolve, server, Policy(P, OPT, ()))
        self.assertIn("one has A, the other none", str(e))
        self.assertEqual(resolve(server, Policy(N, OPT, ("B",))), (Outcome.NONE, ""))

    def test_sentence(self) -> None:
        """
        A conflict names the setting and both levels.
        """
        e = self.assertRaises(PolicyConflict, resolve, Policy(R, R, AES), Policy(P, N, AES))
        self.assertIn("SEC_DEFAULT_INTEGRITY", str(e))
        self.assertIn("REQUIRED", str(e))
        self.assertIn("NEVER", str(e))


class PolicyTests(SynchronousTestCase):
    """
    Tests of L{Policy} and its encoding.
    """

    def test_encoded(self) -> None:
        """
        The texts are those of the protocol's description.
        """
        self.assertEqual(Policy(R, R, AES).encode(), "R:R:AES")
        self.assertEqual(Policy(N, OPT, ()).encode(), "N:O:")
        self.assertEqual(Policy.decode("P:N:AES,3DES"), Policy(P, N, ("AES", "3DES")))

    @given(policies)
    def test_roundTrip(self, policy: Policy) -> None:
        """
        Every policy comes back from its text, which is short ASCII.
        """
        text = policy.encode()
        self.assertTrue(text.isascii())
        self.assertLessEqual(len(text), MAX_ENCODED)
        again = Policy.decode(text)
        self.assertEqual(again, policy)
        self.assertEqual(hash(again), hash(policy))
        self.assertEqual(again.methods, policy.methods)

    @given(st.one_of(oddTexts(longest=300), st.text("RPON:AES,-_ ", max_size=12)))
    def test_onlyCanonical(self, text: str) -> None:
        """
        Any text is either malformed or just what its policy encodes to.
        """
        try:
            policy = Policy.decode(text)
        except ProtocolError as e:
            self.assertTrue(str(e).isprintable())
        else:
            self.assertEqual(policy.encode(), text)

    def test_malformed(self) -> None:
        """
        Near misses are malformed.
        """
        for text in ("", "R:R", "R:R:AES:", "r:R:AES", "R:R:aes", "R:R:AES,", "R:R:,AES",
                     "R:R:AES,AES",
                     " R:R:AES", "R:R:AES\n", "REQUIRED:R:AES", "X:R:AES", "R:R:" + "A" * 33,
                     "R:R:" + ",".join(f"M{n}" for n in range(100))):  # fmt: skip
            self.assertRaises(ProtocolError, Policy.decode, text)

    def test_impossible(self) -> None:
        """
        A policy that could not be encoded cannot be made.
        """
        for bad in (("aes",), ("",), ("A,B",), ("A:",), ("A", "A"), ("A" * 33,)):
            self.assertRaises(ValueError, Policy, R, R, bad)
        self.assertRaises(ValueError, Policy, R, R, tuple(f"{n:032}" for n in range(8)))

    def test_immutable(self) -> None:
        """
        A policy cannot be changed after it was made.
        """
        policy = Policy(R, R, AES)
        self.assertRaises(AttributeError, setattr, policy, "encryption", N)
        self.assertRaises(AttributeError, delattr, policy, "methods")
        self.assertRaises(AttributeError, setattr, policy, "other", 1)
        self.assertIs(policy.encryption, R)

    def test_equality(self) -> None:
        """
        Policies are equal by levels and order of methods, and to nothing else.
        """
        self.assertEqual(Policy(R, P, ("A", "B")), Policy(R, P, ("A", "B")))
        self.assertNotEqual(Policy(R, P, ("A", "B")), Policy(R, P, ("B", "A")))
        self.assertNotEqual(Policy(R, P, AES), Policy(P, R, AES))
        self.assertNotEqual(Policy(R, P, AES), "R:P:AES")

    def test_lightImport(self) -> None:
        """
        The client's imports stay light: with what C{socket} brings along,
        policies and names load nothing but rvgahp's own modules.
        """
        program = (
            "import sys, socket; before = set(sys.modules)\n"
            "import rvgahp.policy, rvgahp.names\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            timeout=PATIENCE,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        self.assertEqual(
            done.stdout.split(),
            ["__future__", "rvgahp", "rvgahp.errors", "rvgahp.names", "rvgahp.policy"],
        )
