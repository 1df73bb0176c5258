# -*- test-case-name: tests.test_doctornet -*-
"""
Handshakes of TLS to look at who listens, and nothing else.

Layer 6: blocking sockets; L{rvgahp.tls} has what is believed and why it is not.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography import x509
from OpenSSL.SSL import (
    TLS1_3_VERSION,
    TLS_CLIENT_METHOD,
    VERIFY_NONE,
    Connection,
    Context,
    SysCallError,
    WantReadError,
    ZeroReturnError,
)
from OpenSSL.SSL import Error as OpenSSLError
from twisted.python.failure import Failure

from rvgahp.errors import RvgahpError
from rvgahp.tls import clientOptions, explain
from rvgahp.trust import certificatesIn, loadTrust

if TYPE_CHECKING:
    from rvgahp.doctorcase import Case

__all__ = ["NoTLS", "OtherName", "handshake", "namesIn", "shownBy"]

_PIECE = 1 << 16

#: Names of a certificate that are shown.
_NAMES = 5

_CLOSED = "it closed the connection"


class NoTLS(RvgahpError):
    """
    It came to nothing; a clause says why.
    """


class OtherName(NoTLS):
    """
    The certificate is good, and for another host.
    """


def shownBy(connection: socket.socket, seconds: float) -> x509.Certificate:
    """
    @return: the certificate of who listens, whoever has signed it.
    @raise NoTLS: there is none, or not in time.
    """
    context = Context(TLS_CLIENT_METHOD)
    context.set_min_proto_version(TLS1_3_VERSION)
    context.set_verify(VERIFY_NONE)
    tls = Connection(context, None)
    tls.set_connect_state()
    try:
        _shakeHands(connection, tls, time.monotonic() + seconds)
        shown = tls.get_peer_certificate(as_cryptography=True)
    except OpenSSLError as e:
        reasons = [entry[-1] for entry in e.args[0]] if e.args else []
        raise NoTLS(f"it does not speak TLS 1.3 ({', '.join(reasons) or e})") from None
    except TimeoutError:
        raise NoTLS(_late(seconds)) from None
    except EOFError:
        raise NoTLS(_CLOSED) from None
    except (OSError, ValueError, x509.InvalidVersion) as e:
        raise NoTLS(str(e)) from None
    assert shown is not None  # or the handshake would have failed
    return shown


def handshake(connection: socket.socket, case: Case, host: str, seconds: float) -> str:
    """
    A CE's handshake, with all that it looks at.  Then we hang up: what the proxy answers to
    that tells whether it has taken our certificate.

    @param host: the one that the certificate must be for.
    @param seconds: for all of it.
    @return: when the proxy's certificate ends, for people.
    @raise NoTLS: it came to nothing.
    """
    assert case.credentials is not None
    ours = certificatesIn(case.credentials.caPEM)
    trust = loadTrust(None, case.settings.get("RVGAHP_CRLFILE")).withOurs(ours)
    tls = clientOptions(case.credentials, host, trust).clientConnectionForTLS(None)
    tls.set_connect_state()
    end = time.monotonic() + seconds
    try:
        _shakeHands(connection, tls, end)
        shown = tls.get_peer_certificate(as_cryptography=True)
        _hangUp(connection, tls, end)
    except OpenSSLError:
        problem = explain(Failure())
        if problem.endswith(f"is not for {host}"):
            raise OtherName(problem) from None
        raise NoTLS(problem) from None
    except TimeoutError:
        raise NoTLS(_late(seconds)) from None
    except EOFError:
        raise NoTLS(_CLOSED) from None
    except OSError as e:
        raise NoTLS(e.strerror or str(e)) from None
    assert shown is not None  # or the handshake would have failed
    return f"{shown.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def _shakeHands(connection: socket.socket, tls: Connection, end: float) -> None:
    """
    @raise OpenSSLError: it comes to nothing.
    """
    while not _step(tls.do_handshake):
        _exchange(connection, tls, end)


def _hangUp(connection: socket.socket, tls: Connection, end: float) -> None:
    """
    Say that we go, and read what there is until the other side goes, too.

    @raise OpenSSLError: it refuses our certificate.
    """
    tls.shutdown()
    with suppress(ZeroReturnError, SysCallError, ConnectionError, EOFError):
        while True:
            if not _step(lambda: tls.recv(_PIECE)):
                _exchange(connection, tls, end)


def _step(step: Callable[[], object]) -> bool:
    """
    @return: whether C{step} is done; else something must come first.
    """
    try:
        step()
    except WantReadError:
        return False
    return True


def _exchange(connection: socket.socket, tls: Connection, end: float) -> None:
    """
    Send what is to be sent, and wait for what comes.

    @raise EOFError: nothing comes any more.
    @raise TimeoutError: nothing has come in time.
    """
    left = end - time.monotonic()
    if left <= 0:  # however often something comes
        raise TimeoutError
    connection.settimeout(left)
    while _step(lambda: connection.sendall(tls.bio_read(_PIECE))):
        pass
    data = connection.recv(_PIECE)
    if not data:
        raise EOFError
    tls.bio_write(data)


def namesIn(certificate: x509.Certificate) -> str:
    """
    @return: the hosts that it is for, with commas between them.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    found = [*names.get_values_for_type(x509.DNSName)]
    found += map(str, names.get_values_for_type(x509.IPAddress))
    return ", ".join(found[:_NAMES])


def _late(seconds: float) -> str:
    return f"it gave no answer to the handshake of TLS within {seconds:g} s"
