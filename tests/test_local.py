"""
Tests of L{rvgahp.local}: real UNIX sockets and real descriptors, and a clock of their own.
"""

from __future__ import annotations

import array
import errno
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.logger import capturedLogs
from twisted.protocols.amp import IBoxSender
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rvgahp import limits, local, localclients, localcommands, watchlimits
from rvgahp.errors import NoSuchSite, NotAuthorized
from rvgahp.local import LocalConnection
from rvgahp.localclients import Clients
from rvgahp.peercred import LocalUser
from tests import clientdriver
from tests.localclient import REQUEST, LocalClient, ScriptedSocket, failure
from tests.steppedloop import SteppedLoop, descriptorCount, socketPair

KEY = bytes(range(100, 132))

ANSWER: dict[str, Any] = {**clientdriver.ANSWER, "session": "s", "key": KEY}


class Session:
    """
    What a client's connection knows of its session.

    @ivar ends: how often it was told that the client is gone.
    """

    def __init__(self) -> None:
        self.ends = 0

    def clientGone(self) -> None:
        self.ends += 1


class ReloadingDouble:
    """
    Stands for what reads files again.

    @ivar asked: by whom.
    @ivar refusals: reason and whose.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refusals: list[tuple[str, Any]] = []

    def reload(self, who: Any) -> Deferred[list[str]]:
        self.asked.append(who)
        return succeed(["x"])

    def refused(self, reason: str, who: Any) -> None:
        self.refusals.append((reason, who))


class LocalTestCase(SynchronousTestCase):
    """
    The proxy's side, and clients.
    """

    def setUp(self) -> None:
        """
        Begin without clients.
        """
        self.before = descriptorCount()
        self.loop = SteppedLoop()
        self.requests: list[tuple[LocalConnection, dict[str, Any]]] = []
        self.answer: Any = lambda: succeed(ANSWER)
        self.clients = Clients(self.loop, self._request, 50, None)
        self.connected: list[LocalClient] = []
        self.taken: list[Deferred[dict[str, Any]]] = []

    def _request(self, connection: LocalConnection, **arguments: Any) -> Deferred[dict[str, Any]]:
        self.requests.append((connection, arguments))
        answer: Deferred[dict[str, Any]] = self.answer()
        return answer

    def tearDown(self) -> None:
        """
        When all clients have gone, nothing is left.
        """
        for client in self.connected:
            client.close()
        self.loop.settle()
        for taken in self.taken:
            taken.addErrback(lambda _: None)  # as ends of tests go
        self.assertEqual(len(self.clients), 0)
        self.assertEqual(descriptorCount(), self.before)
        self.clients.warnings.close()
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop.readers, self.loop.writers), ({}, {}))

    def connect(self, buffer: int = 0, *steps: OSError | int) -> LocalClient:
        """
        @param buffer: bytes that the kernel is to hold each way.
        @param steps: what happens to what the proxy sends.
        @return: a client that has connected.
        """
        ours, theirs = socketPair(buffer)
        self.clients.arrived(ScriptedSocket.taking(ours, *steps))
        client = LocalClient(theirs)
        self.connected.append(client)
        return client

    def served(self, buffer: int = 0, *steps: OSError | int) -> tuple[LocalClient, LocalConnection]:
        """
        @return: a client that has its GAHP, and the proxy's end of its connection.
        """
        client = self.connect(buffer)
        client.request()
        self.loop.settle()
        client.read()
        connection = self.requests[-1][0]
        assert isinstance(connection._connection, ScriptedSocket)
        connection._connection.script.steps = list(steps)
        return client, connection

    def handOver(
        self, connection: LocalConnection, token: bytes
    ) -> tuple[socket.socket, Deferred[dict[str, Any]]]:
        """
        Hand a socket over.

        @return: its other end, on which C{token} was sent.
        """
        kept, handed = socket.socketpair()
        self.addCleanup(kept.close)
        kept.settimeout(5)
        kept.sendall(token)
        taken = connection.handOver("s", 0, handed)
        self.taken.append(taken)
        return kept, taken


class RequestTests(LocalTestCase):
    """
    Asking for a GAHP.
    """

    def test_answered(self) -> None:
        """
        The request comes with the user that the kernel names, and the answer with the
        key.
        """
        client = self.connect()
        client.request()
        self.loop.settle()
        ((connection, arguments),) = self.requests
        self.assertEqual(arguments, REQUEST)
        self.assertEqual(connection.user.uid, os.getuid())
        verifyObject(IBoxSender, connection)
        (box,) = client.read()
        self.assertEqual(box.pop(b"_answer"), b"1")
        self.assertEqual(box, localcommands.RequestGAHP.makeResponse(ANSWER, None))

    def test_refused(self) -> None:
        """
        A refusal comes with its name and sentence, and the client may stay.
        """
        client = self.connect()
        self.answer = lambda: fail(NoSuchSite("no such site"))
        client.request()
        self.loop.settle()
        (box,) = client.read()
        self.assertEqual(box[b"_error_code"], b"NoSuchSite")
        self.assertEqual(box[b"_error_description"], b"no such site")
        self.assertFalse(client.isOver)

    def test_twice(self) -> None:
        """
        A connection asks once.
        """
        client = self.connect()
        self.answer = Deferred
        client.request(b"1")
        client.request(b"2")
        self.loop.settle()
        (box,) = client.read()
        self.assertEqual((box[b"_error"], box[b"_error_code"]), (b"2", b"Busy"))
        self.assertEqual(len(self.requests), 1)

    def test_bug(self) -> None:
        """
        A bug is told as one, with no key in the log.
        """
        client = self.connect()

        def answer() -> None:
            raise ZeroDivisionError(ANSWER)

        self.answer = answer
        client.request()
        with capturedLogs() as logs:
            self.loop.settle()
        self.assertEqual(client.read()[0][b"_error_code"], b"InternalError")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNotIn(repr(KEY), "".join(str(event.get("text", "")) for event in logs))

    def test_reload(self) -> None:
        """
        Root and the proxy's account can have its files read again; another is refused in a
        sentence, and the audit log has that.
        """
        reloading = ReloadingDouble()
        self.clients.reloading = reloading
        for uid in (0, os.geteuid()):
            answer = self.clients.reload(LocalUser(uid, "one", 7))
            self.assertEqual(self.successResultOf(answer), {"changes": ["x"], "problems": []})
        e = self.assertRaises(NotAuthorized, self.clients.reload, LocalUser(54321, "eve", 8))
        self.assertEqual(str(e), reloading.refusals[0][0])
        self.assertIn("eve may not reload the proxy", str(e))
        self.assertEqual(reloading.refusals[0][1], {"user": "eve", "uid": 54321, "pid": 8})
        self.assertEqual([who["user"] for who in reloading.asked], ["one", "one"])

    def test_goneMeanwhile(self) -> None:
        """
        An answer for a client that has gone is dropped.
        """
        client = self.connect()
        answer: Deferred[dict[str, Any]] = Deferred()
        self.answer = lambda: answer
        client.request()
        self.loop.settle()
        client.close()
        self.loop.settle()
        answer.callback(ANSWER)
        self.assertTrue(self.requests[0][0].isClosed)

    def test_endInTheMiddle(self) -> None:
        """
        What comes in one piece with the cause of the end is not obeyed any more.
        """
        client = self.connect(0, failure(errno.EPIPE))
        client.send({b"_command": b"NoSuchThing", b"_ask": b"1"})
        client.request(b"2")
        with capturedLogs():
            self.loop.settle()
        self.assertEqual(self.requests, [])

    def test_endUnheard(self) -> None:
        """
        A client that has gone before it has heard all is as good as any: nothing is logged.
        """
        for isBefore in (False, True):
            client, connection = self.served()
            with capturedLogs() as logs:
                if isBefore:
                    client.close()
                connection.caller.call(localcommands.SessionLost, session="s", reason="r")
                client.close()
                self.loop.settle()
            self.assertTrue(connection.isClosed)
            self.assertEqual(logs, [])

    def test_garbage(self) -> None:
        """
        What is no box of ours ends the connection with a line in the log, without a
        traceback.
        """
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0\0",
            b"\0\x06secret\0\x09swordfish\0\0",
            b"\0\x07_answer\0\x017\0\0",
            b"\0\x01x\xff\xff" + bytes(limits.LOCAL_BOX_BYTES),
        ):
            client = self.connect()
            self.clients.warnings.close()
            with capturedLogs() as logs:
                client.connection.sendall(garbage)
                self.loop.settle()
            client.read()
            self.assertTrue(client.isOver, garbage[:10])
            self.assertEqual([event["log_level"].name for event in logs], ["warn"])
            self.assertNotIn("swordfish", repr(logs))
            self.assertEqual(len(self.clients), 0)

    def test_commandWithoutTag(self) -> None:
        """
        A command to which no answer is wanted gets none, and is no bug of ours.
        """
        client = self.connect()
        client.send({b"_command": b"NoSuchThing"})
        self.loop.settle()
        self.assertEqual((client.read(), client.isOver), ([], False))

    def test_descriptorsSentToUs(self) -> None:
        """
        Descriptors that a client sends are not kept.
        """
        client = self.connect()
        before = descriptorCount()
        rights = array.array("i", [0, 1, 2])
        for _ in range(20):
            client.connection.sendmsg(
                [b"\0\x08_command\0\x01x\0\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            )
            self.loop.settle()
        self.assertEqual(descriptorCount(), before)
        self.assertFalse(client.isOver)


class HandOverTests(LocalTestCase):
    """
    Passing sockets.
    """

    def test_taken(self) -> None:
        """
        The socket comes beside its box, open both ways; our copy is closed; that it was
        taken is known when the client says so.
        """
        client, connection = self.served()
        before = descriptorCount()
        kept, taken = self.handOver(connection, b"token")
        self.assertEqual(descriptorCount(), before + 1)
        self.assertNoResult(taken)
        (box,) = client.read()
        self.assertEqual(
            (box[b"_command"], box[b"session"], box[b"stream"]), (b"Channel", b"s", b"0")
        )
        (handed,) = client.handed
        self.assertEqual(handed.recv(100), b"token")
        handed.sendall(b"and back")
        self.assertEqual(kept.recv(100), b"and back")
        client.acknowledge()
        self.loop.settle()
        self.assertEqual(self.successResultOf(taken), {})

    def test_rightClient(self) -> None:
        """
        Of many clients, some of whom do not read, each gets its own sockets.
        """
        pairs = [self.served(buffer=4096) for _ in range(30)]
        for round in range(3):
            for number, (client, connection) in enumerate(pairs):
                self.handOver(connection, b"%d of %d" % (round, number))
                if number % 3:
                    self.loop.settle()
                    client.read()
                    client.acknowledge()
        self.loop.settle()
        for number, (client, _) in enumerate(pairs):
            client.read()
            tokens = [handed.recv(100) for handed in client.handed]
            self.assertEqual(tokens, [b"%d of %d" % (round, number) for round in range(3)])

    def test_fullBuffer(self) -> None:
        """
        A client that has not read what came before gets its socket when it does.
        """
        client, connection = self.served(4096)
        for _ in range(10):
            connection.caller.call(localcommands.SessionLost, session="s", reason="x" * 60000)
        _kept, taken = self.handOver(connection, b"token")
        connection.caller.call(localcommands.SessionLost, session="s", reason="last")
        self.loop.settle()
        self.assertNoResult(taken)
        self.assertEqual(client.handed, [])
        for _ in range(1000):
            client.read()
            if not self.loop.turn():
                break
        self.assertEqual(
            [len(box.get(b"reason", b"")) for box in client.boxes[1:]], [60000] * 10 + [0, 4]
        )
        self.assertEqual(client.handed[0].recv(100), b"token")
        self.assertEqual(len(client.handed), 1)

    def test_partial(self) -> None:
        """
        A box of which the kernel takes one byte at first brings its socket once.
        """
        client, connection = self.served(0, 1, failure(errno.EAGAIN), 3, 1)
        _kept, _taken = self.handOver(connection, b"token")
        self.loop.settle()
        (box,) = client.read()
        self.assertEqual(box[b"_command"], b"Channel")
        self.assertEqual([handed.recv(100) for handed in client.handed], [b"token"])

    def test_tooManyInFlight(self) -> None:
        """
        When the kernel has too many descriptors in flight it is tried again until it
        goes, and by one timer however much is added meanwhile.
        """
        refusal = failure(errno.ETOOMANYREFS)
        client, connection = self.served(0, *[refusal] * 20)
        _kept, _taken = self.handOver(connection, b"token")
        for _ in range(5):
            connection.caller.call(localcommands.SessionLost, session="s", reason="x")
        timers = [call for call in self.loop.getDelayedCalls() if call.getTime() < 1]
        self.assertEqual(len(timers), 1)
        self.loop.spend(2)
        self.assertEqual(len(client.read()), 6)
        self.assertEqual([handed.recv(100) for handed in client.handed], [b"token"])

    def test_goneWhileRetrying(self) -> None:
        """
        A client that goes while its socket waits takes it along.
        """
        client, connection = self.served(0, *[failure(errno.ETOOMANYREFS)] * 1000)
        kept, taken = self.handOver(connection, b"token")
        client.close()
        self.loop.settle()
        self.failureResultOf(taken)
        self.assertRaises(ConnectionResetError, kept.recv, 100)
        self.assertEqual(self.loop.getDelayedCalls(), [])

    def test_goneBefore(self) -> None:
        """
        A socket for a client that has gone is closed, and it is told that it was not
        taken.
        """
        client, connection = self.served()
        client.close()
        self.loop.settle()
        kept, taken = self.handOver(connection, b"token")
        self.failureResultOf(taken)
        self.assertRaises(ConnectionResetError, kept.recv, 100)

    def test_goneMeanwhile(self) -> None:
        """
        So is one for a client that goes before it has read it, or while it is sent; its
        session is told once.
        """
        for steps in ([], [failure(errno.EPIPE)], [failure(errno.ECONNRESET)], [1]):
            client, connection = self.served(0, *steps)
            session = Session()
            connection.serves(session)  # type: ignore[arg-type]  # all that is used of one
            if steps == [1]:
                client.close()
            with capturedLogs():
                kept, taken = self.handOver(connection, b"token")
                client.close()
                self.loop.settle()
            self.failureResultOf(taken)
            self.assertEqual(session.ends, 1)
            self.assertEqual(len(self.clients), 0)
            self.assertRaises(OSError, kept.sendall, b"x")

    def test_notTaken(self) -> None:
        """
        That a client does not take it is known after a while.
        """
        _client, connection = self.served()
        _kept, taken = self.handOver(connection, b"token")
        self.loop.spend(limits.SILENCE_LIMIT - 0.1)
        self.assertNoResult(taken)
        self.loop.spend(0.2)
        self.failureResultOf(taken, TimeoutError)


class FloodTests(LocalTestCase):
    """
    Clients that ask for more than they take.
    """

    def test_boxes(self) -> None:
        """
        With 16 boxes waiting for a client we do not read it either; when it reads, all is
        answered.
        """
        client = self.connect(4096)
        box = {b"_command": b"NoSuchThing" + b"x" * 1000, b"_ask": b"1"}
        sent = 0
        for _ in range(10_000):
            try:
                client.send(box)
            except BlockingIOError:
                break
            sent += 1
            self.loop.settle()
        (connection,) = next(iter(self.clients._users.values())).open
        self.assertLess(sent, 200)
        self.assertLessEqual(len(connection._boxes), local._WAITING_BOXES + 16)
        self.assertEqual(self.loop.readers, {})
        while client.read() or self.loop.turn():
            pass
        self.assertGreaterEqual(len(client.boxes), sent - 1)
        self.assertEqual(len(self.loop.readers), 1)

    def test_turns(self) -> None:
        """
        Of one who says much over several connections so many boxes are obeyed in each turn of
        the reactor, one of each connection and then the next, all in the end; one that goes
        meanwhile is forgotten.
        """
        turns: list[Any] = []
        self.patch(self.clients, "_loop", self.loop)
        diallers = [self.connect() for _ in range(3)]
        callLater = self.loop.callLater

        def later(delay: float, call: Any, *arguments: Any) -> Any:
            if call == self.clients._nextTurn:
                turns.append(arguments)
                return None
            return callLater(delay, call, *arguments)

        self.patch(self.loop, "callLater", later)
        for dialler in diallers:
            for number in range(20):
                dialler.send({b"_command": b"NoSuchThing", b"_ask": b"%d" % number})
        self.loop.settle()
        answered = [len(dialler.read()) for dialler in diallers]
        self.assertEqual(sum(answered), watchlimits.CALLS_PER_TURN)
        diallers[0].close()
        while turns:
            self.clients._nextTurn(*turns.pop())
            self.loop.settle()
            fresh = [len(dialler.read()) for dialler in diallers[1:]]
            self.assertLessEqual(sum(fresh), watchlimits.CALLS_PER_TURN)
            self.assertLessEqual(abs(fresh[0] - fresh[1]), 6)
        self.assertEqual([len(dialler.boxes) for dialler in diallers[1:]], [20, 20])
        (user,) = self.clients._users.values()
        self.assertEqual((len(user.open), user.waiting), (2, {}))

    def test_goneWhilePaused(self) -> None:
        """
        A client that goes while we do not read it is noticed.
        """
        client, connection = self.served(4096)
        session = Session()
        connection.serves(session)  # type: ignore[arg-type]  # all that is used of one
        for _ in range(local._WAITING_BOXES + 5):
            connection.caller.call(localcommands.SessionLost, session="s", reason="x" * 8000)
        self.loop.settle()
        self.assertEqual(self.loop.readers, {})
        client.close()
        with capturedLogs():
            self.loop.settle()
        self.assertEqual(session.ends, 1)

    def refusal(self, client: LocalClient) -> str:
        """
        @return: the sentence with which a connection was refused.
        """
        (box,) = client.read()
        self.assertTrue(client.isOver)
        self.assertEqual((box[b"_command"], box[b"session"]), (b"SessionLost", b""))
        return box[b"reason"].decode()

    def test_perUser(self) -> None:
        """
        One user has so many connections and no more, and is told so; when one ends there
        is room again.
        """
        self.clients = Clients(self.loop, self._request, 3, None)
        several = [self.connect() for _ in range(3)]
        with capturedLogs() as logs:
            self.assertIn("has 3 connections", self.refusal(self.connect()))
        self.assertEqual(len(logs), 1)
        several[0].close()
        self.loop.settle()
        client = self.connect()
        self.assertEqual((client.read(), client.isOver), ([], False))
        self.assertEqual(len(self.clients), 3)

    def test_noAccount(self) -> None:
        """
        Who has no account here is told so.
        """

        def peerOf(connection: socket.socket) -> None:
            raise NotAuthorized("uid 7 has no account on this host; ask its administrator")

        self.patch(localclients, "peerOf", peerOf)
        with capturedLogs():
            self.assertIn("uid 7", self.refusal(self.connect()))

    def test_refusedAndGone(self) -> None:
        """
        One that is refused and does not hear it harms nothing.
        """
        self.clients = Clients(self.loop, self._request, 0, None)
        ours, theirs = socketPair()
        theirs.close()
        with capturedLogs():
            self.clients.arrived(ours)


class EndTests(LocalTestCase):
    """
    The proxy stops.
    """

    def test_closeAll(self) -> None:
        """
        Connections end, also in the middle of something, and no session is told that its
        client is gone: what runs goes on without us.
        """
        client, connection = self.served()
        session = Session()
        connection.serves(session)  # type: ignore[arg-type]  # all that is used of one
        _kept, taken = self.handOver(connection, b"token")
        _waiting, other = self.served(0, *[failure(errno.ETOOMANYREFS)] * 1000)
        _keptToo, takenToo = self.handOver(other, b"token")
        self.clients.closeAll()
        self.failureResultOf(taken)
        self.failureResultOf(takenToo)
        self.assertEqual(self.loop.getDelayedCalls(), [])
        client.read()
        self.assertTrue(client.isOver)
        self.assertEqual(session.ends, 0)

    def test_unhandled(self) -> None:
        """
        What nobody handled is logged.
        """
        _, connection = self.served()
        connection.unhandledError(Failure(ZeroDivisionError()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
