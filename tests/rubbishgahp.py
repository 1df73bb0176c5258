"""
A GAHP that misbehaves: C{python -I -S rubbishgahp.py SEED RATE [MISDEED...] NAME}.

NAME is the last word, as a gridmanager gives it: C{condor_ft-gahp}, or anything else for
C{blahpd}.  It speaks the protocol rightly, but with probability RATE each thing that it says
is spoiled by one of the misdeeds named, or of all.  C{MISDEED@COMMAND} is done once, whatever
the rate, at the first thing said to that command; C{BANNER} and C{IDLE} are commands here.

L{RubbishGAHP} is pure and does the same in memory.  The standard library only.
"""

from __future__ import annotations

import os
import random
import re
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Spoiler = Callable[["RubbishGAHP", bytes], bytes]

BANNERS = {
    True: b"$GahpVersion 2.0.1 Jul 30 2012 Condor_FT_GAHP $\n",
    False: b"$GahpVersion: 1.8.0 Mar 31 2008 INFN\\ blahpd\\ (poly,new_esc_format) $\r\n",
}

#: Arguments of each command, the request's id among them; and of its result, if it has one,
#: the fields after the id.
BATCH_COMMANDS: dict[bytes, tuple[int, bytes]] = {
    b"BLAH_JOB_SUBMIT": (2, b"0 No\\ error rubbish/1/%d"),
    b"BLAH_JOB_STATUS": (2, b"0 No\\ error %d [\\ JobStatus\\ =\\ %d;\\ ExitCode\\ =\\ 0\\ ]"),
    b"BLAH_JOB_CANCEL": (2, b"0 No\\ error"),
    b"BLAH_JOB_HOLD": (2, b"0 No\\ error"),
    b"BLAH_JOB_RESUME": (2, b"0 No\\ error"),
    b"BLAH_JOB_REFRESH_PROXY": (3, b"0 No\\ error"),
    b"BLAH_PING": (2, b"0 No\\ error"),
}
TRANSFER_COMMANDS: dict[bytes, tuple[int, bytes]] = {
    b"DOWNLOAD_SANDBOX": (3, b"NULL /sandbox/%d"),
    b"UPLOAD_SANDBOX": (3, b"NULL"),
    b"DOWNLOAD_PROXY": (3, b"NULL"),
    b"DESTROY_SANDBOX": (3, b"NULL"),
    b"GET_SANDBOX_PATH": (1, b""),
    b"CREATE_CONDOR_SECURITY_SESSION": (1, b""),
    b"CONDOR_VERSION": (1, b""),
}
PLAIN_COMMANDS: dict[bytes, tuple[int, bytes]] = dict.fromkeys(
    (b"ASYNC_MODE_ON", b"ASYNC_MODE_OFF", b"RESULTS", b"VERSION", b"COMMANDS", b"QUIT"), (0, b"")
)

#: The commands as which the misdeeds know what is said otherwise.
KIND_OF = {b"BANNER": "banner", b"RESULTS": "results", b"IDLE": "idle"}

_LINE_IN = re.compile(rb"((?:[^\\\n]|\\.)*)\n", re.S)
_WORD = re.compile(rb"(?:[^\\ \r]|\\.)+", re.S)

#: A job's states at the site, one for each question.
COURSE = (1, 2, 4)


