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
from rvgahp.complaint import FAILURE, complain
from rvgahp.errors import RvgahpError, SessionGone
from rvgahp.poller import Poller
from rvgahp.proxylink import ProxyLink
from rvgahp.proxysocket import connect, findSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import NoReturn

    from rvgahp.clientsession import ClientSession

#: Words of the command that make no sense.
MISUSE = 2

#: Bytes of a site's or a GAHP's name: far more than any has, and it fits in a box.
_LONGEST_WORD = 1024

USAGE = "Usage: rvgahp_client [--socket PATH] SITE GAHP"

HELP = (
    USAGE
    + """

Start GAHP (blahpd, condor_ft-gahp, or another that the site offers) at SITE,
and be it: stdin, stdout, stderr and the exit status are the GAHP's.

  --socket PATH  the proxy's UNIX socket.  Else the environment variable
                 _CONDOR_RVGAHP_SOCKET, else /run/rvgahp/proxy.sock if it is
                 there, else the setting RVGAHP_SOCKET of condor_config.
  --version      print the version
  --help         print this

The site's CE must be connected to the proxy (twistd rvgahp-proxy) on this host.
Exit status: the GAHP's; 128 + n if signal n ended it; 255 if it could not be
started or was lost, with one sentence on stderr; 2 for a mistake in the words.
"""
)


class Misuse(Exception):
    """
    The words of the command make no sense.
    """


def _checkWord(name: str) -> None:
    """
    @raise Misuse: C{name} is no text that could be sent; which names there are is for
        the proxy and the site to say.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Misuse(f"{name[:80]!a} is no text in UTF-8") from None
    if size > _LONGEST_WORD:
        raise Misuse(f"{name[:80]!a}... is too long for a name")


class Arguments:
    """
    The words of the command.
    """

    def __init__(self, words: list[str]) -> None:
        """
        @raise Misuse: they make no sense.
        """
        self.socket: str | None = None
        self.wantsHelp = self.wantsVersion = False
        names = self._options(list(words))
        if self.wantsHelp or self.wantsVersion:
            return
        if len(names) != 2:
            raise Misuse(f"expected a site and a GAHP, got {len(names)} words")
        for name in names:
            _checkWord(name)
        self.site, self.gahp = names

    def _options(self, words: list[str]) -> list[str]:
        names: list[str] = []
        while words:
            word = words.pop(0)
            if word == "--":
                return names + words
            if word in ("--help", "-h"):
                self.wantsHelp = True
            elif word == "--version":
                self.wantsVersion = True
            elif word == "--socket":
                if not words:
                    raise Misuse("--socket needs a path")
                self.socket = words.pop(0)
            elif word.startswith("--socket="):
                self.socket = word[len("--socket=") :]
            elif word.startswith("-"):
                raise Misuse(f"there is no option {word}")
            else:
                names.append(word)
        return names


class Client:
    """
    One run of the program: ask, wait, then serve a session to its end.

    @ivar status: the exit status, once there is one.
    """

    def __init__(self, loop: Poller, site: str, gahp: str) -> None:
        self._loop = loop
        self._site = site
        self._gahp = gahp
        self._link: ProxyLink | None = None
        self._session: ClientSession | None = None
        self._problem = ""
        self._timer = loop.callLater(limits.ANSWER_TIMEOUT, self._unanswered)
        self.status: int | None = None

    def start(self, connection: socket.socket) -> None:
        """
        Ask the proxy, which listens at the other end of C{connection}.
        """
        self._link = ProxyLink(self._loop, connection, self)
        self._link.request(self._site, self._gahp)
        # The answer takes longer than this import.
        import rvgahp.clientsession  # noqa: F401

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
            complain(f"{self._gahp} at site {self._site}: {sentence}")
            self.finish(FAILURE)

    # -- from the proxy -----------------------------------------------------

    def answered(self, box: dict[bytes, bytes]) -> None:
        from rvgahp.clientsession import ClientSession, decodeAnswer

        try:
            session, stream = decodeAnswer(box)
        except (RvgahpError, KeyError, ValueError) as e:
            self.fail(f"the proxy's answer was not understood ({e})")
            return
        self._timer.cancel()
        self._timer = self._loop.callLater(limits.FIRST_CHANNEL_TIMEOUT, self._unreached)
        self._session = ClientSession(self._loop, session, stream, self)

    def refused(self, sentence: str) -> None:
        self.fail(sentence)

    def channelHanded(self, stream: int, connection: socket.socket) -> None:
        if self._session is None or stream != 0:
            connection.close()
            return
        self._session.channelHanded(connection)

    def renewKey(self, box: dict[bytes, bytes]) -> None:
        if self._session is None:
            raise SessionGone("this client has no session yet")
        self._session.renewKey(box)

    def sessionLost(self, reason: str) -> None:
        if reason and (self._session is None or not self._session.hasExited()):
            self.fail(f"{reason}{self._problem}")

    def linkLost(self, reason: str) -> None:
        self._link = None
        if self._session is None or not self._session.hasChannel():
            self.fail(f"the proxy was lost: {reason}{self._problem}")

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


def run(arguments: Arguments) -> int:
    """
    @return: the exit status.
    """
    try:
        connection = connect(findSocket(arguments.socket))
    except RvgahpError as e:
        complain(f"{arguments.gahp} at site {arguments.site}: {e}")
        return FAILURE
    # What is imported from here on is never garbage, and looking for some in it would
    # cost 2 ms of the start.
    gc.disable()
    loop = Poller()
    client = Client(loop, arguments.site, arguments.gahp)
    _Signals(loop, client)
    client.start(connection)
    if client.status is None:
        loop.run()
    return FAILURE if client.status is None else client.status


def program() -> int:
    """
    @return: the exit status.
    """
    _fillStandardDescriptors()
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
    os._exit(program())
