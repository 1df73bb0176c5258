# -*- test-case-name: tests.test_clientwords -*-
"""
The words of C{rvgahp_client}, in every form that users have.

Layer 1: the standard library, and L{rvgahp.names}.  No C{argparse}: it would cost
each start 2 ms.  The forms are those of HTCondor's C{remote_gahp} (25.14,
C{src/condor_gridmanager/remote_gahp}) and of C rvgahp's client
(C{src/rvgahp/rvgahp_client.c}).  The gridmanager gives the words of
C{grid_resource} after the batch system, parted at single blanks and without any
quoting, and C{blahpd} or C{condor_ft-gahp} as the last
(C{src/condor_gridmanager/infnbatchjob.cpp}).
"""

from __future__ import annotations

from rvgahp.errors import ConfigurationError
from rvgahp.names import checkAccount, checkSite

#: Bytes of a GAHP's name: far more than any has, and it fits in a box.
_LONGEST_WORD = 1024

#: A GAHP that C{remote_gahp} starts whatever its C{--rgahp-script} says.
_TRANSFERS = "condor_ft-gahp"

_SOCKET = ("--rvgahp-socket", "--socket")

#: The options that take the next word, and what they need.  The last three are ssh's
#: business, or the site's, and without effect.
_VALUED = {
    "--rvgahp-socket": "a path",
    "--socket": "a path",
    "--rgahp-user": "an account",
    "--rgahp-script": "a GAHP's name",
    "--rgahp-key": "a path",
    "--rgahp-pass": "a path",
    "--rgahp-glite": "a path",
}

#: The others of C{remote_gahp}: ssh's business.
_WITHOUT_EFFECT = ("--rgahp-nokey", "--rgahp-nopass", "--rgahp-nobatchmode", "--rgahp-nologin")

USAGE = (
    "Usage: rvgahp_client [OPTIONS] [USER@]SITE[:PORT] GAHP, or rvgahp_client [OPTIONS] SOCKPATH"
    " GAHP; as a REMOTE_GAHP it needs grid_resource = batch SYSTEM [USER@]SITE [OPTIONS], or batch"
    " SYSTEM SOCKPATH"
)

HELP = """\
Usage: rvgahp_client [OPTIONS] [USER@]SITE[:PORT] GAHP
       rvgahp_client [OPTIONS] SOCKPATH GAHP

Start GAHP (blahpd, condor_ft-gahp, or another that the site offers) at SITE,
and be it: stdin, stdout, stderr and the exit status are the GAHP's.

  USER      the account at the site that the GAHP is to run as; the site may
            refuse.  Left out: the one that the site chooses.
  PORT      without effect.
  SOCKPATH  what has a slash is no site, but a UNIX socket on which the proxy
            listens for one site (its setting RVGAHP_SITE_SOCKETS).

Options, which may stand anywhere:

  --rvgahp-socket PATH, --socket PATH
                 the proxy's UNIX socket.  Else the environment variable
                 _CONDOR_RVGAHP_SOCKET, else /run/rvgahp/proxy.sock if it is
                 there, else the setting RVGAHP_SOCKET of condor_config.
  --rgahp-user USER
                 the same as USER@
  --rgahp-script GAHP
                 start this one in place of blahpd
  --rgahp-key PATH, --rgahp-pass PATH, --rgahp-glite PATH, --rgahp-nokey,
  --rgahp-nopass, --rgahp-nobatchmode, --rgahp-nologin
                 of HTCondor's remote_gahp; without effect here
  --version      print the version
  -h, --help     print this

With REMOTE_GAHP = the path of this program, in condor_config:

  grid_resource = batch slurm login.example.edu
  grid_resource = batch slurm alice@login.example.edu
  grid_resource = batch slurm alice@login.example.edu --rvgahp-socket PATH
  grid_resource = batch pbs SOCKPATH

The site's CE must be connected to the proxy (twistd rvgahp-proxy) on this host.
Exit status: the GAHP's; 128 + n if signal n ended it; 255 if it could not be
started or was lost, with one sentence on stderr; 2 for a mistake in the words.

manual: doc/client.rst
"""


class Misuse(Exception):
    """
    The words of the command make no sense.
    """


