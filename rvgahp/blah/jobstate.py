# -*- test-case-name: tests.test_blah_jobstate -*-
"""
The state of a job as a local resource manager tells it, and the ClassAd in
which the gridmanager hears of it.  Pure; standard library only.

The gridmanager copies from that ad (C{src/condor_gridmanager/infnbatchjob.cpp},
C{ProcessRemoteAd}): BytesSent, BytesRecvd, ExitBySignal, ExitSignal, ExitCode,
ExitReason, RemoteSysCpu, RemoteUserCpu, NumRestarts, RemoteWallClockTime,
CpusProvisioned, DiskProvisioned, MemoryProvisioned, and for a held job
HoldReason, HoldReasonCode and HoldReasonSubCode.
"""

from __future__ import annotations

from enum import IntEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    AdValue = bool | int | float | str | bytes

__all__ = ["JobState", "Status", "formatAd"]


class Status(IntEnum):
    """
    What a job is doing; the numbers are HTCondor's JobStatus.
    """

    IDLE = 1
    RUNNING = 2
    REMOVED = 3
    COMPLETED = 4
    HELD = 5


class JobState:
    """
    What is known of one job at one moment.  Never changed once made.
    """

    __slots__ = ("attributes", "status")

    def __init__(self, status: Status, attributes: Mapping[str, AdValue] | None = None) -> None:
        """
        @param status: what the job is doing.
        @param attributes: further attributes of the status ad by name; see
            the module.  C{BatchJobId} and C{JobStatus} are added by the GAHP.
        """
        self.status = status
        self.attributes = dict(attributes or {})

    def ad(self, jobId: str) -> bytes:
        """
        @param jobId: the id under which the job was submitted.
        @return: the status ad.
        """
        return formatAd({"BatchJobId": jobId, "JobStatus": int(self.status), **self.attributes})


def formatAd(attributes: Mapping[str, AdValue]) -> bytes:
    """
    Write literals as a ClassAd on one line.  (Writing these needs no ClassAd
    library, and a GAHP that is only asked for states never loads it.)

    @param attributes: values by attribute name.
    @return: ASCII; other bytes stand as octal escapes, as HTCondor writes them.
    @raise TypeError: a value is of another type.
    """
    parts = [f"{name} = {_literal(value)}" for name, value in attributes.items()]
    return f"[ {'; '.join(parts)} ]".encode("ascii")


def _literal(value: AdValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (str, bytes)):
        return f'"{"".join([_escaped(byte) for byte in _bytes(value)])}"'
    raise TypeError(f"A ClassAd literal cannot be made of {type(value).__name__}.")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _escaped(byte: int) -> str:
    if byte == 0:
        # The one byte that no ClassAd string can hold.
        return "?"
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
