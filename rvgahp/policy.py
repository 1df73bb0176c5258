# -*- test-case-name: tests.test_policy -*-
"""
The security policy of a side, and what two sides make of theirs.  Layer 0: the
standard library and L{rvgahp.errors} only; the client imports it at each start.

The four levels, the spellings that HTCondor takes for them and the table by
which two sides are reconciled are CEDAR's (HTCondor 25.14,
C{src/condor_io/condor_secman.cpp}; the levels C{REQUIRED}, C{PREFERRED},
C{OPTIONAL} and C{NEVER} of C{SEC_DEFAULT_ENCRYPTION} and
C{SEC_DEFAULT_INTEGRITY}):

    ============  ========  =========  ========  =====
    ..            REQUIRED  PREFERRED  OPTIONAL  NEVER
    ============  ========  =========  ========  =====
    REQUIRED      yes       yes        yes       fail
    PREFERRED     yes       yes        yes       no
    OPTIONAL      yes       yes        no        no
    NEVER         fail      no         no        no
    ============  ========  =========  ========  =====

It is applied to encryption and to integrity apart.  Encryption implies
integrity, because the ciphers are authenticated ones.
"""

from __future__ import annotations

from enum import Enum

from rvgahp.errors import ConfigurationError, PolicyConflict, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["MAX_ENCODED", "Level", "Outcome", "Policy", "reconcile", "resolve"]

MAX_ENCODED = 255
"""The longest encoded policy in bytes: it has a one-byte length on the wire."""

_MAX_METHOD = 32
_IN_METHOD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Level(Enum):
    """
    How much a side wants a protection.  The value is the letter by which the
    level is encoded.
    """

    REQUIRED = "R"
    PREFERRED = "P"
    OPTIONAL = "O"
    NEVER = "N"

    @classmethod
    def parse(cls, text: str) -> Level:
        """
        The level that a setting's text means: by its first letter in either
        case, C{Y} and C{T} (yes, true) standing for REQUIRED and C{F} (false)
        for NEVER, as HTCondor has it.

        @param text: The setting's value.
        @raise ConfigurationError: It begins with another letter, or is empty.
            (HTCondor's daemons end on such a value.)
        """
        level = _SPELLINGS.get(text.strip()[:1].upper())
        if level is None:
            raise ConfigurationError(
                f"{text[:80]!a} is not a security level: it must be REQUIRED, PREFERRED, "
                "OPTIONAL or NEVER."
            )
        return level

    def atLeast(self, other: Level) -> Level:
        """
        The stronger of this level and another.
        """
        return self if _STRENGTH[self] >= _STRENGTH[other] else other


_SPELLINGS = {
    "R": Level.REQUIRED,
    "Y": Level.REQUIRED,
    "T": Level.REQUIRED,
    "P": Level.PREFERRED,
    "O": Level.OPTIONAL,
    "N": Level.NEVER,
    "F": Level.NEVER,
}

_STRENGTH = {Level.REQUIRED: 3, Level.PREFERRED: 2, Level.OPTIONAL: 1, Level.NEVER: 0}


class Outcome(Enum):
    """
    What protects a channel's records: C{ENCRYPT}, secret and authenticated;
    C{INTEGRITY}, readable and authenticated; C{NONE}, neither.
    """

    ENCRYPT = "encrypt"
    INTEGRITY = "integrity"
    NONE = "none"


