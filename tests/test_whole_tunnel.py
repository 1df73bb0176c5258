"""
Real processes: tunnels, from the port at the site to the gridmanager's.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading

from tests.playground import Playground
from tests.procfs import PATIENCE, waitFor
from tests.tunnelcase import Gridmanager, TunnelTestCase, connectRequest, isBroken, receive


class CarriedTests(TunnelTestCase):
    """
    What is carried.
    """

    def test_bothWays(self) -> None:
        """
        The gridmanager is told of the port before the banner, what is sent either way comes
        out unaltered, and each direction ends for itself.
        """
        client = self.tunnelled()
        self.assertEqual(client.target, self.gridmanager.address)
        self.assertEqual(client.banner(), b"$GahpVersion: 1.0 Tunnels $\n")
        site, near = self.opened(client)
        site.sendall(b"there")
        self.assertEqual(receive(near, 5), b"there")
        near.sendall(b"and back")
        self.assertEqual(receive(site, 8), b"and back")
        site.shutdown(socket.SHUT_WR)
        self.assertEqual(near.recv(1), b"")
        near.sendall(b"still")
        self.assertEqual(receive(site, 5), b"still")
        near.close()
        self.assertEqual(site.recv(1), b"")
        self.playground.awaitLog("ce", "over: in good order", self.before("ce"))

    def test_bulk(self) -> None:
        """
        Megabytes both ways at once arrive whole.
        """
        client = self.tunnelled()
        site, near = self.opened(client)
        data = os.urandom(1 << 20) * 64
        digests: dict[str, str] = {}

        def collect(name: str, connection: socket.socket) -> None:
            digests[name] = hashlib.sha256(receive(connection, len(data))).hexdigest()

        threads = [
            threading.Thread(target=collect, args=("near", near)),
            threading.Thread(target=collect, args=("site", site)),
            threading.Thread(target=site.sendall, args=(data,)),
            threading.Thread(target=near.sendall, args=(data,)),
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join(PATIENCE)
        wanted = hashlib.sha256(data).hexdigest()
        self.assertEqual(digests, {"near": wanted, "site": wanted})

    def test_sixtyFour(self) -> None:
        """
        Sixty-four tunnels live at once; one more is refused, and none of the others
        suffers.
        """
        client = self.tunnelled()
        ends = [self.opened(client) for _ in range(64)]
        self.assertTrue(client.isRefused())
        self.playground.awaitLog("ce", "no more are allowed", self.before("ce"))
        for number, (site, near) in enumerate(ends):
            site.sendall(b"%d\n" % number)
            self.assertEqual(near.recv(100), b"%d\n" % number)
            site.close()
        for _, near in ends:
            self.assertEqual(near.recv(1), b"")
            near.close()
        waitFor(
            lambda: self.playground.log("ce")[self.before("ce") :].count("in good order") >= 64,
            "the end of all tunnels",
        )


class GuardTests(TunnelTestCase):
    """
    What is not carried.
    """

    def test_wrongId(self) -> None:
        """
        One who asks the shared port for another daemon does not get through to it.
        """
        client = self.tunnelled()
        site = client.connect()
        site.sendall(connectRequest("schedd_1_ab"))
        self.assertTrue(isBroken(site))
        self.assertTrue(self.gridmanager.isQuiet())

    def test_noSharedPort(self) -> None:
        """
        A gridmanager with a port of its own is sent whatever comes, before it comes.
        """
        client = self.tunnelled(self.gridmanager.inherit(""))
        site = client.connect()
        near = self.gridmanager.accept()
        near.sendall(b"first")
        self.assertEqual(receive(site, 5), b"first")
        site.sendall(b"anything")
        self.assertEqual(receive(near, 8), b"anything")

    def test_deaf(self) -> None:
        """
        Where the gridmanager's port refuses, the connection at the site ends at once.
        """
        client = self.tunnelled()
        self.gridmanager.port.close()
        site = client.connect()
        site.sendall(connectRequest())
        self.assertTrue(isBroken(site, 5))


class ForwardTests(TunnelTestCase):
    """
    Where the proxy's configuration says where tunnels go.
    """

    def makePlayground(self) -> Playground:
        self.elsewhere = Gridmanager()
        self.addCleanup(self.elsewhere.close)
        self.proxySettings = "RVGAHP_FORWARD_TO = {}:{}\n".format(*self.elsewhere.address)
        return super().makePlayground()

    def test_elsewhere(self) -> None:
        """
        They go there, be the gridmanager's own address what it may, and still nobody is
        asked for but the gridmanager.
        """
        for address in ("192.0.2.7:9618", "127.0.0.1:0"):
            client = self.tunnelled(f"4711 <{address}?sock=gridmanager_4711_ab12> 0 0")
            self.assertEqual(client.target, self.elsewhere.address)
            site = client.connect()
            site.sendall(connectRequest())
            near = self.elsewhere.accept()
            self.assertEqual(receive(near, len(connectRequest())), connectRequest())
            site = client.connect()
            site.sendall(connectRequest("self"))
            self.assertTrue(isBroken(site))
            self.assertTrue(self.elsewhere.isQuiet())
