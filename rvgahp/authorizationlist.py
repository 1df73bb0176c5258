# -*- test-case-name: tests.test_authorizationlist -*-
"""
HTCondor's authorization lists, as in ALLOW_WRITE and DENY_WRITE: who from where.

C{doc/mapping.rst} has the syntax.  The meaning is HTCondor's
(C{src/condor_io/condor_ipverify.cpp}, C{split_entry}, C{fill_table}, C{Verify};
C{src/condor_utils/condor_netaddr.cpp}; C{matches_withwildcard_impl} in
C{src/condor_utils/stl_string_utils.cpp}), with these differences, each on the safe side or
an error:

  - What HTCondor would take for something that its author can hardly mean, or for
    nothing at all, is an error.
  - An entry of numbers is compared with the address alone.  HTCondor compares its text
    with the peer's names too, so that C{10.1.*} lets in whoever calls his host
    C{10.1.example.org}.
  - C{condor@...} and C{condor_pool@...} are two users.

A name of a host without C{*} stands for the addresses that it has, which HTCondor looks up
when the configuration is read, and for any peer that has this name, or an alias, forward
and backward.  Nothing is looked up here: see L{AuthorizationList.withAddresses} and
L{AuthorizationList.match}.

Layer 0: L{rvgahp.addresspattern} and below, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rvgahp import maplimits
from rvgahp.addresspattern import Address, HostPattern, WildcardText, lowered, toAddress
from rvgahp.errors import ConfigurationError

__all__ = ["BANNED", "AuthorizationList", "Decision", "decide", "parse"]

BANNED = "anonymous@*, *@unmapped, *@banned.htcondor.org"
"""What HTCondor-CE denies always (C{config/05-ce-auth-defaults.conf}, DENY_WRITE).  Its
way to ban somebody is a line of the map file that maps him into the last domain
(C{config/mapfiles.d/90-ban.conf})."""

_IN_ADDRESSES = frozenset("0123456789abcdefABCDEF.:[]")
_SEPARATORS = str.maketrans(dict.fromkeys(",\t\r\n\v\f", " "))


class Decision(NamedTuple):
    """
    What lists say of somebody.

    @ivar isAllowed: Whether he may.
    @ivar listName: The list that decided.
    @ivar entry: The entry of it that decided, as it is written; empty where none did,
        because the list has none for him.
    """

    isAllowed: bool
    listName: str
    entry: str


class _Entry(NamedTuple):
    text: str
    user: WildcardText
    host: HostPattern


class AuthorizationList:
    """
    A list.

    @ivar name: What it is called, as C{ALLOW_WRITE}.
    @ivar addresses: Those of hosts, by their names in lower case.
    """

    def __init__(
        self,
        name: str,
        entries: Iterable[_Entry],
        addresses: Mapping[bytes, frozenset[Address]] | None = None,
    ) -> None:
        """
        Use L{parse}.
        """
        self.name = name
        self._entries = tuple(entries)
        self.addresses = addresses or {}

    @property
    def hosts(self) -> list[str]:
        """
        The names of hosts without C{*} in the list, whose addresses
        L{withAddresses} asks for.
        """
        names = (entry.host.name for entry in self._entries if entry.host.name)
        return list(dict.fromkeys(name.decode() for name in names))

    @property
    def needsNames(self) -> bool:
        """
        Whether the names of somebody's host can make a difference.
        """
        return any(entry.host.isNamed for entry in self._entries)

    def __len__(self) -> int:
        """
        How many entries it has.
        """
        return len(self._entries)

    def withAddresses(self, addresses: Mapping[str, Iterable[str]]) -> AuthorizationList:
        """
        The same list, with the addresses of hosts.

        @param addresses: By the names in L{hosts}, the addresses that they have.  One
            without, which could not be looked up, stands for peers with that name
            only: in a list that denies this is too little, and whoever looks names up
            should refuse such a list or warn.
        @raise ValueError: An address is none.
        """
        known: dict[bytes, frozenset[Address]] = {}
        for name, found in addresses.items():
            key = lowered(name)
            known[key] = known.get(key, frozenset()) | set(map(toAddress, found))
        return AuthorizationList(self.name, self._entries, known)

    def match(self, user: str, address: str | None, hostnames: Iterable[str] = ()) -> str | None:
        """
        Look for the first entry that somebody fits.

        @param user: His canonical name, C{user@domain}; C{unauthenticated@unmapped} for
            one who has none.
        @param address: His IP address; L{None} for a local user, whom only entries for
            any host fit.
        @param hostnames: The names and aliases of his host that the resolver gives for
            the address I{and that have this address}; names that only the owner of
            the address claims are not to be given.
        @return: The entry as it is written; L{None} if there is none.
        @raise ValueError: The address is none.
        """
        who = lowered(user)
        where = None if address is None else toAddress(address)
        names = [lowered(name.removesuffix(".")) for name in hostnames]
        for entry in self._entries:
            if entry.user.matches(who) and entry.host.matches(where, names, self.addresses):
                return entry.text
        return None

    def permits(self, user: str, address: str | None, hostnames: Iterable[str] = ()) -> bool:
        """
        Whether L{match} finds an entry.
        """
        return self.match(user, address, hostnames) is not None


def decide(
    allow: AuthorizationList | None,
    deny: AuthorizationList | None,
    user: str,
    address: str | None,
    hostnames: Iterable[str] = (),
) -> Decision:
    """
    Whether somebody may: not if an entry of C{deny} fits him; else if one of C{allow} does;
    else not.  The arguments are L{AuthorizationList.match}'s.

    @param allow: L{None} for nobody.
    @param deny: L{None} for nobody.
    @raise ValueError: The address is none.
    """
    names = list(hostnames)
    for rules, isAllowed in ((deny, False), (allow, True)):
        entry = rules.match(user, address, names) if rules is not None else None
        if rules is not None and entry is not None:
            return Decision(isAllowed, rules.name, entry)
    return Decision(False, allow.name if allow is not None else "", "")


def parse(text: str, name: str) -> AuthorizationList:
    """
    Read a list.

    @param text: Its entries, with commas or blanks between them.
    @param name: What it is called, for sentences.
    @raise ConfigurationError: An entry is wrong or not supported; the sentence names
        the list and the entry.
    """
    if len(text) > maplimits.AUTHORIZATION_LIST_LENGTH:
        raise ConfigurationError(
            f"{name} is too long: it may have {maplimits.AUTHORIZATION_LIST_LENGTH} characters."
        )
    entries = []
    for word in text.translate(_SEPARATORS).split(" "):
        if word:
            try:
                entries.append(_entry(word))
            except ConfigurationError as e:
                raise ConfigurationError(f"{name} has the entry {word[:200]!a}: {e}.") from e
    return AuthorizationList(name, entries)


def _entry(text: str) -> _Entry:
    """
    @raise ConfigurationError: It is wrong, a clause.
    """
    if not text.isprintable() or not text.isascii():
        raise ConfigurationError("it has other characters than ASCII")
    if text.startswith("+"):
        raise ConfigurationError("netgroups are not supported, so list their members")
    user, host = _split(text)
    if "@" not in user and not user.startswith("*"):
        raise ConfigurationError(f"the user {user!a} has no @, where all users are user@domain")
    return _Entry(text, WildcardText(user), HostPattern(host))


def _split(text: str) -> tuple[str, str]:
    """
    Tell the user of an entry from the host.  C{a/b} is a net and a mask if C{a} has
    nothing that an address has not.
    """
    first, slash, rest = text.partition("/")
    if not slash:
        return (text, "*") if "@" in text else ("*", text)
    if "/" not in rest and _IN_ADDRESSES.issuperset(first):
        return "*", text
    return first, rest
