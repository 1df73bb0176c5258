# -*- test-case-name: tests.test_processlauncher -*-
"""
The CE's side of L{rvgahp.launcher}, which is the parent of all GAHPs.

Layer 3.  The launcher is started when it is first needed, and again after it was
lost; that of a CE which was root once, and never again.
"""

from __future__ import annotations

import array
import errno
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from rvgahp import launcher, launcherrules, limits
from rvgahp.descriptor import Descriptor
from rvgahp.errors import ConfigurationError

_GONE = "rvgahp-ce at the site has lost its launcher, and ends"
_LOST = "the site's CE lost its launcher, the parent of all GAHPs, and they ended with it"


class LaunchUser(Protocol):
    """
    Who is told of a launched process.
    """

    def launched(self, uid: int) -> None:
        """
        The program runs.

        @param uid: the account that it runs as.
        """

    def launchFailed(self, problem: str) -> None:
        """
        The program could not be executed.  Nothing else is called.
        """

    def exited(self, signalled: bool, value: int, why: str = "") -> None:
        """
        It ended: with status C{value}, or by signal C{value}.

        @param why: what only the CE can know of the reason, for people.
        """


class _Words(ProcessProtocol):
    """
    What the launcher itself says: nothing, unless it has a bug.
    """

    log = Logger()

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.log.error("The launcher: {words}", words=data.decode("utf-8", "replace").strip())

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class _Link(Descriptor):
    """
    The packets to and from one launcher.
    """

    def __init__(self, loop: Any, connection: socket.socket, owner: ProcessLauncher) -> None:
        super().__init__(loop, connection.fileno(), connection)
        self._connection = connection
        self._ownerOfAll = owner
        self._packets: deque[tuple[bytes, list[int]]] = deque()
        self.resumeReading()

    def send(self, request: dict[str, Any], fds: list[int] | None = None) -> None:
        """
        Send a request now or as soon as it is taken; C{fds} are closed then.
        """
        self._packets.append((json.dumps(request).encode(), fds or []))
        if not self._writing:
            self.doWrite()

    def doWrite(self) -> None:
        while self._packets:
            data, fds = self._packets[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                self._connection.sendmsg([data], rights)
            except BlockingIOError:
                break
            except OSError as e:
                self._refuse(e)
                return
            self._sent()
        self._watchPackets()

    def _watchPackets(self) -> None:
        if bool(self._packets) != self._writing and not self.isClosed:
            self._writing = not self._writing
            watch = self._loop.addWriter if self._writing else self._loop.removeWriter
            watch(self)

    def _sent(self) -> None:
        for fd in self._packets.popleft()[1]:
            os.close(fd)

    def _refuse(self, problem: OSError) -> None:
        """
        The first packet cannot be sent: too large, or nobody is there.
        """
        request = json.loads(self._packets[0][0])
        size = len(self._packets[0][0])
        self._sent()
        if "start" in request:
            words = problem.strerror or str(problem)
            if problem.errno == errno.EMSGSIZE:
                words = f"its arguments and environment, {size} bytes, are more than can be sent"
            self._ownerOfAll.failed(request["start"], words)
        self._loop.callLater(0, self.doWrite)

    def doRead(self) -> None:
        try:
            data = self._connection.recv(launcher.PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._ownerOfAll.reported(json.loads(data))
        else:
            self.readEnded("")

    def readEnded(self, problem: str) -> None:
        if not self.isClosed:
            self.close()
            self._ownerOfAll.lost()

    def close(self) -> None:
        while self._packets:
            self._sent()
        super().close()


class ProcessLauncher:
    """
    Starts processes by way of the launcher.
    """

    log = Logger()

    def __init__(self, reactor: Any, grace: float) -> None:
        """
        @param grace: seconds from TERM to KILL if the CE dies.
        """
        self._reactor = reactor
        self._grace = grace
        self._link: _Link | None = None
        self._lost: Callable[[], object] | None = None
        self._users: dict[int, LaunchUser] = {}
        self._pids: dict[int, int] = {}
        self._count = 0
        self._ended: Deferred[None] = succeed(None)

    def start(self) -> None:
        """
        Start the launcher, if there is none.

        @raise OSError: it cannot be started.
        """
        if self._link is not None:
            return
        if self._lost is not None:
            raise OSError(errno.ECHILD, _GONE)
        ours = self._spawn()
        ours.setblocking(False)
        self._link = _Link(self._reactor, ours, self)

    def startRuled(self, rules: Mapping[str, Any], lost: Callable[[], object]) -> None:
        """
        As root, start one that stays root.  Only GAHPs that the rules name can then be
        started, by C{gahp} and C{account}.  Blocks until it has its rules.

        @param rules: for L{rvgahp.launcherrules}.
        @param lost: called when it is lost; there will be no other.
        @raise OSError: it cannot be started.
        @raise ConfigurationError: it cannot do what the rules say.
        """
        self._lost = lost
        ours = self._spawn("rules")
        try:
            ours.settimeout(limits.LAUNCHER_TIMEOUT)
            ours.send(json.dumps(rules).encode())
            answer = ours.recv(launcher.PACKET_BYTES)
            if not answer:
                raise OSError(errno.ECHILD, "it ended")
            if answer != launcherrules.READY:
                raise ConfigurationError(json.loads(answer)["problem"])
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        self._link = _Link(self._reactor, ours, self)

    def _spawn(self, *further: str) -> socket.socket:
        """
        @param further: words for the launcher.
        @return: our end of the socket to a new one.
        @raise OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, "-I", "-S", launcher.__file__, str(self._grace), *further]
        protocol = _Words()
        fds = {0: theirs.fileno(), 1: "r", 2: "r"}
        try:
            # With our environment: the interpreter may need it (LD_LIBRARY_PATH), and the
            # locale decides what bytes a path is.
            self._reactor.spawnProcess(protocol, sys.executable, words, None, childFDs=fds)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._ended = protocol.ended
        return ours

    def stop(self) -> Deferred[None]:
        """
        Let go of the launcher; it ends what still runs, and itself.

        @return: fires when nothing of it is left.
        """
        if self._link is not None:
            self._link.close()
            self._link = None
        return self._ended

    def launch(
        self,
        user: LaunchUser,
        request: Mapping[str, Any],
        streams: list[int],
    ) -> int:
        """
        Start a process; C{user} is told how that ends.

        @param request: the launcher's request, without its id.
        @param streams: its stdin, stdout and stderr; closed here when they are on
            their way.
        @return: a number, for L{signal}.
        @raise OSError: there is no launcher.
        """
        try:
            self.start()
        except OSError:
            for fd in streams:
                os.close(fd)
            raise
        self._count += 1
        self._users[self._count] = user
        assert self._link is not None
        self._link.send({"start": self._count, **request}, streams)
        return self._count

    def signal(self, name: int, number: int) -> None:
        """
        Send a signal to a process and those it has started, if it still runs.
        """
        if self._link is not None and name in self._users:
            self._link.send({"signal": name, "number": number})

    def pid(self, name: int) -> int | None:
        """
        @return: the number of a process that runs.
        """
        return self._pids.get(name)

    # -- from the launcher --------------------------------------------------

    def reported(self, report: dict[str, Any]) -> None:
        """
        A report has come.
        """
        name = report["id"]
        if "pid" in report:
            self._pids[name] = report["pid"]
            self._users[name].launched(report["uid"])
        elif "problem" in report:
            self.failed(name, report["problem"])
        else:
            self._pids.pop(name, None)
            self._users.pop(name).exited(report["signalled"], report["value"])

    def failed(self, name: int, problem: str) -> None:
        """
        A process could not be started.
        """
        self._users.pop(name).launchFailed(problem)

    def lost(self) -> None:
        """
        The launcher is gone: so are the exit statuses of its children, and so
        should they be.
        """
        self._link = None
        self.log.error("The launcher was lost; {count} GAHPs end with it", count=len(self._users))
        users, self._users = self._users, {}
        pids, self._pids = self._pids, {}
        for name, user in users.items():
            if name not in pids:
                user.launchFailed(_LOST)
                continue
            try:
                os.killpg(pids[name], signal.SIGKILL)  # what it has started, too
            except OSError:
                pass  # nothing of it is left, or it is another account's
            user.exited(True, signal.SIGKILL, _LOST)
        if self._lost is not None:
            self._lost()
