"""
The front between a gridmanager and a GAHP that a test plays line by line, with a clock
that only the test moves.
"""

from __future__ import annotations

from rvgahp.front import Front
from rvgahp.frontrules import AT_ONCE, RULES, Timers
from rvgahp.gahplines import LineSplitter

#: What the GAHPs list, in their order (facts from C{src/blahp/src/commands.c} and
#: C{src/condor_ft-gahp/io_loop.cpp}), and one that nobody knows.
BATCH_COMMANDS = (
    b"ASYNC_MODE_OFF ASYNC_MODE_ON BLAH_GET_HOSTPORT BLAH_JOB_CANCEL BLAH_JOB_HOLD"
    b" BLAH_JOB_REFRESH_PROXY BLAH_JOB_RESUME BLAH_JOB_SEND_PROXY_TO_WORKER_NODE"
    b" BLAH_JOB_STATUS BLAH_JOB_SUBMIT BLAH_PING BLAH_SET_SUDO_OFF BLAH_NEW COMMANDS QUIT"
    b" RESULTS VERSION"
)
FILE_COMMANDS = (
    b"DOWNLOAD_SANDBOX UPLOAD_SANDBOX DOWNLOAD_PROXY DESTROY_SANDBOX GET_SANDBOX_PATH"
    b" CREATE_CONDOR_SECURITY_SESSION CONDOR_VERSION ASYNC_MODE_ON ASYNC_MODE_OFF RESULTS"
    b" QUIT VERSION COMMANDS"
)

BANNERS = {
    "blahpd": b"$GahpVersion: 1.8.0 Mar 31 2008 INFN\\ blahpd\\ (poly,new_esc_format) $\r\n",
    "condor_ft-gahp": b"$GahpVersion 2.0.1 Jul 30 2012 Condor_FT_GAHP $\n",
}

#: The fields of a success after the id, by command.
SUCCESS = {
    b"BLAH_PING": b"0 No\\ error",
    b"BLAH_JOB_SUBMIT": b"0 No\\ error slurm/1/ID",
    b"BLAH_JOB_STATUS": b"0 No\\ error 2 [\\ Job=ID;\\ ]",
    b"BLAH_JOB_CANCEL": b"0 No\\ error",
    b"BLAH_JOB_REFRESH_PROXY": b"0 No\\ error",
    b"BLAH_JOB_HOLD": b"0 No\\ error",
    b"BLAH_NEW": b"0 new",
    b"DOWNLOAD_SANDBOX": b"NULL /path/ID",
    b"UPLOAD_SANDBOX": b"NULL",
    b"DOWNLOAD_PROXY": b"NULL",
    b"DESTROY_SANDBOX": b"NULL",
}


class Recorder:
    """
    Where the front's output goes, which is looked at as it comes.

    @ivar said: what went to the gridmanager, and is not looked at yet.
    @ivar sent: what went to the GAHP, and is not looked at yet.
    @ivar unconfirmed: lines that went to the GAHP that runs, and that the CE has not
        acknowledged.
    @ivar lost: how many of them are to be taken back next, of those not looked at yet.
    @ivar asked: how often the GAHP has been asked for results, and not answered.
    @ivar complaints: lines of stderr.
    @ivar ends: how often the GAHP's stdin was closed.
    @ivar greetings: how often a GAHP was ready.
    @ivar over: why GAHPs were over that are to be started again.
    @ivar finished: the statuses and sentences with which the client ended.
    """

    def __init__(self) -> None:
        self.isLive = False
        self.said = b""
        self.sent = b""
        self.unconfirmed = self.lost = self.asked = 0
        self.complaints: list[str] = []
        self.ends = self.greetings = 0
        self.over: list[str] = []
        self.finished: list[tuple[int | None, str]] = []

    def toGridmanager(self, data: bytes) -> None:
        assert not self.finished, "said after the end"
        assert data.endswith(b"\n"), f"half a line: {data!r}"
        self.said += data

    def toSite(self, lines: list[bytes]) -> None:
        assert self.isLive, "sent while the link is not live"
        assert not self.finished and not self.ends, "sent after the end"
        for line in lines:
            assert line.endswith(b"\r\n"), f"half a line: {line!r}"
        self.sent += b"".join(lines)
        self.asked += lines.count(b"RESULTS\r\n")
        self.unconfirmed += len(lines)

    def takeBack(self) -> int:
        assert not self.finished, "taken back after the end"
        count, self.lost = self.lost, 0
        lines = self.sent.split(b"\r\n")[:-1]
        kept = len(lines) - count
        assert kept >= 0, "taken back what was looked at"
        self.asked -= lines[kept:].count(b"RESULTS")
        self.sent = b"".join([line + b"\r\n" for line in lines[:kept]])
        self.unconfirmed -= count
        return count

    def endSite(self) -> None:
        assert not self.finished and not self.ends, "closed twice"
        self.ends += 1

    def ready(self) -> None:
        assert not self.finished, "ready after the end"
        self.greetings += 1

    def siteOver(self, sentence: str) -> None:
        assert not self.finished, "over after the end"
        self.isLive = False
        self.sent = b""
        self.unconfirmed = self.lost = self.asked = 0
        self.over.append(sentence)

    def complain(self, sentence: str) -> None:
        assert not self.finished, "complained after the end"
        self.complaints.append(sentence)

    def finish(self, status: int | None, sentence: str) -> None:
        assert not self.finished, "finished twice"
        self.finished.append((status, sentence))


