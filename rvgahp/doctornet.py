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
from rvgahp.doctortls import NoTLS, shownBy
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.lookups import addressesOf, ownName
from rvgahp.serviceunits import startCommand
from rvgahp.tls import isFor
from rvgahp.wayout import placeOf

__all__ = ["LOOKUP_LIMIT", "RESOLVER", "addresses", "names", "port"]

#: Seconds for the resolver, and for a connection.
LOOKUP_LIMIT = 5.0
CONNECT_LIMIT = 5.0

#: Where to connect for those who listen on all addresses (RVGAHP_INTERFACE).
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

RESOLVER = "mend this machine's resolver or /etc/hosts"
_OTHER_PORT = (
    "stop that program, or set RVGAHP_PORT to another port, and RVGAHP_BROKER_PORT at the sites."
)


def addresses(host: str) -> list[str] | str:
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
    found = addresses(own)
    if isinstance(found, str):
        yield warning(
            "name",
            f"this host's own name {own} does not resolve ({found})",
            f"{RESOLVER}; sites and access rules may know it by this name.",
        )
    else:
        yield ok("name", f"this host is {own}, at {', '.join(found)}")
    if case.settings.role == "proxy":
        yield from _publicName(case, own)


def _publicName(case: Case, own: str) -> Findings:
    given = case.settings.get("RVGAHP_PUBLIC_ADDRESS")
    host = given[0] if given else own
    why = "RVGAHP_PUBLIC_ADDRESS" if given else "this host's full name"
    found = addresses(host)
    if given and isinstance(found, str):
        yield wrong(
            "name",
            f"sites dial {host} ({why}), which does not resolve ({found})",
            f"mend RVGAHP_PUBLIC_ADDRESS, or {RESOLVER}.",
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
    where = placeOf(host, number)
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