class Arguments:
    """
    The words of the command.

    @ivar site: the site; empty if only its socket is named, which then tells it.
    @ivar account: the account asked for there; empty: the site's choice.
    @ivar gahp: the GAHP that the site is asked for.
    @ivar role: the GAHP that we are to our parent: another name at the site makes no other
        dialogue.
    @ivar socket: the proxy's socket, or L{None} if it is not named.
    """

    def __init__(self, words: list[str]) -> None:
        """
        @raise Misuse: they make no sense.
        """
        self.site = self.account = self.gahp = self.role = ""
        self.socket: str | None = None
        self.wantsHelp = self.wantsVersion = False
        self._script = ""
        self._bare: list[str] = []
        try:
            self._read(list(words))
            if not (self.wantsHelp or self.wantsVersion):
                self._finish(words)
        except ConfigurationError as e:
            raise Misuse(str(e).rstrip(".")) from None

    @property
    def place(self) -> str:
        """
        Where the GAHP is to run, for people.
        """
        return f"site {self.site}" if self.site else f"the site of socket {self.socket}"

    def _read(self, words: list[str]) -> None:
        onlyBare = False
        while words:
            word = words.pop(0)
            if onlyBare or not word.startswith("-"):
                self._bareWord(word)
            elif word == "--":
                onlyBare = True
            elif word in ("--help", "-h"):
                self.wantsHelp = True
            elif word == "--version":
                self.wantsVersion = True
            elif word not in _WITHOUT_EFFECT:
                self._option(word, words)

    def _bareWord(self, word: str) -> None:
        if not word:
            return  # two blanks side by side in grid_resource
        if not self._bare:
            self._setPlace(word)
        self._bare.append(word)

    def _setPlace(self, word: str) -> None:
        if "/" in word:
            self._setSocket(word)
            return
        user, at, host = word.rpartition("@")
        site, _, port = host.partition(":")
        if not site or (at and not user) or port.strip("0123456789"):
            raise Misuse(f"{word[:80]!a} is neither [USER@]SITE[:PORT] nor a socket's path")
        self.site = checkSite(site)
        if user:
            self.account = checkAccount(user)

    def _setSocket(self, path: str) -> None:
        if self.socket not in (None, path):
            raise Misuse(f"two sockets are named, {self.socket!a} and {path[:80]!a}")
        self.socket = path

    def _option(self, word: str, words: list[str]) -> None:
        name, equals, value = word.partition("=")
        if name not in _VALUED:
            raise Misuse(f"there is no option {word[:80]!a}")
        if not equals and words and not words[0].startswith("-"):
            value, equals = words.pop(0), "="
        if not equals or (not value and name in _SOCKET):
            raise Misuse(f"{name} needs {_VALUED[name]}")
        if name in _SOCKET:
            self._setSocket(value)
        elif name == "--rgahp-user" and value:
            self.account = checkAccount(value)
        elif name == "--rgahp-script":
            self._script = value

    def _finish(self, words: list[str]) -> None:
        """
        See that a place and a GAHP are named, and no more.
        """
        names = self._bare[1:]
        asked = names[:1]
        if self._script and names != [_TRANSFERS]:
            # As in remote_gahp, where the gridmanager's own word is then an argument.
            names = [self._script, *names[1:]]
        if not (self._bare and names):
            self._missing(words)
        if len(names) > 1:
            raise Misuse(f"{names[1][:80]!a} is one word too many")
        self.gahp = _checkGAHP(names[0])
        self.role = (asked or names)[0]

    def _missing(self, words: list[str]) -> None:
        """
        @raise Misuse: always; it says what is missing, and why.
        """
        if words[-2:-1] and words[-2] in _VALUED:
            raise Misuse(f"{words[-2]} took {words[-1][:80]!a} for its value, and no GAHP is named")
        if not self._bare:
            raise Misuse("no site and no GAHP is named")
        raise Misuse(f"no GAHP is named after {self._bare[0][:80]!a}")


def _checkGAHP(name: str) -> str:
    """
    @raise Misuse: C{name} is no text that could be sent, or is a path; which names
        there are is for the proxy and the site to say.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Misuse(f"{name[:80]!a} is no text in UTF-8") from None
    if size > _LONGEST_WORD:
        raise Misuse(f"{name[:80]!a}... is too long for a name")
    if "/" in name:
        raise Misuse(
            f"{name[:80]!a} is a path, and a GAHP is started by its name"
            " (the site's RVGAHP_GAHP_NAMES)"
        )
    return name
