# -*- test-case-name: tests.test_whole_trace -*-
"""
The steps of C{rvgahp trace}: from the settings of whoever asks to a job at a site, each
as the gridmanager would take it, by the same way.

Layer 6.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rvgahp import __version__, localcommands
from rvgahp.clientwords import Arguments
from rvgahp.errors import ConfigurationError, NotAuthorized, PolicyConflict, RvgahpError
from rvgahp.gahpdialogue import Dialogue, GaveUp, findClient
from rvgahp.gahpjob import GAHPJob
from rvgahp.inquiry import Inquiry, NoProxy
from rvgahp.names import FILE_TRANSFER_GAHP
from rvgahp.proxysocket import connect, findSocket
from rvgahp.trace import Observer, Result, Skipped, Trace, Trouble
from rvgahp.tracejob import EchoJob
from rvgahp.tracetunnel import TunnelTrace
from rvgahp.tracewords import (
    NO_FILE_TRANSFER,
    NOT_OFFERED,
    OTHER_PROGRAM,
    REFUSED,
    account,
    notAllowed,
    policyWords,
    sourceOf,
    when,
    whyNot,
)

#: Seconds for BLAH_PING.  blahpd ends a batch system's command that is silent for 30 s.
PING_LIMIT = 60.0


class SiteTrace:
    """
    A trace of the way to one site.
    """

    def __init__(
        self, words: Sequence[str], lrms: str, withJob: bool, wake: int, observer: Observer
    ) -> None:
        """
        @param words: what the client gets: a place, a GAHP, and what options there are.
        @param lrms: what BLAH_PING is to name; empty: what the GAHP lets us know.
        @param withJob: whether to run a job.
        @param wake: a non-blocking descriptor that becomes readable when we are to end.
        @raise rvgahp.clientwords.Misuse: C{words} make no sense.
        """
        self._words = list(words)
        self._asked = Arguments(self._words)
        self._lrms = lrms
        self._withJob = withJob
        self._trace = Trace(wake, observer)
        self._saw = self._trace.saw
        self._inquiry: Inquiry | None = None
        self._dialogue: Dialogue | None = None
        self._tunnel: TunnelTrace | None = None
        self._path = self._client = self._banner = ""
        self._site: dict[str, Any] = {}
        self._commands: list[str] = []

    def run(self) -> Result | None:
        """
        Take the steps, and leave nothing behind.

        @return: the one that failed, or L{None}.
        """
        steps: dict[str, Callable[[], object]] = {
            "settings": self._settings,
            "socket": self._socket,
            "proxy": self._proxy,
            "site": self._describeSite,
            "policy": self._policy,
            "gahp": self._gahp,
            "commands": self._askCommands,
            "ping": self._ping,
            "files": self._files,
            "tunnel": self._through(TunnelTrace.announced),
            "passage": self._through(TunnelTrace.passed),
            "guard": self._through(TunnelTrace.guarded),
            "job": self._job,
        }
        try:
            failed = self._trace.run(steps)
            if failed is None and self._dialogue is not None:
                with suppress(RvgahpError):
                    self._dialogue.quit()
            if failed is None and self._tunnel is not None:
                self._tunnel.quit()
            return failed
        finally:
            if self._tunnel is not None:
                self._tunnel.close()
            if self._inquiry is not None:
                self._inquiry.close()
            if self._dialogue is not None:
                self._dialogue.close()

    # -- the steps ----------------------------------------------------------

    def _settings(self) -> None:
        self._saw("software", f"rvgahp {__version__}")
        self._saw("account", account(os.getuid()))
        self._path = findSocket(self._asked.socket)
        self._saw("socket", self._path)
        self._saw("found", sourceOf(self._path, self._asked.socket))
        self._client = findClient()
        self._saw("client", self._client)

    def _socket(self) -> None:
        try:
            connection = connect(self._path)
        except NotAuthorized as e:
            raise Trouble(
                str(e),
                "Find out who that is, and trust nothing there. If it is the proxy's account, name"
                " it in RVGAHP_ACCOUNT.",
            ) from None
        except ConfigurationError as e:
            raise Trouble(str(e), whyNot(self._path)) from None
        self._inquiry = Inquiry(connection, self._trace.patience)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("3i", peer)
        self._saw("account", account(uid))
        self._saw("pid", pid)

    def _proxy(self) -> None:
        assert self._inquiry is not None
        try:
            answer = self._inquiry.ask(localcommands.DescribeProxy)
        except NoProxy as e:
            raise Trouble(str(e), OTHER_PROGRAM) from None
        self._saw("software", answer["software"])
        self._saw("policy", policyWords(answer["policy"]))
        self._saw("user", answer["user"])

    def _describeSite(self) -> None:
        assert self._inquiry is not None
        asked = self._asked
        try:
            self._site = self._inquiry.ask(
                localcommands.DescribeSite, site=asked.site, account=asked.account, gahp=asked.gahp
            )
        except NotAuthorized as e:
            raise Trouble(str(e), notAllowed(str(e))) from None
        self._saw("site", self._site["site"])
        self._saw("since", when(self._site["since"]))
        for name in ("address", "software", "gahps"):
            self._saw(name, self._site[name])
        if FILE_TRANSFER_GAHP not in self._site["gahps"]:
            self._saw("note", NO_FILE_TRANSFER)

    def _policy(self) -> None:
        self._saw("identity", self._site["identity"])
        self._saw("method", self._site["authentication"])
        if self._site["issuer"]:
            self._saw("issuer", self._site["issuer"])
            self._saw("expires", when(self._site["expires"]))
        self._saw("policy", policyWords(self._site["policy"]))
        words = (self._site["outcome"], self._site["method"])
        self._saw("outcome", " ".join(filter(None, words)) or "none that suits both")
        if self._site["conflict"]:
            raise PolicyConflict(self._site["conflict"])

    def _gahp(self) -> None:
        self._dialogue = Dialogue([self._client, *self._words], self._trace.patience)
        self._saw("pid", self._dialogue.pid)
        try:
            self._banner = self._dialogue.banner()
        except GaveUp as e:
            offered = self._asked.gahp in self._site["gahps"]
            raise Trouble(str(e), REFUSED if offered else NOT_OFFERED) from None
        self._saw("banner", self._banner)

    def _askCommands(self) -> None:
        assert self._dialogue is not None
        reply = self._dialogue.ask("COMMANDS")
        if reply[0] != "S":
            raise RvgahpError(f"COMMANDS was answered {' '.join(reply)}")
        self._commands = reply[1:]
        self._saw("commands", self._commands)

    def _ping(self) -> None:
        assert self._dialogue is not None
        if not self._has("BLAH_PING"):
            raise Skipped("the GAHP has no BLAH_PING, and so the gridmanager asks none")
        lrms = self._manager()
        rc, error = self._dialogue.result("BLAH_PING", lrms, fields=2, limit=PING_LIMIT)
        if rc != "0":
            raise RvgahpError(f"the batch system cannot be used: {error}")
        self._saw("answer", error)

    def _files(self) -> None:
        assert self._inquiry is not None
        if FILE_TRANSFER_GAHP not in self._site["gahps"]:
            raise Skipped(f"the site offers no {FILE_TRANSFER_GAHP}")
        words = [self._client, *self._words[:-1], FILE_TRANSFER_GAHP]
        self._tunnel = TunnelTrace(words, self._inquiry, self._trace)
        self._tunnel.start()

    def _through(self, step: Callable[[TunnelTrace], None]) -> Callable[[], None]:
        """
        @return: a step that needs the tunnel.
        """

        def take() -> None:
            if self._tunnel is None:
                raise Skipped("there is no tunnel to be tried")
            step(self._tunnel)

        return take

    def _job(self) -> None:
        assert self._dialogue is not None
        if not self._withJob:
            raise Skipped("not asked for (--job)")
        if not self._has("BLAH_JOB_SUBMIT"):
            raise Trouble(
                f"{self._asked.gahp} takes no jobs: it has no BLAH_JOB_SUBMIT",
                "Name a batch GAHP with --gahp.",
            )
        job = GAHPJob(self._dialogue, self._trace.patience, self._saw)
        EchoJob(job, self._manager(), self._saw).run()

    def _has(self, command: str) -> bool:
        return command in map(str.upper, self._commands)

    def _manager(self) -> str:
        """
        @return: the local resource manager to be named.
        @raise Trouble: it is not known.
        """
        if not self._lrms and "rvgahp_blahpd" not in self._banner:
            raise Trouble(
                "the batch system is not known",
                "Name it with --lrms: the word after batch in grid_resource (slurm, pbs, ...).",
            )
        lrms = self._lrms or "fork"
        self._saw("lrms", lrms)
        return lrms
