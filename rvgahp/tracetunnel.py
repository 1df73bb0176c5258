# -*- test-case-name: tests.test_tracetunnel -*-
"""
The part of C{rvgahp trace} that looks after files: condor_ft-gahp is started as the
gridmanager would, and its tunnel is used.

Layer 6.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rvgahp import limits, tunnellimits
from rvgahp.errors import RvgahpError
from rvgahp.gahpdialogue import Dialogue, GaveUp
from rvgahp.inquiry import Inquiry
from rvgahp.localcommands import ProbeTunnel
from rvgahp.patience import TookTooLong
from rvgahp.trace import Trace, Trouble
from rvgahp.traceport import TracePort, connectRequest, makeName
from rvgahp.tracewords import FORWARDED, NO_TUNNEL, REFUSED, UNGUARDED

#: Seconds for the answer to ProbeTunnel: a little more than the proxy has for the CE's.
_PROBE_LIMIT = tunnellimits.PROBE_TIMEOUT + limits.CALL_TIMEOUT + 2

#: Seconds from the end of a connection that the client has refused until it says so: it
#: tells the site first.
_WORD_LIMIT = tunnellimits.END_TIMEOUT + 2


class TunnelTrace:
    """
    A condor_ft-gahp at a site, and a port of ours in the place of its gridmanager's.
    """

    def __init__(self, words: Sequence[str], inquiry: Inquiry, trace: Trace) -> None:
        """
        @param words: the client's command line.
        @param inquiry: of the proxy that it will ask.
        @raise OSError: there is no port, or the client cannot be started.
        """
        self._inquiry = inquiry
        self._saw = trace.saw
        self._port = TracePort()
        environ = {**os.environ, "CONDOR_INHERIT": self._port.inherit()}
        try:
            self._dialogue = Dialogue(words, trace.patience, environ)
        except BaseException:
            self._port.close()
            raise

    def close(self) -> None:
        """
        Leave nothing behind.
        """
        self._dialogue.close()
        self._port.close()

    def quit(self) -> None:
        """
        End the GAHP in good order, if it can be.
        """
        with suppress(RvgahpError):
            self._dialogue.quit()

    # -- the steps ----------------------------------------------------------

    def start(self) -> None:
        """
        The GAHP says what it is.
        """
        self._saw("pid", self._dialogue.pid)
        try:
            self._saw("banner", self._dialogue.banner())
        except GaveUp as e:
            raise Trouble(str(e), REFUSED) from None
        reply = self._dialogue.ask("COMMANDS")
        if reply[0] != "S":
            raise RvgahpError(f"COMMANDS was answered {' '.join(reply)}")
        self._saw("commands", reply[1:])

    def announced(self) -> None:
        """
        The gridmanager would know a port at the site.
        """
        if self._dialogue.tunnel is None:
            said = self._dialogue.lastWords()
            raise Trouble(
                "the GAHP has no tunnel: the client has told its gridmanager of no port"
                + (f" ({said})" if said else ""),
                NO_TUNNEL,
            )
        port, address = self._dialogue.tunnel
        self._saw("port", port)
        self._saw("target", address)

    def passed(self) -> None:
        """
        A connection from the site comes here, and our answer goes back.
        """
        began = time.monotonic()
        result = self._probe(self._port.request)
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        if self._isForwarded():
            self._passedOn(result, took)
        elif result["answer"] == self._port.word:
            self._saw("answered", f"a connection from the site, in {took}")
        else:
            raise RvgahpError(self._whatCame(result))

    def _isForwarded(self) -> bool:
        assert self._dialogue.tunnel is not None
        host, port = self._port.address
        return self._dialogue.tunnel[1] != f"{host}:{port}"

    def _passedOn(self, result: dict[str, Any], took: str) -> None:
        """
        It goes where RVGAHP_FORWARD_TO says, to a shared port that does not know us.
        """
        if result["problem"]:
            raise Trouble(f"a connection from the site failed: {result['problem']}", FORWARDED)
        self._saw("closed", f"a connection from the site, in {took}, by what listens there")

    def _whatCame(self, result: dict[str, Any]) -> str:
        """
        @return: why a connection is not as it should be.
        """
        if result["problem"]:
            if self._port.answered:
                return f"the answer to a connection from the site got lost: {result['problem']}"
            return f"a connection from the site failed: {result['problem']}"
        if not self._port.arrivals:
            return "a connection from the site ended, and none has come here"
        count = len(result["answer"])
        return f"a connection from the site has got {count} bytes that were not sent here"

    def guarded(self) -> None:
        """
        A connection from the site that asks for somebody else comes to nobody.
        """
        before = self._port.look()
        other = makeName("other")
        result = self._probe(connectRequest(other))
        came = self._port.look() - before
        if came or result["answer"]:
            raise Trouble(
                f"a connection that asks for another daemon was let through: {came} came here,"
                f" and {len(result['answer'])} bytes went back",
                UNGUARDED,
            )
        try:
            self._saw("refused", self._dialogue.complaint(other, _WORD_LIMIT))
        except TookTooLong:
            raise RvgahpError(
                "a connection that asks for another daemon came to nothing, and not because the"
                f" client refused it: {result['problem'] or 'it ended in good order'}"
            ) from None

    def _probe(self, request: bytes) -> dict[str, Any]:
        return self._inquiry.askBeside(
            self._port, _PROBE_LIMIT, ProbeTunnel, process=self._dialogue.pid, request=request
        )
