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

from rvgahp import limits
from rvgahp.clientwords import HELP, USAGE, Arguments, Misuse
from rvgahp.complaint import FAILURE, complain
from rvgahp.errors import RvgahpError
from rvgahp.frontrules import hasFront
from rvgahp.poller import Poller
from rvgahp.proxylink import ProxyLink
from rvgahp.proxysocket import ProxyAbsent, connect, findSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import NoReturn

    from rvgahp.clientsession import ClientSession

#: The exit status where the words of the command make no sense.
MISUSE = 2


class Client:
    """
    One run of the program: ask, wait, then serve a session to its end.

    @ivar gahp: the GAHP's name.
    @ivar status: the exit status, once there is one.
    """

    def __init__(self, loop: Poller, arguments: Arguments) -> None:
        self._loop = loop
        self._arguments = arguments
        self.gahp = arguments.gahp
        self._path = ""
        self._absentUntil: float | None = None
        self._link: ProxyLink | None = None
        self._session: ClientSession | None = None
        self._problem = ""
        self._timer = loop.callLater(limits.ANSWER_TIMEOUT, self._unanswered)
        self.status: int | None = None

    def start(self) -> None:
        """
        Find the proxy, and ask it.
        """
        try:
            self._path = findSocket(self._arguments.socket)
        except RvgahpError as e:
            self.fail(str(e))
            return
        self._ask()
        if self.status is None:
            self._kindOfSession()  # the answer takes longer than this import

    def _ask(self) -> None:
        try:
            connection = connect(self._path)
        except ProxyAbsent as e:
            self._askAgain(str(e))
        except RvgahpError as e:
            self.fail(str(e))
        else:
            self._link = ProxyLink(self._loop, connection, self)
            asked = self._arguments
            self._link.request(asked.site, self.gahp, asked.account)

    def _askAgain(self, sentence: str) -> None:
        """
        The proxy is not there.  One that is just restarting soon is.

        @param sentence: what to say if it does not come.
        """
        now = self._loop.seconds()
        if self._absentUntil is None:
            self._absentUntil = now + limits.RESTART_GRACE
        if now < self._absentUntil:
            self._loop.callLater(limits.RESTART_POLL, self._ask)
        else:
            self.fail(sentence)

    def signalled(self, number: int) -> None:
        """
        We are to end.  A second time, at once.
        """
        if self._session is None or not self._session.stop(number):
            self.finish(128 + number)

    def finish(self, status: int) -> None:
        """
        It is over.
        """
        if self.status is None:
            self.status = status
            if self._link is not None:
                self._link.close()
            if self._session is not None:
                self._session.close()
            self._loop.stop()

    def fail(self, sentence: str) -> None:
        """
        It is over, for a reason of ours.
        """
        if self.status is None:
            complain(self.describe(sentence))
            self.finish(FAILURE)

    def describe(self, sentence: str) -> str:
        """
        @return: C{sentence}, with what it is about before it.
        """
        return f"{self.gahp} at {self._arguments.place}: {sentence}"

    def _kindOfSession(self) -> type[ClientSession]:
        if hasFront(self.gahp):
            from rvgahp.clientfront import FrontedSession

            return FrontedSession
        from rvgahp.clientcopy import CopyingSession

        return CopyingSession

    # -- from the proxy -----------------------------------------------------

    def answered(self, box: dict[bytes, bytes]) -> None:
        from rvgahp.clientsession import Grant

        try:
            grant = Grant(box)
        except (RvgahpError, KeyError, ValueError) as e:
            self.fail(
                f"the proxy's answer was not understood ({e}); is it of another version of rvgahp?"
            )
            return
        self._timer.cancel()
        self._timer = self._loop.callLater(limits.FIRST_CHANNEL_TIMEOUT, self._unreached)
        self._session = self._kindOfSession()(self._loop, grant, self)

    def refused(self, sentence: str) -> None:
        self.fail(sentence)

    def channelHanded(self, stream: int, connection: socket.socket) -> None:
        if self._session is None or stream != 0:
            connection.close()
            return
        self._session.channelHanded(connection)

    def sessionLost(self, reason: str) -> None:
        if reason and (self._session is None or not self._session.hasExited()):
            self.fail(reason)

    def linkLost(self, reason: str, closed: bool) -> None:
        self._link = None
        sentence = f"the proxy was lost: {reason}{self._problem}; see that it runs, and its log"
        if self._session is None and closed:
            self._askAgain(sentence)
        elif self._session is None or not self._session.hasChannel():
            self.fail(sentence)

    # -- from the session ---------------------------------------------------

    def sessionRunning(self) -> None:
        """
        The session's first channel is open.
        """
        gc.freeze()
        gc.enable()
        self._timer.cancel()

    def channelFailed(self, reason: str) -> None:
        """
        A channel did not come to be; another may.
        """
        self._problem = f" ({reason})"
        if self._link is None:
            self.fail(f"the proxy was lost, and with it the way to the site{self._problem}")

    # -- time ---------------------------------------------------------------

    def _unanswered(self) -> None:
        self.fail(
            f"the proxy gave no answer within {limits.ANSWER_TIMEOUT:.0f} s"
            " (RequestGAHP); see its log"
        )

    def _unreached(self) -> None:
        self.fail(
            "the site started it, but its connection did not come within"
            f" {limits.FIRST_CHANNEL_TIMEOUT:.0f} s; can the site reach the proxy's port?"
            f"{self._problem}"
        )


class _Signals:
    """
    Brings signals into the loop.
    """

    def __init__(self, loop: Poller, client: Client) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._client = client
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ignore)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
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
        complain(f"{e}. {USAGE}")
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
    os._exit(program())
