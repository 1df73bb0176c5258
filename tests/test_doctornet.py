"""
Tests of L{rvgahp.doctornet} and L{rvgahp.doctortls}: real sockets on loopback.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from OpenSSL.SSL import TLS_CLIENT_METHOD, Connection, Context
from OpenSSL.SSL import Error as OpenSSLError
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import doctornet, doctortls
from rvgahp.credentials import Credentials
from rvgahp.doctorcertificates import certificates
from rvgahp.doctornet import names, port
from rvgahp.findings import Finding
from rvgahp.tls import serverOptions
from tests.identities import proxyCredentials
from tests.procfs import PATIENCE
from tests.test_doctor import DoctorTestCase

HOST = "127.0.0.1"


def say(data: bytes) -> Callable[[socket.socket], object]:
    """
    @return: a listener that says this and hangs up.
    """
    return lambda connection: connection.sendall(data)


def drip(connection: socket.socket) -> None:
    """
    Say what could be the beginning of an answer, a byte now and then, for some seconds.
    """
    with contextlib.suppress(OSError):
        for byte in b"\x16\x03\x03\x40\x00" + bytes(30):
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.1)


def forever(secured: Connection) -> None:
    """
    Say more and more, for some seconds.
    """
    end = time.monotonic() + 5
    while time.monotonic() < end:
        secured.sendall(bytes(1 << 20))


def secure(
    credentials: Credentials, talk: Callable[[Connection], object] = lambda secured: secured.recv(1)
) -> Callable[[socket.socket], object]:
    """
    @param talk: what it does after the handshake.
    @return: a listener that is a proxy as far as TLS goes.
    """

    def listen(connection: socket.socket) -> None:
        connection.settimeout(None)  # OpenSSL would take one with a limit for non-blocking
        options = serverOptions(credentials)
        secured = Connection(options._makeContext(options._now()), connection)
        secured.set_accept_state()
        try:
            secured.do_handshake()
            talk(secured)
        except OpenSSLError:
            pass

    return listen


class NetTestCase(DoctorTestCase):
    """
    Somebody who listens.
    """

    def listen(self, talk: Callable[[socket.socket], object]) -> int:
        """
        @return: the port of one who takes one connection.
        """
        listener = socket.create_server((HOST, 0))
        listener.settimeout(PATIENCE)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                talk(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(listener.close)
        self.addCleanup(thread.join, PATIENCE)
        return int(listener.getsockname()[1])

    def nobody(self) -> int:
        """
        @return: a port on which nobody listens.
        """
        bound = socket.socket()
        self.addCleanup(bound.close)
        bound.bind((HOST, 0))
        return int(bound.getsockname()[1])


class NameTests(DoctorTestCase):
    """
    Names.
    """

    def found(self, answer: Any, **values: Any) -> list[Finding]:
        """
        @return: what is found of a proxy with this host's certificate, where this is what the
            resolver says.
        """
        self.patch(doctornet, "ownName", lambda _: "own.example.org")
        self.patch(doctornet, "addressesOf", lambda names, _: dict.fromkeys(names, answer))
        case = self.case("proxy", proxyCredentials("own.example.org"), **values)
        list(certificates(case))
        return list(names(case))

    def test_good(self) -> None:
        """
        All fit.
        """
        self.assertEqual({one.level for one in self.found(["192.0.2.1"])}, {"ok"})

    def test_unknown(self) -> None:
        """
        A name that does not resolve is told; that which sites dial is wrong.
        """
        self.assertFinding(self.found("no such name"), "warning", "own.example.org does not")
        found = self.found("no such name", RVGAHP_PUBLIC_ADDRESS="own.example.org:7")
        self.assertEqual([one.level for one in found], ["warning", "wrong", "ok"])

    def test_otherName(self) -> None:
        """
        A certificate for another name than that which sites dial.
        """
        found = self.found(["192.0.2.1"], RVGAHP_PUBLIC_ADDRESS="other.example.org:7")
        self.assertFinding(found, "warning", "not for other.example.org", "rvgahp credentials host")


class PortTests(NetTestCase):
    """
    Who listens on a proxy's port.
    """

    def test_otherPort(self) -> None:
        """
        A proxy that runs and has its port from systemd is not said not to run.
        """
        case = self.case("proxy", RVGAHP_PORT=self.nobody(), RVGAHP_INTERFACE=HOST)
        case.seen = {"pid": 1}
        words = ("the proxy runs, and does not listen on", "RVGAHP_PUBLIC_ADDRESS")
        self.assertFinding(port(case), "warning", *words)

    def found(self, number: int, interface: str = HOST) -> list[Finding]:
        """
        @return: what is found of it.
        """
        case = self.case(
            "proxy", proxyCredentials(), RVGAHP_PORT=number, RVGAHP_INTERFACE=interface
        )
        list(certificates(case))
        return list(port(case))

    def test_ours(self) -> None:
        """
        Our proxy.
        """
        for interface in (HOST, "*", "0.0.0.0"):
            number = self.listen(secure(proxyCredentials()))
            self.assertFinding(self.found(number, interface), "ok", "our proxy listens")

    def test_otherProxy(self) -> None:
        """
        Something with another certificate.
        """
        number = self.listen(secure(proxyCredentials("other.example.org")))
        self.assertFinding(self.found(number), "wrong", "another certificate", "RVGAHP_PORT")

    def test_other(self) -> None:
        """
        Another program.
        """
        number = self.listen(say(b"SSH-2.0-none\r\n"))
        self.assertFinding(self.found(number), "wrong", "taken by another program", "RVGAHP_PORT")

    def test_silent(self) -> None:
        """
        One that says nothing is not waited for longer than the limit.
        """
        self.patch(doctornet, "CONNECT_LIMIT", 0.2)
        number = self.listen(lambda connection: connection.recv(1 << 16) and connection.recv(1))
        self.assertFinding(self.found(number), "wrong", "no answer to the handshake")

    def test_dripping(self) -> None:
        """
        Nor is one that says a byte now and then, which could be the beginning of an answer.
        """
        self.patch(doctornet, "CONNECT_LIMIT", 0.5)
        number = self.listen(drip)
        self.assertFinding(self.found(number), "wrong", "no answer to the handshake")

    def test_nobody(self) -> None:
        """
        Nobody, or any port.
        """
        self.assertFinding(self.found(self.nobody()), "warning", "nobody listens")
        self.assertFinding(self.found(0), "ok", "any that is free")


class LimitTests(SynchronousTestCase):
    """
    The limit of a handshake.
    """

    def test_over(self) -> None:
        """
        When it is over nothing is read any more, whatever there is.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"more")
            tls = Connection(Context(TLS_CLIENT_METHOD), None)
            tls.set_connect_state()
            self.assertRaises(TimeoutError, doctortls._exchange, ours, tls, time.monotonic())
            self.assertEqual(ours.recv(10), b"more")
