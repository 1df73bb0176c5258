# -*- test-case-name: tests.test_statusclient -*-
"""
Asks a daemon over its local HTTP interface.  C{doc/status.rst}.

Layer 6: treq.
"""

from __future__ import annotations

import json
import os
from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.web.client import Agent, RequestTransmissionFailed, ResponseFailed
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from rvgahp.errors import RvgahpError
from rvgahp.proxysocket import findSocket
from rvgahp.statussocket import checkLength

__all__ = ["ask", "findStatusSocket"]

_TIMEOUT = 10
"""Seconds for an answer."""

_LARGEST = 64 << 20
"""Bytes of an answer: 10,000 sessions have five million."""

_CE_PLACES = ("~/.rvgahp/rvgahp-ce.status", "/etc/rvgahp-ce/rvgahp-ce.status")
"""Where C{rvgahp join} puts what a CE needs, and where doc/accounts.rst does."""


def findStatusSocket(given: str | None) -> str:
    """
    @param given: the path that somebody has named.
    @return: that of the daemon that is to be asked: the proxy of this host, else a CE.
    @raise RvgahpError: there is none.
    """
    if given is not None:
        return given
    proxys = os.path.splitext(findSocket(None))[0] + ".status"
    places = (proxys, *map(os.path.expanduser, _CE_PLACES))
    for place in places:
        if os.path.exists(place):
            return place
    raise RvgahpError(
        f"no daemon was found: there is neither {', '.join(places[:-1])} nor {places[-1]}; name its"
        " socket (RVGAHP_STATUS_SOCKET): --socket"
    )


@implementer(IAgentEndpointFactory)
class _OneSocket:
    """
    Connects to one UNIX socket, whatever the address says.
    """

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def endpointForURI(self, uri: object) -> UNIXClientEndpoint:
        """
        @return: the way there.
        """
        return UNIXClientEndpoint(self._reactor, self._path, timeout=_TIMEOUT)


async def ask(
    reactor: Any,
    path: str,
    method: str,
    what: str,
    body: dict[str, str] | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """
    Ask a daemon.

    @param path: of its socket.
    @param what: the path of the request.
    @param body: what is said in it.
    @param timeout: seconds for an answer, if it takes more than others.
    @return: the answer.
    @raise RvgahpError: nobody answers, or he refuses; the sentence is for people.
    """
    checkLength(path)  # Twisted would not notice, and wait
    asked = Deferred.fromCoroutine(_asked(reactor, path, method, f"http://rvgahp{what}", body))
    seconds = timeout or _TIMEOUT
    timer = reactor.callLater(seconds, asked.cancel)
    try:
        code, answer = await asked
    except ConnectError as e:
        why = os.strerror(e.osError) if e.osError else str(e)
        raise RvgahpError(
            f"no daemon answers on {path} ({why}); see whether it runs on this host"
        ) from None
    except (RequestTransmissionFailed, ResponseFailed, CancelledError, ValueError):
        if not timer.active():
            raise RvgahpError(
                f"there was no answer on {path} within {seconds:g} s; see whether the daemon hangs"
            ) from None
        raise RvgahpError(f"what answers on {path} is no daemon of rvgahp's") from None
    finally:
        if timer.active():
            timer.cancel()
    if code != 200 or not isinstance(answer, dict):
        problem = answer.get("error") if isinstance(answer, dict) else None
        raise RvgahpError(str(problem or f"the daemon has answered with status {code}"))
    return answer


async def _asked(
    reactor: Any, path: str, method: str, url: str, body: dict[str, str] | None
) -> tuple[int, Any]:
    """
    @return: the status, and what the answer says.
    @raise ValueError: that is no JSON, or too much.
    """
    client = HTTPClient(Agent.usingEndpointFactory(reactor, _OneSocket(reactor, path)))
    said: dict[str, Any] = {} if body is None else {"json": body}  # None would be said, too: null
    response = await client.request(method, url, reactor=reactor, **said)
    content = bytearray()

    def came(data: bytes) -> None:
        content.extend(data)
        if len(content) > _LARGEST:
            raise ValueError

    await treq.collect(response, came)
    return response.code, json.loads(content)
