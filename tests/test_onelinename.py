"""
Tests of L{rvgahp.onelinename}: names as OpenSSL writes them.
"""

from __future__ import annotations

from random import Random

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.name import _ASN1Type
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL.crypto import X509
from twisted.trial.unittest import SynchronousTestCase
from twisted.trial.util import suppress as ignore

from rvgahp.onelinename import _SHORT, elements, isAmbiguous, oneLine
from tests.pki import DAY, named, now

KEY = ec.generate_private_key(ec.SECP256R1())

#: Kinds of strings, with what may be in them.
KINDS = [_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString]
ASCII_KINDS = [_ASN1Type.IA5String, _ASN1Type.T61String]

KNOWN = st.sampled_from(sorted(_SHORT))
UNKNOWN = st.sampled_from(["1.2.3.4", "2.999.1", "1.3.6.1.4.1.99999.16384", "2.5.4.200"])

WIDE = st.tuples(
    st.sampled_from(KINDS),
    st.text(st.characters(codec="utf-8", max_codepoint=0xD7FF), min_size=1, max_size=12),
)
NARROW = st.tuples(
    st.sampled_from(ASCII_KINDS), st.text(st.characters(max_codepoint=127), min_size=1, max_size=12)
)


PRINTABLE = st.tuples(
    st.just(_ASN1Type.PrintableString),
    st.text("ABYZabyz0189 '()+,-./:=?", min_size=1, max_size=12),
)


def attribute(kind: str, value: tuple[_ASN1Type, str]) -> x509.NameAttribute[str]:
    return x509.NameAttribute(x509.ObjectIdentifier(kind), value[1], value[0], _validate=False)


NAMES = st.lists(
    st.lists(
        st.builds(attribute, KNOWN | UNKNOWN, WIDE | NARROW | PRINTABLE),
        min_size=1,
        max_size=3,
        unique_by=lambda one: one.oid,
    ).map(x509.RelativeDistinguishedName),
    max_size=5,
).map(x509.Name)


def certified(name: x509.Name) -> x509.Certificate:
    """
    @return: a certificate of it.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(named("CA"))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now())
        .not_valid_after(now() + DAY)
        .sign(KEY, SHA256())
    )


def ofOpenSSL(name: x509.Name) -> str:
    """
    @return: what C{X509_NAME_oneline} makes of it; it knows no more than 511 characters.
    """
    text = repr(X509.from_cryptography(certified(name)).get_subject())
    return text.removeprefix("<X509Name object '").removesuffix("'>")


class OneLineTests(SynchronousTestCase):
    """
    The line.
    """

    suppress = [
        ignore(category=DeprecationWarning, message="X509.get_subject"),
        ignore(category=UserWarning, message="Attribute's length"),
    ]

    @settings(max_examples=400, deadline=None)
    @given(NAMES)
    def test_asOpenSSL(self, name: x509.Name) -> None:
        """
        Any name, of any types, kinds of strings, and characters, is written as OpenSSL writes
        it, both when it is made here and when it comes in a certificate.
        """
        expected = ofOpenSSL(name)
        line = oneLine(certified(name).subject)
        if len(line) < 512:
            self.assertEqual(line, expected)
        self.assertEqual(line[: len(expected)], expected)
        self.assertEqual(oneLine(name), line)

    def test_types(self) -> None:
        """
        Each type has OpenSSL's short name; of the next ones that OpenSSL might know, none is
        missing.
        """
        arcs = {kind.rpartition(".")[0] for kind in _SHORT} - {"1.2.840.113549.1.9"}
        for arc in arcs | {"2.5.4"}:
            for number in range(1, 120):
                kind = f"{arc}.{number}"
                name = x509.Name([attribute(kind, (_ASN1Type.UTF8String, "x"))])
                if kind in _SHORT or arc in ("2.5.4", "0.9.2342.19200300.100.1"):
                    self.assertEqual(oneLine(name), ofOpenSSL(name))

    def test_examples(self) -> None:
        """
        Names as they are seen.
        """
        self.assertEqual(oneLine(named("Alice")), "/DC=org/DC=example/CN=Alice")
        self.assertEqual(oneLine(named("é\n")), "/DC=org/DC=example/CN=\\xC3\\xA9\\x0A")
        self.assertEqual(oneLine(x509.Name([])), "")
        self.assertEqual(oneLine(named("host/a+b")), "/DC=org/DC=example/CN=host\\/a\\+b")

    def test_ambiguous(self) -> None:
        """
        What could be taken for another name is told.
        """
        self.assertEqual(oneLine(named("a/CN=b")), oneLine(named("a\\", "b")))
        for value in ("a\\", "\\x0A", "\\+", "\\"):
            self.assertTrue(isAmbiguous(named(value)), value)
        for value in ("host/ce.example.org", "a=b", "\n", "a", "é", "a/CN=b", "a+CN=b"):
            self.assertFalse(isAmbiguous(named(value)), value)

    def test_longNames(self) -> None:
        """
        No name is cut.
        """
        self.assertEqual(len(oneLine(named(*["x" * 60] * 20))), len("/DC=org/DC=example") + 64 * 20)


class ElementsTests(SynchronousTestCase):
    """
    DER.
    """

    def test_rubbish(self) -> None:
        """
        Any bytes are read or refused.
        """
        random = Random(7)
        for _ in range(2000):
            der = random.randbytes(random.randrange(12))
            try:
                found = elements(der)
            except ValueError:
                continue
            self.assertLessEqual(sum(2 + len(content) for _, content in found), len(der))
