"""
Tests of L{rvgahp.doctorway}: real sockets on loopback.
"""

from __future__ import annotations

from typing import Any

from rvgahp import doctornet, doctorway
from rvgahp.credentials import Credentials
from rvgahp.doctorcase import Case
from rvgahp.doctorcertificates import certificates
from rvgahp.doctorway import proxyAddress
from rvgahp.findings import Finding
from tests.identities import ceCredentials, proxyCredentials
from tests.test_doctornet import HOST, NetTestCase, forever, say, secure


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
        self.patch(doctorway, "CONNECT_LIMIT", 0.5)
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
        self.patch(doctorway, "CONNECT_LIMIT", 0.2)
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