class Policy:
    """
    What one side wants.  Immutable.

    @ivar encryption: How much it wants records to be secret.
    @ivar integrity: How much it wants records to be authenticated.
    @ivar methods: The crypto methods that it has, the best first, by
        HTCondor's names (C{"AES"}: AES-256-GCM).
    """

    __slots__ = ("encryption", "integrity", "methods")

    encryption: Level
    integrity: Level
    methods: tuple[str, ...]

    def __init__(self, encryption: Level, integrity: Level, methods: tuple[str, ...]) -> None:
        """
        @raise ValueError: A method's name is not 1 to 32 capital letters,
            digits, C{-} and C{_}; or one is named twice; or the policy would
            take more than L{MAX_ENCODED} bytes.
        """
        for method in methods:
            if not 0 < len(method) <= _MAX_METHOD or not _IN_METHOD.issuperset(method):
                raise ValueError(f"{method!a} cannot be the name of a crypto method")
        if len(set(methods)) != len(methods):
            raise ValueError("a crypto method is named twice")
        object.__setattr__(self, "encryption", encryption)
        object.__setattr__(self, "integrity", integrity)
        object.__setattr__(self, "methods", tuple(methods))
        if len(self.encode()) > MAX_ENCODED:
            raise ValueError("too many crypto methods")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """
        A policy cannot be changed.
        """
        raise AttributeError(f"a Policy is immutable, {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        """
        A policy cannot be changed.
        """
        raise AttributeError(f"a Policy is immutable, {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        """
        Equal to a policy of the same levels and the same methods in order.
        """
        if not isinstance(other, Policy):
            return NotImplemented
        return self.encode() == other.encode()

    def __hash__(self) -> int:
        """
        The same for equal policies.
        """
        return hash(self.encode())

    def __repr__(self) -> str:
        """
        For people.
        """
        return f"<Policy {self.encode()}>"

    def encode(self) -> str:
        """
        The policy as it goes on the wire, such as C{R:R:AES}: the levels of
        encryption and integrity and the methods with commas between them
        (C{doc/protocol.rst}, "Policies").  Two equal policies give the same
        text.

        @return: At most L{MAX_ENCODED} ASCII characters.
        """
        return f"{self.encryption.value}:{self.integrity.value}:{','.join(self.methods)}"

    @classmethod
    def decode(cls, text: str) -> Policy:
        """
        The policy that L{encode} gave this text for.

        @param text: What the peer sent, of any content and length.
        @raise ProtocolError: No policy is encoded so.
        """
        fields = text.split(":")
        if len(fields) == 3:
            encryption, integrity, methods = fields
            try:
                return cls(
                    Level(encryption),
                    Level(integrity),
                    tuple(methods.split(",")) if methods else (),
                )
            except ValueError:
                pass  # Said below, in words for people.
        raise ProtocolError(f"The peer's security policy, {text[:80]!a}, is malformed.")


def reconcile(a: Level, b: Level) -> bool:
    """
    Whether a protection is used when one side wants it so much and the other
    so much.

    @param a: The level of either side.
    @param b: The other's.
    @raise PolicyConflict: One requires what the other never allows.
    """
    if {a, b} == {Level.REQUIRED, Level.NEVER}:
        raise PolicyConflict("One side requires what the other never allows.")
    if Level.NEVER in (a, b):
        return False
    return not (a is Level.OPTIONAL and b is Level.OPTIONAL)


def conflictOf(server: Policy, client: Policy) -> str:
    """
    @return: why L{resolve} refuses two sides' policies; empty if it does not.
    """
    try:
        resolve(server, client)
    except PolicyConflict as e:
        return str(e)
    return ""


def resolve(server: Policy, client: Policy) -> tuple[Outcome, str]:
    """
    What two sides make of their policies.

    @param server: The policy of the side whose order of crypto methods counts.
    @param client: The other's.
    @return: What protects the records, and the crypto method: the first of the
        server's that the client has too, or C{""} where nothing protects them.
    @raise PolicyConflict: The levels exclude each other, or no method is common
        to both.
    """
    encryption = _reconciled("ENCRYPTION", server.encryption, client.encryption)
    integrity = _reconciled("INTEGRITY", server.integrity, client.integrity)
    if not (encryption or integrity):
        return Outcome.NONE, ""
    for method in server.methods:
        if method in client.methods:
            return (Outcome.ENCRYPT if encryption else Outcome.INTEGRITY), method
    raise PolicyConflict(
        "No crypto method is common to both sides: one has "
        f"{_listed(server.methods)}, the other {_listed(client.methods)} "
        "(SEC_DEFAULT_CRYPTO_METHODS)."
    )


def _reconciled(what: str, server: Level, client: Level) -> bool:
    """
    L{reconcile}, with the setting and both levels named in the refusal.
    """
    try:
        return reconcile(server, client)
    except PolicyConflict:
        raise PolicyConflict(
            f"The two sides' SEC_DEFAULT_{what} exclude each other: "
            f"{server.name} on one, {client.name} on the other."
        ) from None


def _listed(methods: tuple[str, ...]) -> str:
    """
    The methods' names for a sentence.
    """
    return ", ".join(methods) or "none"
