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
from rvgahp.doctorcase import Case
from rvgahp.doctorcertificates import certificates
from rvgahp.doctornet import names, port, proxyAddress
from rvgahp.findings import Finding
from rvgahp.tls import serverOptions
from tests.identities import ceCredentials, proxyCredentials
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


class ProxyTests(NetTestCase):
    """
    A CE's way to the proxy.
    """

    def found(self, number: int, given: Credentials | None = None, **values: Any) -> list[Finding]:
        """
        @return: what is found of the way to a proxy on this port, whose name is C{BROKER}.
        """
        case = self.case(
            given=given or ceCredentials(), RVGAHP_CONNECT_TO=f"{HOST}:{number}", **values
        )
        self.credentialsOf(case)
        return list(proxyAddress(case))

    def credentialsOf(self, case: Case) -> None:
        """
        Have them read.
        """
        list(certificates(case))

    def test_endless(self) -> None:
        """
        A proxy that says more and more, where it should go, is not listened to for ever.
        """
        self.patch(doctornet, "CONNECT_LIMIT", 0.5)
        number = self.listen(secure(proxyCredentials(), forever))
        self.assertFinding(self.found(number), "wrong", "no answer to the handshake")

    def test_good(self) -> None:
        """
        The proxy takes us, and we it.
        """
        number = self.listen(secure(proxyCredentials()))
        found = self.found(number)
        self.assertEqual([one.level for one in found], ["ok", "ok"], found)

    def test_wrongCA(self) -> None:
        """
        We do not take its authority.
        """
        number = self.listen(secure(proxyCredentials()))
        found = self.found(number, ceCredentials(trusted="another"))
        self.assertFinding(found, "wrong", "is not one that we know", "RVGAHP_CAFILE")

    def test_refused(self) -> None:
        """
        It does not take ours.
        """
        number = self.listen(secure(proxyCredentials()))
        found = self.found(number, ceCredentials(signer="another"))
        self.assertFinding(found, "wrong", "it does not know the authority", "rvgahp join")

    def test_otherName(self) -> None:
        """
        It has a certificate for another host.
        """
        number = self.listen(secure(proxyCredentials("other.example.org")))
        self.assertFinding(self.found(number), "wrong", "its certificate is not for proxy.example")

    def test_noProxy(self) -> None:
        """
        It is something else; or goes; or is silent.
        """
        number = self.listen(say(b"SSH-2.0-none\r\n"))
        self.assertFinding(self.found(number), "wrong", "it does not speak TLS")
        number = self.listen(lambda connection: connection.recv(1 << 16))
        self.assertFinding(self.found(number), "wrong", "it closed the connection")
        self.patch(doctornet, "CONNECT_LIMIT", 0.2)
        number = self.listen(lambda connection: connection.recv(1 << 16) and connection.recv(1))
        self.assertFinding(self.found(number), "wrong", "no answer to the handshake")

    def test_nobody(self) -> None:
        """
        Nobody listens.
        """
        self.assertFinding(self.found(self.nobody()), "wrong", "nobody listens at the proxy's")

    def test_unknown(self) -> None:
        """
        The name does not resolve.
        """
        self.patch(doctornet, "addressesOf", lambda names, _: dict.fromkeys(names, "no such name"))
        case = self.case()
        self.assertFinding(proxyAddress(case), "wrong", "does not resolve", "RVGAHP_BROKER_HOST")
