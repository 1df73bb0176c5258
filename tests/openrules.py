"""
Access rules that are in nobody's way.
"""

from __future__ import annotations

from typing import Any

from rvgahp.accessrules import parse
from rvgahp.localnames import LocalNames
from rvgahp.proxyaccess import ProxyAccess


def allowingAll(reactor: Any, domain: str = "submit.example.org") -> ProxyAccess:
    """
    @param domain: of local users.
    @return: the rules of a proxy that lets everybody start everything.
    """
    rules = parse("ALLOW START *", "/x/access", "proxy")
    return ProxyAccess(reactor, rules, LocalNames(domain))
