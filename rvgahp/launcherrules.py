# -*- test-case-name: tests.test_launcherrules -*-
"""
What the launcher of a CE that root has started does for that CE, and nothing else.

Layer 2: the standard library only, for L{rvgahp.launcher} loads it when it is started with
the word C{rules}.  The launcher is root then and the CE's process is not, which reads what
comes from the network.  So the rules come before the CE lets go of root, as the first
packet, and of what comes later nothing is believed: a start names a GAHP and an account,
never a program.  C{doc/accounts.rst} has the table of what is accepted.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

#: Bytes of the packet that has the rules, at the most.
RULES_BYTES = 200_000

#: Bytes of one request, at the most.
REQUEST_BYTES = 4096

#: What the launcher answers to the rules, or else a C{problem}.
READY = b'{"ready": true}'

#: Seconds for the account database.  It may ask a network.
LOOKUP_SECONDS = 15

#: The signals that a CE sends.
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)

#: The types of the fields of all requests that there are.
_FORMS: tuple[dict[str, type], ...] = (
    {"start": int, "gahp": str, "account": str},
    {"signal": int, "number": int},
)

_LARGEST_ID = 2**53
_LONGEST_NAME = 256
_DAY = 86400
_SHADOW = "/etc/shadow"


class Refused(Exception):
    """
    It is not done; the sentence says why.
    """


class Rules:
    """
    What may be started, and as whom.

    @ivar most: how many GAHPs may run at once.
    @ivar pamService: what PAM is asked for; empty: it is not.
    @ivar ceName: the name of the CE's account.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        """
        @param given: as L{rvgahp.separation.Separation.rules} makes it.
        """
        self._gahps: dict[str, dict[str, Any]] = given["gahps"]
        self._variables: dict[str, str] = given["environment"]
        self._umask: int = given["umask"]
        self._descriptors: int = given["descriptors"]
        self._lowest: int = given["lowest"]
        self._allowsRoot: bool = given["root"]
        self._ce: int = given["ce"]
        self.most: int = given["most"]
        self.pamService: str = given["pam"]
        self.ceName: str = given["ceName"]

    def read(self, data: bytes) -> dict[str, Any]:
        """
        @param data: a packet.
        @return: the request in it, with all its fields and no others, each of its type;
            nothing if it is none, which no CE sends that is what it should be.
        """
        if len(data) > REQUEST_BYTES:
            return {}
        try:
            request = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        for form in _FORMS:
            if type(request) is dict and request.keys() == form.keys():
                return request if _isProper(request, form) else {}
        return {}

    def become(
        self,
        request: dict[str, Any],
        ask: Callable[[str, int], dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """
        Become the account that a start asks for: in a child, which ends if this fails.

        @param request: from L{read}.
        @param ask: asks PAM, with the account's name and the soft RLIMIT_NOFILE where PAM
            has none, as root and with the account's groups, to which it may add (login(1)
            does it in this order); returns variables.
        @return: what is to be executed.
        @raise Refused: the account may not be had, or there is no such GAHP.
        @raise OSError: the kernel refuses.
        """
        rule = self._gahps.get(request["gahp"])
        if rule is None:
            raise Refused(f"the launcher has no GAHP named {request['gahp'][:80]!a}")
        signal.alarm(LOOKUP_SECONDS)
        entry = self._entry(request["account"])
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        signal.alarm(0)
        descriptors, further = self._descriptors, dict[str, str]()
        if ask is not None:
            os.setgroups(groups)
            further = ask(entry.pw_name, descriptors)
            descriptors, groups = 0, os.getgroups()
        become(entry.pw_uid, entry.pw_gid, groups)
        _checkFiles(rule["files"], request["gahp"])
        program, *arguments = rule["words"]
        if not os.path.isabs(program):  # it would be one of the account's home
            raise Refused(f"{program}, the site's program for {request['gahp']}, is not there")
        home = entry.pw_dir if os.path.isabs(entry.pw_dir) else "/"
        own = {"HOME": home, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
        own["SHELL"] = entry.pw_shell or "/bin/sh"
        return {
            "program": program,
            "arguments": arguments,
            # Of further ones only those that nobody here gives: see doc/accounts.rst.
            "environment": {**further, **self._variables, **own, **rule["environment"]},
            "directory": home,
            "umask": self._umask,
            "descriptors": descriptors,
        }

    def _entry(self, account: str) -> pwd.struct_passwd:
        """
        @raise Refused: there is no such account, or it may not be had.
        """
        name = ascii(account[:80])
        try:
            entry = pwd.getpwnam(account)
        except (KeyError, ValueError):
            raise Refused(f"the site has no account {name}") from None
        uid = entry.pw_uid
        if entry.pw_name != account:  # the CE has decided on another name
            raise Refused(f"the name of the site's account {name} is {entry.pw_name[:80]!a}")
        if uid == self._ce:
            raise Refused(f"the site's account {name} is that of rvgahp-ce and of no GAHP")
        if uid == 0 and not self._allowsRoot:
            raise Refused(f"the site's account {name} is root, and RVGAHP_ALLOW_ROOT is not true")
        if 0 < uid < self._lowest:
            raise Refused(
                f"the site's account {name} has uid {uid}, and RVGAHP_LOWEST_UID is {self._lowest}"
            )
        if isExpired(account):
            raise Refused(f"the site's account {name} has expired")
        return entry


def _isProper(request: dict[str, Any], form: dict[str, type]) -> bool:
    """
    @param form: has the same keys.
    """
    if not all(type(request[field]) is kind for field, kind in form.items()):
        return False
    name: int = request.get("start") or request.get("signal") or 0
    texts = [value for value in request.values() if type(value) is str]
    return (
        0 < name <= _LARGEST_ID
        and all(0 < len(text) <= _LONGEST_NAME for text in texts)
        and request.get("number", signal.SIGTERM) in SIGNALS
    )


def become(uid: int, gid: int, groups: Sequence[int]) -> None:
    """
    Let go of root, or change the account as root, for good.

    @raise OSError: the kernel refuses.
    @raise Refused: it has not done so, though it says so.
    """
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    found = os.getresuid(), os.getresgid(), set(os.getgroups())
    if found != ((uid,) * 3, (gid,) * 3, set(groups)):
        raise Refused(f"uid {uid} and gid {gid} could not be had")
    if uid:
        try:
            os.setresuid(0, 0, 0)
        except PermissionError:
            return
        raise Refused(f"root could be had back by uid {uid}")


def isExpired(account: str, path: str = _SHADOW) -> bool:
    """
    @param path: of the shadow file; where it cannot be read, nothing is known.
    @return: whether the account has an end, and it is past (shadow(5), the eighth field).
    """
    name = os.fsencode(account)
    try:
        with open(path, "rb") as file:
            lines = [line.rstrip(b"\n").split(b":") for line in file]
    except OSError:
        return False
    ends = [fields[7] for fields in lines if fields[0] == name and len(fields) > 7]
    return any(end.isdigit() and int(end) * _DAY <= time.time() for end in ends)


def _checkFiles(paths: Sequence[str], gahp: str) -> None:
    """
    @raise Refused: a file without which the GAHP cannot work cannot be read.
    """
    for path in paths:
        if not os.access(path, os.R_OK):
            problem = "may not be read" if os.path.exists(path) else "is not there"
            raise Refused(f"{path}, which {gahp} needs at the site, {problem}")


def receive(control: socket.socket) -> Rules:
    """
    @param control: to the CE, which is still root.
    @return: the rules, which are the first packet.
    """
    return Rules(json.loads(control.recv(RULES_BYTES)))
