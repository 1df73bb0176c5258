# -*- test-case-name: tests.test_launcher -*-
"""
The launcher: a small process of the CE's, whose children the GAHPs are.

Layer 2: run as a program, C{python -I -S launcher.py}, with the standard library,
L{rvgahp.launcherchild} and L{rvgahp.launcherrules} only.  It forks, and so each GAHP
has a process group, signal dispositions, umask, limits and directory of its own, none of
which Twisted's C{spawnProcess} sets.  It is small and has one thread, so that a fork
costs little.  When the CE dies, whoever killed it, the launcher ends the GAHPs; when the
launcher is killed, the kernel does (PR_SET_PDEATHSIG).

Descriptor 0 is a sequenced-packet socket to L{rvgahp.processlauncher}; each packet is
one JSON object.  Requests: C{start} (an id, with program, arguments, environment,
directory, umask, descriptors, and three descriptors beside it) and C{signal} (an id,
with a number).  Reports, all with the C{id}: C{pid} and C{uid} when the program runs,
else C{problem}; and after C{pid} once C{signalled} and C{value}.

With the word C{rules} it is the launcher of a CE that root has started: it stays root and
takes requests of another form, which L{rvgahp.launcherrules} judges.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys

if __name__ == "__main__":
    # Behind the standard library's, so that none of that is found here.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rvgahp.launcherchild import deathBond, execute, leaveUnbound, ownKeyring, reasonOf
from rvgahp.launcherrules import Rules, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Bytes of one packet, at the most; the kernel's default allows a little more.
PACKET_BYTES = 200_000

_STREAMS = 3
_LAST_SIGNAL = 64


class Child:
    """
    One GAHP from its fork until it is reaped.

    @ivar name: the id by which the CE knows it.
    @ivar status: the descriptor that its successful exec closes; -1 afterwards.
    @ivar said: what came from there: its uid and a C{;}, then why it could not be
        executed.
    """

    def __init__(self, name: int, pid: int, status: int) -> None:
        self.name = name
        self.pid = pid
        self.status = status
        self.said = b""


class Launcher:
    """
    Starts what it is asked to start, until its CE is gone.
    """

    def __init__(
        self,
        control: socket.socket,
        wake: int,
        grace: float,
        bind: Callable[[int], object],
        rules: Rules | None = None,
    ) -> None:
        """
        @param wake: becomes readable when a child has ended.
        @param grace: seconds from TERM to KILL when the CE is gone.
        @param bind: what L{deathBond} returned.
        @param rules: L{None}: we have the rights of the CE, and do what it says.
        """
        self._rules = rules
        self._newKeyring = ownKeyring()
        self._control = control
        self._wake = wake
        self._grace = grace
        self._bind = bind
        self._pid = os.getpid()
        self._children: dict[int, Child] = {}  # by pid
        self._poll = select.poll()
        self._isOver = False

    def run(self) -> None:
        """
        Serve until the CE is gone, and then see to it that no GAHP is left.
        """
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        while not self._isOver:
            self._turn(None)
        self._poll.unregister(self._control)
        for number, patience in ((signal.SIGTERM, self._grace), (signal.SIGKILL, self._grace)):
            for child in self._children.values():
                _signalGroup(child.pid, signal.SIGCONT)
                _signalGroup(child.pid, number)
            self._waitForChildren(patience)

    def _waitForChildren(self, patience: float) -> None:
        steps = int(patience * 10) + 1
        while self._children and steps:
            self._turn(100)
            steps -= 1

    def _turn(self, timeout: int | None) -> None:
        for fd, _ in self._poll.poll(timeout):
            if fd == self._control.fileno():
                self._requested()
            elif fd == self._wake:
                os.read(fd, 4096)
                self._reap()
            else:
                for child in list(self._children.values()):
                    if child.status == fd:
                        self._executed(child)

    # -- requests -----------------------------------------------------------

    def _requested(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(
                self._control, PACKET_BYTES, _STREAMS, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            data, fds = b"", []
        if not data:
            self._isOver = True
            return
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds makes nothing of its flags before 3.12
        try:
            request = self._rules.read(data) if self._rules else json.loads(data)
            if "start" in request:
                self._start(request["start"], request, fds)
            elif request:
                self._signal(request["signal"], request["number"])
        finally:
            for fd in fds:
                os.close(fd)

    def _start(self, name: int, request: dict[str, Any], fds: list[int]) -> None:
        status: tuple[int, ...] = ()
        try:
            if len(fds) != _STREAMS:  # the kernel drops those that we cannot have
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if self._rules and len(self._children) >= self._rules.most:
                raise OSError(errno.EAGAIN, f"{self._rules.most} GAHPs run, RVGAHP_MAX_SESSIONS")
            read, write = status = os.pipe()
            pid = os.fork()
        except OSError as e:
            for fd in status:
                os.close(fd)
            self._report(id=name, problem=f"no process could be made ({e.strerror})")
            return
        if pid == 0:
            try:
                self._become(request, fds, write)
            finally:
                os._exit(127)
        os.close(write)
        child = Child(name, pid, read)
        self._children[pid] = child
        self._poll.register(read, select.POLLIN)

    def _become(self, request: dict[str, Any], fds: list[int], status: int) -> None:
        """
        In the child: become the program, or say why not.
        """
        program = ""
        try:
            if not self._rules:
                # A group, not a session: a stopped process whose parent dies is then hung up.
                os.setpgid(0, 0)
            else:
                # In one session accounts could join each other's groups, and send SIGCONT.
                os.setsid()
                self._newKeyring()  # as root: an account may have 200
                request = self._rules.become(request)
            self._bind(self._pid)  # now, for a change of the account would undo it
            program = request["program"]
            os.write(status, b"%d;" % os.geteuid())
            execute(program, request, fds)
        except Exception as e:
            os.write(status, reasonOf(e, program).encode("utf-8", "replace"))

    def _signal(self, name: int, number: int) -> None:
        for child in self._children.values():
            if child.name == name:
                _signalGroup(child.pid, number)

    # -- reports ------------------------------------------------------------

    def _executed(self, child: Child) -> None:
        """
        A child has executed its program, or said why not, or is about to.
        """
        part = os.read(child.status, 4096)
        child.said += part
        if part:
            return
        self._poll.unregister(child.status)
        os.close(child.status)
        child.status = -1
        uid, _, problem = child.said.partition(b";")
        if uid.isdigit() and not problem:
            self._report(id=child.name, pid=child.pid, uid=int(uid))
            return
        reason = problem if uid.isdigit() else child.said
        words = reason.decode("utf-8", "replace") or "it was ended before its program ran"
        self._report(id=child.name, problem=words)
        child.name = -1  # nobody asks how it ends

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        while child.status >= 0:
            self._executed(child)
        code = os.waitstatus_to_exitcode(status)
        if child.name >= 0:
            self._report(id=child.name, signalled=code < 0, value=abs(code))

    def _report(self, **report: Any) -> None:
        try:
            self._control.send(json.dumps(report).encode(), socket.MSG_NOSIGNAL)
        except OSError:
            self._isOver = True  # the CE is gone


def _signalGroup(pid: int, number: int) -> None:
    for send in (os.killpg, os.kill):  # it may have no group of its own yet
        try:
            send(pid, number)
            return
        except (ProcessLookupError, PermissionError):
            pass


def _settleSignals() -> int:
    """
    Nothing is ignored, caught or blocked here that the GAHPs should not find so.

    @return: a descriptor that becomes readable when a child has ended.
    """
    for number in range(1, _LAST_SIGNAL + 1):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # KILL, STOP and those the C library keeps
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # exec makes it the default again
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def main() -> None:
    """
    The program.
    """
    control = socket.socket(fileno=0)
    rules = None
    if sys.argv[2:] == ["rules"]:
        os.setsid()  # what may get at the CE's terminal could type there for root
        rules = receive(control)
    else:
        os.setpgid(0, 0)  # what the terminal sends to the CE is not for us
    try:
        bind = deathBond()
    except Exception as e:  # ctypes can fail in many ways; the GAHPs run without it, too
        print(f"GAHPs may outlive a launcher that is killed: {e}", file=sys.stderr)
        bind = leaveUnbound
    Launcher(control, _settleSignals(), float(sys.argv[1]), bind, rules).run()


if __name__ == "__main__":
    main()