class RubbishGAHP:
    """
    One GAHP.

    @ivar status: its exit status once it has one; C{None} before.
    @ivar isMute: whether it says nothing any more.
    @ivar results: what waits for RESULTS.
    @ivar done: the misdeeds done, each with what they were done to.
    """

    def __init__(
        self, seed: int, rate: float, misdeeds: Sequence[str] = (), name: str = "blahpd"
    ) -> None:
        """
        @param misdeeds: C{NAME} or C{NAME@COMMAND}; none: all names.
        """
        self.status: int | None = None
        self.done: list[tuple[str, bytes]] = []
        self.random = random.Random(seed)
        self.isMute = False
        transfers = name == "condor_ft-gahp"
        self._rate = rate
        self._once = [tuple(word.split("@")) for word in misdeeds if "@" in word]
        self._names = [word for word in misdeeds if "@" not in word] or (
            [] if misdeeds else MISDEEDS
        )
        self._commands = PLAIN_COMMANDS | (TRANSFER_COMMANDS if transfers else BATCH_COMMANDS)
        self._input = b""
        self._output: list[bytes] = []
        self.results: list[bytes] = []
        self._asked: dict[bytes, int] = {}
        self._jobs = 0
        self._isAsynchronous = self._isNoticed = False
        self.say(b"BANNER", BANNERS[transfers])

    def received(self, data: bytes) -> None:
        """
        Take bytes of its stdin.
        """
        self._input += data
        while self.status is None and (line := _LINE_IN.match(self._input)):
            self._input = self._input[line.end() :]
            self.obey(_WORD.findall(line.group(1)) or [b""])

    def inputEnded(self) -> None:
        """
        Its stdin has ended.
        """
        if self.status is None:
            self.status = 1

    def elapse(self, now: float) -> None:
        """
        Tell that there are results, or say something unasked.
        """
        if self.results and self._isAsynchronous and not self._isNoticed:
            self._isNoticed = True
            self.say(b"R", b"R\n")
        elif self._isAsynchronous:
            self.say(b"IDLE", b"")

    def deadline(self) -> float | None:
        """
        @return: nothing is ever due.
        """
        return None

    def take(self) -> bytes:
        """
        @return: what it has written to stdout since the last time.
        """
        output = b"".join(self._output)
        self._output.clear()
        return output

    def takeErrors(self) -> bytes:
        """
        @return: what it has written to stderr since the last time.
        """
        return b""

    def obey(self, words: list[bytes]) -> None:
        """
        Do what one line says.
        """
        command = words[0].upper()
        count, result = self._commands.get(command, (-1, b""))
        if len(words) != count + 1:
            return self.say(command, b"E Not\\ understood\n")
        if command == b"RESULTS":
            lines, self.results = self.results, []
            self._isNoticed = False
            text = b"".join([b"S %d\n" % len(lines), *lines])
            return self.say(b"RESULTS" if lines else b"NOTHING", text)
        reply = b"S"
        if result:
            if fields := self.makeResult(command, words, result):
                self.results.append(b"%s %s\n" % (words[1], fields))
        elif command == b"COMMANDS":
            reply = b" ".join([b"S", *sorted(self._commands)])
        elif command == b"GET_SANDBOX_PATH":
            reply = b"S /sandbox/" + words[1]
        elif command == b"CONDOR_VERSION":
            reply = b"S $CondorVersion:\\ 25.14.0\\ rubbish\\ $"
        elif command == b"ASYNC_MODE_ON":
            self._isAsynchronous = True
        self.say(command, reply + b"\n")
        if command == b"QUIT":
            self.status = 0
        return None

    def makeResult(self, command: bytes, words: list[bytes], fields: bytes) -> bytes:
        """
        @param fields: what the table has.
        @return: the fields after the id; none: there will be no result.
        """
        if command == b"BLAH_JOB_STATUS":
            asked = self._asked[words[2]] = self._asked.get(words[2], 0) + 1
            state = COURSE[min(asked, len(COURSE)) - 1]
            return fields % (state, state)
        self._jobs += 1
        return fields % self._jobs if b"%d" in fields else fields

    def say(self, command: bytes, text: bytes) -> None:
        """
        Say something, spoiled perhaps.
        """
        if self.isMute or self.status is not None:
            return
        kind = KIND_OF.get(command, "line")
        name = self._choose(command, KINDS[kind])
        if name:
            self.done.append((name, command))
            text = KINDS[kind][name](self, text)
        self._output.append(text)

    def _choose(self, command: bytes, spoilers: dict[str, Spoiler]) -> str:
        for once in self._once:
            if once[1].encode() == command and once[0] in spoilers:
                self._once.remove(once)
                return once[0]
        names = [name for name in self._names if name in spoilers]
        # At rest there is much time to do wrong.
        rate = self._rate / 10 if command == b"IDLE" else self._rate
        return self.random.choice(names) if names and self.random.random() < rate else ""


