"""
The gridmanager double's requests to one GAHP, and their results.

C{gc} is HTCondor's C{src/condor_gridmanager/gahp-client.cpp}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tests.gridmanagerdialogue import Dialogue, Wire
from tests.gridmanagerlines import OutOfStep, escape, number
from tests.gridmanagerloop import Loop, Steps

#: Ids are not used beyond (C{gc} C{new_reqid}).
LAST_ID = 990_000_000

#: Requests that one GAHP is given at a time.  GRIDMANAGER_MAX_PENDING_REQUESTS.
MOST_REQUESTS = 50

#: What a call gives where there is no result (C{gahp-client.h}); a GAHP must not use these.
PENDING, NOT_SUPPORTED, NOT_SUBMITTED, TIMED_OUT = -100, -101, -102, -103


class Requests(Dialogue):
    """
    A dialogue with requests that are answered later.

    @ivar counts: how many requests were C{issued}, C{answered}, C{timedOut}; how many answers
        were C{late}.
    @ivar limit: how many may be with the GAHP at a time.
    @ivar inFlight: how many are.
    @ivar givenUp: the ids of those whose callers have given up.
    """

    def __init__(self, loop: Loop, name: str, launch: Callable[[Dialogue], Wire]) -> None:
        super().__init__(loop, name, launch)
        self.counts = {"issued": 0, "answered": 0, "timedOut": 0, "late": 0}
        self._lastId = 1
        self.limit = MOST_REQUESTS
        self.inFlight = 0
        self.givenUp: set[int] = set()
        self._table: dict[int, Caller | None] = {}
        self._waiting: deque[int] = deque()

    def register(self, caller: Caller) -> Steps[int]:
        """
        Begin a request (C{gc} C{now_pending}).

        @return: its id.
        """
        self._lastId = self._lastId + 1 if self._lastId < LAST_ID else 1
        while self._lastId in self._table:
            self._lastId += 1
        requestId = self._lastId
        self._table[requestId] = caller
        caller.requestId = requestId
        if self.inFlight >= self.limit:
            self._waiting.append(requestId)
        else:
            yield from self._issue(caller)
        return requestId

    def forget(self, requestId: int, wasSent: bool) -> None:
        """
        Its caller has given up; the id is not used again before its answer has come.
        """
        self._table[requestId] = None
        self.givenUp.add(requestId)
        self.inFlight -= wasSent

    def _issue(self, caller: Caller) -> Steps[None]:
        fragments = [caller.command, b" %d " % caller.requestId, caller.arguments, b"\r\n"]
        self.write(fragments)
        reply = yield from self.readLine(caller.command)
        if self.isGood(reply):
            self.inFlight += 1
            self.counts["issued"] += 1
            caller.issued()
        elif reply[1:2] == [b"Threads limit reached"] and self.inFlight:
            self.limit = min(self.limit, self.inFlight)
            self._waiting.appendleft(caller.requestId)
        else:
            raise self.died(f"EXCEPT: bad {caller.command.decode()} request: {reply}")

    def poll(self) -> Steps[None]:
        """
        Fetch results, and issue what waited for room (C{gc} C{poll}).
        """
        self.pollPending = False
        if self.wire is None:
            return
        self.inResults = True
        lines = yield from self._readResults()
        self.inResults = False
        if lines is None:
            return
        self.lookForMore()
        for line in lines:
            self._takeResult(line)
        while self._waiting and self.inFlight < self.limit:
            caller = self._table.get(self._waiting[0])
            if caller is None:
                self._table.pop(self._waiting.popleft(), None)
            else:
                self._waiting.popleft()
                yield from self._issue(caller)

    def _readResults(self) -> Steps[list[list[bytes]] | None]:
        reply = yield from self.ask(b"RESULTS")
        if len(reply) < 2 or not self.isGood(reply):
            if reply:
                self.loop.trouble(OutOfStep(f"{self.name}: RESULTS answered with {reply}"))
            return None
        count = number(reply[1])
        if count < 0:
            raise self.died(f"ASSERT: RESULTS answered with {reply}")
        if not reply[1].isdigit() or len(reply) > 2:
            self.loop.trouble(OutOfStep(f"{self.name}: RESULTS answered with {reply}"))
        lines: list[list[bytes]] = []
        while len(lines) < count and (line := (yield from self.readLine(b"RESULTS"))):
            lines.append(line)
        return lines

    def _takeResult(self, line: list[bytes]) -> None:
        requestId = number(line[0]) if line else 0
        if not requestId or requestId not in self._table:
            return self.loop.trouble(OutOfStep(f"{self.name}: the result of nothing: {line}"))
        caller = self._table[requestId]
        if caller is None:
            self.counts["late"] += 1
        else:
            if caller.issuedAt is None:
                raise self.died(f"ASSERT: the result of a request not issued yet: {line}")
            self.inFlight -= 1
            self.counts["answered"] += 1
            caller.answered(line)
        del self._table[requestId]
        return None


class Caller:
    """
    Who makes requests, one at a time (C{gc} C{GenericGahpClient}).

    @ivar command: what was asked last, and not taken up; C{b""}: nothing.
    @ivar requestId: of what is asked; 0: nothing is.
    @ivar issuedAt: when the GAHP took it; C{None}: it has not, or it has answered.
    @ivar resultsOnly: nothing new is asked.
    """

    def __init__(self, dialogue: Requests, timeout: float, notify: Callable[[], None]) -> None:
        """
        @param notify: called when L{call} should be called again.
        """
        self.command = b""
        self.arguments = b""
        self.requestId = 0
        self.issuedAt: float | None = None
        self.resultsOnly = False
        self._dialogue = dialogue
        self._timeout = timeout
        self._notify = notify
        self._result: list[bytes] | None = None

    def call(self, command: bytes, count: int, *arguments: bytes) -> Steps[list[bytes] | int]:
        """
        Ask, or look whether what was asked is answered.

        @param count: the fields of the result, the id among them.
        @return: the fields, or one of the codes.
        """
        if not self._dialogue.lists(command):
            return NOT_SUPPORTED
        if self.command != command:
            if self.resultsOnly:
                return NOT_SUBMITTED
            self.forget()
            self.command = command
            self.arguments = b" ".join(map(escape, arguments))
            yield from self._dialogue.register(self)
        if self._result is not None:
            result = self._result
            self.forget()
            self._dialogue.expect(result, command, count)
            return result
        if self.issuedAt is not None and self._now() > self.issuedAt + self._timeout:
            self.forget()
            self._dialogue.counts["timedOut"] += 1
            return TIMED_OUT
        return PENDING

    def forget(self) -> None:
        """
        Give up what was asked; its answer will be late.
        """
        if self.requestId:
            self._dialogue.forget(self.requestId, self.issuedAt is not None)
            self._dialogue.loop.cancelTimer(self)
        self.command, self.requestId = b"", 0
        self.issuedAt = self._result = None

    def issued(self) -> None:
        """
        The GAHP has taken it.
        """
        self.issuedAt = self._now()
        delay = self._timeout + self._dialogue.loop.times.second
        self._dialogue.loop.setTimer(self, delay, self._alarm)

    def answered(self, line: list[bytes]) -> None:
        """
        The GAHP has answered.
        """
        self._dialogue.loop.cancelTimer(self)
        self._result = line
        self.requestId, self.issuedAt = 0, None
        self._notify()

    def _alarm(self) -> Steps[None]:
        yield from ()
        self._notify()

    def _now(self) -> float:
        return self._dialogue.loop.now()
