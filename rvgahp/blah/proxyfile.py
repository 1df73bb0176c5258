# -*- test-case-name: tests.test_blah_proxyfile -*-
"""
Renewing the X.509 proxy of a job.  Standard library only.
"""

from __future__ import annotations

import os

from rvgahp.blah.errors import BatchError

__all__ = ["renewProxy"]


def renewProxy(own: bytes, new: bytes) -> None:
    """
    Put a new proxy into the file that a job reads its proxy from.

    The gridmanager has usually renewed that very file already, by way of
    condor_ft-gahp's DOWNLOAD_PROXY, and asks nevertheless; if it is told of a
    failure it may cancel the job (C{src/condor_gridmanager/infnbatchjob.cpp},
    C{GM_REFRESH_PROXY}).

    @param own: the job's file.
    @param new: the file with the new proxy, absolute.
    @raise BatchError: it cannot be done; the job's file is as it was.
    """
    if not os.path.isabs(new):
        raise BatchError("The path of the new proxy is not absolute.")
    temporary = own + b"." + os.urandom(4).hex().encode("ascii")
    try:
        if os.path.exists(own) and os.path.samefile(own, new):
            return
        with open(new, "rb") as file:
            content = file.read()
        try:
            _write(temporary, content)
            # At once: a job that looks meanwhile sees one proxy or the other.
            os.rename(temporary, own)
        except OSError:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise BatchError(f"The job's proxy cannot be renewed: {error.strerror}.") from error


def _write(path: bytes, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
