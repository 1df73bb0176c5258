"""
A PAM service for tests.  It stands in a directory that is bound over C{/etc/pam.d} in a mount
namespace of what is tested alone, so the system's own services are never touched.
"""

from __future__ import annotations

import ctypes.util
import os
import re
from pathlib import Path

from tests import accountworld
from tests.procfs import waitFor

#: The service's name.
SERVICE = "rvgahp-test"

#: What the tests need beside libpam.
_MODULES = ["access", "deny", "env", "exec", "group", "limits", "nologin", "permit", "succeed_if"]

#: Tells that a session is opened or closed; and waits then, if it is told to.
_TELL = """\
#!/bin/sh
echo "$PAM_TYPE $PAM_USER $PAM_RUSER $PAM_SERVICE $(id -u)" >> {directory}/events
if [ -e {directory}/$PAM_TYPE ]; then read line < {directory}/$PAM_TYPE; fi
"""

_FOLDERS = (
    *("/lib/{}-linux-gnu/security", "/usr/lib/{}-linux-gnu/security"),
    *("/lib64/security", "/usr/lib64/security", "/lib/security", "/usr/lib/security"),
)


def whyNot() -> str | None:
    """
    @return: why PAM cannot be asked here.
    """
    if problem := accountworld.whyNot():
        return problem
    if ctypes.util.find_library("pam") is None:
        return "there is no libpam"
    folders = [Path(one.format(os.uname().machine)) for one in _FOLDERS]
    for name in _MODULES:
        if not any((folder / f"pam_{name}.so").exists() for folder in folders):
            return f"there is no pam_{name}.so"
    return None


class Service:
    """
    The service, and what happens to its sessions.

    @ivar services: to be bound over C{/etc/pam.d}.
    """

    def __init__(self, directory: Path) -> None:
        """
        @param directory: for its files; all accounts must be able to enter it.
        """
        self.directory = directory
        self._released: list[int] = []
        self.services = directory / "pam.d"
        self.services.mkdir()
        (self.services / "other").write_text(
            "".join(f"{kind} required pam_deny.so\n" for kind in ("auth", "account", "session"))
        )
        tell = directory / "tell"
        tell.write_text(_TELL.format(directory=directory))
        tell.chmod(0o755)
        self.write()

    def write(self, account: str = "required pam_permit.so", session: str = "") -> None:
        """
        Write it.

        @param account: the line of the account phase.
        @param session: further lines, after the one that tells; C{@} is the directory.
        """
        text = f"account {account}\nsession required pam_exec.so quiet @/tell\n{session}\n"
        (self.services / SERVICE).write_text(text.replace("@", str(self.directory)))

    def file(self, name: str, text: str) -> None:
        """
        Write a file for a module.
        """
        (self.directory / name).write_text(text)

    def hold(self, kind: str) -> None:
        """
        From now on the modules do not come back from C{open_session} or C{close_session}.
        """
        os.mkfifo(self.directory / kind)

    def release(self, kind: str) -> None:
        """
        They do again, and so do those that wait.
        """
        path = self.directory / kind
        self._released.append(os.open(path, os.O_RDWR))  # which waits for nobody
        os.write(self._released[-1], b"\n" * 100)
        path.unlink()

    def close(self) -> None:
        """
        Let go of what was released.
        """
        while self._released:
            os.close(self._released.pop())

    def events(self) -> list[str]:
        """
        @return: what was told, a line each.
        """
        path = self.directory / "events"
        return path.read_text().splitlines() if path.exists() else []

    def sessions(self) -> tuple[int, int]:
        """
        @return: how many were opened, and how many closed.
        """
        events = self.events()
        counts = [
            sum(one.startswith(kind) for one in events)
            for kind in ("open_session", "close_session")
        ]
        return counts[0], counts[1]

    def awaitClosed(self, count: int) -> None:
        """
        So many sessions have been opened, and all closed.
        """
        waitFor(lambda: self.sessions()[1] >= count, f"{count} closed sessions")
        assert self.sessions() == (count, count), self.events()


def holders() -> list[int]:
    """
    @return: the processes that hold sessions, zombies not counted.
    """
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                status = Path(f"/proc/{name}/status").read_text()
                if re.match(r"Name:\tpam-session\n", status) and "State:\tZ" not in status:
                    found.append(int(name))
        except OSError:
            continue
    return found