def _stop(half: bool, exits: bool) -> Spoiler:
    """
    Say half of it or nothing, and then exit, or nothing more.
    """

    def spoil(gahp: RubbishGAHP, text: bytes) -> bytes:
        if exits:
            gahp.status = gahp.random.choice((0, 1, 255))
        gahp.isMute = not exits
        return text[: len(text) // 2] if half else b""

    return spoil


def _garble(gahp: RubbishGAHP, text: bytes) -> bytes:
    rubbish = bytes(gahp.random.choices(b"SRE 0123\\\0\r\n\xff$", k=gahp.random.randint(1, 40)))
    return rubbish + b"\n" + gahp.random.choice((b"", text))


def _instead(reply: bytes) -> Spoiler:
    return lambda gahp, text: reply


def _before(more: bytes) -> Spoiler:
    return lambda gahp, text: more + text


def _counted(change: Callable[[int], bytes]) -> Spoiler:
    """
    Promise another number of results.
    """

    def spoil(gahp: RubbishGAHP, text: bytes) -> bytes:
        head, _, lines = text.partition(b"\n")
        return b"S " + change(int(head[2:])) + b"\n" + lines

    return spoil


def _oneLine(change: Callable[[list[bytes]], list[bytes]]) -> Spoiler:
    """
    Spoil the words of one result.
    """

    def spoil(gahp: RubbishGAHP, text: bytes) -> bytes:
        head, *lines, _ = text.split(b"\n")
        at = gahp.random.randrange(len(lines))
        words = lines[at].replace(b"\\ ", b"\0").split(b" ")
        lines[at] = b" ".join(change(words)).replace(b"\0", b"\\ ")
        return b"\n".join([head, *lines, b""])

    return spoil


def _again(gahp: RubbishGAHP, text: bytes) -> bytes:
    head, first, *lines = text.split(b"\n")
    return b"\n".join([b"S %d" % (int(head[2:]) + 1), first, first, *lines])


_ANYWHERE: dict[str, Spoiler] = {
    "exit": _stop(half=False, exits=True),
    "garble": _garble,
    "noise": _before(b"libproxy: cannot open the file\n"),
}

_LINE: dict[str, Spoiler] = _ANYWHERE | {
    "silent": _stop(half=False, exits=False),
    "half": _stop(half=True, exits=False),
    "halfExit": _stop(half=True, exits=True),
    "skip": _instead(b""),
    "twice": lambda gahp, text: text + text,
    "refuse": _instead(b"E No\\ such\\ thing\n"),
    "limit": _instead(b"F Threads\\ limit\\ reached\n"),
    "empty": _before(b"\n"),
    "notice": _before(b"R\n"),
    "word": _before(b"Ready\r\n"),
    "longWord": _before(b"x" * 1_000_000 + b"\n"),
}

#: What can be spoiled, and how.
KINDS: dict[str, dict[str, Spoiler]] = {
    "line": _LINE,
    "banner": _ANYWHERE
    | {
        "silent": _LINE["silent"],
        "half": _LINE["half"],
        "halfExit": _LINE["halfExit"],
        "formless": _instead(b"GahpVersion 1.0\n"),
        "longBanner": lambda gahp, text: text[:-2].ljust(160, b".") + b"\n",
    },
    "idle": _ANYWHERE | {"strayReply": _instead(b"S 0\n"), "notice": _instead(b"R\n")},
    "results": _LINE
    | {
        "lost": _instead(b"S 0\n"),
        "promise": _counted(lambda count: b"%d" % (count + 1)),
        "miser": _counted(lambda count: b"%d" % (count - 1)),
        "negative": _counted(lambda count: b"-%d" % count),
        "many": _counted(lambda count: b"many"),
        "fewer": _oneLine(lambda words: words[:-1]),
        "more": _oneLine(lambda words: [*words, b"NULL"]),
        "stranger": _oneLine(lambda words: [b"77777", *words[1:]]),
        "nameless": _oneLine(lambda words: [b"NULL", *words[1:]]),
        "wordCode": _oneLine(lambda words: [words[0], b"good", *words[2:]]),
        "badCode": _oneLine(lambda words: [words[0], b"-102", *words[2:]]),
        "nothing": _oneLine(lambda words: [*words[:-1], b"NULL"]),
        "failure": _oneLine(lambda words: [words[0], b"1", *words[2:]]),
        "longToken": _oneLine(lambda words: [*words[:-1], b"x" * 1_000_000]),
        "between": lambda gahp, text: text.replace(b"\n", b"\nR\n"),
        "again": _again,
    },
}

MISDEEDS = sorted({name for kind in KINDS.values() for name in kind})


def main(argv: Sequence[str]) -> None:
    """
    Be a process; see the module.
    """
    seed, rate, *misdeeds, name = argv
    gahp = RubbishGAHP(int(seed), float(rate), misdeeds, name)
    while True:
        output = memoryview(gahp.take())
        while output:
            output = output[os.write(1, output) :]
        if gahp.status is not None:
            os._exit(gahp.status)
        if select.select([0], [], [], 0.02)[0]:
            data = os.read(0, 65536)
            if data:
                gahp.received(data)
            else:
                gahp.inputEnded()
        gahp.elapse(0)


if __name__ == "__main__":
    main(sys.argv[1:])
