"""
Tests of L{rvgahp.statusweb} and L{rvgahp.statussocket}: real sockets, and a daemon that is none.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from rvgahp import smallsite, statusweb, watchlimits
from rvgahp.configuration import Configuration
from rvgahp.errors import Busy, ConfigurationError, NoSuchSite, NotAuthorized, SessionGone
from rvgahp.peercred import LocalUser
from rvgahp.settings import settingsFrom
from rvgahp.statussocket import StatusSocket, statusPath
from rvgahp.viewer import Viewer
from tests.privatereactor import ReactorTestCase


class SourceDouble:
    """
    Stands for a daemon.

    @ivar asked: what it was asked and told, and by whom.
    @ivar problem: what it fails with.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.problem: Exception | None = None

    def _asked(self, viewer: Viewer, *words: str) -> dict[str, Any]:
        self.asked.append((viewer.user.name, viewer.isAdministrator, *words))
        if self.problem is not None:
            raise self.problem
        return {"did": words[0]}

    def document(self, viewer: Viewer) -> dict[str, Any]:
        return self._asked(viewer, "document")

    def kill(self, viewer: Viewer, session: str, reason: str) -> dict[str, Any]:
        return self._asked(viewer, "kill", session, reason)

    def drain(self, viewer: Viewer, site: str) -> dict[str, Any]:
        return self._asked(viewer, "drain", site)

    def resume(self, viewer: Viewer, site: str) -> dict[str, Any]:
        return self._asked(viewer, "resume", site)


class DoorTestCase(ReactorTestCase):
    """
    A socket in a directory of the test's own.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp(prefix="rvgahp-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = self.directory / "d.status"
        self.source = SourceDouble()
        self.user = LocalUser(os.getuid(), "root", 1)
        self.patch(statusweb, "peerOf", self._peer)
        self.connections: list[socket.socket] = []
        self.door: StatusSocket | None = None
        self.reload: Any = None

    def _peer(self, connection: socket.socket) -> LocalUser:
        if not self.user.name:
            raise NotAuthorized("uid 7 has no account on this host; ask its administrator")
        return self.user

    def tearDown(self) -> None:
        for one in self.connections:
            one.close()
        if self.door is not None:
            self.door.close()
            self.turn()
        super().tearDown()

    def open(self, **settings: str) -> StatusSocket:
        """
        @return: the socket, which answers.
        """
        values = {"RVGAHP_STATUS_SOCKET": str(self.path), **settings}
        read = settingsFrom("proxy", Configuration(None, values))
        self.door = StatusSocket(self.reactor, read, self.source, self.reload)
        self.door.bind()
        self.door.open()
        return self.door

    def connect(self) -> socket.socket:
        """
        @return: a connection to it, non-blocking.
        """
        connection = socket.socket(socket.AF_UNIX)
        self.connections.append(connection)
        connection.connect(str(self.path))
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

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """
        @return: the status and the answer.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        said, _, content = self.all(head.encode() + body).decode().partition("\r\n\r\n")
        return int(said.split()[1]), json.loads(content)

    def all(self, *said: bytes, halfClosed: bool = False) -> bytes:
        """
        @param said: what is sent, piece by piece.
        @param halfClosed: whether it is said then that nothing more will be.
        @return: what is answered until the connection is closed.
        """
        connection = self.connect()
        for piece in said:
            connection.sendall(piece)
            self.turn()
        if halfClosed:
            connection.shutdown(socket.SHUT_WR)
        return self.rest(connection)

    def rest(self, connection: socket.socket) -> bytes:
        """
        @return: what comes until the other end closes.
        """
        answer = b""

        def isOver() -> bool:
            nonlocal answer
            more = self.heard(connection)
            answer += more or b""
            return more == b""

        self.until(isOver)
        connection.close()
        return answer


