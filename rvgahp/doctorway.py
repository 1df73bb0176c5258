# -*- test-case-name: tests.test_doctorway -*-
"""
C{rvgahp doctor}: a CE's way to its proxy, through what is in between.

Layer 6; L{rvgahp.tcpdial}, L{rvgahp.doctortls}.  All waits have a limit; nothing is said to the
proxy but what a handshake of TLS has.
"""

from __future__ import annotations

import socket

from rvgahp.doctorcase import Case
from rvgahp.doctornet import RESOLVER, addresses
from rvgahp.doctorremedies import OTHER_NAME, forConnection, forHandshake
from rvgahp.doctortls import NoTLS, OtherName, handshake, namesIn, shownBy
from rvgahp.errors import ChannelLost
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.tcpdial import dialWaiting
from rvgahp.wayout import Gateway, WayOut, placeOf
from rvgahp.waysettings import gatewayVariable, wayOutOf

__all__ = ["proxyAddress"]

#: Seconds for a handshake.
CONNECT_LIMIT = 5.0


def proxyAddress(case: Case) -> Findings:
    """
    Of a CE: the way to the proxy.

    @raise rvgahp.errors.ConfigurationError: the file of credentials cannot be used.
    """
    way = wayOutOf(case.settings)
    given = bool(case.settings.get("RVGAHP_CONNECT_TO"))
    setting = "RVGAHP_CONNECT_TO" if given else "RVGAHP_BROKER_HOST"
    if way.gateway is not None:
        first = _gateway(way.gateway)
        yield first
        if first.level != "ok":
            return
    isReached = False
    failures = []
    for place in way.places:
        if way.gateway is None or not way.gateway.looksUp:
            found = _name(case, place[0], setting)
            if found is not None:
                yield found
                if found.level != "ok":
                    continue
        single = WayOut([place], way.gateway)
        try:
            target, connection = dialWaiting(single)
        except ChannelLost as e:
            failures.append(str(e))
            continue
        isReached = True
        with connection:
            where = placeOf(target.address, target.port)
            yield from _secured(case, connection, where, single)
    for problem in failures:
        yield _unreached(problem, setting, way.gateway, isOnly=not isReached)


def _gateway(gateway: Gateway) -> Finding:
    try:
        _, connection = dialWaiting(WayOut([gateway.place]))
    except ChannelLost as e:
        return wrong(
            "way out",
            f"{gateway.name} cannot be reached: {e}",
            "compare RVGAHP_CONNECT_THROUGH with what the site says of its HTTP proxies or SOCKS"
            " servers.",
        )
    connection.close()
    return ok("way out", f"{gateway.name} can be connected to")


def _name(case: Case, host: str, setting: str) -> Finding | None:
    """
    @return: what is known of a host's name; L{None} where it is an address.
    """
    found = addresses(host)
    if isinstance(found, str):
        return wrong(
            "proxy's address",
            f"the proxy's host {host} ({setting}) does not resolve ({found})",
            f"mend {setting} in {case.configuration.where}, or {RESOLVER}.",
        )
    if found == [host]:
        return None
    return ok("proxy's address", f"{host} ({setting}) is {', '.join(found)}")


def _unreached(problem: str, setting: str, gateway: Gateway | None, *, isOnly: bool) -> Finding:
    remedy = forConnection(problem, setting)
    variable = gatewayVariable() if gateway is None else ""
    if variable:
        remedy += f"  {variable} is set here, which is not obeyed: see RVGAHP_CONNECT_THROUGH."
    sentence = f"nobody listens at the proxy's address, or it cannot be reached ({problem})"
    return (wrong if isOnly else warning)("proxy's port", sentence, remedy)


def _secured(case: Case, connection: socket.socket, where: str, way: WayOut) -> Findings:
    """
    @param way: by which it was dialled.
    """
    host = case.settings.get("RVGAHP_BROKER_HOST")
    through = f" through {way.gateway.name}" if way.gateway is not None else ""
    yield ok("proxy's port", f"{where} can be connected to{through}")
    if case.credentials is None:
        return
    try:
        end = handshake(connection, case, host, CONNECT_LIMIT)
    except NoTLS as e:
        isOther = isinstance(e, OtherName)
        names = _namesAt(way) if isOther else ""
        yield wrong(
            "proxy's TLS",
            f"what listens at {where} is not taken for the proxy, or does not take us: {e}{names}",
            OTHER_NAME if isOther else forHandshake(str(e)),
        )
    else:
        yield ok("proxy's TLS", f"{where} has shown a certificate for {host}, good until {end}")


def _namesAt(way: WayOut) -> str:
    """
    @return: which names a certificate has, as a clause; a handshake that has failed does not tell.
    """
    try:
        _, again = dialWaiting(way)
        with again:
            names = namesIn(shownBy(again, CONNECT_LIMIT))
    except (ChannelLost, OSError, NoTLS):
        return ""
    return f" (it is for {names})" if names else ""
