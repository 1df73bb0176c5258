# -*- test-case-name: tests.test_doctor -*-
"""
C{rvgahp doctor}: the daemon that runs, by its own word.

Layer 6; L{rvgahp.statusclient}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rvgahp import __version__
from rvgahp.doctorcase import Case
from rvgahp.errors import RvgahpError
from rvgahp.findings import Finding, Findings, ok, warning, wrong
from rvgahp.serviceunits import startCommand
from rvgahp.statussocket import statusPath

__all__ = ["consult", "daemon", "environmentOf"]

#: Sites that are named.
_SHOWN = 10


#: How a daemon that works is started again, and what becomes of what runs.
_AGAIN = {
    "proxy": "start it again ({}): what runs goes on.",
    "ce": "start it again when it suits ({}): its GAHPs end with it, and HTCondor starts others;"
    " jobs run on.  To let files arrive first: rvgahp drain.",
}

_POLICY = (
    "change RVGAHP.SEC_DEFAULT_ENCRYPTION, RVGAHP.SEC_DEFAULT_INTEGRITY or"
    " RVGAHP.SEC_DEFAULT_CRYPTO_METHODS at the proxy or at the site, and start that daemon again."
)


def ask(path: str) -> dict[str, Any]:
    """
    Ask, by a reactor of our own: that of twistd's kind would take the signals from us, and the
    main thread.

    @return: what the daemon says of itself.
    @raise RvgahpError: none answers.
    """
    from twisted.internet.defer import Deferred
    from twisted.internet.pollreactor import PollReactor

    from rvgahp import statusclient

    reactor: Any = PollReactor()
    came: list[Any] = []

    async def main() -> None:
        try:
            came.append(await statusclient.ask(reactor, path, "GET", "/v1/status"))
        except Exception as e:
            came.append(e)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
    reactor.run(installSignalHandlers=False)
    (answer,) = came
    if isinstance(answer, Exception):
        raise answer
    found: dict[str, Any] = answer
    return found


def consult(case: Case, asking: Callable[[str], dict[str, Any]] = ask) -> Findings:
    """
    Ask the daemon, if it runs; C{case} gets what it says, and nothing is found yet.

    @param asking: as L{ask}.
    """
    try:
        case.seen = asking(statusPath(case.settings))
    except RvgahpError as e:
        case.absence = str(e)
    return iter(())


def daemon(case: Case) -> Findings:
    """
    Whether it runs, and what needs attention there.
    """
    seen, path = case.seen, statusPath(case.settings)
    if seen is None:
        yield wrong(
            "daemon",
            f"{case.daemon} does not run with these settings: {case.absence}",
            f"start it: {startCommand(case.settings.role)}; if it does run, see which --config it"
            " was given.",
        )
        return
    yield ok("daemon", f"{seen['software']} runs as process {seen['pid']} ({path})")
    yield from _differences(case, seen)
    for one in seen.get("proxies", ()):
        yield _proxy(one)
    if "sites" in seen:
        here = [one["site"] for one in seen["sites"] if one["connected"]]
        more = ", ..." if len(here) > _SHOWN else ""
        names = f": {', '.join(here[:_SHOWN])}{more}" if here else ""
        yield ok("sites", f"{len(here)} of {len(seen['sites'])} are connected{names}")
        for one in seen["sites"]:
            if one.get("conflict"):
                words = f"at site {one['site']} no GAHP can be started: {one['conflict']}"
                yield wrong("sites", words, _POLICY)
    for sentence in seen["attention"]:
        yield warning("attention", sentence, "rvgahp status shows more; doc/messages.rst has it.")


def _differences(case: Case, seen: dict[str, Any]) -> Findings:
    """
    What of the process is otherwise than what we have looked at.
    """
    software = f"rvgahp {__version__}"
    if seen["software"] != software:
        remedy = _AGAIN[case.settings.role].format(startCommand(case.settings.role))
        words = f"it is {seen['software']}, and what is installed is {software}"
        yield warning("daemon", words, remedy)
    used = _configOf(seen["pid"])
    ours = case.configuration.file
    if used and (ours is None or os.path.realpath(used) != os.path.realpath(ours)):
        where = case.configuration.where
        yield warning(
            "daemon",
            f"it was started with --config {used}, and what was looked at is {where}",
            f"run rvgahp doctor --role {case.settings.role} --config {used}.",
        )


def _configOf(pid: int) -> str:
    """
    @return: the file that a process was given; empty if that cannot be seen.
    """
    try:
        words = [os.fsdecode(word) for word in _wordsOf(pid)]
        directory = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--config="):
            return os.path.join(directory, word.partition("=")[2])
        if word in ("--config", "-c"):
            return os.path.join(directory, following)
    return ""


def _wordsOf(pid: int) -> list[bytes]:
    """
    @return: the command line of a process.
    @raise OSError: it cannot be seen.
    """
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")


def environmentOf(pid: int) -> dict[str, str] | None:
    """
    @return: the environment that a process was started with; L{None} if that cannot be seen.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


def _proxy(one: dict[str, Any]) -> Finding:
    """
    A CE's proxy.
    """
    place = f"{one['host']}:{one['port']}"
    if one.get("conflict"):
        words = (
            f"the proxy at {place} has accepted us, and no GAHP can be started: {one['conflict']}"
        )
        return wrong("connection", words, _POLICY)
    if one["connected"]:
        return ok("connection", f"the proxy at {place} has accepted us ({one['software']})")
    return wrong(
        "connection",
        f"there is none to the proxy at {place}: {one['reason'] or 'no reason is known yet'}",
        "the CE goes on dialling; doc/messages.rst has the cause.",
    )