class AnswerTests(DoorTestCase):
    """
    What is answered.
    """

    def test_document(self) -> None:
        """
        Root sees as an administrator, and so do whom the setting names, from its next reading
        on; others do not.
        """
        self.open(RVGAHP_ADMINISTRATORS="carol, dave")
        # With sudo and the like it is the account that counts with which the daemon works.
        self.patch(os, "geteuid", lambda: 4321)
        for name, uid, isAdministrator in (
            ("root", 0, True),
            ("own", 4321, True),
            ("dave", 54321, True),
            ("eve", 54321, False),
        ):
            self.user = LocalUser(uid, name, 1)
            self.assertEqual(self.ask("GET", "/v1/status"), (200, {"did": "document"}))
            self.assertEqual(self.source.asked[-1], (name, isAdministrator, "document"))

    def test_deeds(self) -> None:
        """
        What it may be told comes with its arguments; those that are not said are empty.
        """
        self.open()
        for path, body, expected in (
            ("/v1/kill", b'{"session": "s", "reason": "r"}', ("kill", "s", "r")),
            ("/v1/kill", b"", ("kill", "", "")),
            ("/v1/drain", b"{}", ("drain", "")),
            ("/v1/resume", b'{"site": "a"}', ("resume", "a")),
        ):
            self.assertEqual(self.ask("POST", path, body), (200, {"did": expected[0]}))
            self.assertEqual(self.source.asked[-1], ("root", True, *expected))

    def test_reload(self) -> None:
        """
        A daemon that takes it reads its files again when it is told so; who asks waits for the
        end, longer than others may, and learns what came of it.
        """
        asked: list[tuple[str, Deferred[dict[str, Any]]]] = []

        def reload(viewer: Viewer) -> Deferred[dict[str, Any]]:
            asked.append((viewer.user.name, Deferred()))
            return asked[-1][1]

        self.patch(watchlimits, "STATUS_TIMEOUT", 0.05)
        self.reload = reload
        self.open()
        request = b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        for result, status, words in (
            ({"changes": []}, b"200", b'{"changes": []}'),
            (Failure(Busy("nothing was changed: why")), b"409", b'{"error": "nothing was'),
        ):
            connection = self.connect()
            connection.sendall(request)
            self.until(lambda: asked)
            late: Deferred[None] = deferLater(self.reactor, 2 * watchlimits.STATUS_TIMEOUT)
            self.resultOf(late)
            name, waiting = asked.pop()
            self.assertEqual((name, self.heard(connection)), ("root", None))
            waiting.callback(result)
            answer = self.rest(connection)
            self.assertIn(b" " + status + b" ", answer.partition(b"\r\n")[0])
            self.assertIn(words, answer)
        gone = self.connect()
        gone.sendall(request)
        self.until(lambda: asked)
        gone.close()
        self.turn()
        asked.pop()[1].callback({"changes": []})
        self.assertEqual(self.ask("GET", "/v1/reload")[0], 405)

    def test_noReload(self) -> None:
        """
        One that is told so otherwise has no such path.
        """
        self.open()
        self.assertEqual(self.ask("POST", "/v1/reload")[0], 404)

    def test_refusals(self) -> None:
        """
        Each thing that can be wrong with a request has its status and its sentence, and nothing
        is done.
        """
        self.open()
        for method, path, body, status, words in (
            ("GET", "/v1/nothing", b"", 404, "there is no '/v1/nothing'; try /v1/status"),
            ("GET", "/", b"", 404, "try /v1/status"),
            ("GET", "/v1/status/", b"", 404, "try /v1/status"),
            ("GET", "/%ff%1b", b"", 404, "try"),
            ("POST", "/v1/status", b"", 405, "'POST' is not for this path: use GET"),
            ("GET", "/v1/kill", b"", 405, "use POST"),
            ("POST", "/v1/kill", b"{", 400, "no JSON"),
            ("POST", "/v1/kill", b"[" * 10000, 400, "no JSON"),
            ("POST", "/v1/kill", b"\xff", 400, "no JSON"),
            ("POST", "/v1/kill", b"[]", 400, "one JSON object"),
            ("POST", "/v1/kill", b'{"session": 1}', 400, "texts"),
            ("POST", "/v1/kill", b'{"site": "a"}', 400, "there are session, reason"),
            ("POST", "/v1/drain", b'{"site": "' + b"a" * 20000 + b'"}', 413, "16384 bytes"),
        ):
            found, answer = self.ask(method, path, body)
            self.assertEqual(found, status, path)
            self.assertIn(words, answer["error"])
        self.assertEqual(self.source.asked, [])

    def test_problems(self) -> None:
        """
        A refusal of the daemon's has its status; a bug is told in the log, and not to who asks.
        """
        self.open()
        for problem, status in (
            (NotAuthorized("no"), 403),
            (SessionGone("no"), 404),
            (NoSuchSite("no"), 404),
            (Busy("no"), 409),
        ):
            self.source.problem = problem
            self.assertEqual(self.ask("GET", "/v1/status"), (status, {"error": "no"}))
        self.source.problem = ZeroDivisionError("secret")
        status, answer = self.ask("GET", "/v1/status")
        self.assertEqual((status, "secret" in str(answer)), (500, False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_noAccount(self) -> None:
        """
        A process without an account is refused.
        """
        self.user = LocalUser(7, "", 1)
        self.open()
        status, answer = self.ask("GET", "/v1/status")
        self.assertEqual(status, 403)
        self.assertIn("uid 7 has no account", answer["error"])

    def test_quiet(self) -> None:
        """
        Who looks leaves no line in the log.
        """
        self.open()
        with capturedLogs() as logs:
            self.ask("GET", "/v1/status")
        self.assertEqual(logs, [])


class ConnectionTests(DoorTestCase):
    """
    How many may look, and how long.
    """

    def test_most(self) -> None:
        """
        One user has so many connections, another his own; one that ends makes room.
        """
        self.open()
        kept = [self.connect() for _ in range(watchlimits.STATUS_CONNECTIONS)]
        extra = self.connect()
        self.until(lambda: self.heard(extra) == b"")
        self.user = LocalUser(54321, "eve", 1)
        self.assertEqual(self.ask("GET", "/v1/status")[0], 200)
        self.user = LocalUser(0, "root", 1)
        kept[0].close()
        self.turn()
        self.assertEqual(self.ask("GET", "/v1/status")[0], 200)

    def test_late(self) -> None:
        """
        One that says nothing is closed, as are one that says something again and again, and one
        that does not read; that is no line in the log.
        """
        self.patch(watchlimits, "STATUS_TIMEOUT", 0.2)
        self.patch(self.source, "document", lambda viewer: {"long": "x" * (1 << 21)})
        door = self.open()._door
        silent, slow, deaf = (self.connect() for _ in range(3))
        slow.sendall(b"GET /v1/status HTTP/1.1\r\n")
        deaf.sendall(b"GET /v1/status HTTP/1.1\r\n\r\n")

        def isOver() -> bool:
            try:
                slow.sendall(b"A: b\r\n")
            except OSError:
                return self.heard(silent) == b"" and not door.open
            self.turn()
            return False

        with capturedLogs() as logs:
            self.until(isOver)
        self.assertEqual(logs, [])

    def test_one(self) -> None:
        """
        A connection is for one request: those that come with it are not heard.
        """
        self.open()
        request = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
        said = self.all(request * 500)
        self.assertEqual((said.count(b"HTTP/1.1 200"), len(self.source.asked)), (1, 1))
        for line in (b"connection: close", b"content-type: application/json"):
            self.assertIn(line, said.lower())
        self.assertIn(b"cache-control: no-store", said.lower())

    def test_halfClosed(self) -> None:
        """
        Who says that he has said all, as C{nc -N} does, is answered to the end, also where that
        is more than a socket takes at once; who has said half a question, or nothing, is let go.
        """
        self.open()
        words = "x" * (4 << 20)
        self.source.document = lambda viewer: {"did": words}  # type: ignore[method-assign]
        question = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
        for pieces in ((question,), (question[:9], question[9:])):
            _, _, content = self.all(*pieces, halfClosed=True).partition(b"\r\n\r\n")
            self.assertEqual(json.loads(content), {"did": words})
        for piece in (b"", question[:-4]):
            self.assertEqual(self.all(piece, halfClosed=True), b"")

    def test_often(self) -> None:
        """
        A user asks so often and no more, until some time has gone; administrators as they like.
        """
        self.patch(watchlimits, "STATUS_RATE", 0.001)
        self.patch(watchlimits, "STATUS_BURST", 2)
        self.open()
        self.user = LocalUser(54321, "eve", 1)
        found = [self.ask("GET", "/v1/status") for _ in range(3)]
        self.assertEqual([status for status, _ in found], [200, 200, 429])
        self.assertIn("eve asks too often", found[2][1]["error"])
        self.user = LocalUser(0, "root", 1)
        self.assertEqual([self.ask("GET", "/v1/status")[0] for _ in range(3)], [200] * 3)


class BodyTests(DoorTestCase):
    """
    Requests' bodies, however they come.
    """

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_noFile(self) -> None:
        """
        A body that is too long is refused, when it has all come, and is nowhere kept: not in
        memory, and not on the disk.
        """
        self.patch(tempfile, "TemporaryFile", None)
        kept: list[int] = []

        class Counted(BytesIO):
            """
            Tells how much it is given.
            """

            def write(self, data: Any) -> int:
                kept.append(len(data))
                return super().write(data)

        self.patch(smallsite, "BytesIO", Counted)
        head = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\n"
        piece = b"a" * 50000
        chunk = b"c350\r\n" + piece + b"\r\n"
        for pieces in (
            (head + b"Content-Length: 500000\r\n\r\n", *[piece] * 10),
            (head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 10, b"0\r\n\r\n"),
        ):
            self.assertIn(b"413 ", self.all(*pieces)[:20])
            self.assertEqual(sum(kept), watchlimits.STATUS_BODY_BYTES + 1)
            kept.clear()
        self.assertEqual(self.source.asked, [])

    def test_chunked(self) -> None:
        """
        One that comes in pieces is one.
        """
        head = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.all(head, b'5\r\n{"sit\r\n', b'8\r\ne":"ab"}\r\n0\r\n\r\n')
        self.assertEqual(self.source.asked, [("root", True, "drain", "ab")])

    def test_form(self) -> None:
        """
        A form is no JSON, whatever it says it is, and what C{curl} calls a form may be JSON.
        """
        for kind in (b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded"):
            head = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind
            self.assertIn(b"400 ", self.all(head + b"\r\nContent-Length: 3\r\n\r\na=b")[:20])
            self.all(head + b'\r\nContent-Length: 11\r\n\r\n{"site":""}')
        self.assertEqual(self.source.asked, [("root", True, "drain", "")] * 2)

    def test_oddities(self) -> None:
        """
        What is no HTTP, or more than that, is refused without a bug, and HEAD has no body.
        """
        start = b"GET /v1/status HTTP/1.1\r\n"
        for said, status in (
            (b"rubbish\r\n\r\n", b"400"),
            (b"\x16\x03\x01\r\n\r\n", b"400"),
            (start + b"A: b\r\n" * 600 + b"\r\n", b"400"),
            (start + b"A: " + b"b" * 40000 + b"\r\n\r\n", b""),
            (start + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
            (b"POST /v1/drain HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"OPTIONS * HTTP/1.1\r\n\r\n", b"200"),
            (b"GET http://a/v1/status HTTP/1.1\r\n\r\n", b"404"),
        ):
            answer = self.all(said)
            self.assertEqual(answer[9:12], status, repr(said[:60]))
        self.assertTrue(self.all(b"HEAD /v1/status HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n"))
        head = b"POST /v1/drain HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        answer = self.all(head, b"{}")
        self.assertTrue(answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), answer)


class SocketTests(DoorTestCase):
    """
    The socket itself.
    """

    def test_close(self) -> None:
        """
        At the end nobody is left.
        """
        self.open()
        silent = self.connect()
        self.turn()
        assert self.door is not None
        self.door.close()
        self.until(lambda: self.heard(silent) == b"")
        self.door = None

    def test_occupied(self) -> None:
        """
        Another daemon's socket is not taken, nor is a link followed, nor a file replaced.
        """
        self.open()
        settings = settingsFrom(
            "proxy", Configuration(None, {"RVGAHP_STATUS_SOCKET": str(self.path)})
        )
        e = self.assertRaises(
            ConfigurationError, StatusSocket(self.reactor, settings, self.source).bind
        )
        self.assertIn("another process listens there", str(e))
        self.assertEqual(self.ask("GET", "/v1/status")[0], 200)
        target = self.directory / "file"
        target.write_text("mine")
        link = self.directory / "link"
        link.symlink_to(target)
        for path in (target, link):
            values = {"RVGAHP_STATUS_SOCKET": str(path)}
            settings = settingsFrom("proxy", Configuration(None, values))
            one = StatusSocket(self.reactor, settings, self.source)
            self.assertRaises(ConfigurationError, one.bind)
        self.assertEqual((target.read_text(), link.is_symlink()), ("mine", True))

    def test_mode(self) -> None:
        """
        All may connect, for who connects decides what he sees; at the end it is removed.
        """
        door = self.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o666)
        door.close()
        self.door = None
        self.assertFalse(self.path.exists())

    def test_path(self) -> None:
        """
        Without a setting the proxy's is beside the one for clients, a CE's beside its
        configuration.
        """
        for role, values, file, expected in (
            ("proxy", {"RVGAHP_SOCKET": "/a/proxy.sock"}, None, "/a/proxy.status"),
            ("proxy", {"RVGAHP_SOCKET": "/a/proxy"}, None, "/a/proxy.status"),
            ("proxy", {"RVGAHP_STATUS_SOCKET": "/b"}, None, "/b"),
            ("ce", {}, "/c/condor_config", "/c/rvgahp-ce.status"),
            ("ce", {}, None, ""),
            ("ce", {"RVGAHP_STATUS_SOCKET": "/b"}, None, "/b"),
        ):
            given = {"RVGAHP_BROKER_HOST": "h"} | values if role == "ce" else values
            settings = settingsFrom(role, Configuration(file, given))
            self.assertEqual(statusPath(settings), expected)

    def test_long(self) -> None:
        """
        Nor can one that is too long.
        """
        long = str(self.directory / "x").ljust(102, "x")  # with .sock it is just short enough
        settings = settingsFrom("proxy", Configuration(None, {"RVGAHP_SOCKET": f"{long}.sock"}))
        door = StatusSocket(self.reactor, settings, self.source)
        with capturedLogs() as logs:
            door.bind()
        self.assertIn("longer than the 107 bytes", logs[0]["reason"])
        door.close()

    def test_impossible(self) -> None:
        """
        A path that somebody has named and that cannot be had is an error; another is not worth a
        daemon's life.
        """
        nowhere = str(self.directory / "none" / "d")
        settings = settingsFrom("proxy", Configuration(None, {"RVGAHP_STATUS_SOCKET": nowhere}))
        named = StatusSocket(self.reactor, settings, self.source)
        e = self.assertRaises(ConfigurationError, named.bind)
        self.assertIn(nowhere, str(e))
        settings = settingsFrom("proxy", Configuration(None, {"RVGAHP_SOCKET": f"{nowhere}.sock"}))
        other = StatusSocket(self.reactor, settings, self.source)
        with capturedLogs() as logs:
            other.bind()
        self.assertIn(f"{nowhere}.status", logs[0]["reason"])
        other.open()
        other.close()
        settings = settingsFrom("ce", Configuration(None, {"RVGAHP_BROKER_HOST": "h"}))
        none = StatusSocket(self.reactor, settings, self.source)
        none.bind()
        none.open()
        none.close()
