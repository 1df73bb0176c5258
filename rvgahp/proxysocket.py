# -*- test-case-name: tests.test_proxysocket -*-
"""
The client's way to the proxy: where its UNIX socket is, and who listens there.

Layer 1: the standard library.  C{condor_config_val} is run only where nothing
quicker tells; it costs as much as all the rest of a start.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import time

from rvgahp import limits
from rvgahp.accountnames import accountName, ownAccount
from rvgahp.errors import ConfigurationError, NotAuthorized

#: Where a system-wide proxy listens.
DEFAULT_SOCKET = "/run/rvgahp/proxy.sock"

#: The account under which a system-wide proxy runs.
DEFAULT_ACCOUNT = "rvgahp"

_PEERCRED = struct.Struct("3i")
_TIMEVAL = struct.Struct("@ll")

#: Accounts that have been found to be the proxy's: the answer is not looked up again while
#: streams wait.
_known: set[int] = set()

#: Bytes that the kernel takes as a UNIX socket's path, its end included.
_PATH_BYTES = 108


#: What a socket says that is not there yet, or not there any more.
_WHILE_RESTARTING = (errno.ENOENT, errno.ECONNREFUSED)


class ProxyAbsent(ConfigurationError):
    """
    Nobody listens where the proxy should.  Start it, or wait until it has started.
    """


def condorConfigVal(name: str) -> str:
    """
    Ask HTCondor's own tool for a setting.

    @return: the value, or an empty string if it is not set or the tool is not
        there or takes too long.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    argv = ["condor_config_val", name]
    actions = [
        (os.POSIX_SPAWN_DUP2, null, 0),
        (os.POSIX_SPAWN_DUP2, write, 1),
        (os.POSIX_SPAWN_DUP2, null, 2),
    ]
    try:
        pid = os.posix_spawnp(argv[0], argv, dict(os.environ), file_actions=actions)
    except OSError:
        os.close(read)
        return ""
    finally:
        os.close(write)
        os.close(null)
    output, status = _outputOf(pid, read)
    return output.decode("utf-8", "replace").strip() if status == 0 else ""


def _outputOf(pid: int, read: int) -> tuple[bytes, int]:
    """
    @param read: what a child writes to; it is closed.
    @return: what it wrote, and how it ended.  One that takes too long is killed.
    """
    end = time.monotonic() + limits.CONFIG_VAL_TIMEOUT
    poll = select.poll()
    poll.register(read, select.POLLIN)
    parts = [b"?"]
    while parts[-1] and poll.poll(max(0.0, end - time.monotonic()) * 1000):
        parts.append(os.read(read, 65536))
    os.close(read)
    done, status = os.waitpid(pid, os.WNOHANG)
    while not done and time.monotonic() < end:
        time.sleep(0.001)
        done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return b"".join(parts[1:]), status


def findSocket(option: str | None) -> str:
    """
    Where the proxy listens: the option, the environment's C{_CONDOR_RVGAHP_SOCKET}
    (HTCondor's way to override a setting), the usual path if something is there,
    the setting C{RVGAHP_SOCKET}, and if nobody tells, the usual path all the same.

    @raise ConfigurationError: the path is too long.
    """
    path = option or os.environ.get("_CONDOR_RVGAHP_SOCKET", "")
    if not path and not os.path.exists(DEFAULT_SOCKET):
        path = condorConfigVal("RVGAHP_SOCKET")
    path = path or DEFAULT_SOCKET
    if len(os.fsencode(path)) >= _PATH_BYTES:
        raise ConfigurationError(
            f"the path of the proxy's socket is longer than the {_PATH_BYTES - 1}"
            f" bytes that a UNIX socket can have: {path}"
        )
    return path


def listenerUid(connection: socket.socket) -> int:
    """
    @return: the uid of the process that listens (as it was when it began to).
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    return int(_PEERCRED.unpack(data)[1])


def _mayBeProxy(uid: int) -> bool:
    if uid in (0, os.getuid()):
        return True
    account = os.environ.get("_CONDOR_RVGAHP_ACCOUNT", "") or DEFAULT_ACCOUNT
    name = accountName(uid)
    return name == account or name == condorConfigVal("RVGAHP_ACCOUNT")


def connect(path: str, patience: float = limits.CONNECT_TIMEOUT) -> socket.socket:
    """
    Connect to the proxy, and make sure that it is the proxy.

    @param patience: seconds for which a listener that is busy is waited for.
    @return: the connection, non-blocking.
    @raise ProxyAbsent: nobody listens there, and a proxy that is just restarting may soon.
    @raise ConfigurationError: nobody does, or will.
    @raise NotAuthorized: someone else listens there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not settimeout(): a non-blocking connect fails at once where others wait too.
    seconds = int(patience)
    limit = _TIMEVAL.pack(seconds, int((patience - seconds) * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    try:
        connection.connect(path)
    except OSError as e:
        connection.close()
        if e.errno == errno.EACCES:
            raise ConfigurationError(
                f"{path} may not be used by account {ownAccount()}: ask the proxy's"
                " administrator, who lets accounts in by its RVGAHP_SOCKET_MODE and group"
            ) from None
        problem = ProxyAbsent if e.errno in _WHILE_RESTARTING else ConfigurationError
        raise problem(
            f"no proxy listens on {path} ({e.strerror or e}); start rvgahp-proxy, or name its"
            " socket: --rvgahp-socket, _CONDOR_RVGAHP_SOCKET or the setting RVGAHP_SOCKET"
        ) from None
    uid = listenerUid(connection)
    if uid not in _known and not _mayBeProxy(uid):
        connection.close()
        raise NotAuthorized(
            f"{path} belongs to a process of {accountName(uid)}, who is neither root, nor you,"
            " nor the proxy's account (RVGAHP_ACCOUNT); nothing was said to it"
        )
    _known.add(uid)
    connection.setblocking(False)
    return connection
