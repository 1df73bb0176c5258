"""
A sandbox whose CE is root's, with accounts of its own: they stand in a passwd file that is
bound over the system's in a mount namespace of the CE alone.  Nothing is left of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rvgahp.sandbox import SITE
from tests.playground import Playground
from tests.procfs import PATIENCE, isAlive, waitFor
from tests.relay import Relay

#: Of the accounts: C{rvt0} to C{rvt9}.
FIRST_UID = 61000
COUNT = 10

#: The group that C{rvt0} and C{rvt1} have besides their own.
TOGETHER = 61500

#: The CE's account, and accounts that may not be had.
CE_UID = 61100
LOW_UID = 61099
LOWEST = FIRST_UID - 500

ENTRIES = {
    **{f"rvt{number}": FIRST_UID + number for number in range(COUNT)},
    "rvtce": CE_UID,
    "rvtlow": LOWEST - 1,
    "rvtold": FIRST_UID + 200,
    "rvtroot": 0,
}

#: Executes what it is given, and goes on as the daemon whose words it has.
_ENTER = """\
set -e
mount --make-rprivate /
for name in passwd group shadow; do mount --bind "$1/$name" /etc/$name; done
if [ -d "$1/pam.d" ]; then mount --bind "$1/pam.d" /etc/pam.d; fi
if [ -n "$2" ]; then
  mkdir "$1/python"
  mount --bind "$3" "$1/python"
  mount -t tmpfs -o mode=755 none "$2"
  mkdir -p "$3"
  mount --move "$1/python" "$3"
fi
shift 3
exec "$@"
"""

#: A GAHP that evaluates expressions, a line each, and tells how that went.
PROBE = """\
import ctypes, json, os, pwd, resource, signal, socket, stat, subprocess, sys, time
def report():
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
    umask = os.umask(0o77)
    os.umask(umask)
    return {
        "pid": os.getpid(),
        "group": os.getpgid(0) == os.getpid(),
        "uids": list(map(int, status["Uid"].split())),
        "gids": list(map(int, status["Gid"].split())),
        "groups": sorted(map(int, status["Groups"].split())),
        "capabilities": [int(status["Cap" + name], 16) for name in ("Inh", "Prm", "Eff", "Amb")],
        "nnp": int(status["NoNewPrivs"]),
        "ignored": int(status["SigIgn"], 16),
        "blocked": int(status["SigBlk"], 16),
        "umask": umask,
        "cwd": os.getcwd(),
        "environ": dict(os.environ),
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "terminal": tty(),
    }
def tty():
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError as e:
        return e.strerror
def connect(port, data):
    kept.append(socket.create_connection(("127.0.0.1", port)))
    kept[-1].settimeout(30)
    kept[-1].sendall(bytes.fromhex(data))
    return kept[-1].recv(100).decode()
