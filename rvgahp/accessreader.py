# -*- test-case-name: tests.test_accessreader -*-
"""
Reads the access file, and looks up the hosts that it names.

Blocks, with a deadline: a daemon reads before it starts, or in a thread.

Layer 3: L{rvgahp.accessrules}, L{rvgahp.lookups}, L{rvgahp.filesafety}.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from rvgahp import maplimits
from rvgahp.accessrules import CE, AccessRules, parse
from rvgahp.errors import ConfigurationError
from rvgahp.filesafety import checkSafe, daemonAccounts
from rvgahp.lookups import addressesOf

if TYPE_CHECKING:
    from rvgahp.settings import Settings

__all__ = ["SETTING", "readAccessFile", "readAccessRules"]

SETTING = "RVGAHP_ACCESS_FILE"

Lookup = Callable[[Iterable[str], float], dict[str, list[str] | str]]


def readAccessRules(settings: Settings) -> tuple[AccessRules, list[str]]:
    """
    The rules of a daemon.

    @return: They, and sentences for the log.
    @raise ConfigurationError: As by L{readAccessFile}; or the file is named by the setting,
        and is not there.
    """
    path = settings.get(SETTING)
    rules, notes = readAccessFile(path, settings.role, owners=daemonAccounts(settings))
    if not rules.isThere and settings.isGiven(SETTING):
        raise ConfigurationError(
            f"{path} cannot be read: there is no such file; write one, or take {SETTING} out."
        )
    if settings.role == CE and not rules.levels():
        problem = "has no ALLOW rule" if rules.isThere else "is not there"
        notes.append(
            f"Nobody may start a GAHP here: the access file {path} {problem}. Write a line ALLOW"
            " START owner@domain into it, and start rvgahp-ce again."
        )
    return rules, notes


def readAccessFile(
    path: str, role: str, lookup: Lookup = addressesOf, owners: Collection[int] | None = None
) -> tuple[AccessRules, list[str]]:
    """
    Read an access file.

    @param role: Whose it is, C{"proxy"} or C{"ce"}.
    @param lookup: As L{addressesOf}.
    @param owners: Whose the file's directory may be, if it is not the file's owner's; L{None}:
        anybody's.
    @return: The rules, which are none if there is no such file, and sentences for the log.
    @raise ConfigurationError: It cannot be read, others could write it, one of its lines is
        wrong, or a host that it denies something has no address.
    """
    try:
        text = _read(path, owners)
    except FileNotFoundError:
        return AccessRules(role, path, there=False), []
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else str(e)
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from e
    rules = parse(text, path, role)
    return _resolved(rules, lookup)


def _read(path: str, owners: Collection[int] | None) -> str:
    """
    @raise OSError: It cannot be read.
    @raise ConfigurationError: It is no file, too large, or not safe from others.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"{path} cannot be read: it is no file.")
        checkSafe(path, status, owners)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(maplimits.ACCESS_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > maplimits.ACCESS_FILE_BYTES:
        raise ConfigurationError(
            f"{path} is too large: it may have {maplimits.ACCESS_FILE_BYTES} bytes; list users"
            " by wildcards, or map them to one domain."
        )
    # What is no text may stand in comments.
    return content.decode("utf-8", "surrogateescape")


def _resolved(rules: AccessRules, lookup: Lookup) -> tuple[AccessRules, list[str]]:
    """
    @return: The rules with the addresses of hosts, and what to say of those without.
    @raise ConfigurationError: There are too many, or one that is denied something has none.
    """
    hosts = rules.hosts()
    if len(hosts) > maplimits.ACCESS_HOSTS:
        raise ConfigurationError(
            f"{rules.path} names {len(hosts)} hosts, and {maplimits.ACCESS_HOSTS} are looked up at"
            " the most: write nets, or names with *."
        )
    if not hosts:
        return rules, []
    addresses, notes = {}, []
    for name, answer in lookup(hosts, maplimits.FILE_LOOKUP_TIMEOUT).items():
        if not isinstance(answer, str):
            addresses[name] = answer
        elif hosts[name]:
            raise ConfigurationError(
                f"{hosts[name]}: the host {name}, which is denied something, has no address"
                f" ({answer}); write its address, or mend the resolver; no rule of this file"
                " counts."
            )
        else:
            notes.append(
                f"{rules.path}: the host {name} has no address ({answer}), so whoever comes from"
                " there is known by the host's name alone."
            )
    return rules.withAddresses(addresses), notes
