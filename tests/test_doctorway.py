"""
Tests of L{rvgahp.doctorway}: real sockets on loopback.
"""

from __future__ import annotations

import os
from typing import Any

from rvgahp import doctornet, doctorway
from rvgahp.credentials import Credentials
from rvgahp.doctorcase import Case
from rvgahp.doctorcertificates import certificates
from rvgahp.doctorway import proxyAddress
from rvgahp.findings import Finding
from tests.gateways import Gateway
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


class GatewayTests(NetTestCase):
    """
    The same through a gateway.
    """

    def setUp(self) -> None:
        """
        Let one listen.
        """
        super().setUp()
        self.gateway = Gateway("http")
        self.addCleanup(self.gateway.close)

    def found(self, *numbers: int, **values: Any) -> list[Finding]:
        """
        @return: what is found of the way to a proxy on these ports.
        """
        places = ", ".join(f"{HOST}:{number}" for number in numbers)
        values = {"RVGAHP_CONNECT_THROUGH": self.gateway.url, **values}
        case = self.case(given=ceCredentials(), RVGAHP_CONNECT_TO=places, **values)
        list(certificates(case))
        return list(proxyAddress(case))

    def test_good(self) -> None:
        """
        The gateway is there, lets us through, and behind it is the proxy.
        """
        found = self.found(self.listen(secure(proxyCredentials())))
        self.assertEqual([one.level for one in found], ["ok", "ok", "ok"], found)
        self.assertEqual([one.name for one in found], ["way out", "proxy's port", "proxy's TLS"])
        self.assertIn(f"can be connected to through the HTTP proxy {HOST}", found[1].sentence)

    def test_refused(self) -> None:
        """
        The gateway is there, and does not let us through.
        """
        self.gateway.wants = b"bob:x"
        found = self.found(self.nobody())
        self.assertEqual([one.level for one in found], ["ok", "wrong"], found)
        self.assertIn("it wants a user and a password", found[1].sentence)

    def test_noGateway(self) -> None:
        """
        The gateway is not there, and nothing further is looked at.
        """
        url = f"socks5h://{HOST}:{self.nobody()}"
        found = self.found(self.nobody(), RVGAHP_CONNECT_THROUGH=url)
        self.assertEqual([one.level for one in found], ["wrong"], found)
        self.assertIn("cannot be reached", found[0].sentence)

    def test_oneOfTwo(self) -> None:
        """
        Each place is looked at; that one cannot be reached is no more than a warning.
        """
        found = self.found(self.nobody(), self.listen(secure(proxyCredentials())))
        self.assertEqual([one.level for one in found], ["ok", "ok", "ok", "warning"], found)

    def test_variable(self) -> None:
        """
        Where nothing is reached, and the environment names a gateway, that is told.
        """
        self.patch(os, "environ", {**os.environ, "https_proxy": "http://alice:secret@squid:3128"})
        case = self.case(RVGAHP_CONNECT_TO=f"{HOST}:{self.nobody()}")
        (found,) = proxyAddress(case)
        self.assertIn("https_proxy is set here, which is not obeyed", found.remedy)
        self.assertNotIn("secret", str(found))
