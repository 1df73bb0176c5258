# -*- test-case-name: tests.test_doctor -*-
"""
C{rvgahp doctor}: all that is looked at, in this order.  C{doc/doctor.rst}.

Layer 6; each C{doctor...} module has some of it.  Nothing is changed, whatever is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from rvgahp.configuration import readConfiguration
from rvgahp.doctorcase import Case, Choice, refuseForeign
from rvgahp.doctorcertificates import certificates, revocations
from rvgahp.doctordaemon import consult, daemon
from rvgahp.doctorfiles import access, map_, permissions, start
from rvgahp.doctorgahps import batchSystem, gahps
from rvgahp.doctorlimit import TIDY_LIMIT, limited
from rvgahp.doctornet import names, port
from rvgahp.doctorsettings import account, clock, settings, software
from rvgahp.doctorway import proxyAddress
from rvgahp.findings import WRONG, Finding, Findings, guarded, ok
from rvgahp.patience import Patience
from rvgahp.settings import load, settingsFrom

__all__ = ["CHECKS", "examine"]

Check = Callable[[Case], Iterable[Finding]]

_BOTH, _PROXY, _CE = ("proxy", "ce"), ("proxy",), ("ce",)

_OTHER = {
    "proxy": "rvgahp doctor --role ce looks at a CE of this machine",
    "ce": "rvgahp doctor --role proxy looks at a proxy of this machine",
}

#: What is looked at, whose it is, by what function, and what to do where a daemon's own code
#: refuses it.
CHECKS: tuple[tuple[str, tuple[str, ...], Check, str], ...] = (
    ("daemon", _BOTH, consult, "see the daemon's log."),
    ("account", _BOTH, account, "see RVGAHP_ACCOUNT."),
    ("settings", _BOTH, settings, "mend the setting; doc/settings.rst has them all."),
    (
        "certificate",
        _BOTH,
        certificates,
        "mend that; or have new ones made: rvgahp invite and rvgahp join (doc/enrolment.rst), or"
        " rvgahp credentials (doc/credentials.rst).",
    ),
    ("name", _BOTH, names, "mend this machine's resolver."),
    ("revocation list", _BOTH, revocations, "mend RVGAHP_CRLFILE and RVGAHP_SITE_CAFILE."),
    (
        "access file",
        _BOTH,
        access,
        "mend the file; rvgahp access shows how it is understood (doc/access.rst).",
    ),
    (
        "map file",
        _BOTH,
        map_,
        "mend the line of CERTIFICATE_MAPFILE; rvgahp map shows how it is understood"
        " (doc/mapping.rst).  A CE that is not root's is to be looked at as its own account.",
    ),
    ("permissions", _BOTH, permissions, "set the owner and the mode as it says."),
    (
        "start",
        _BOTH,
        start,
        "mend it: the daemon does not start so; doc/messages.rst has the cause.",
    ),
    ("port", _PROXY, port, "see RVGAHP_PORT and RVGAHP_INTERFACE."),
    ("proxy's address", _CE, proxyAddress, "see RVGAHP_BROKER_HOST and RVGAHP_BROKER_PORT."),
    ("GAHP", _CE, gahps, "see BATCH_GAHP, FT_GAHP and RVGAHP_GAHP_NAMES (doc/gahps.rst)."),
    ("batch system", _CE, batchSystem, "see the PATH of the CE (doc/gahps.rst)."),
    ("daemon", _BOTH, daemon, "see the daemon's log."),
)

#: What is looked at for each proxy that a CE serves.
_OF_PROXY: tuple[Check, ...] = (certificates, proxyAddress)


def examine(choice: Choice, patience: Patience) -> Findings:
    """
    Look at everything.

    @return: what is found, each when it is; no sentence twice.
    @raise Interrupted: we were told to end.
    """
    yield ok("role", f"{choice.role}: {choice.why}; {_OTHER[choice.role]}")
    yield from guarded("software", "install rvgahp again.", software)
    yield from guarded("clock", "set the clock.", clock)
    cases: list[Case] = []
    yield from guarded(
        "settings",
        "mend it in that file; doc/settings.rst has all settings.  Nothing else was looked at.",
        partial(limited, "settings", partial(_read, choice, patience, cases), patience),
    )
    said: set[str] = set()
    for case in cases:
        for name, roles, check, remedy in CHECKS:
            if choice.role not in roles:
                continue
            tidy = TIDY_LIMIT if check is gahps else 0.0
            for one in case.proxies if check in _OF_PROXY else [case]:
                looking = partial(limited, name, partial(check, one), patience, tidy)
                for finding in guarded(name, remedy, looking):
                    if finding.sentence not in said:
                        yield finding
                    if finding.level == WRONG:
                        said.add(finding.sentence)
                case.credentials = case.credentials or one.credentials


def _read(choice: Choice, patience: Patience, cases: list[Case]) -> Findings:
    """
    Read the settings, as the daemon does.

    @param cases: gets the case.
    @raise rvgahp.errors.ConfigurationError: the daemon would refuse them.
    """
    if choice.config is None and choice.role == "ce":
        load("ce", None)  # says which file is not there
    refuseForeign(choice.config)
    configuration = readConfiguration(choice.config)
    cases.append(Case(settingsFrom(choice.role, configuration), configuration, patience))
    return iter(())
