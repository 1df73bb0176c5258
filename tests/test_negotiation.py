"""
Tests of L{rvgahp.negotiation}: every way to say no, and not a byte too many.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import waylimits
from rvgahp.negotiation import Connect, GatewayRefused, Negotiation, Socks

LOGIN = b"alice", b"s:ecret"
GOOD = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
CONNECTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"
BEHIND = b"what the proxy says"


class NegotiationTestCase(SynchronousTestCase):
    """
    A negotiation that is fed.
    """

    def feed(self, negotiation: Negotiation, data: bytes, size: int = 1 << 20) -> bytes:
        """
        Let it come in pieces, of which what is not taken is shown again with the next.

        @return: what is sent meanwhile.
        """
        self.seen, answers = b"", negotiation.begin()
        for start in range(0, len(data), size):
            self.seen += data[start : start + size]
            while self.seen and not negotiation.isDone:
                taken, answer = negotiation.take(self.seen)
                self.assertGreater(taken, 0, "the loop would spin")
                self.seen = self.seen[taken:]
                answers += answer
        return answers

    def assertRefused(self, make: Callable[[], Negotiation], data: bytes, words: str) -> None:
        """
        It is refused in these words, in whatever pieces it comes, and no secret is among them.
        """
        for size in (1 << 20, 1):
            e = self.assertRaises(GatewayRefused, self.feed, make(), data, size)
            self.assertIn(words, str(e))
            self.assertNotIn("\n", str(e))
            self.assertNotIn("ecret", str(e))


class ConnectTests(NegotiationTestCase):
    """
    HTTP's CONNECT.
    """

    def make(self, login: tuple[bytes, bytes] | None = None) -> Connect:
        """
        @return: one for a name.
        """
        return Connect("proxy.example.org", 443, login)

    def test_request(self) -> None:
        """
        The request has target, Host and, if there is one, the login; an IPv6 address is in
        brackets.
        """
        self.assertEqual(
            self.make().begin(),
            b"CONNECT proxy.example.org:443 HTTP/1.1\r\nHost: proxy.example.org:443\r\n"
            b"User-Agent: rvgahp\r\n\r\n",
        )
        self.assertIn(b"CONNECT [2001:db8::1]:9 HTTP", Connect("2001:db8::1", 9, None).begin())
        login = b"\r\nProxy-Authorization: Basic YWxpY2U6czplY3JldA==\r\n\r\n"
        self.assertTrue(self.make(LOGIN).begin().endswith(login))

    def test_connected(self) -> None:
        """
        A good answer is taken, byte for byte, and nothing behind it, in whatever pieces it
        comes; one may end its lines with LF alone, and others may go before it.
        """
        for good in (
            GOOD,
            b"HTTP/1.0 200 OK\n\n",
            b"HTTP/1.1 204\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n" + GOOD,
        ):
            for size in (1, 2, 3, 7, 1000):
                negotiation = self.make()
                self.feed(negotiation, good + BEHIND, size)
                self.assertTrue(negotiation.isDone)
                self.assertTrue(BEHIND.startswith(self.seen) if size < 1000 else True)
            self.assertEqual(self.seen, BEHIND)

    def test_refusals(self) -> None:
        """
        Each status tells cause and remedy.
        """
        for status, words in (
            (b"403 Forbidden", "does not allow that (403 Forbidden): ask those"),
            (b"405 Method Not Allowed", "see that it is an HTTP proxy"),
            (b"502 Bad Gateway", "could not reach that itself (502 Bad Gateway): see that"),
            (b"503 ", "(503)"),
            (b"500 Unable to connect", "it could not reach that itself (500 Unable"),
            (b"302 Found", "it answers 302 Found"),
            (b"101 Switching", "it answers 101 Switching"),
            (b"407 Auth", "it wants a user and a password: name a file with them by RVGAHP_"),
        ):
            answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhello"
            self.assertRefused(self.make, answer, words)
        for offered in (
            b"Basic realm=x",
            b"Negotiate,\tbasic",
            b'NTLM, Basic realm="a, b", Digest',
        ):
            wrong = b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: " + offered + b"\r\n\r\n"
            self.assertRefused(
                partial(self.make, LOGIN), wrong, "does not take the user and password of RVG"
            )
        others = (
            b"HTTP/1.1 407 Auth\r\nProxy-authenticate: NTLM\r\nProxy-Authenticate: Digest\r\n\r\n"
        )
        self.assertRefused(
            partial(self.make, LOGIN), others, "authentication by NTLM, Digest (407 Auth)"
        )
        other = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate, Basically x\r\nA: Basic\r\n\r\n"
        self.assertRefused(self.make, other, "authentication by Negotiate (407 No)")
        none = b"HTTP/1.1 407 No\r\nProxy-Authenticate:  \r\n\r\n"
        self.assertRefused(self.make, none, "it wants a user and a password")

    def test_rubbish(self) -> None:
        """
        What is no HTTP is told for what it seems to be, and its words are harmless.
        """
        for answer, words in (
            (b"\x05\x00", "try socks5h://"),
            (b"\x15\x03\x01\x00\x02\x02\x0a", "it speaks TLS itself"),
            (b"SSH-2.0-x\r\n", "does not speak HTTP: S"),
            (b"\x1b[31m\r\n\r\n", "does not speak HTTP: ?"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "no answer of HTTP"),
            (b"HTTP/1.1 abc\r\n\r\n", "no answer of HTTP"),
            (b"HTTP/1.1 403 \x1b[31m" + b"x" * 999 + b"\r\n\r\n", "(403 ?[31mxxx"),
        ):
            self.assertRefused(self.make, answer, words)

    def test_endless(self) -> None:
        """
        Neither one long answer nor many before it are taken for ever.
        """
        for flood in (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 40000, b"HTTP/1.1 100 x\r\n\r\n" * 2000):
            negotiation = self.make()
            pieces = range(0, len(flood), 1000)
            with self.assertRaises(GatewayRefused):
                for start in pieces:
                    self.assertLess(start, waylimits.GATEWAY_BYTES + 2000)
                    left = flood[start : start + 1000]
                    while left:
                        left = left[negotiation.take(left)[0] :]


class SocksTests(NegotiationTestCase):
    """
    SOCKS 5.
    """

    def test_connected(self) -> None:
        """
        A target is a name or an address of either kind; the answers are taken byte for byte,
        and nothing behind them, whatever kind of address they have.
        """
        named = b"\x05\x00\x00\x03\x04here\x00\x50"
        sixth = b"\x05\x00\x00\x04" + bytes(16) + b"\x00\x50"
        for host, target in (
            ("proxy.example.org", b"\x03\x11proxy.example.org"),
            ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
            ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
        ):
            for answer in (CONNECTED, named, sixth):
                for size in (1, 3, 1000):
                    negotiation = Socks(host, 443, None)
                    sent = self.feed(negotiation, b"\x05\x00" + answer + BEHIND, size)
                    self.assertTrue(negotiation.isDone)
                    self.assertEqual(sent, b"\x05\x01\x00\x05\x01\x00" + target + b"\x01\xbb")
                self.assertEqual(self.seen, BEHIND)

    def test_login(self) -> None:
        """
        User and password are sent if they are asked for.
        """
        negotiation = Socks("192.0.2.1", 443, LOGIN)
        sent = self.feed(negotiation, b"\x05\x02\x01\x00" + CONNECTED)
        self.assertTrue(sent.startswith(b"\x05\x02\x00\x02\x01\x05alice\x07s:ecret\x05\x01\x00"))
        self.assertTrue(negotiation.isDone)
        negotiation = Socks("192.0.2.1", 443, LOGIN)
        self.assertNotIn(b"alice", self.feed(negotiation, b"\x05\x00" + CONNECTED))

    def test_refusals(self) -> None:
        """
        Each code tells cause and remedy.
        """
        without, login = partial(Socks, "h", 1, None), partial(Socks, "h", 1, LOGIN)
        self.assertRefused(without, b"\x05\xff", "it wants a user and a password")
        self.assertRefused(without, b"\x05\x02", "it wants a user and a password")
        self.assertRefused(login, b"\x05\xff", "does not take the user and password")
        self.assertRefused(login, b"\x05\x02\x01\x01", "does not take the user and password")
        for code, words in (
            (1, "it failed"),
            (2, "does not allow that: ask those who run it"),
            (3, "the network cannot be reached"),
            (4, "the host cannot be reached"),
            (5, "the connection was refused: see that rvgahp-proxy runs"),
            (6, "nobody answered"),
            (7, "does not know CONNECT"),
            (8, "addresses of this kind"),
            (99, "code 99"),
        ):
            answer = b"\x05\x00\x05" + bytes([code]) + b"\x00\x01" + bytes(6)
            self.assertRefused(without, answer, words)

    def test_rubbish(self) -> None:
        """
        What is no SOCKS 5 is told for what it seems to be.
        """
        without = partial(Socks, "h", 1, None)
        self.assertRefused(without, b"HTTP/1.1 400 Bad Request\r\n\r\n", "try http://")
        self.assertRefused(without, b"\x00\x5b" + bytes(6), "does not speak SOCKS 5")
        self.assertRefused(without, b"\x05\x00\x04" + bytes(9), "does not speak SOCKS 5")
        self.assertRefused(without, b"\x05\x00\x05\x00\x00\x09" + bytes(9), "of kind 9")
