"""
GAHPs for tests: C{python -I -S gahps.py NAME}.  Each does one thing that a GAHP may do,
and tells on stdout or stderr what it has done, so that a test can check it.

The standard library only: it is started as often as the tests need.
"""

from __future__ import annotations

import os
import signal
import sys
import time

_MEBIBYTE = 1 << 20


def _say(text: str) -> None:
    """
    One line on stdout, at once.
    """
    os.write(1, f"{text}\n".encode())


def _writeAll(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _leave(how: str) -> None:
    """
    End as C{how} says: C{exit N} or C{signal N}.
    """
    word, number = how.split()
    if word == "signal":
        if int(number) != signal.SIGKILL:
            signal.signal(int(number), signal.SIG_DFL)
        os.kill(os.getpid(), int(number))
        signal.pause()
    os._exit(int(number))


def burst() -> None:
    """
    Write 1 to 10 MB that nobody can guess and end at once in one of several ways; what
    they were, and how it ends, is said on stderr in the line before the end.
    """
    import hashlib
    from random import SystemRandom

    random = SystemRandom()
    digest = hashlib.sha256()
    left = total = random.randrange(1, 10 * 1000 * 1000)
    block = os.urandom(_MEBIBYTE)
    while left:
        start = random.randrange(_MEBIBYTE)
        part = block[start : start + left]
        digest.update(part)
        _writeAll(1, part)
        left -= len(part)
    how = random.choice(("exit 0", "exit 7", "exit 255", "signal 15", "signal 9", "signal 11"))
    os.write(2, f"{total} {digest.hexdigest()} {how}\n".encode())
    _leave(how)


def end() -> None:
    """
    Read one line, C{exit N} or C{signal N}, and do that.
    """
    _leave(sys.stdin.readline())


def deaf() -> None:
    """
    Never read.
    """
    _say(str(os.getpid()))
    while True:
        signal.pause()


def stubborn() -> None:
    """
    Survive whatever can be survived.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    deaf()


def family() -> None:
    """
    Have a child, in the same process group, that holds stdout too.
    """
    child = os.fork()
    if child:
        _say(f"{os.getpid()} {child}")
    while True:
        signal.pause()


def orphan() -> None:
    """
    Exit and leave a child behind that holds stdout and stderr for ever.
    """
    child = os.fork()
    if child:
        _say(str(child))
        os._exit(7)
    while True:
        signal.pause()


def torrent() -> None:
    """
    Write without end.
    """
    block = b"torrent " * (_MEBIBYTE // 8)
    while True:
        _writeAll(1, block)


def noise() -> None:
    """
    20 MB of numbered lines on stderr, in the middle of which a line of stdout; then the
    number of lines on stdout.
    """
    lines = 200_000
    for first in range(0, lines, 1000):
        text = "".join(f"{number:099d}\n" for number in range(first, first + 1000))
        _writeAll(2, text.encode())
        if first == lines // 2:
            _say("in the middle")
    _say(str(lines))


def shutOut() -> None:
    """
    Close stdout early, go on until the end of the input, and exit with 7.
    """
    _say("before")
    os.close(1)
    count = len(sys.stdin.buffer.read())
    os.write(2, f"{count}\n".encode())
    os._exit(7)


def shutIn() -> None:
    """
    Read one line, close stdin early, and write a line that takes a while.
    """
    line = os.read(0, 100)
    os.close(0)
    _say("shut")
    time.sleep(0.3)
    _writeAll(1, line)
    os._exit(7)


def both() -> None:
    """
    Tell streams apart: a line for each.
    """
    os.write(2, b"to stderr\n")
    os.write(1, b"to stdout\n")
    sys.stdin.read()
    os._exit(3)


def slow() -> None:
    """
    Copy line by line and answer each with its number and the GAHP's own pid.
    """
    pid = os.getpid()
    for number, line in enumerate(sys.stdin.buffer):
        _writeAll(1, b"%d %d %s" % (pid, number, line))


def surroundings() -> None:
    """
    Tell what a GAHP finds: its open descriptors, whether its process group is its own, its
    environment.
    """
    import json

    opened = sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1]
    _say(json.dumps([opened, os.getpgrp() == os.getpid(), dict(os.environ)]))


def mirror() -> None:
    """
    Read one line, C{PATH STATUS COUNT}; say our pid on stdout and copy stdin to stdout; at
    its end write COUNT numbered lines to stderr, and end with STATUS, or by a signal if that
    is 128 and more.  What has come is written to PATH, and whether another one is at it.
    """
    import fcntl
    import hashlib

    source = os.fdopen(0, "rb")
    path, status, count = source.readline().split()
    report = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(report, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _writeAll(report, b"double\n")
    _writeAll(report, b"start\n")
    _say(str(os.getpid()))
    digest, size = hashlib.sha256(), 0
    while True:
        data = source.read1(1 << 16)
        if not data:
            break
        digest.update(data)
        size += len(data)
        _writeAll(1, data)
    _writeAll(report, f"end {size} {digest.hexdigest()}\n".encode())
    for number in range(int(count)):
        os.write(2, b"line %d\n" % number)
    _leave(f"exit {int(status)}" if int(status) < 128 else f"signal {int(status) - 128}")


_ALL = {
    function.__name__: function
    for function in (
        burst,
        end,
        deaf,
        stubborn,
        family,
        orphan,
        torrent,
        noise,
        shutOut,
        shutIn,
        both,
        slow,
        surroundings,
        mirror,
    )
}

if __name__ == "__main__":
    # As C programs have it: whoever writes to nobody ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _ALL[sys.argv[1]]()