class World:
    """
    A front that is ready, with its link live, unless C{isReady} is false.

    @ivar now: the time.
    """

    def __init__(
        self, gahp: str = "blahpd", isReady: bool = True, timers: Timers | None = None
    ) -> None:
        self.now = 1000.0
        self.gahp = gahp
        self.output = Recorder()
        self.front = Front(gahp, self.output, lambda: self.now, timers)
        if isReady:
            self.start()
            self.gridmanager(b"ASYNC_MODE_ON")
            self.take()

    def start(self) -> list[bytes]:
        """
        A GAHP is started, for the first time or again, and is greeted; its link is live.

        @return: the lines that it gets then.
        """
        self.front.siteStarted()
        self.link(True)
        self.front.siteData(BANNERS.get(self.gahp, BANNERS["blahpd"]))
        assert self.sent() == [b"COMMANDS", b"ASYNC_MODE_ON"]
        self.front.siteData(b"S " + self.listed() + b"\nS\n")
        return self.sent()

    def listed(self) -> bytes:
        """
        @return: the names that the GAHP lists.
        """
        return FILE_COMMANDS if self.gahp == "condor_ft-gahp" else BATCH_COMMANDS

    def gridmanager(self, *lines: bytes) -> list[bytes]:
        """
        The gridmanager writes lines.

        @return: the lines that come back at once.
        """
        self.front.gridmanagerData(b"".join([line + b"\r\n" for line in lines]))
        return self.heard()

    def site(self, *lines: bytes) -> list[bytes]:
        """
        The GAHP writes lines.

        @return: the lines that reach the gridmanager.
        """
        self.front.siteData(b"".join([line + b"\r\n" for line in lines]))
        return self.heard()

    def heard(self) -> list[bytes]:
        """
        @return: the lines that the gridmanager has got since the last look.
        """
        said, self.output.said = self.output.said, b""
        lines = LineSplitter(len(said) + 1, b"\n").feed(said)
        return [line[:-1] if line.endswith(b"\r") else line for line in lines if line is not None]

    def sent(self) -> list[bytes]:
        """
        @return: the lines that the GAHP has got since the last look.
        """
        sent, self.output.sent = self.output.sent, b""
        return sent.split(b"\r\n")[:-1]

    def take(self) -> None:
        """
        Look at nothing that has been.
        """
        self.heard()
        self.sent()

    def link(self, isLive: bool) -> list[bytes]:
        """
        The link changes.

        @return: the lines that reach the gridmanager.
        """
        self.output.isLive = isLive
        self.front.linkChanged(isLive)
        return self.heard()

    def resume(self, lost: int = 0) -> list[bytes]:
        """
        The stream has another channel, and the link is live.

        @param lost: so many of the lines that were sent and not looked at have not arrived.
        @return: the lines that reach the gridmanager.
        """
        self.output.lost = lost
        self.front.resumed()
        return self.link(True)

    def wait(self, seconds: float) -> list[bytes]:
        """
        Time passes, and C{tick} is called whenever it is due.

        @return: the lines that reach the gridmanager.
        """
        end = self.now + seconds
        for _ in range(10_000):
            due = self.front.nextDeadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.front.tick()
        else:
            raise AssertionError("the front asks for a tick without end")
        self.now = end
        return self.heard()

    def work(self, seconds: float) -> list[bytes]:
        """
        Time passes, in which the GAHP is about what it has acknowledged: whenever it is asked
        for results, there are none yet.

        @return: the lines that reach the gridmanager.
        """
        end, said = self.now + seconds, self.heard()
        while self.now < end:
            said += self.wait(min(60.0, end - self.now))
            if self.output.asked:
                said += self.conclude()
        return said

    def results(self) -> list[bytes]:
        """
        @return: what RESULTS brings, without the line with the number.
        """
        count, *lines = self.gridmanager(b"RESULTS")
        assert count.split() == [b"S", str(len([one for one in lines if one != b"R"])).encode()]
        return [line for line in lines if line != b"R"]

    def conclude(self, *results: bytes) -> list[bytes]:
        """
        The GAHP has results, says so, is asked and tells them.

        @return: the lines that reach the gridmanager.
        """
        lost = len(self.output.over)
        while not self.output.asked:
            assert len(self.output.over) == lost, self.output.over[-1]
            self.site(b"R")
        self.output.asked -= 1
        return self.site(b"S %d" % len(results), *results)

    def confirm(self, count: int) -> None:
        """
        The CE acknowledges so many more lines.
        """
        self.output.unconfirmed -= count
        self.front.confirmed(count)

    def confirmAll(self) -> None:
        """
        The CE acknowledges all that was sent.
        """
        self.confirm(self.output.unconfirmed)


