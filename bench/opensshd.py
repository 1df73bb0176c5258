"""
A private sshd on loopback, with keys of its own, for the account that runs the
benchmark; and what to say to ssh to reach it.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from launcher import PATIENCE, BenchError, Daemon, freePort, waitUntil

#: The cipher to beat, since the channels of rvgahp have the same.
GCM = "aes256-gcm@openssh.com"

_SSHD = "/usr/sbin/sshd"
_RUN = Path("/run/sshd")
_ATTEMPTS = 5

# As fast as ssh can be without tricks: no look-ups, no other methods, nothing of the
# account's own shell start-up files (HOME), and nobody refused because many come at
# once.
_SERVER = """\
ListenAddress 127.0.0.1:{port}
AddressFamily inet
HostKey {dir}/host
AuthorizedKeysFile {dir}/user.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin yes
PermitUserRC no
SetEnv HOME={dir}
PrintMotd no
PrintLastLog no
X11Forwarding no
MaxStartups 10000
MaxSessions 10000
LogLevel ERROR
"""

_CLIENT = """\
Host bench
HostName 127.0.0.1
Port {port}
User {user}
IdentityFile {dir}/user
IdentitiesOnly yes
IdentityAgent none
PreferredAuthentications publickey
GSSAPIAuthentication no
UserKnownHostsFile {dir}/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
CheckHostIP no
HostKeyAlias bench
UpdateHostKeys no
BatchMode yes
ConnectTimeout 10
ConnectionAttempts 1
ForwardAgent no
ForwardX11 no
Compression no
EscapeChar none
RequestTTY no
ControlMaster no
LogLevel ERROR
"""


def isInstalled() -> bool:
    """
    @return: whether OpenSSH is there, both ends of it.
    """
    return os.access(_SSHD, os.X_OK) and all(map(shutil.which, ("ssh", "ssh-keygen")))


def version() -> str:
    """
    @return: OpenSSH's own words.
    """
    return _run(["ssh", "-V"])[1]


def _run(words: list[str]) -> tuple[int, str]:
    """
    @return: its exit status and what it said on stderr.
    """
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stderr.strip()


class PrivateSSHD:
    """
    The sshd, and a shared connection to it.

    @ivar port: where it listens.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._daemons: list[Daemon] = []
        self._madeRun = False
        self.port = 0
        self._logFile = directory / "sshd.log"

    def __enter__(self) -> PrivateSSHD:
        try:
            self._directory.mkdir(mode=0o700)
            self._makeKeys()
            if os.geteuid() == 0 and not _RUN.exists():
                _RUN.mkdir(mode=0o755)
                self._madeRun = True
            if not any(self._start() for _ in range(_ATTEMPTS)):
                raise BenchError(f"sshd found no free port in {_ATTEMPTS} attempts")
            self._share()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for daemon in reversed(self._daemons):
            daemon.stop()
        if self._madeRun:
            _RUN.rmdir()

    def words(
        self,
        gahp: list[str],
        cipher: str | None = None,
        shared: bool = False,
        options: Sequence[str] = (),
    ) -> list[str]:
        """
        @param options: of ssh.
        @return: the command that starts C{gahp} by ssh.
        """
        options = [*options, *(["-c", cipher] if cipher else [])]
        if shared:
            options += ["-S", self._controlPath]
        return ["ssh", "-F", self._config, *options, "bench", "exec " + shlex.join(gahp)]

    @property
    def _config(self) -> str:
        return str(self._directory / "ssh_config")

    @property
    def _controlPath(self) -> str:
        return str(self._directory / "shared")

    def _makeKeys(self) -> None:
        for name in ("host", "user"):
            path = str(self._directory / name)
            status, said = _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
            if status:
                raise BenchError(f"ssh-keygen failed: {said}")

    def _start(self) -> bool:
        """
        @return: whether it came up; if not, its port was taken meanwhile.
        """
        self.port = port = freePort()
        values = {"port": port, "dir": self._directory, "user": getpass.getuser()}
        config = self._directory / "sshd_config"
        config.write_text(_SERVER.format(**values))
        Path(self._config).write_text(_CLIENT.format(**values))
        key = (self._directory / "host.pub").read_text()
        (self._directory / "known_hosts").write_text(f"bench {key}")
        daemon = Daemon([_SSHD, "-D", "-f", str(config), "-E", str(self._logFile)])
        self._daemons.append(daemon)
        return bool(waitUntil(lambda: self._state(daemon, port), PATIENCE, "sshd") == "up")

    def _state(self, daemon: Daemon, port: int) -> str:
        if daemon.process.poll() is not None:
            if "in use" in self.log():
                return "taken"
            raise BenchError(f"sshd did not start: {self.log()}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                return "up" if probe.recv(4) == b"SSH-" else ""
        except OSError:
            return ""

    def _share(self) -> None:
        """
        Open the connection that later ones may share.
        """
        words = ["ssh", "-F", self._config, "-M", "-S", self._controlPath, "-N", "bench"]
        complaints = self._directory / "shared.log"
        with complaints.open("wb") as stderr:
            daemon = Daemon(words, stderr)
        self._daemons.append(daemon)

        def isUp() -> bool:
            if daemon.process.poll() is not None:
                reason = f"{complaints.read_text().strip()} {self.log()}".strip()
                raise BenchError(f"ssh did not get in: {reason}")
            return os.path.exists(self._controlPath)

        waitUntil(isUp, PATIENCE, "the shared ssh connection")

    def log(self) -> str:
        """
        @return: what sshd complained about last.
        """
        try:
            return " / ".join(self._logFile.read_text().splitlines()[-3:])
        except OSError:
            return ""
