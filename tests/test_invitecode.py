"""
Tests of L{rvgahp.invitecode}.
"""

from __future__ import annotations

import base64
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import ConfigurationError
from rvgahp.invitecode import FINGERPRINT_BYTES, SECRET_BYTES, InviteCode, fingerprintOf

HOSTS = st.sampled_from(
    ["submit.example.org", "localhost", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "a-b.example"]
)
CODES = st.builds(
    InviteCode,
    HOSTS,
    st.integers(1, 65535),
    st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
    st.binary(min_size=FINGERPRINT_BYTES, max_size=FINGERPRINT_BYTES),
)


def fields(code: InviteCode) -> tuple[object, ...]:
    """
    @return: all that a code says.
    """
    return code.host, code.port, code.secret, code.fingerprint


def _forgiven(text: str) -> list[str]:
    """
    @return: other ways to write the same code.
    """
    place, _, letters = text.rpartition("/")
    bare = letters.replace("-", "")
    likes = letters.replace("0", "o").replace("1", "l")
    return [
        text.lower(),
        f" {place.upper()}/{letters.lower()} \n",
        f"{place}/{bare}",
        f"{place}/{likes}",
        f"{place}/{letters.replace('1', 'I').replace('0', 'O')}",
        f"{place}/{'-'.join(bare)}-",
        f"{place}/{bare[:30]}\n    {bare[30:]}",
    ]


class CodeTests(SynchronousTestCase):
    """
    What people copy.
    """

    @settings(max_examples=100, deadline=None)
    @given(CODES)
    def test_roundTrip(self, code: InviteCode) -> None:
        """
        A code means the same in whatever way it is written.
        """
        text = code.encode()
        for written in (text, *_forgiven(text)):
            self.assertEqual(fields(InviteCode.decode(written)), fields(code), written)

    @settings(max_examples=150, deadline=None)
    @given(CODES, st.data())
    def test_typingErrors(self, code: InviteCode, data: st.DataObject) -> None:
        """
        Another letter, two that have changed places, one too few or one too many, in the
        host, the port or behind the slash: it is told, and the sentence has nothing of the
        secret.  (Of a million such errors one is not seen.)
        """
        text = code.encode()
        place = data.draw(st.integers(0, len(text) - 1))
        kind = data.draw(st.sampled_from(["other", "swapped", "missing", "more"]))
        other = data.draw(st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZabcxyz:/.-!"))
        if kind == "other":
            wrong = text[:place] + other + text[place + 1 :]
        elif kind == "swapped":
            wrong = text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
        elif kind == "missing":
            wrong = text[:place] + text[place + 1 :]
        else:
            wrong = text[:place] + other + text[place:]
        try:
            read = InviteCode.decode(wrong)
        except ConfigurationError as e:
            self.assertNotIn(text.rpartition("/")[2][:12], str(e))
            self.assertIn("copy it again", str(e))
        else:  # the same after all, as a small letter for a capital
            self.assertEqual(fields(read), fields(code), wrong)

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=100))
    def test_rubbish(self, text: str) -> None:
        """
        Anything else is refused in one sentence.
        """
        e = self.assertRaises(ConfigurationError, InviteCode.decode, text)
        self.assertNotIn("\n", str(e))

    def test_sentences(self) -> None:
        """
        Each thing that can be wrong is named.
        """
        good = InviteCode("host", 41000, bytes(13), bytes(15)).encode()
        place, _, letters = good.rpartition("/")
        for text, words in (
            ("", "no slash"),
            (f"host/{letters}", "no port"),
            (f"host:0/{letters}", "no port"),
            (f"host:65536/{letters}", "no port"),
            (f"host:\N{SUPERSCRIPT TWO}/{letters}", "no port"),
            (f":41000/{letters}", "no host"),
            (f"::1:41000/{letters}", "no host"),
            (f"[host]:41000/{letters}", "no host"),
            (f"{place}/{letters}0", "49 letters"),
            (f"{place}/{letters[:-1]}U", "'U' is never in one"),
            (f"host2:41000/{letters}", "checksum"),
        ):
            self.assertIn(
                words, str(self.assertRaises(ConfigurationError, InviteCode.decode, text))
            )

    def test_form(self) -> None:
        """
        The form is that of the manual.
        """
        fingerprint = fingerprintOf(b"key")
        code = InviteCode("2001:DB8::1", 443, bytes([255]) * 13, fingerprint)
        self.assertEqual(fingerprint, hashlib.sha256(b"key").digest()[:15])
        place, _, letters = code.encode().rpartition("/")
        self.assertEqual(place, "[2001:db8::1]:443")
        self.assertEqual(set(map(len, letters.split("-"))), {6})
        crockford = str.maketrans(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        )
        expected = base64.b32encode(fingerprint).decode().translate(crockford)
        bare = letters.replace("-", "")
        self.assertEqual((bare[:20], bare[20:44], len(bare)), ("Z" * 20, expected, 48))
