"""
The exec helper: becomes a GAHP, in a process of its own that has nothing of the
CE's but what the GAHP should have.

Layer 2: run as a program, C{python -I -S launch.py}, with the built-in modules
only, since it is part of every start.  Twisted's C{spawnProcess} sets no process
group, signals, umask or limits.

Words: the soft limit of descriptors, the umask (octal), the working directory, the
program, its arguments.  Descriptor 3 is closed by a successful exec; before an
unsuccessful one the reason is written to it.
"""

from __future__ import annotations

# "signal" and "resource" would double this program's time: signal imports enum.
import _signal
import os
import sys

STATUS = 3
_LAST_SIGNAL = 64


def main(words: list[str]) -> None:
    """
    Become the program, or say why not and exit with 127.
    """
    descriptors, umask, directory, program, *arguments = words
    os.set_inheritable(STATUS, False)
    try:
        _settle(int(descriptors), int(umask, 8), directory)
        os.execv(program, [program, *arguments])
    except OSError as e:
        os.write(STATUS, f"{e.filename or program}: {e.strerror}".encode("utf-8", "replace"))
        os._exit(127)


def _settle(descriptors: int, umask: int, directory: str) -> None:
    # A group, not a session: a stopped process whose parent dies is then hung up.
    os.setpgid(0, 0)
    os.umask(umask)
    for number in range(1, _LAST_SIGNAL + 1):
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # KILL, STOP and those the C library keeps
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    if descriptors:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    os.chdir(directory)


if __name__ == "__main__":
    main(sys.argv[1:])
