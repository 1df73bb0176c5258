"""
Tests of the way of L{rvgahp.ce} to its proxy: through gateways, and to several places.
"""

from __future__ import annotations

import os
import socket

from twisted.logger import capturedLogs

from rvgahp import commands, limits, waylimits
from rvgahp.attention import sentences
from rvgahp.limits import MAGIC
from rvgahp.wayout import Gateway as Through
from tests.gateways import Gateway
from tests.test_ce import START, TICKETS, CETestCase

HOST = "127.0.0.1"


class GatewayTests(CETestCase):
    """
    A CE behind a gateway.
    """

    def setUp(self) -> None:
        """
        Let one listen; it is no child of the reactor.
        """
        super().setUp()
        self.gateway = Gateway("http")

    def tearDown(self) -> None:
        """
        It ends with all that goes through it.
        """
        if self.ce is not None and self.ce.running:
            self.stop()
        self.gateway.close()
        super().tearDown()

    def switch(self, kind: str) -> str:
        """
        @return: the URL of another gateway in place of the one that was.
        """
        self.gateway.close()
        self.gateway = Gateway(kind)
        return self.gateway.url

    def test_through(self) -> None:
        """
        Control connection and channels go through each kind of gateway, and again when all is
        cut; the CE says through what, in its log and its status.
        """
        for kind in ("http", "socks5", "socks5h"):
            url = self.switch(kind)
            self.ready.clear()
            with capturedLogs() as logs:
                proxy = self.accepted(RVGAHP_CONNECT_THROUGH=url)
            peer = next(event["peer"] for event in logs if "peer" in event)
            place = f"{HOST}:{self.port.number}"
            self.assertTrue(peer.startswith(f"{place} through the "), peer)
            assert self.ce is not None
            self.assertIn(url.rpartition("/")[2], self.ce.proxies[0].state.document()["through"])
            self.called(proxy.call(commands.StartGAHP, **START))
            self.until(lambda: self.port.channels)
            self.assertEqual(self.port.channels[0][0], TICKETS[0])
            count = len(self.gateway.targets)
            self.assertEqual(set(self.gateway.targets), {(HOST, self.port.number)})
            self.assertGreaterEqual(count, 2)
            self.gateway.cut()
            self.until(lambda: len(self.ready) == 2)
            self.assertGreater(len(self.gateway.targets), count)
            self.stop()
            for _, one in self.port.channels:
                one.close()
            self.port.channels.clear()

    def test_refused(self) -> None:
        """
        A gateway that does not let it through is named, with cause and remedy, and is asked
        again.
        """
        self.gateway.wants = b"bob:x"
        with capturedLogs() as logs:
            self.start(RVGAHP_CONNECT_THROUGH=self.gateway.url)
            said = self.until(lambda: [one["reason"] for one in logs if "reason" in one][1:])
        self.assertIn("has not connected us: it wants a user and a password", said[0])
        self.assertIn(f"{HOST} port {self.port.number} could not be reached", said[0])

    def test_login(self) -> None:
        """
        With a login it gets through, and that stands in no line of the log.
        """
        self.gateway.wants = b"alice:s3cret"
        file = os.path.abspath(self.mktemp())
        with open(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as login:
            login.write(self.gateway.wants)
        with capturedLogs() as logs:
            self.accepted(
                RVGAHP_CONNECT_THROUGH=self.gateway.url, RVGAHP_CONNECT_THROUGH_CREDENTIALS=file
            )
        self.assertEqual(self.gateway.logins, [self.gateway.wants])
        self.assertNotIn("s3cret", repr([{**event} for event in logs]))
        assert self.ce is not None
        self.assertNotIn("s3cret", repr(self.ce.proxies[0].state.document()))

    def test_changed(self) -> None:
        """
        Another gateway counts from the next dial on; what stands goes on.
        """
        proxy = self.accepted()
        assert self.ce is not None
        gateway = Through("http", HOST, self.gateway.port)
        self.assertFalse(self.ce.renew(self.trust, self.methods, gateway))
        self.assertEqual(self.gateway.targets, [])
        proxy.control.abort()
        self.until(lambda: len(self.ready) == 2)
        self.assertEqual(self.gateway.targets, [(HOST, self.port.number)])

    def test_stopped(self) -> None:
        """
        A CE that is stopped while a gateway makes it wait leaves nothing.
        """
        with socket.create_server((HOST, 0)) as silent:
            self.start(RVGAHP_CONNECT_THROUGH=f"http://{HOST}:{silent.getsockname()[1]}")
            self.turn()
            silent.accept()[0].close()
            self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class PlacesTests(CETestCase):
    """
    Several places.
    """

    def test_second(self) -> None:
        """
        Where the first does not answer the second is dialled in a moment, and first from then
        on, by channels too.
        """
        full = socket.create_server((HOST, 0), backlog=0)
        self.addCleanup(full.close)
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            self.addCleanup(one.close)
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        places = f"{HOST}:{full.getsockname()[1]}, {HOST}:{self.port.number}"
        begin = self.reactor.seconds()
        proxy = self.accepted(RVGAHP_CONNECT_TO=places)
        self.assertLess(self.reactor.seconds() - begin, limits.DIAL_TIMEOUT)
        assert self.ce is not None
        self.assertEqual(self.ce.proxies[0].state.port, self.port.number)
        self.patch(waylimits, "NEXT_ADDRESS_DELAY", 100.0)
        self.called(proxy.call(commands.StartGAHP, **START))
        self.until(lambda: self.port.channels)

    def test_another(self) -> None:
        """
        Where something else answers at the first, it is the last one the next time.
        """
        with socket.create_server((HOST, 0)) as other:
            places = f"{HOST}:{other.getsockname()[1]} {HOST}:{self.port.number}"
            self.start(RVGAHP_CONNECT_TO=places)

            def refused() -> bool:
                other.setblocking(False)
                try:
                    other.accept()[0].close()
                except BlockingIOError:
                    return False
                return True

            self.until(refused)
            self.until(lambda: self.ready)
        self.assertEqual(len(self.port.proxies), 1)


class UnansweredTests(CETestCase):
    """
    Something lets TLS through, and nothing else.
    """

    def test_told(self) -> None:
        """
        When each channel ends before its first answer, with the control connection standing,
        the log, the status and the client's reason say what that looks like.
        """
        self.patch(limits, "FIRST_DIALS_TIMEOUT", 0.3)
        proxy = self.accepted()
        assert self.ce is not None
        ce = self.ce

        def cut() -> bool:
            while self.port.channels:
                self.port.channels.pop()[1].close()
            return bool(proxy.ended)

        with capturedLogs() as logs:
            self.called(proxy.call(commands.StartGAHP, **START))
            self.until(cut)
        words = "something on the way may let through TLS alone"
        told = [one for one in logs if one["log_namespace"] == "rvgahp.way.Way"]
        self.assertEqual([words in one["reason"] for one in told], [True])
        self.assertIn(words, proxy.ended[0][1])
        self.assertNotIn(MAGIC.decode(), proxy.ended[0][1])
        shown = {**ce.proxies[0].state.document(), "unanswered": ce.proxies[0].way.doubt()}
        (sentence,) = sentences({"proxies": [shown], "now": 0})
        self.assertIn(
            f"No channel gets through: the last {ce.proxies[0].way.unanswered} channels", sentence
        )
        ce.proxies[0].way.channelOpened()
        self.assertEqual(ce.proxies[0].way.doubt(), "")

    def test_away(self) -> None:
        """
        While the proxy is away, that is the reason, and no other.
        """
        proxy = self.accepted()
        assert self.ce is not None
        for _ in range(waylimits.UNANSWERED_CHANNELS - 1):
            self.ce.proxies[0].way.channelUnanswered()
        self.assertEqual(self.ce.proxies[0].way.doubt(), "")
        proxy.control.abort()
        self.until(lambda: self.ce is not None and not self.ce.proxies[0].way.isUp())
        self.ce.proxies[0].way.channelUnanswered()
        self.assertEqual(self.ce.proxies[0].way.doubt(), "")
