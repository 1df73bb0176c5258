"""
Tests of L{rvgahp.pageport} and L{rvgahp.pageweb}: real sockets, and a proxy that is none.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import capturedLogs

from rvgahp import pageport, pageweb, watchlimits
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.pageport import PagePort, userOf
from rvgahp.pagetext import FIRST, pageText
from rvgahp.pageweb import HEADERS
from rvgahp.peercred import LocalUser
from tests.pagestage import SettingsOfPage, Stage
from tests.privatereactor import ReactorTestCase
from tests.steppedloop import descriptorCount

NOBODY = pwd.getpwnam("nobody").pw_uid

#: What may stand in a URL before the page, of which a browser makes the header Host.
OWN = ("localhost", "LOCALHOST:9711", "127.0.0.1:1", "127.8.9.1", "[::1]:9711")
OTHERS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.localhost",
    "localhost:9711:9711",
    "localhost@evil",
    "submit.example.org:9711",
    "192.0.2.7",
    "0.0.0.0",
    "localhost\x85",
    "",
)


class PortTestCase(ReactorTestCase):
    """
    A port of the kernel's choice.
    """

    settings: Any

    def setUp(self) -> None:
        super().setUp()
        # Twisted keeps a descriptor in reserve from the first port on.
        count = descriptorCount()
        self.reactor.listenTCP(0, Factory(), interface="127.0.0.1").stopListening()
        self.turn()
        self.before += descriptorCount() - count
        self.stage = Stage(2, 3)
        self.settings = SettingsOfPage()
        self.user: LocalUser | None = LocalUser(0, "root", 0)
        self.connections: list[socket.socket] = []
        self.port = PagePort(
            self.reactor, self.settings, self.stage.counts, self.stage.document, self._userOf
        )
        self.assertTrue(self.port.open())
        self.number = int(self.port.address.rstrip("/").split(":")[-1])

    def _userOf(self, connection: socket.socket) -> LocalUser:
        if self.user is None:
            raise NotAuthorized("the kernel does not tell whose connection it is: it is a test")
        return self.user

    def tearDown(self) -> None:
        for one in self.connections:
            one.close()
        self.port.close()
        self.until(lambda: set(self.reactor.getReaders()) <= set(self._own))
        super().tearDown()

    def connect(self) -> socket.socket:
        """
        @return: a connection, non-blocking.
        """
        connection = socket.create_connection(("127.0.0.1", self.number))
        self.connections.append(connection)
        connection.setblocking(False)
        return connection

    def heard(self, connection: socket.socket) -> bytes | None:
        """
        @return: what has come; L{None} if nothing has.
        """
        self.turn()
        try:
            return connection.recv(1 << 20)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def ask(
        self, path: str = "/", method: str = "GET", host: str = "localhost", **headers: str
    ) -> tuple[int, str, str]:
        """
        @return: status, head and body of the answer.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection = self.connect()
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""

        def isOver() -> bool:
            nonlocal answer
            more = self.heard(connection)
            answer += more or b""
            return more == b""

        self.until(isOver)
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]) if head else 0, head.lower(), body

    def stream(self) -> tuple[socket.socket, bytearray]:
        """
        @return: a connection that is told events, and what it was told until now.
        """
        connection = self.connect()
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = bytearray()
        self.until(lambda: self.more(connection, got) and b"data: " in got)
        return connection, got

    def more(self, connection: socket.socket, got: bytearray) -> bytearray:
        """
        @return: what has come in all.
        """
        got += self.heard(connection) or b""
        return got