def ptrace(pid):
    if ctypes.CDLL(None, use_errno=True).ptrace(16, pid, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
kept = []
for line in sys.stdin:
    try:
        answer = {"value": eval(line)}
    except BaseException as e:
        answer = {"error": type(e).__name__}
    print(json.dumps(answer), flush=True)
"""


def whyNot() -> str | None:
    """
    @return: why there can be no such sandbox here.
    """
    if os.geteuid():
        return "only root can start a CE that leaves root"
    words = ["unshare", "-m", "sh", "-c", "mount --make-rprivate / && mount -t tmpfs x /mnt"]
    if shutil.which("unshare") is None:
        return "there is no program unshare"
    if subprocess.run(words, capture_output=True, check=False, timeout=PATIENCE).returncode:
        return "no mount namespace can be had here"
    return None


def _closed(path: str) -> str:
    """
    @return: the highest directory above C{path} that only root may enter, or nothing.
    """
    for directory in reversed(Path(path).parents):
        if not directory.stat().st_mode & 0o001:
            return str(directory)
    return ""


class Probe:
    """
    One GAHP of an account, by its client.
    """

    def __init__(self, client: subprocess.Popen[bytes]) -> None:
        self.client = client
        self.pid: int = self.told("report()['pid']")

    def ask(self, expression: str) -> None:
        """
        Have it evaluate an expression.
        """
        assert self.client.stdin is not None
        self.client.stdin.write(expression.encode() + b"\n")
        self.client.stdin.flush()

    def answer(self, expression: str = "") -> dict[str, Any]:
        """
        @param expression: empty: the one that was asked.
        @return: C{value} or C{error} of an expression, in the GAHP.
        """
        if expression:
            self.ask(expression)
        assert self.client.stdout is not None
        line = self.client.stdout.readline()
        if not line:
            self.client.wait(PATIENCE)
            assert self.client.stderr is not None
            raise AssertionError(f"no GAHP: {self.client.stderr.read().decode()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def told(self, expression: str) -> Any:
        """
        @return: the value of one that has one.
        """
        answer = self.answer(expression)
        if "error" in answer:
            raise AssertionError(f"{expression}: {answer}")
        return answer["value"]


class AccountWorld(Playground):
    """
    The sandbox.

    @cvar map: the map file.
    @ivar homes: of the accounts.
    """

    map = "PROXY ^root(@.*)?$ rvt0\n"

    def __init__(
        self,
        gahps: Mapping[str, str] | None = None,
        ceSettings: str = "",
        relay: Relay | None = None,
    ) -> None:
        """
        @param gahps: command lines by name, beside C{cat} and C{probe}.
        @param ceSettings: further lines for the CE's configuration file.
        @param relay: as of L{Playground}.
        """
        settings = (
            f"RVGAHP_ACCOUNT = rvtce\nRVGAHP_ALLOW_ROOT = false\nRVGAHP_LOWEST_UID = {LOWEST}\n"
            "RVGAHP_UMASK = 0027\nRVGAHP_KILL_GRACE = 1\n"
        )
        gahps = {"cat": "/bin/cat", **(gahps or {})}
        super().__init__(gahps, "", settings + ceSettings, relay)
        directory = self.sandbox.directory
        self.homes = directory / "home"
        gahps = self.sandbox._gahps
        gahps["probe"] = f"{sys.executable} -I -S {directory}/probe.py"
        self.sandbox._extraSettings["rvgahp-ce"] += f"CERTIFICATE_MAPFILE = {directory}/map\n"

    def start(self) -> AccountWorld:
        """
        Start proxy and CE.
        """
        self.sandbox.startProxy()
        if self._relay is not None:
            self._relay.target = ("127.0.0.1", self.sandbox.port)
        directory = self.sandbox.directory
        directory.chmod(0o711)
        self._makeAccounts(directory)
        (directory / "probe.py").write_text(PROBE)
        (directory / "enter").write_text(_ENTER)
        (directory / "map").write_text(self.map)
        base = os.path.realpath(sys.base_prefix)
        self.sandbox.ce.command = [
            *("unshare", "-m", "sh", f"{directory}/enter", str(directory), _closed(base), base),
            *self.sandbox.ce.command,
        ]
        self.startCE()
        return self

    def startCE(self) -> None:
        """
        Start the CE, again.
        """
        shutil.rmtree(self.sandbox.directory / "python", ignore_errors=True)
        umask = os.umask(0)  # for the socket on which the CE says that it is ready
        try:
            self.sandbox.startCE()
        finally:
            os.umask(umask)

    def _makeAccounts(self, directory: Path) -> None:
        self.homes.mkdir()
        for name in ("passwd", "group", "shadow"):
            path = Path("/etc") / name
            text = path.read_text() if path.exists() else ""
            (directory / name).write_text(text.rstrip("\n") + "\n" + self._lines(name))
            (directory / name).chmod(0o600 if name == "shadow" else 0o644)
        for name, uid in ENTRIES.items():
            (self.homes / name).mkdir(mode=0o700)
            os.chown(self.homes / name, uid, uid)

    def _lines(self, name: str) -> str:
        rows = {
            "passwd": "{0}:x:{1}:{1}::{2}/{0}:/sbin/nologin",
            "group": "{0}:x:{1}:",
            "shadow": "{0}:!:19000:0:99999:7::{3}:",
        }
        lines = [
            rows[name].format(account, uid, self.homes, "19001" if account == "rvtold" else "")
            for account, uid in ENTRIES.items()
        ]
        if name == "group":
            lines.append(f"rvtboth:x:{TOGETHER}:rvt0,rvt1")
        return "".join(line + "\n" for line in lines)

    def probe(self, account: str = "") -> Probe:
        """
        @param account: the one that is asked for; empty: none.
        @return: a GAHP that runs.
        """
        return Probe(self.client("probe", f"{account}@{SITE}" if account else SITE))

    def left(self) -> list[int]:
        """
        @return: the processes of these accounts.
        """
        uids = set(ENTRIES.values()) - {0}
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.stat(f"/proc/{name}/task").st_uid in uids:
                    found.append(int(name))
            except OSError:
                continue
        return [pid for pid in found if isAlive(pid)]

    def stop(self) -> None:
        """
        End everything.

        @raise AssertionError: a process of an account was left.
        """
        super().stop()
        waitFor(lambda: not self.left(), "the end of the accounts' processes")
