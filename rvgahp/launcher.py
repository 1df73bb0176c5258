# -*- test-case-name: tests.test_launcher -*-
"""
The launcher: a small process of the CE's, whose children the GAHPs are.

Layer 2: run as a program, C{python -I -S launcher.py}, with the standard library,
the modules whose names begin with C{launche} only.  It forks, and so each GAHP
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
import math
import os
import select
import signal
import socket
import sys
import time

if __name__ == "__main__":
    # Behind the standard library's, so that none of that is found here.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rvgahp.launchedprocess import ASKING, SETTLED, LaunchedProcess
from rvgahp.launcherchild import deathBond, execute, leaveUnbound, ownKeyring, reasonOf
from rvgahp.launcherholder import CLOSE_SECONDS, OPEN_SECONDS, endTree, isolate, openHeld
from rvgahp.launcherrules import LOOKUP_SECONDS, READY, Refused, Rules, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rvgahp.launcherpam import PAM

#: Bytes of one packet, at the most; the kernel's default allows a little more.
PACKET_BYTES = 200_000

_STREAMS = 3
_LAST_SIGNAL = 64


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
        pam: PAM | None = None,
    ) -> None:
        """
        @param wake: becomes readable when a child has ended.
        @param grace: seconds from TERM to KILL when the CE is gone.
        @param bind: what L{deathBond} returned.
        @param rules: L{None}: we have the rights of the CE, and do what it says.
        @param pam: is asked for each GAHP.
        """
        self._rules = rules
        self._pam = pam
        self._newKeyring = ownKeyring()
        self._control = control
        self._wake = wake
        self._grace = grace
        self._bind = bind
        self._pid = os.getpid()
        self._children: dict[int, LaunchedProcess] = {}  # by pid
        self._closing: dict[int, socket.socket] = {}  # of ended ones' sessions, by descriptor
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
                child.signal(signal.SIGCONT)
                child.signal(number)
            self._wait(patience, lambda: bool(self._children))
        # What asks PAM is not interrupted, and then its session is closed.
        patience = LOOKUP_SECONDS + OPEN_SECONDS + CLOSE_SECONDS if self._pam else 0
        self._wait(patience, lambda: bool(self._children or self._closing))

    def _wait(self, patience: float, isLeft: Callable[[], bool]) -> None:
        steps = int(patience * 10) + 1
        while isLeft() and steps:
            self._turn(100)
            steps -= 1

    def _turn(self, timeout: int | None) -> None:
        late = min((child.late for child in self._children.values()), default=math.inf)
        if timeout is None and late < math.inf:
            timeout = max(0, int((late - time.monotonic()) * 1000) + 1)
        for fd, _ in self._poll.poll(timeout):
            if fd == self._control.fileno():
                self._requested()
            elif fd == self._wake:
                os.read(fd, 4096)
                self._reap()
            elif fd in self._closing:
                self._poll.unregister(fd)
                self._closing.pop(fd).close()
            else:
                for child in list(self._children.values()):
                    if child.status == fd:
                        self._executed(child)
        if late <= time.monotonic():
            self._endLate()

    def _endLate(self) -> None:
        assert self._pam is not None
        for child in self._children.values():
            if child.late <= time.monotonic():
                child.late = math.inf
                child.problem = self._pam.late(OPEN_SECONDS)
                endTree(child.pid)

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
        pair: tuple[socket.socket, ...] = ()
        try:
            if len(fds) != _STREAMS:  # the kernel drops those that we cannot have
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            count = len(self._children) + len(self._closing)
            if self._rules and count >= self._rules.most:
                raise OSError(errno.EAGAIN, f"{self._rules.most} GAHPs run, RVGAHP_MAX_SESSIONS")
            read, write = status = os.pipe()
            pair = socket.socketpair() if self._pam else ()
            pid = os.fork()
        except OSError as e:
            for fd in (*status, *(one.detach() for one in pair)):
                os.close(fd)
            self._report(id=name, problem=f"no process could be made ({e.strerror})")
            return
        hold = pair[1].fileno() if pair else -1
        if pid == 0:
            try:
                self._become(request, fds, write, hold)
            finally:
                os._exit(127)
        os.close(write)
        for one in pair[1:]:
            one.close()
        child = LaunchedProcess(name, pid, read, pair[0] if pair else None)
        self._children[pid] = child
        self._poll.register(read, select.POLLIN)

    def _become(self, request: dict[str, Any], fds: list[int], status: int, hold: int) -> None:
        """
        In the child: become the program, or say why not.

        @param hold: what the holder of its session listens to, if PAM is asked.
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
                ask = self._asking(fds, status, hold) if self._pam else None
                request = self._rules.become(request, ask)
            self._bind(self._pid)  # now, for a change of the account would undo it
            program = request["program"]
            os.write(status, b"%d%s" % (os.geteuid(), SETTLED))
            execute(program, request, fds)
        except Exception as e:
            os.write(status, reasonOf(e, program).encode("utf-8", "replace"))

    def _asking(
        self, fds: list[int], status: int, hold: int
    ) -> Callable[[str, int], dict[str, str]]:
        """
        @return: what asks PAM, in this child.
        """
        pam = self._pam
        assert pam is not None
        isolate([*fds, status, hold])

        def ask(account: str, descriptors: int) -> dict[str, str]:
            os.write(status, ASKING)
            return openHeld(lambda: pam.open(account), hold, [*fds, status], descriptors)

        return ask

    def _signal(self, name: int, number: int) -> None:
        for child in self._children.values():
            if child.name == name:
                child.signal(number)

    # -- reports ------------------------------------------------------------

    def _executed(self, child: LaunchedProcess) -> None:
        """
        A child has executed its program, or said why not, or is about to.
        """
        if not child.read(OPEN_SECONDS):
            return
        self._poll.unregister(child.status)
        os.close(child.status)
        child.status = -1
        uid, problem = child.outcome()
        if not problem:
            self._report(id=child.name, pid=child.pid, uid=uid)
            return
        self._report(id=child.name, problem=problem)
        child.name = -1  # nobody asks how it ends

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                self._ended(child, status)

    def _ended(self, child: LaunchedProcess, status: int) -> None:
        closing = child.reaped()
        if closing is not None:
            self._closing[closing.fileno()] = closing
            self._poll.register(closing, select.POLLIN)
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


def _loadPAM(rules: Rules) -> PAM | None:
    """
    Load what it takes now, so that no start has to wait for it.

    @return: L{None}: it is not to be asked.
    @raise Refused: it is, and cannot be.
    @raise ImportError: this Python has no ctypes.
    """
    if not rules.pamService:
        return None
    from rvgahp.launcherpam import PAM

    return PAM(rules.pamService, rules.ceName)


def main() -> None:
    """
    The program.
    """
    control = socket.socket(fileno=0)
    rules = pam = None
    if sys.argv[2:] == ["rules"]:
        os.setsid()  # what may get at the CE's terminal could type there for root
        rules = receive(control)
        try:
            pam = _loadPAM(rules)
        except (ImportError, Refused) as e:
            control.send(json.dumps({"problem": str(e)}).encode())
            return
        control.send(READY)
    else:
        os.setpgid(0, 0)  # what the terminal sends to the CE is not for us
    try:
        bind = deathBond()
    except Exception as e:  # ctypes can fail in many ways; the GAHPs run without it, too
        print(f"GAHPs may outlive a launcher that is killed: {e}", file=sys.stderr)
        bind = leaveUnbound
    Launcher(control, _settleSignals(), float(sys.argv[1]), bind, rules, pam).run()


if __name__ == "__main__":
    main()
