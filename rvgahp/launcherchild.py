# -*- test-case-name: tests.test_launcher -*-
"""
What a child of the launcher does from its fork until it is the GAHP.

Layer 2: the standard library only, a part of L{rvgahp.launcher}.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

#: The number of C{keyctl} on machines of 64 bits (asm/unistd.h), which the C library has no
#: function for.
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
_KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h


def deathBond() -> Callable[[int], object]:
    """
    Load what it takes now, so that no start has to wait for it.

    @return: called in a child with its parent's pid, it has the kernel kill the child
        when the parent dies.  This outlasts an exec, though not one of a program with
        rights of its own (prctl(2)).
    @raise Exception: ctypes or the C library cannot do it here.
    """
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

    def bind(parent: int) -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before that
            os._exit(127)

    return bind


def ownKeyring() -> Callable[[], object]:
    """
    Load what it takes now.

    @return: called in a child that will be another account, it gives it a session keyring
        of its own; else it would share one with all others, who could read its Kerberos
        tickets there (session-keyring(7)).  Where the kernel has none, nothing happens.
    """
    try:
        import ctypes

        syscall = ctypes.CDLL(None).syscall
    except Exception:  # ctypes can fail in many ways; that is said where it does most harm
        return lambda: None
    number = _KEYCTL.get(os.uname().machine) if sys.maxsize > 1 << 32 else None
    if number is None:
        return lambda: None
    return lambda: syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def leaveUnbound(parent: int) -> None:
    """
    In place of what L{deathBond} returns, where there is none.
    """


def execute(program: str, request: dict[str, Any], fds: list[int]) -> None:
    """
    In the child: become the program.

    @raise OSError: it cannot be executed.
    @raise ValueError: something in the request cannot be.
    """
    os.umask(request["umask"])
    limitDescriptors(request["descriptors"])
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    _enter(request["directory"])
    os.execve(program, [program, *request["arguments"]], request["environment"])


def limitDescriptors(soft: int) -> None:
    """
    @param soft: the soft RLIMIT_NOFILE from now on; 0 leaves it.
    @raise ValueError: it is higher than the hard one.
    """
    if soft:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _enter(directory: str) -> None:
    """
    Go there, or else to the root directory; that is said on the new stderr, which is the
    client's.
    """
    try:
        os.chdir(directory)
    except OSError as e:
        os.chdir("/")
        words = f"rvgahp-ce: starting in / because {directory} cannot be entered: {e.strerror}\n"
        os.write(2, words.encode("utf-8", "replace"))


def reasonOf(problem: Exception, program: str) -> str:
    """
    @param program: empty: its account could not be had.
    @return: why a program could not be executed, for people.
    """
    if not isinstance(problem, OSError):
        return f"{program}: {problem}" if program else str(problem)
    if not program:
        return f"its account cannot be had: {problem.strerror}"
    if problem.filename not in (None, program):
        return f"{problem.filename}: {problem.strerror}"
    known = {
        errno.EAGAIN: "its account has as many processes as the site's limits allow it",
        errno.E2BIG: "its arguments and environment are more than the kernel takes",
        errno.ENOEXEC: "it is neither a program for this machine nor a script that begins with #!",
    }
    if os.path.isdir(program):
        known[errno.EACCES] = "it is a directory"
    elif os.access(program, os.X_OK):
        known[errno.EACCES] = "the interpreter that it names may not be executed"
        known[errno.ENOENT] = "the interpreter that it names is not there"
    return f"{program}: {known.get(problem.errno or 0, problem.strerror)}"
