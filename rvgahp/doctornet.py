# -*- test-case-name: tests.test_doctornet -*-
"""
C{rvgahp doctor}: names and addresses, and who listens on the proxy's port.

Layer 6; L{rvgahp.lookups} and L{rvgahp.doctortls}.  All waits have a limit; nothing is said to
the proxy but what a handshake of TLS has.
"""

from __future__ import annotations

import socket

from rvgahp.certificaterequests import spkiOf
from rvgahp.doctorcase import Case
from rvgahp.doctortls import NoTLS, OtherName, handshake, namesIn, shownBy
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.lookups import addressesOf, ownName
from rvgahp.serviceunits import startCommand
from rvgahp.tls import isFor

__all__ = ["names", "port", "proxyAddress"]

#: Seconds for the resolver, and for a connection.
LOOKUP_LIMIT = 5.0
CONNECT_LIMIT = 5.0

#: Where to connect for those who listen on all addresses (RVGAHP_INTERFACE).
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

#: Addresses of the proxy's host that are tried.
_ADDRESSES = 4

_REFUSED = (
    "see whether rvgahp-proxy runs there (rvgahp doctor there), and whether {setting} and"
    " RVGAHP_BROKER_PORT are right; else a firewall refuses."
)
_SWALLOWED = (
    "a firewall swallows what is sent there, or that host is down: have this site's firewall let"
    " out, and the submit host's let in, connections to that port; or take a port that is let out,"
    " such as 443 (RVGAHP_BROKER_PORT; doc/systemd.rst).  See that {setting} is right."
)

_OTHER_NAME = (
    "set RVGAHP_BROKER_HOST to the name that the certificate is for (and RVGAHP_CONNECT_TO to"
    " where it is dialled, if that is another); or have a certificate made for this name there:"
    " RVGAHP_PUBLIC_ADDRESS, or rvgahp credentials host."
)

_JOIN = "rvgahp invite on the submit host, and rvgahp join --replace here, or rvgahp credentials ce"

#: What to do about a handshake that came to nothing, by words of its reason.
_REMEDIES = (
    (
        "is not one that we know",
        "put the authority (CA) of that proxy into RVGAHP_CAFILE; where the site is enrolled:"
        f" {_JOIN}.",
    ),
    (
        "does not know the authority",
        f"have a certificate made by the proxy's own authority: {_JOIN}.",
    ),
    ("clock", "compare both machines' clocks, and set the one that is wrong."),
    (
        "here it is",
        "if this machine's clock is right, have the proxy's certificate renewed (rvgahp doctor"
        " there).",
    ),
    (
        "has expired",
        f"compare both machines' clocks, and set the one that is wrong; else {_JOIN}.",
    ),
    ("revoked", f"ask the site's owner why; to let it in again: {_JOIN}."),
    (
        "it refuses our certificate",
        f"see the proxy's log, which says why; the usual remedy is {_JOIN}.",
    ),
)

_NO_HANDSHAKE = (
    "see that RVGAHP_BROKER_PORT is the proxy's (rvgahp doctor there).  If it is, something on the"
    " way lets no TLS through, such as a firewall that looks inside, or one that drops large"
    " packets (MTU)."
)

_RESOLVER = "mend this machine's resolver or /etc/hosts"
_OTHER_PORT = (
    "stop that program, or set RVGAHP_PORT to another port, and RVGAHP_BROKER_PORT at the sites."
)


def place(host: str, number: int) -> str:
    """
    @return: an address, for people.
    """
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def _addresses(host: str) -> list[str] | str:
    """
    @return: as of L{addressesOf}.
    """
    return addressesOf([host], LOOKUP_LIMIT)[host]


def names(case: Case) -> Findings:
    """
    This host's own name; for a proxy the one that sites dial, and whether its certificate has
    it.
    """
    own = ownName(LOOKUP_LIMIT)
    found = _addresses(own)
    if isinstance(found, str):
        yield warning(
            "name",
            f"this host's own name {own} does not resolve ({found})",
            f"{_RESOLVER}; sites and access rules may know it by this name.",
        )
    else:
        yield ok("name", f"this host is {own}, at {', '.join(found)}")
    if case.settings.role == "proxy":
        yield from _publicName(case, own)


def _publicName(case: Case, own: str) -> Findings:
    given = case.settings.get("RVGAHP_PUBLIC_ADDRESS")
    host = given[0] if given else own
    why = "RVGAHP_PUBLIC_ADDRESS" if given else "this host's full name"
    found = _addresses(host)
    if given and isinstance(found, str):
        yield wrong(
            "name",
            f"sites dial {host} ({why}), which does not resolve ({found})",
            f"mend RVGAHP_PUBLIC_ADDRESS, or {_RESOLVER}.",
        )
    if case.credentials is None:
        return
    if isFor(case.credentials.certificate, host):
        yield ok("name", f"the certificate is for {host} ({why}), which sites dial")
    else:
        yield warning(
            "name",
            f"the certificate is not for {host} ({why}): sites that dial it by that name refuse it",
            "set RVGAHP_PUBLIC_ADDRESS to the name and port by which sites dial, or have a"
            f" certificate made for {host} (rvgahp credentials host).",
        )