class AnswerTests(PortTestCase):
    """
    What is answered.
    """

    def test_paths(self) -> None:
        """
        There are the page, its files and the events, each with what it is; and nothing else.
        """
        for path, kind in (
            ("/", "text/html; charset=utf-8"),
            ("/?all", "text/html; charset=utf-8"),
            ("/page.css", "text/css; charset=utf-8"),
            ("/page.js", "text/javascript; charset=utf-8"),
            ("/page.svg", "image/svg+xml"),
        ):
            status, head, body = self.ask(path)
            self.assertEqual(status, 200, path)
            self.assertIn(f"content-type: {kind}\r\n", f"{head}\r\n")
            self.assertTrue(body)
        for path in ("/page.html", "/v1/status", "/v1/kill", "/..%2fviewtable.py", "/../page.js",
                     "//", "/events/", "/favicon.ico", "/%00", "/%ff"):  # fmt: skip
            status, head, body = self.ask(path)
            self.assertEqual((status, body.split("; ")[1]), (404, "try /\n"), path)
            self.assertIn("content-type: text/plain; charset=utf-8", head)

    def test_methods(self) -> None:
        """
        Nothing can be done, only seen.
        """
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "kill"):
            for path in ("/", "/events", "/v1/kill"):
                status, head, body = self.ask(path, method)
                self.assertEqual(status, 405)
                self.assertIn("allow: get, head", head)
                self.assertIn(f"{method}' is not for this page", body)
        for path in ("/", "/events", "/page.js"):
            self.assertEqual(self.ask(path, "HEAD")[::2], (200, ""))
        self.assertEqual(self.port._feed and self.port._feed.streams, 0)

    def test_headers(self) -> None:
        """
        Every answer tells the browser to run nothing but the page's script, to keep nothing,
        and to let no other page in; no answer tells what serves it.
        """
        for path, method in (("/", "GET"), ("/page.js", "GET"), ("/no", "GET"), ("/", "POST")):
            _, head, _ = self.ask(path, method)
            for name, value in HEADERS.items():
                self.assertIn(f"{name}: {value.lower()}\r\n", f"{head}\r\n")
            for absent in ("server:", "access-control", "set-cookie", "etag"):
                self.assertNotIn(absent, head)
        policy = HEADERS["content-security-policy"]
        self.assertNotIn("unsafe", policy)
        for directive in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            self.assertIn(directive, policy)

    def test_host(self) -> None:
        """
        Only a browser that has been told to go to this host gets anything (DNS rebinding).
        """
        for host in OWN:
            self.assertEqual(self.ask(host=host)[0], 200, host)
        made = self.stage.made
        for host in OTHERS:
            for path in ("/", "/events", "/page.js"):
                status, _, body = self.ask(path, host=host)
                self.assertEqual(status, 421, host)
                self.assertIn("this page is that of localhost", body)
        connection = self.connect()
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        got = bytearray()
        self.until(lambda: b"421 " in self.more(connection, got))
        self.assertEqual(self.stage.made, made)

    def test_twoHosts(self) -> None:
        """
        One that names two is refused, whichever comes first.
        """
        for first, second in (("localhost", "evil"), ("evil", "localhost")):
            status, _, _ = self.ask(host=f"{first}\r\nHost: {second}")
            self.assertIn(status, (400, 421))

    def test_otherPages(self) -> None:
        """
        A link may lead here; frames, images and scripts of other pages get nothing.
        """
        for site, mode, status in (
            ("none", "navigate", 200),
            ("same-origin", "cors", 200),
            ("cross-site", "navigate", 200),
            ("cross-site", "no-cors", 403),
            ("cross-site", "cors", 403),
            ("same-site", "no-cors", 403),
        ):
            for path in ("/", "/page.js"):
                found = self.ask(path, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
                self.assertEqual(found[0], status, (site, mode))

    def test_large(self) -> None:
        """
        Requests that are too large are cut off, whatever it is that is large.
        """
        self.assertIn(self.ask("/" + "a" * 40000)[0], (0, 400, 414))
        self.assertIn(self.ask(X="a" * 40000)[0], (0, 400, 431))
        head = "localhost" + "".join(f"\r\nA{one}: b" for one in range(600))
        self.assertEqual(self.ask(host=head)[0], 400)

    def test_bug(self) -> None:
        """
        A bug is told in the log, and not to who asks; nor does a request leave a line.
        """
        with capturedLogs() as logs:
            self.ask()
        self.assertEqual(logs, [])
        self.stage.parts.clear()
        self.user = LocalUser(54321, "eve", 0)
        status, _, body = self.ask()
        self.assertEqual((status, body), (500, "a bug; the daemon's log has the details\n"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.ask("/events")[0], 500)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_gone(self) -> None:
        """
        Where the page's files are not installed the sentence says so.
        """

        def missing(package: str) -> Any:
            raise FileNotFoundError(2, "No such file or directory", "page.html")

        self.patch(pageweb, "files", missing)
        port = PagePort(self.reactor, self.settings, self.stage.counts, self.stage.document)
        e = self.assertRaises(ConfigurationError, port.open)
        self.assertIn("RVGAHP_PAGE_ADDRESS needs the files of the page", str(e))
        port.close()


class ViewerTests(PortTestCase):
    """
    Who sees what.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stage.parts["sessions"][0]["user"] = "alice"

    def test_viewers(self) -> None:
        """
        Root, administrators and readers see all, by the settings of the moment; others what is
        theirs.
        """
        self.patch(os, "geteuid", lambda: 4321)
        self.settings.values["RVGAHP_ADMINISTRATORS"] = ("carol",)
        self.settings.values["RVGAHP_PAGE_READERS"] = ("www",)
        for name, uid, isAll in (
            ("root", 0, True),
            ("own", 4321, True),
            ("carol", 5, True),
            ("www", 6, True),
            ("alice", 7, False),
            ("eve", 8, False),
        ):
            self.user = LocalUser(uid, name, 0)
            _, _, body = self.ask()
            self.assertEqual("hpc.example.edu" in body, isAll, name)
            self.assertEqual(">alice<" in body, isAll or name == "alice")
            self.assertIn("; all</p>" if isAll else f"; what {name} may see</p>", body)
        self.settings.values["RVGAHP_PAGE_READERS"] = ()
        self.user = LocalUser(6, "www", 0)
        self.assertIn("; what www may see</p>", self.ask()[2])

    def test_unknown(self) -> None:
        """
        Whoever the kernel does not know gets nothing, not even the page's files, and is told
        why.
        """
        self.user = None
        for path in ("/", "/events", "/page.js"):
            status, _, body = self.ask(path)
            self.assertEqual(status, 403)
            self.assertIn("the kernel does not tell whose connection it is", body)
        self.assertEqual(self.stage.made, 0)

    def test_kernel(self) -> None:
        """
        It is the account of the process at the other end that counts; one that is none of this
        host's is refused.
        """
        if os.geteuid() != 0:
            self.skipTest("only root can be somebody else")
        with socket.create_server(("127.0.0.1", 0)) as server:
            for uid, name in ((0, "root"), (NOBODY, "nobody"), (54321, "")):
                os.seteuid(uid)
                try:
                    client = socket.create_connection(server.getsockname())
                finally:
                    os.seteuid(0)
                connection, _ = server.accept()
                with client, connection:
                    if name:
                        self.assertEqual(userOf(connection).name, name)
                        continue
                    e = self.assertRaises(NotAuthorized, userOf, connection)
                    self.assertIn("uid 54321 has no account on this host", str(e))

    def test_often(self) -> None:
        """
        A user asks so often and no more; administrators as they like.
        """
        self.patch(watchlimits, "STATUS_RATE", 0.001)
        self.patch(watchlimits, "STATUS_BURST", 2)
        self.user = LocalUser(54321, "eve", 0)
        found = [self.ask("/page.svg") for _ in range(3)]
        self.assertEqual([status for status, _, _ in found], [200, 200, 429])
        self.assertEqual(found[2][2], "eve asks too often; try again later\n")
        self.user = LocalUser(0, "root", 0)
        self.assertEqual([self.ask("/page.svg")[0] for _ in range(3)], [200] * 3)

    def test_onePage(self) -> None:
        """
        However often the page is asked for it is made once from one look, with some rows and with
        all; each who sees something else has his own, and so has the next look.
        """
        made: list[int] = []

        def counted(*arguments: Any) -> bytes:
            made.append(arguments[-1])
            return pageText(*arguments)

        self.patch(pageweb, "pageText", counted)
        pages = [self.ask(path)[2] for path in ("/", "/?all") * 3]
        self.assertEqual(made, [FIRST, 0])
        self.user = LocalUser(54321, "alice", 0)
        self.assertNotIn(self.ask()[2], pages)
        self.assertEqual(len(made), 3)
        assert self.port._feed is not None
        self.port._feed._pause = 0.0
        self.stage.parts["sessions"][0]["gahp"] = "another_gahp"
        self.assertIn("another_gahp", self.ask()[2])


class StreamTests(PortTestCase):
    """
    Events over real sockets.
    """

    def test_events(self) -> None:
        """
        A stream lasts longer than a request may, and is told what is otherwise.
        """
        self.patch(watchlimits, "STATUS_TIMEOUT", 0.1)
        self.patch(watchlimits, "PAGE_INTERVAL", 0.05)
        assert self.port._feed is not None
        self.port._feed._pause = 0.05
        connection, got = self.stream()
        self.assertIn(b"content-type: text/event-stream", bytes(got).lower())
        self.stage.parts["sites"][0]["site"] = "new.example"
        self.spend(0.2)
        self.until(lambda: b"new.example" in self.more(connection, got))
        self.assertGreater(got.count(b"\ndata: "), 2)
        connection.close()
        self.until(lambda: not (self.port._feed and self.port._feed.streams))

    def test_deaf(self) -> None:
        """
        For one who does not read there is never more than one event beside what is on its way,
        which is not much either, however long; in the end he is dropped.
        """
        self.stage = Stage(300, 300)
        self.patch(self.port._feed, "_document", self.stage.document)
        self.patch(watchlimits, "PAGE_INTERVAL", 0.005)
        self.patch(watchlimits, "PAGE_SHARE", 0)
        self.patch(watchlimits, "PAGE_BLOCKED", 0.5)
        assert self.port._feed is not None and self.port._door is not None
        self.port._feed._pause = 0.005
        connection = self.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.until(lambda: self.port._feed and self.port._feed.streams)
        most = 0
        (one,) = self.port._door.protocols
        kernels = one.transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self.assertLessEqual(kernels, 2 * watchlimits.PAGE_SEND_BYTES)

        def isDropped() -> bool:
            nonlocal most
            transport: Any = one.transport
            held = len(transport.dataBuffer) + sum(map(len, transport._tempDataBuffer))
            most = max(most, held)
            self.stage.move(1.0)
            return not (self.port._feed and self.port._feed.streams)

        self.until(isDropped)
        self.assertLess(most, 400_000)
        self.assertGreater(self.stage.made, 10)

    def test_most(self) -> None:
        """
        There are so many streams and no more, and the page itself is shown all the same.
        """
        self.patch(watchlimits, "PAGE_STREAMS", 2)
        for _ in range(2):
            self.stream()
        status, _, body = self.ask("/events")
        self.assertEqual((status, body), (503, "2 browsers look already; try again later\n"))
        self.assertEqual(self.ask()[0], 200)

    def test_stop(self) -> None:
        """
        When the proxy stops, streams end.
        """
        connection, _ = self.stream()
        self.port.close()
        self.until(lambda: self.heard(connection) == b"")

    def test_connections(self) -> None:
        """
        One user has so many connections, another his own; those who see all are a web server,
        perhaps, and have as many as there may be.
        """
        self.patch(watchlimits, "PAGE_CONNECTIONS_PER_USER", 2)
        self.patch(watchlimits, "PAGE_CONNECTIONS", 6)
        self.user = LocalUser(54321, "eve", 0)
        eve = [self.connect() for _ in range(3)]
        self.until(lambda: self.heard(eve[2]) == b"")
        self.user = LocalUser(54322, "mallory", 0)
        self.assertEqual(self.ask("/page.svg")[0], 200)
        self.user = LocalUser(0, "root", 0)
        roots = [self.connect() for _ in range(5)]
        self.until(lambda: self.heard(roots[4]) == b"")
        eve[0].close()
        self.turn()
        self.turn()
        self.assertEqual(self.ask("/page.svg")[0], 200)


class ListenTests(PortTestCase):
    """
    The port.
    """

    def test_off(self) -> None:
        """
        Without the setting nothing listens, and nothing is counted.
        """
        settings: Any = SettingsOfPage(None)
        port = PagePort(self.reactor, settings, self.stage.counts, self.stage.document)
        calls = len(self.reactor.getDelayedCalls())
        self.assertFalse(port.open())
        port.close()
        self.assertEqual(len(self.reactor.getDelayedCalls()), calls)

    def test_taken(self) -> None:
        """
        A port that is another's is an error that names it.
        """
        settings: Any = SettingsOfPage(("127.0.0.1", self.number))
        port = PagePort(self.reactor, settings, self.stage.counts, self.stage.document)
        e = self.assertRaises(ConfigurationError, port.open)
        self.assertTrue(re.search(rf"port {self.number}, RVGAHP_PAGE_ADDRESS: .+\.$", str(e)))
        port.close()

    def test_owner(self) -> None:
        """
        Unless told otherwise the port asks the kernel.
        """
        settings: Any = SettingsOfPage()
        port = PagePort(self.reactor, settings, self.stage.counts, self.stage.document)
        self.assertIs(port._userOf, pageport.userOf)