class PlayedGAHP:
    """
    A GAHP that behaves as blahpd and condor_ft-gahp do: a line for each line, in order,
    R in asynchronous mode, results when the test lets a request finish.  What it writes
    reaches the front in whatever portions the test likes.

    @ivar unread: what it has written and the front has not got.
    @ivar running: the requests at work, by id.
    @ivar given: every line that it has read, in order.
    @ivar taken: every line that it has acknowledged with S, in order.
    @ivar results: every result line that it has told, in order.
    """

    def __init__(self, world: World, threads: int = 50) -> None:
        self.unread = b""
        self.running: dict[bytes, bytes] = {}
        self.given: list[bytes] = []
        self.taken: list[bytes] = []
        self.results: list[bytes] = []
        self._world = world
        self._threads = threads
        self._ready: list[bytes] = []
        self._noticed = False

    def read(self) -> None:
        """
        Read what has been sent, and answer it.
        """
        for line in self._world.sent():
            self.unread += self._answer(line) + b"\r\n"

    def _answer(self, line: bytes) -> bytes:
        self.given.append(line)
        name, *words = line.split(b" ")
        rule = RULES.get(name.upper())
        isRequest = name == b"BLAH_NEW" if rule is None else rule.who == AT_ONCE
        if name == b"RESULTS":
            ready, self._ready, self._noticed = self._ready, [], False
            self.results += ready
            return b"\r\n".join([b"S %d" % len(ready), *ready])
        if isRequest and len(self.running) >= self._threads:
            return b"F Threads\\ limit\\ reached"
        assert words[:1] != [] or not isRequest
        self.taken.append(line)
        if isRequest:
            assert words[0] not in self.running, "an id that is at work"
            self.running[words[0]] = name
            return b"S"
        if name == b"GET_SANDBOX_PATH":
            return b"S /path/" + words[0]
        return b"S " + line.replace(b" ", b"\\ ")

    def finish(self, requestId: bytes, fields: bytes | None = None) -> None:
        """
        A request is done.

        @param fields: the result's after the id; else those of success.
        """
        name = self.running.pop(requestId)
        if fields is None:
            fields = SUCCESS[name].replace(b"ID", requestId)
        self._ready.append(requestId + b" " + fields)
        if not self._noticed:
            self._noticed = True
            self.unread += b"R\r\n"

    def deliver(self, count: int) -> None:
        """
        The front gets some of what was written.
        """
        data, self.unread = self.unread[:count], self.unread[count:]
        if data:
            self._world.front.siteData(data)
