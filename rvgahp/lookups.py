# -*- test-case-name: tests.test_lookups -*-
"""
What the resolver knows of hosts.  Everything here blocks, and has a deadline: the C library's
functions have none, so they run in threads that nobody waits for after it.

Layer 1: the standard library, L{rvgahp.maplimits} and L{rvgahp.addresspattern}.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from rvgahp import maplimits
from rvgahp.addresspattern import toAddress

__all__ = ["addressesOf", "namesOf", "ownName"]

#: Names that are looked up at once.
_AT_ONCE = 8


def addressesOf(names: Iterable[str], seconds: float) -> dict[str, list[str] | str]:
    """
    Look up the addresses of hosts.

    @param seconds: For all of them together.
    @return: By name, its addresses, or why there are none, a clause.
    """
    wanted = list(dict.fromkeys(names))
    found: dict[str, list[str] | str] = dict.fromkeys(
        wanted, f"the resolver gave no answer within {seconds:g} s"
    )
    left: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, list[str] | str]] = queue.SimpleQueue()
    for name in wanted:
        left.put(name)

    def work() -> None:
        while True:
            try:
                name = left.get_nowait()
            except queue.Empty:
                return
            answers.put((name, _addresses(name)))

    for _ in range(min(_AT_ONCE, len(wanted))):
        threading.Thread(target=work, daemon=True).start()
    end = time.monotonic() + seconds
    for _ in wanted:
        try:
            name, answer = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[name] = answer
    return found


def namesOf(address: str, seconds: float) -> tuple[str, ...]:
    """
    The names and aliases of a host: those that its address resolves to I{and} that resolve to
    its address.

    @raise OSError: They cannot be had, or not in time.
    """
    end = time.monotonic() + seconds
    name, aliases, _ = _within(seconds, socket.gethostbyaddr, str(toAddress(address)))
    claimed = list(dict.fromkeys([name, *aliases]))[: maplimits.PEER_NAMES]
    ours = toAddress(address)
    forward = addressesOf(claimed, max(0.0, end - time.monotonic()))
    return tuple(
        name
        for name, found in forward.items()
        if not isinstance(found, str) and ours in map(toAddress, found)
    )


def ownName(seconds: float) -> str:
    """
    @return: The full name of this host; the short one if the resolver does not answer.
    """
    try:
        return str(_within(seconds, socket.getfqdn))
    except OSError:
        return socket.gethostname()


def _addresses(name: str) -> list[str] | str:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        return getattr(e, "strerror", None) or str(e)
    return sorted({str(sockaddr[0]) for *_, sockaddr in found})


def _within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """
    @raise OSError: It failed, or took too long.
    """
    answers: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((function(*arguments), None))
        except (OSError, UnicodeError) as e:
            answers.put((None, e))

    threading.Thread(target=work, daemon=True).start()
    try:
        answer, problem = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"the resolver gave no answer within {seconds:g} s") from None
    if problem is not None:
        raise OSError(str(problem)) from problem
    return answer
