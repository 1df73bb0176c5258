"""
Tests of L{rvgahp.clientclaim}: a claimant and a real proxy in one stepped loop, with a real
UNIX socket between them; and a client process whose proxy is restarted.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from itertools import pairwise
from typing import Any

from rvgahp import clientclaim, commands, frames, limits
from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.clientclaim import Claimant
from rvgahp.primitives import hmac
from rvgahp.proxylink import ProxyLink
from rvgahp.proxysocket import connect
from rvgahp.session import SessionKeys
from tests.broker import BrokerTestCase, CEDouble, entryOf
from tests.clientdriver import ClientTestCase
from tests.identities import SITE
from tests.sessions import SESSION_ID, makeSession
from tests.steppedloop import SteppedLoop, descriptorCount

CLAIM_KEY = makeSession().claimKey()


class Session:
    """
    As much of a L{rvgahp.clientsession.ClientSession} as a claim asks for.
    """

    def __init__(self, keys: SessionKeys) -> None:
        self.keys = keys
        self.site = SITE


class Client:
    """
    The claimant's user, which begins again when its link is lost, as the client does.
    """

    def __init__(self) -> None:
        self.claimant: Claimant | None = None
        self.connections: list[socket.socket] = []
        self.lost: list[tuple[str, bool]] = []
        self.ends: list[str] = []

    def answered(self, box: dict[bytes, bytes]) -> None:
        raise AssertionError("nothing was asked for")

    def refused(self, sentence: str) -> None:
        raise AssertionError("nothing was asked for")

    def channelHanded(self, stream: int, connection: socket.socket) -> None:
        self.connections.append(connection)

    def renewKey(self, box: dict[bytes, bytes]) -> None:
        raise AssertionError("too early for that")

    def sessionLost(self, reason: str) -> None:
        self.ends.append(reason)

    def linkLost(self, reason: str, closed: bool) -> None:
        self.lost.append((reason, closed))
        if self.claimant is not None:
            self.claimant.start()


class Door:
    """
    The proxy's UNIX socket.
    """

    def __init__(self, loop: SteppedLoop, path: str, arrived: Any) -> None:
        self._loop = loop
        self._path = path
        self._arrived = arrived
        self.port = socket.socket(socket.AF_UNIX)
        self.port.bind(path)
        self.port.listen()
        self.port.setblocking(False)
        loop.addReader(self)

    def fileno(self) -> int:
        return self.port.fileno()

    def doRead(self) -> None:
        connection, _ = self.port.accept()
        self._arrived(connection)

    def close(self) -> None:
        """
        Nobody listens any more.
        """
        self._loop.removeReader(self)
        self.port.close()
        os.unlink(self._path)


class ClaimantTestCase(BrokerTestCase):
    """
    A claimant, and a proxy that may be there.

    @ivar tries: when each connection to it was tried.
    @ivar found: links that are as good as the one that was lost.
    @ivar gone: sentences with which the session was over.
    """

    def setUp(self) -> None:
        """
        Begin with nobody who listens.
        """
        super().setUp()
        self.directory = tempfile.mkdtemp()
        self.path = os.path.join(self.directory, "proxy.sock")
        self.tries: list[float] = []
        self.found: list[ProxyLink] = []
        self.gone: list[str] = []
        self.doors: list[Door] = []
        self.user = Client()
        self.keys = SessionKeys(makeSession(), self.loop.seconds())
        self.claimant = self.make()
        self.user.claimant = self.claimant

        def tried(path: str, patience: float) -> socket.socket:
            self.tries.append(self.loop.seconds())
            return connect(path, patience)

        self.patch(clientclaim, "connect", tried)

    def make(self) -> Claimant:
        """
        @return: a claimant.
        """
        loop: Any = self.loop
        session: Any = Session(self.keys)
        return Claimant(loop, self.path, session, self.user, self.found.append, self.gone.append)

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.user.claimant = None
        self.claimant.close()
        for connection in self.user.connections:
            connection.close()
        for link in self.found:
            link.close()
        for door in self.doors:
            door.close()
        shutil.rmtree(self.directory)
        super().tearDown()

    def open(self) -> Door:
        """
        The proxy listens.
        """
        door = Door(self.loop, self.path, self.clients.arrived)
        self.doors.append(door)
        return door

    def shut(self) -> None:
        """
        The proxy is stopped.
        """
        self.doors.pop().close()
        self.clients.closeAll()
        self.settle()

    def listed(self) -> CEDouble:
        """
        @return: a CE that has listed the session.
        """
        ce, _ = self.dialCE()
        ce.hello()
        self.successResultOf(ce.listEntries([entryOf(SESSION_ID, claim=CLAIM_KEY)]))
        return ce

    def claims(self) -> list[float]:
        """
        @return: when each claim has come, from now on.
        """
        times: list[float] = []
        claim = self.proxy.claims.claim

        def noted(*arguments: Any) -> dict[str, Any]:
            times.append(self.loop.seconds())
            return claim(*arguments)

        self.patch(self.proxy.claims, "claim", noted)
        return times

    def claimsWithin(self, seconds: float) -> tuple[list[float], list[float]]:
        """
        Listen, and let it claim for so long.

        @return: when each claim has come, and the times between them.
        """
        times = self.claims()
        self.open()
        self.claimant.start()
        self.spend(seconds)
        return times, [later - sooner for sooner, later in pairwise(times)]


class ClaimantTests(ClaimantTestCase):
    """
    Tests of L{Claimant}.
    """

    def test_found(self) -> None:
        """
        A proxy that is there is found within some hundredths of a second; from then on the
        link is as good as the one before.
        """
        ce = self.listed()
        self.open()
        self.claimant.start()
        self.spend(limits.RECLAIM_FIRST)
        (link,) = self.found
        self.assertEqual(list(self.proxy.sessions), [SESSION_ID])
        opened = ce.call(commands.OpenChannel, session=SESSION_ID, stream=0)
        self.admit(self.successResultOf(opened)["ticket"])
        self.settle()
        (connection,) = self.user.connections
        self.assertEqual(connection.recv(10), b"token")
        self.claimant.close()  # it has nothing to do with the link any more
        self.assertFalse(link.isClosed)
        self.spend(100)
        self.assertEqual((len(self.tries), len(self.found), self.gone), (1, 1, []))

    def test_renewedKey(self) -> None:
        """
        The claim is by the session's first key, whatever the present one is.
        """
        self.listed()
        self.keys.renew(bytes(32), 2, 86400, self.loop.seconds())
        self.open()
        self.claimant.start()
        self.spend(limits.RECLAIM_FIRST)
        self.assertEqual(len(self.found), 1)

    def test_absent(self) -> None:
        """
        While nobody listens it is looked for less and less often, at last every few
        seconds, with no end, and never at the same times as others do.
        """
        for _ in range(2):
            self.tries.clear()
            start = self.loop.seconds()
            self.claimant.start()
            self.spend(200)
            waits = [later - sooner for sooner, later in pairwise([start, *self.tries])]
            longest = limits.RECLAIM_FIRST
            for wait in waits:
                self.assertGreaterEqual(wait, longest / 2 - 1e-6)
                self.assertLess(wait, longest + 1e-6)
                longest = min(2 * longest, limits.RECLAIM_LONGEST)
            self.assertGreater(len(waits), 200 / limits.RECLAIM_LONGEST)
            self.assertGreater(len({round(wait, 6) for wait in waits[-20:]}), 5)
            self.claimant.close()
            self.claimant = self.user.claimant = self.make()
        self.listed()
        self.open()
        self.claimant.start()
        self.spend(limits.RECLAIM_LONGEST)
        self.assertEqual(len(self.found), 1)

    def test_notYet(self) -> None:
        """
        A proxy that has not heard of the session yet is asked again, over the same
        connection, often: its CE is about to come.
        """
        times, waits = self.claimsWithin(10)
        self.assertEqual({round(wait, 6) for wait in waits}, {limits.RECLAIM_SOON})
        self.assertEqual(len(self.tries), 1)
        self.listed()
        self.spend(limits.RECLAIM_SOON)
        self.assertEqual(len(self.found), 1)
        count = len(times)
        self.spend(10)
        self.assertEqual(len(times), count)

    def test_notForLong(self) -> None:
        """
        If its CE does not come soon, the proxy is not asked often any more, but still found
        to know the session when it does; the next proxy is asked often again.
        """
        times, _ = self.claimsWithin(limits.YOUTH + limits.RECLAIM_LONGEST)
        times.clear()
        self.spend(60)
        waits = [later - sooner for sooner, later in pairwise(times)]
        self.assertEqual({round(wait, 6) for wait in waits}, {limits.RECLAIM_LONGEST})
        self.shut()
        self.open()
        self.spend(limits.RECLAIM_LONGEST)
        times.clear()
        self.spend(2)
        self.assertGreater(len(times), 1 / limits.RECLAIM_SOON)
        self.spend(60)
        self.listed()
        self.spend(limits.RECLAIM_LONGEST)
        self.assertEqual(len(self.found), 1)

    def test_refused(self) -> None:
        """
        Other refusals may mean something else some day, and are tried again later.
        """
        self.keys = SessionKeys(makeSession(key=bytes(32)), self.loop.seconds())
        self.claimant = self.user.claimant = self.make()
        self.listed()
        _, waits = self.claimsWithin(30)
        self.assertEqual({round(wait, 6) for wait in waits}, {limits.RECLAIM_LONGEST})
        self.assertGreater(len(waits), 3)
        self.assertEqual((self.found, self.gone, len(self.tries)), ([], [], 1))

    def test_gone(self) -> None:
        """
        If the proxy knows that the session is over, that is told, and nothing more is
        asked.
        """
        self.readyCE()
        times = self.claims()
        self.open()
        self.claimant.start()
        self.spend(60)
        self.assertEqual(self.gone, [f"rvgahp-ce at site {SITE} has ended it or was restarted"])
        self.assertEqual((len(times), self.found), (1, []))

    def test_linkLost(self) -> None:
        """
        Whenever the proxy goes while it is being asked, it is looked for again, and then
        there is one claim at a time.
        """
        for turns in range(12):
            self.open()
            self.claimant.start()
            self.spend(limits.RECLAIM_FIRST / 2)
            for _ in range(turns):
                if not self.loop.turn():
                    self.loop.advance(0.05)
            self.shut()
            self.spend(0.1)
            times = self.claims()
            self.open()
            self.spend(limits.RECLAIM_LONGEST)
            times.clear()
            self.spend(5)
            waits = [later - sooner for sooner, later in pairwise(times)]
            self.assertEqual({round(wait, 6) for wait in waits}, {limits.RECLAIM_SOON}, turns)
            self.shut()
            self.claimant.close()
            self.claimant = self.user.claimant = self.make()
        self.assertEqual((self.found, self.gone), ([], []))

    def test_proxyDiesTwice(self) -> None:
        """
        A proxy that goes when it has just taken the claim, or has just been asked, leaves a
        session that can be claimed of the next one.
        """
        for turns in range(8):
            ce = self.listed()
            self.open()
            self.claimant.start()
            self.loop.advance(limits.RECLAIM_FIRST)
            for _ in range(turns):
                self.loop.turn()
            self.shut()
            wasFound = bool(self.found)
            for record in list(self.proxy.sessions.values()):
                record.close()  # the process is gone with all that it knew
            ce.control.abort()
            self.settle()
            if wasFound:
                self.found.pop().close()
                self.claimant.close()
                self.claimant = self.user.claimant = self.make()
                self.claimant.start()
            ce = self.listed()
            self.open()
            self.spend(2 * limits.RECLAIM_LONGEST)
            self.assertEqual(len(self.found), 1, turns)
            self.assertEqual(ce.ends, [])
            self.found.pop().close()
            self.settle()
            ce.control.abort()
            self.settle()
            self.proxy._gone.clear()
            self.shut()
            self.claimant = self.user.claimant = self.make()

    def test_closed(self) -> None:
        """
        Closed in whatever state, it does nothing more.
        """
        for hasProxy in (False, True):
            for turns in range(10):
                if hasProxy:
                    self.open()
                self.claimant.start()
                self.spend(limits.RECLAIM_FIRST / 2)
                for _ in range(turns):
                    if not self.loop.turn():
                        self.loop.advance(0.05)
                self.claimant.close()
                self.claimant.close()
                self.settle()
                count = len(self.tries)
                times = self.claims()
                self.spend(20)
                self.assertEqual((len(self.tries), times, self.found), (count, [], []))
                if hasProxy:
                    self.shut()
                self.claimant = self.user.claimant = self.make()

    def test_stranger(self) -> None:
        """
        An answer that makes no sense costs the link, and another is made.
        """
        asked: list[socket.socket] = []
        reader = BoxReader(1 << 16)
        self.doors.append(Door(self.loop, self.path, asked.append))
        self.claimant.start()
        for _ in range(3):
            self.spend(limits.RECLAIM_LONGEST)
            (connection,) = asked
            (box,) = reader.read(connection.recv(4096))
            self.assertEqual(box[b"_command"], b"Claim")
            connection.send(encodeBox({b"_answer": box[b"_ask"]}))
            self.settle()
            asked.pop().close()
        self.assertEqual([closed for _, closed in self.user.lost], [False] * 3)
        self.user.claimant = None

    def test_doesNotBlock(self) -> None:
        """
        A proxy that accepts nobody is not waited for: streams have to go on.
        """
        before = descriptorCount()
        with socket.socket(socket.AF_UNIX) as port:
            port.bind(self.path)
            port.listen(0)
            waiting: list[socket.socket] = []
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                try:
                    waiting[-1].connect(self.path)
                except BlockingIOError:
                    break
            begin = time.monotonic()
            self.claimant.start()
            self.spend(3)
            spent = time.monotonic() - begin
            self.assertGreater(len(self.tries), 3)
            self.assertLess(spent / len(self.tries), 10 * limits.RECLAIM_CONNECT)
            for one in waiting:
                one.close()
        os.unlink(self.path)
        self.assertEqual(descriptorCount(), before)
        self.assertLess(limits.RECLAIM_CONNECT, 0.05)


class ProcessTests(ClientTestCase):
    """
    A client process, and a proxy that is restarted.
    """

    def restart(self) -> None:
        """
        The proxy is killed.
        """
        assert self.proxy is not None
        self.unlisten()
        self.proxy.close()
        self.proxy = None

    def claimed(self) -> bytes:
        """
        Wait for the client, and have it prove.

        @return: the tag of the proof.
        """
        box = self.accepted()
        self.assertEqual(
            (box[b"_command"], box[b"session"], box[b"site"]),
            (b"Claim", SESSION_ID.encode(), b"site.example.edu"),
        )
        self.send({b"_answer": box[b"_ask"], b"nonce": bytes(range(32))})
        box = self.box()
        self.assertEqual((box[b"_command"], box[b"session"]), (b"Prove", SESSION_ID.encode()))
        self.assertEqual(box[b"proof"], hmac(CLAIM_KEY, b"claim" + bytes(range(32))))
        return box[b"_ask"]

    def echo(self, line: bytes) -> None:
        """
        A line goes to the site, and one comes from there.
        """
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()
        self.sent += line
        self.until(lambda: self.user.frames() == [(frames.STDIN, self.sent)])
        self.ce.send(frames.STDOUT, line)
        self.until(self.ce.stream.isAcknowledged)
        self.assertEqual(self.process.stdout.readline(), line)

    sent = b""

    def test_goesOn(self) -> None:
        """
        What runs goes on without the proxy; when it is there again it is claimed of, and
        the link is as good as ever: another channel, a key, and the session's end come
        over it.
        """
        self.running()
        self.restart()
        for number in range(5):
            self.echo(b"line %d\n" % number)
            self.spend(0.05)
        self.listen()
        tag = self.claimed()
        self.echo(b"meanwhile\n")
        self.send({b"_answer": tag})
        channel = self.dial(generation=2)
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.until(lambda: channel.isOpen)
        self.echo(b"over the new one\n")
        self.exit(False, 3)
        status, output, errors = self.ended()
        self.assertEqual((status, output, errors), (3, b"", ""))

    def test_brokenMeanwhile(self) -> None:
        """
        A channel that breaks while the proxy is away is asked for as soon as it is there
        again, however long ago it was asked for in vain.
        """
        self.running(REDIAL_ASK_FIRST=0.05, REDIAL_ASK_AGAIN=60.0)
        self.restart()
        self.ce.drop("cut")
        self.spend(1)
        self.listen()
        self.send({b"_answer": self.claimed()})
        box = self.box()
        self.assertEqual((box[b"_command"], box[b"generation"]), (b"Redial", b"1"))
        self.dial(generation=2)
        self.until(self.ce.isConnected)
        self.echo(b"still here\n")
        self.exit(False, 0)
        self.assertEqual(self.ended()[0], 0)

    def test_again(self) -> None:
        """
        So it is each time that the proxy is restarted, also while it is being asked.
        """
        self.running()
        for _ in range(3):
            self.restart()
            self.listen()
            self.claimed()  # and it dies without an answer
            self.restart()
            self.listen()
            self.send({b"_answer": self.claimed()})
            self.echo(b"still here\n")
        self.exit(False, 0)
        self.assertEqual(self.ended()[0], 0)

    def test_gone(self) -> None:
        """
        A session that the proxy knows to be over ends the client, with the reason.
        """
        self.running()
        self.restart()
        self.listen()
        box = self.accepted()
        refusal = {b"_error_code": b"SessionGone", b"_error_description": b"the CE was restarted"}
        self.send({b"_error": box[b"_ask"], **refusal})
        self.assertFails("the CE was restarted")

    def test_exitMeanwhile(self) -> None:
        """
        A GAHP that exits while there is no proxy ends the client with its status.
        """
        self.running()
        self.restart()
        self.exit(False, 7)
        self.assertEqual(self.ended(), (7, b"", ""))