def port(case: Case) -> Findings:
    """
    Who listens on the proxy's port of this host.
    """
    number = case.settings.get("RVGAHP_PORT")
    interface = case.settings.get("RVGAHP_INTERFACE")
    if not number:
        yield ok("port", "any that is free (RVGAHP_PORT = 0); the proxy's log has it")
        return
    host = _EVERYWHERE.get(interface, interface)
    where = place(host, number)
    try:
        connection = socket.create_connection((host, number), CONNECT_LIMIT)
    except ConnectionRefusedError:
        yield _nobody(case, where)
        return
    except OSError as e:
        yield wrong(
            "port",
            f"{where} (RVGAHP_PORT) cannot be connected to: {e.strerror or e}",
            "see RVGAHP_INTERFACE, and this host's firewall.",
        )
        return
    with connection:
        yield _listener(case, connection, where)


def _nobody(case: Case, where: str) -> Finding:
    if case.seen is None:
        return warning(
            "port",
            f"nobody listens on {where} (RVGAHP_PORT)",
            f"start rvgahp-proxy, if it is to run: {startCommand('proxy')}.",
        )
    return warning(
        "port",
        f"the proxy runs, and does not listen on {where} (RVGAHP_PORT): it has another port, from"
        " systemd or from its command line, which was not looked at",
        "its log has the port.  See that RVGAHP_PUBLIC_ADDRESS names it, for invitations do.",
    )


def _listener(case: Case, connection: socket.socket, where: str) -> Finding:
    """
    @return: whether it is our proxy that listens.
    """
    try:
        shown = shownBy(connection, CONNECT_LIMIT)
    except NoTLS as e:
        return wrong(
            "port",
            f"{where} (RVGAHP_PORT) is taken by another program, which is no proxy: {e}",
            _OTHER_PORT,
        )
    if case.credentials is None:
        return warning(
            "port",
            f"something that speaks TLS listens on {where} (RVGAHP_PORT)",
            "mend the certificate first: it tells whether that is our proxy.",
        )
    ours = case.credentials.certificate
    if spkiOf(shown.public_key()) == spkiOf(ours.public_key()):
        return ok("port", f"our proxy listens on {where}, and shows our certificate")
    return wrong(
        "port",
        f"{where} (RVGAHP_PORT) is taken by a program that shows another certificate than ours",
        f"say rvgahp reload if it is the proxy, with new files; if not, {_OTHER_PORT}",
    )


def proxyAddress(case: Case) -> Findings:
    """
    Of a CE: the way to the proxy.
    """
    host = case.settings.get("RVGAHP_BROKER_HOST")
    number = case.settings.get("RVGAHP_BROKER_PORT")
    other = case.settings.get("RVGAHP_CONNECT_TO")
    target, setting = (host, number), "RVGAHP_BROKER_HOST"
    if other:
        target, setting = other, "RVGAHP_CONNECT_TO"
    found = _addresses(target[0])
    if isinstance(found, str):
        yield wrong(
            "proxy's address",
            f"the proxy's host {target[0]} ({setting}) does not resolve ({found})",
            f"mend {setting} in {case.configuration.where}, or {_RESOLVER}.",
        )
        return
    if found != [target[0]]:
        yield ok("proxy's address", f"{target[0]} ({setting}) is {', '.join(found)}")
    problem, remedy = "", ""
    for address in found[:_ADDRESSES]:
        try:
            connection = socket.create_connection((address, target[1]), CONNECT_LIMIT)
        except OSError as e:
            isSwallowed = isinstance(e, TimeoutError)
            problem = problem or f"{place(address, target[1])}: {e.strerror or e}"
            remedy = remedy or (_SWALLOWED if isSwallowed else _REFUSED).format(setting=setting)
            continue
        with connection:
            yield from _secured(case, connection, host, place(address, target[1]))
        return
    yield wrong(
        "proxy's port",
        f"nobody listens at the proxy's address, or it cannot be reached ({problem})",
        remedy,
    )


def _secured(case: Case, connection: socket.socket, host: str, where: str) -> Findings:
    yield ok("proxy's port", f"{where} can be connected to")
    if case.credentials is None:
        return
    try:
        end = handshake(connection, case, host, CONNECT_LIMIT)
    except NoTLS as e:
        remedy = _OTHER_NAME if isinstance(e, OtherName) else _remedyFor(str(e))
        names = _namesAt(connection.getpeername()[:2]) if isinstance(e, OtherName) else ""
        yield wrong(
            "proxy's TLS",
            f"what listens at {where} is not taken for the proxy, or does not take us: {e}{names}",
            remedy,
        )
    else:
        yield ok("proxy's TLS", f"{where} has shown a certificate for {host}, good until {end}")


def _namesAt(address: tuple[str, int]) -> str:
    """
    @return: which names a certificate has, as a clause; a handshake that has failed does not tell.
    """
    try:
        with socket.create_connection(address, CONNECT_LIMIT) as again:
            names = namesIn(shownBy(again, CONNECT_LIMIT))
    except (OSError, NoTLS):
        return ""
    return f" (it is for {names})" if names else ""


def _remedyFor(problem: str) -> str:
    """
    @return: what to do about a handshake that came to nothing.
    """
    return next((remedy for words, remedy in _REMEDIES if words in problem), _NO_HANDSHAKE)
