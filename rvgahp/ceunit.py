# -*- test-case-name: tests.test_cecli -*-
"""
The units of systemd for a CE: C{contrib/systemd/} has them with the usual paths.

Layer 6; the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rvgahp.errors import RvgahpError

__all__ = ["systemUnit", "userUnit"]

_HEAD = """\
# {title}  doc/systemd.rst of rvgahp tells
# why each line is here.
[Unit]
Description=Reverse GAHP: the CE, which dials the proxy
{order}# It is tried again until its settings are mended.
StartLimitIntervalSec=0

[Service]
# Not Type=notify: it is ready when the proxy has accepted it, and that may be tomorrow.
Type=exec
NotifyAccess=main
"""

_ORDER = """\
Wants=network-online.target
After=network-online.target nss-lookup.target nss-user-lookup.target remote-fs.target
After=time-sync.target
"""

_SERVICE = """\
Restart=always
RestartSec=10
WatchdogSec=120
# The CE ends its GAHPs itself.  What they have left behind on purpose, such as jobs of a batch
# GAHP that runs them here, goes on, as it does after a logout.
KillMode=process
# GAHPs are killed at once; one that hangs in the kernel has RVGAHP_KILL_GRACE twice, PAM 38 s.
TimeoutStopSec=90
# One job that takes all memory is no reason to end the others.
OOMPolicy=continue
TasksMax=infinity
# The CE's own files; GAHPs have RVGAHP_UMASK.
UMask=0077
"""

_RELOAD = "# Waits for the end, and says what is new or wrong.\n"

_HARDENING = """\
# Whatever stands here holds for all GAHPs and jobs, so it is only what no job of a grid does,
# also with sudo.  There is no NoNewPrivileges=, no mount namespace and no filter of system
# calls: the CE's own process needs none of them, for it has given up root.
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_WAKE_ALARM
CapabilityBoundingSet=~CAP_BLOCK_SUSPEND CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_LINUX_IMMUTABLE
CapabilityBoundingSet=~CAP_SYSLOG CAP_BPF CAP_PERFMON CAP_CHECKPOINT_RESTORE
"""

_TITLES = {
    "system": "A CE that root starts, for many accounts.",
    "user": "A CE of one user's, for systemctl --user.",
}

_INSTALL = "\n[Install]\nWantedBy={target}\n"

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-=@:,+")


def _quoted(word: str) -> str:
    """
    @return: one word of a unit.
    @raise RvgahpError: it can be none.
    """
    if not word.isprintable():
        raise RvgahpError(f"{word!a} cannot stand in a unit: it has characters that do not print")
    if word and set(word) <= _PLAIN:
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _commandLine(words: Sequence[str]) -> str:
    program, *arguments = (_quoted(word) for word in words)
    return " ".join([program, *(word.replace("$", "$$") for word in arguments)])


def _started(words: Sequence[str], reload: Sequence[str], variables: Mapping[str, str]) -> str:
    lines = [f"Environment={_quoted(f'{name}={value}')}\n" for name, value in variables.items()]
    lines += [f"ExecStart={_commandLine(words)}\n", _RELOAD, f"ExecReload={_commandLine(reload)}\n"]
    return "".join(lines)


def systemUnit(words: Sequence[str], reload: Sequence[str]) -> str:
    """
    @param words: the command that root is to start.
    @param reload: the one that has it read its files again, and waits.
    @return: the text of a unit in C{/etc/systemd/system}.
    """
    head = _HEAD.format(title=_TITLES["system"], order=_ORDER)
    install = _INSTALL.format(target="multi-user.target")
    return f"{head}{_started(words, reload, {})}{_SERVICE}{_HARDENING}{install}"


def userUnit(words: Sequence[str], reload: Sequence[str], variables: Mapping[str, str]) -> str:
    """
    @param words: the command that starts it; C{reload}: as of L{systemUnit}.
    @param variables: what the CE and its GAHPs need of a login's environment, which systemd
        does not know.
    @return: the text of a unit in C{~/.config/systemd/user}.
    """
    head = _HEAD.format(title=_TITLES["user"], order="")
    install = _INSTALL.format(target="default.target")
    return f"{head}{_started(words, reload, variables)}{_SERVICE}{install}"
