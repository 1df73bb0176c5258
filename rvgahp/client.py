# -*- test-case-name: tests.test_client -*-
"""
C{rvgahp_client}: what the gridmanager starts in place of ssh.

Layer 4: the standard library, C{cryptography}, and layers 0 and 1.  The
gridmanager spins at full speed until the GAHP's banner comes, so nothing is
imported before it is needed: the request is on its way to the site while the
cryptography loads.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

from rvgahp.clientrun import Client
from rvgahp.clientwords import HELP, USAGE, Arguments, Misuse
from rvgahp.complaint import FAILURE, sayLast
from rvgahp.poller import Poller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: The exit status where the words of the command make no sense.
MISUSE = 2


class _Signals:
    """
    Brings signals into the loop.
    """

    def __init__(self, loop: Poller, client: Client) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._client = client
        # Before the handlers: one that comes in between would be ignored, and forgotten.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ignore)
        loop.addReader(self)

    @staticmethod
    def _ignore(number: int, frame: object) -> None:
        """
        The wake-up descriptor brings it.
        """

    def fileno(self) -> int:
        return self._read

    def doRead(self) -> None:
        for number in os.read(self._read, 64):
            self._client.signalled(number)


def _fillStandardDescriptors() -> None:
    """
    A missing stdin, stdout or stderr would be the number of our next socket.
    """
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return


def _closeInherited() -> None:
    """
    Whatever else our parent left open would live as long as we do: another client's
    pipe, whose end somebody waits for.
    """
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return
    os.closerange(3, 1 + max(map(int, numbers)))


def run(arguments: Arguments) -> int:
    """
    @return: the exit status.
    """
    # What is imported from here on is never garbage, and looking for some in it would
    # cost 2 ms of the start.
    gc.disable()
    loop = Poller()
    client = Client(loop, arguments)
    _Signals(loop, client)
    client.start()
    if client.status is None:
        loop.run()
    return FAILURE if client.status is None else client.status


def program() -> int:
    """
    @return: the exit status.
    """
    try:
        arguments = Arguments(sys.argv[1:])
    except Misuse as e:
        sayLast(f"{e}. {USAGE}")
        return MISUSE
    if arguments.wantsHelp:
        os.write(1, HELP.encode())
        return 0
    if arguments.wantsVersion:
        from rvgahp import __version__

        os.write(1, f"rvgahp_client {__version__}\n".encode())
        return 0
    return run(arguments)


def main() -> NoReturn:
    """
    The program.  Nothing is buffered in it, so it goes without the interpreter's
    own end, which would cost 8 ms of each of its lives.
    """
    _fillStandardDescriptors()
    _closeInherited()
    try:
        status = program()
    except ModuleNotFoundError as e:  # of a client in one file (doc/client.rst)
        sayLast(f"this Python, {sys.executable}, has no module {e.name}; install its cryptography")
        status = FAILURE
    os._exit(status)
