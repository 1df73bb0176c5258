# -*- test-case-name: tests.test_listener -*-
"""
Listening sockets whose connections stay plain sockets.

Layer 3.  Twisted's ports make a transport of each connection, and a transport
reads before it is asked.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from rvgahp import limits
from rvgahp.descriptor import Descriptor
from rvgahp.errors import ConfigurationError

#: Seconds without accepting after the descriptors have run out.
_PAUSE = 0.2

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener(Descriptor):
    """
    Accepts connections and passes them on, non-blocking and close-on-exec.
    """

    log = Logger()

    def __init__(
        self, loop: Any, port: socket.socket, accepted: Callable[[socket.socket, Any], object]
    ) -> None:
        """
        @param port: listening; closed by L{close}.
        @param accepted: takes each connection over, with the address from which it came as
            C{accept} told it: once a connection is reset, C{getpeername} knows it no more.
        """
        port.setblocking(False)
        super().__init__(loop, port.fileno(), port)
        self._port = port
        self._accepted = accepted
        self.resumeReading()

    def address(self) -> Any:
        """
        @return: the address as the C{socket} module gives it.
        """
        return self._port.getsockname()

    def doRead(self) -> None:
        for _ in range(limits.ACCEPTS_PER_TURN):
            try:
                connection, address = self._port.accept()
            except BlockingIOError:
                return
            except OSError as e:
                if e.errno in _EXHAUSTED:
                    self._exhausted(e)
                    return
                continue  # the dialler gave up meanwhile
            connection.setblocking(False)
            try:
                self._accepted(connection, address)
            except Exception:
                # Out of here it would make the reactor drop the port.
                self.log.failure("A bug in taking a connection")
                connection.close()

    def _exhausted(self, problem: OSError) -> None:
        self.log.error("Cannot accept connections: {reason}; trying again", reason=problem.strerror)
        self.pauseReading()
        self._loop.callLater(_PAUSE, self.resumeReading)


def listenTCP(interface: str, port: int) -> socket.socket:
    """
    @param interface: an address of this host; empty means all, of IPv4 and IPv6.
    @param port: 0 lets the kernel choose.
    @return: a listening socket.
    @raise ConfigurationError: it cannot be had.
    """
    try:
        if interface:
            family = socket.AF_INET6 if ":" in interface else socket.AF_INET
            return socket.create_server(
                (interface, port), family=family, backlog=limits.LISTEN_BACKLOG
            )
        dual = socket.has_dualstack_ipv6()
        return socket.create_server(
            ("", port),
            family=socket.AF_INET6 if dual else socket.AF_INET,
            backlog=limits.LISTEN_BACKLOG,
            dualstack_ipv6=dual,
        )
    except OSError as e:
        where = f"{interface or 'all interfaces'} port {port}"
        raise ConfigurationError(f"Cannot listen on {where}: {_reason(e)}.") from None


def _reason(problem: OSError) -> str:
    """
    @return: the kernel's words; C{create_server} adds to them.
    """
    if problem.errno is not None and problem.errno > 0:
        return os.strerror(problem.errno)
    return problem.strerror or str(problem)


def _isAlive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(limits.CONNECT_TIMEOUT)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # busy, or not ours to judge
        return True


def listenUNIX(path: str, mode: int) -> socket.socket:
    """
    @param mode: permissions of the socket: who can write to it can connect.
    @return: a listening socket.  One that a dead process left is replaced.
    @raise ConfigurationError: it cannot be had; another process listens there.
    """
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise ConfigurationError(
            f"Cannot listen on {path}: what is there is no socket, and is not replaced; name"
            " another path, or remove it."
        )
    if os.path.lexists(path) and _isAlive(path):
        raise ConfigurationError(
            f"Cannot listen on {path}: another process listens there; is a proxy running already?"
        )
    # Bound under another name and then renamed: nobody finds it before its mode
    # is right, and a predecessor's is replaced in one step.
    # Its name is short: a path may have no more than 107 bytes.
    temporary = os.path.join(os.path.dirname(path), f".{os.getpid()}")
    port = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _removeIfThere(temporary)
        # Not chmod: in a directory of another account's that could be led elsewhere.
        umask = os.umask(~mode & 0o777)
        try:
            port.bind(temporary)
        finally:
            os.umask(umask)
        port.listen(limits.LISTEN_BACKLOG)
        os.rename(temporary, path)
    except OSError as e:
        port.close()
        _removeIfThere(temporary)
        raise ConfigurationError(f"Cannot listen on {path}: {_reason(e)}.") from None
    return port


def _removeIfThere(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def removeSocket(path: str, inode: int) -> None:
    """
    Remove our socket's name, unless it is another's by now.
    """
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except OSError:
        pass
