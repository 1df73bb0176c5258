"""
Random access files, such that rules and those who come often fit.
"""

from __future__ import annotations

import random

from tests.mapmaker import HOST_ENTRIES, ODD_HOST_ENTRIES, USER_ENTRIES, USERS

SITES = ("hpc.x.org", "alice@hpc.x.org", "HPC.x.org", "b")
GAHPS = ("blahpd", "condor_ft-gahp", "arc+gahp")
ACCOUNTS = ("", "alice", "a", "root")
THINGS = {"site": SITES, "gahp": GAHPS, "account": ACCOUNTS}
NAMES = (
    *USERS,
    *USERS[:4],
    *("anonymous@x", "a@unmapped", "A@Banned.HTCondor.org", "@x", "x@"),
    *("n" * 254 + "@x", "n" * 253 + "@x"),
)

#: Users that a list may have.
USERS_LISTED = tuple(one for one in USER_ENTRIES[:12] if one not in ("a*x*", "**", "*@*.x"))

VALUES = ("*", "**", "a*", "*x*", "*.org", "hpc.x.org", "alice*", "blah*", "b", "root", "A")
ODD_VALUES = ("", "a*b*c", "***", "a b", "a\\", "a:b", "\u00e9", "a=b", "#", ",")
COMMENTS = ("# x", " # DENY START *", "\t#", "#\u00e9", "# a \\")
KEY_NAMES = ("site", "gahp", "account")


class AccessMaker:
    """
    A random file.

    @ivar role: whose it is.
    @ivar text: its text.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self.role = source.choice(("proxy", "proxy", "ce"))
        lines = [self._line() for _ in range(source.randrange(6))]
        self.text = "\n".join(lines) + source.choice(("\n", "", "\n\n"))
        if source.random() < 0.02:
            place = source.randrange(len(self.text) + 1)
            odd = source.choice("\\\r\x00\x7f\n#,=* \u00a0\ufeff\u2028")
            self.text = self.text[:place] + odd + self.text[place:]

    def _line(self) -> str:
        source = self._source
        chance = source.random()
        if chance < 0.1:
            return source.choice(("", "  ", "\t", *COMMENTS))
        action = source.choice(("ALLOW", "ALLOW", "DENY")) if chance > 0.105 else "Allow"
        words = [action, self._level()]
        keys = list(KEY_NAMES if self.role == "proxy" else KEY_NAMES[1:])
        if words[1] == "REGISTER" and source.random() < 0.98:
            keys = keys[:1]
        if source.random() < 0.01:
            keys += [*keys, "Site", "host"]
        count = min(len(keys), source.choice((0, 0, 0, 1, 1, 2)))
        words += [self._key(key) for key in source.sample(keys, k=count)]
        words += [self._list()]
        text = ""
        for word in words:
            text += word + source.choice((" ", " ", "  ", "\t", " \\\n", "\\\n  "))
        text = text.rstrip(" \t")
        while text.endswith("\\\n") and source.random() < 0.98:
            text = text[:-2]
        if source.random() < 0.05:
            text += source.choice(("", " ")) + source.choice(COMMENTS)
        return text

    def _level(self) -> str:
        if self._source.random() < 0.005:
            return self._source.choice(("", "start", "READ", "*"))
        if self.role == "ce" and self._source.random() < 0.99:
            return "START"
        return self._source.choice(("START", "START", "REGISTER"))

    def _key(self, key: str) -> str:
        source = self._source
        values = VALUES if source.random() < 0.99 else ODD_VALUES
        count = source.choice((1, 1, 2, 3))
        equals = "=" if source.random() < 0.99 else source.choice((" = ", "= ", ":"))
        comma = "," if source.random() < 0.99 else ", "
        return key + equals + comma.join(source.choice(values) for _ in range(count))

    def _list(self) -> str:
        source = self._source
        entries = []
        for _ in range(source.choice((1, 1, 1, 2, 3)) if source.random() < 0.995 else 0):
            user = source.choice(USERS_LISTED)
            host = source.choice(HOST_ENTRIES)
            chance = source.random()
            if chance < 0.004:
                host = source.choice(ODD_HOST_ENTRIES)
            elif chance < 0.006:
                user = source.choice((*USER_ENTRIES[12:], "a=b@x", "site=b@x", "\u212a@x", "+g"))
            entries.append(source.choice((f"{user}/{host}", user, user, host)))
        return source.choice((", ", " ", ",")).join(entries)
