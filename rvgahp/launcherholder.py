# -*- test-case-name: tests.test_launcherpam -*-
"""
The processes of a PAM session: the one that opens it and then becomes the GAHP, and the one
that holds it open and closes it.

Layer 2: the standard library and L{rvgahp.launcherchild}, a part of L{rvgahp.launcher},
mostly after its fork.

The launcher makes a pair of sockets for each GAHP and keeps one end.  The holder has the
other; when that end says that nobody is there, the launcher has reaped the GAHP, or is gone
itself, and the session is closed.  So the holder need not be the GAHP's child, which a GAHP
that waits for all its children would wait for, nor the launcher's.  It stays root: what closes
a session may have to be, and no account can then signal, trace or read it.
"""

from __future__ import annotations

import os
import resource
import select
import signal
from contextlib import suppress

from rvgahp.launcherchild import limitDescriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Protocol

    class Session(Protocol):
        """
        As L{rvgahp.launcherpam.Session}.
        """

        def variables(self) -> dict[str, str]: ...

        def close(self) -> None: ...


#: Seconds for the modules to let an account in and open its session; less than the 10 s for
#: which the proxy waits (C{RVGAHP_START_TIMEOUT}), so that the sentence reaches the client.
OPEN_SECONDS = 8

#: Seconds for them to close it.
CLOSE_SECONDS = 15

#: Seconds after OPEN_SECONDS in which the launcher has ended the child, if it is there.
_SPARE = 5

#: What a service manager or an administrator sends to all processes of a service: it would
#: lose the session.  They are caught, not ignored, so that what a module executes finds them
#: as ever.
_CAUGHT = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
)

#: What PAM limits, by number.
_RESOURCES = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})


def isolate(kept: Collection[int]) -> None:
    """
    In a new child: let go of all that is the launcher's, for modules run whatever they like,
    and may leave processes behind.

    @param kept: the descriptors that stay, none of them 0, 1 or 2.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    first = 3
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(first, fd)
        first = fd + 1


def openHeld(
    begin: Callable[[], Session], hold: int, others: Collection[int], descriptors: int
) -> dict[str, str]:
    """
    Open a session in this process, and leave it to a new one to close it.  Blocks, for
    L{OPEN_SECONDS} at the most if the launcher is there.

    @param begin: opens it, or raises something.
    @param hold: the end of the socket by which the launcher tells the end.
    @param others: descriptors that are the GAHP's alone.
    @param descriptors: the soft RLIMIT_NOFILE where the session sets none; 0 leaves ours.
    @return: the session's variables.
    @raise OSError: there can be no further process.
    """
    ours = [(one, resource.getrlimit(one)) for one in _RESOURCES]
    limitDescriptors(descriptors)
    for number in _CAUGHT:
        signal.signal(number, lambda *_: None)
        signal.siginterrupt(number, False)
    signal.alarm(OPEN_SECONDS + _SPARE)
    session = begin()
    variables = session.variables()
    try:
        _handOver(session, hold, others, ours)
    except OSError:
        session.close()
        raise
    signal.alarm(0)
    for number in _CAUGHT:
        signal.signal(number, signal.SIG_DFL)
    os.close(hold)
    return variables


def _handOver(
    session: Session,
    hold: int,
    others: Collection[int],
    limits: list[tuple[int, tuple[int, int]]],
) -> None:
    """
    Make the holder, in a session of its own: what is sent to the GAHP's does not reach it.

    @raise OSError: there can be none.
    """
    between = os.fork()
    if between == 0:
        try:
            os.setsid()
            for fd in others:
                os.close(fd)
            if os.fork() == 0:
                _hold(session, hold, limits)
            os._exit(0)
        except OSError as e:
            os._exit(e.errno or 1)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(between, 0)[1])
    if code:
        raise OSError(abs(code), os.strerror(abs(code)))


def _hold(session: Session, hold: int, limits: list[tuple[int, tuple[int, int]]]) -> None:
    """
    The holder's life.
    """
    try:
        signal.alarm(0)
        _restore(limits)
        os.chdir("/")
        with suppress(OSError), open("/proc/self/comm", "w") as name:
            name.write("pam-session")
        with suppress(OSError):
            os.read(hold, 1)
        try:
            _closeInTime(session)
        except OSError:  # the account's limits, which we could not get rid of
            signal.alarm(CLOSE_SECONDS)
            session.close()
    finally:
        os._exit(0)


def _restore(limits: list[tuple[int, tuple[int, int]]]) -> None:
    """
    The account's limits are not for us; without CAP_SYS_RESOURCE we have what can be had.
    """
    for number, pair in limits:
        for wanted in (pair, (resource.getrlimit(number)[1],) * 2):
            try:
                resource.setrlimit(number, wanted)
                break
            except (OSError, ValueError):
                pass


def _closeInTime(session: Session) -> None:
    """
    Close it in a process of its own, so that a module that hangs can be ended with what it
    has started.
    """
    read, write = os.pipe()
    try:
        closer = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    if closer == 0:
        try:
            os.close(read)
            session.close()
        finally:
            os._exit(0)
    os.close(write)
    poll = select.poll()
    poll.register(read, 0)  # of which the end is told in any case
    if not poll.poll(CLOSE_SECONDS * 1000):
        endTree(closer)
    os.waitpid(closer, 0)


def endTree(pid: int) -> None:
    """
    Kill a child of ours, with all that it has started and that has not left it.
    """
    found = [pid]
    for one in found:  # and what is added here
        with suppress(OSError):
            os.kill(one, signal.SIGSTOP)
            with open(f"/proc/{one}/task/{one}/children") as file:
                found += map(int, file.read().split())
    for one in found:
        with suppress(OSError):
            os.kill(one, signal.SIGKILL)
