"""
Tests of what L{rvgahp.clientrun} does about tunnels: a real client with a front, and a
proxy, a CE and a GAHP that do what a test wants.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from rvgahp import frames, limits
from rvgahp.budget import Budget
from rvgahp.carrier import Carrier
from rvgahp.channel import DialingChannel
from rvgahp.handshakemessages import TUNNEL_STREAM
from rvgahp.stream import Stream
from tests.channelends import User
from tests.procfs import PATIENCE
from tests.sessions import SESSION_ID, makeSession
from tests.steppedloop import socketPair
from tests.test_cedarpeek import ID, SEEN
from tests.test_clientfront import BANNER, FrontTestCase

SITE_PORT = 40123


class TunnelTestCase(FrontTestCase):
    """
    A client that was asked for condor_ft-gahp by a gridmanager.

    @ivar gridmanager: where it listens.
    """

    def setUp(self) -> None:
        super().setUp()
        self.gridmanager = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.gridmanager.close)
        self.port_: int = self.gridmanager.getsockname()[1]
        self.environ["CONDOR_INHERIT"] = self.inherit()
        self.announced = (
            f"Allocated port {SITE_PORT} for remote forward to 127.0.0.1:{self.port_}\n"
        )

    def inherit(self, host: str = "127.0.0.1") -> str:
        """
        @return: what the gridmanager says of itself.
        """
        return f"4711 <{host}:{self.port_}?addrs={host}-{self.port_}&sock={ID}> 0 0"

    def asked(self, *words: str, **numbers: float) -> dict[bytes, bytes]:
        return super().asked(*(words or ("site", "condor_ft-gahp")), **numbers)

    def wished(self, box: dict[bytes, bytes]) -> tuple[bytes, bytes]:
        """
        @return: what a request says of tunnels.
        """
        self.assertEqual(box[b"_command"], b"RequestGAHP")
        return box[b"tunnel"], box[b"tunnelPort"]

    def errors(self, count: int = 1) -> str:
        """
        @return: the next lines on stderr, so many.
        """
        assert self.process is not None and self.process.stderr is not None
        descriptor = self.process.stderr.fileno()
        os.set_blocking(descriptor, False)
        found = bytearray()

        def read() -> bool:
            try:
                found.extend(os.read(descriptor, 5000))
            except BlockingIOError:
                pass
            return found.count(b"\n") >= count

        self.until(read)
        return found.decode()

    def serves(self) -> None:
        """
        The GAHP is served, and nothing else has been said on stderr.
        """
        self.greet()
        self.heard(BANNER[:-2])
        self.leave()
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"", ""))


class RequestTests(TunnelTestCase):
    """
    What is asked for.
    """

    def test_asked(self) -> None:
        """
        A condor_ft-gahp of a gridmanager may have tunnels, on any port.
        """
        self.assertEqual(self.wished(self.asked()), (b"True", b"0"))

    def test_otherGAHP(self) -> None:
        """
        No other GAHP may, whatever the environment says.
        """
        self.assertEqual(self.wished(self.asked("site", "blahpd")), (b"False", b"0"))

    def test_noGridmanager(self) -> None:
        """
        Without CONDOR_INHERIT there is nowhere that they could go, and nothing to be said
        of it.
        """
        self.environ["CONDOR_INHERIT"] = ""
        self.assertEqual(self.wished(self.asked()), (b"False", b"0"))
        self.answer(tunnelPort=0)
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.serves()

    def test_malformed(self) -> None:
        """
        One that HTCondor cannot have set is told in one sentence, which does not show it;
        the GAHP runs on, without tunnels.
        """
        for inherit in ("swordfish", f"4711 <127.0.0.1:{self.port_}?sock=self> 0 0"):
            self.environ["CONDOR_INHERIT"] = inherit
            self.assertEqual(self.wished(self.asked()), (b"False", b"0"))
            said = self.errors()
            self.assertEqual(said.count("\n"), 1)
            self.assertIn("condor_ft-gahp at site site: it gets no tunnel: ", said)
            self.assertNotIn("swordfish", said)
            self.answer()
            self.dial()
            self.assertEqual(self.box(), {b"_answer": b"7"})
            self.serves()
            self.again()

    def again(self) -> None:
        """
        Make ready for another client.
        """
        assert self.proxy is not None
        self.proxy.close()
        self.ce.close()
        self.user = User()
        self.ce = Carrier(self.reactor, Stream(1 << 24, Budget(1 << 28)), self.user)
        self.user.carrier = self.ce


class AnnouncementTests(TunnelTestCase):
    """
    What the gridmanager is told.
    """

    def test_line(self) -> None:
        """
        It is told of the site's port in one line, before the GAHP is heard in any way.
        """
        self.asked()
        self.answer(tunnelPort=SITE_PORT)
        self.dial()
        self.ce.send(frames.STDERR, b"a word of warning\n")
        self.ce.send(frames.STDOUT, BANNER)
        said = self.errors(2)
        self.assertEqual(said, self.announced + "a word of warning\n")

    def test_oneWrite(self) -> None:
        """
        The line is there as soon as anything is, without a channel.
        """
        self.asked()
        self.answer(tunnelPort=SITE_PORT)
        assert self.process is not None and self.process.stderr is not None
        self.assertEqual(os.read(self.process.stderr.fileno(), 5000).decode(), self.announced)

    def test_redirected(self) -> None:
        """
        The address is the one that the proxy's configuration has, if it has one; also where
        the gridmanager's own cannot be dialled.
        """
        self.environ["CONDOR_INHERIT"] = self.inherit("submit.example.org")
        self.asked()
        self.answer(tunnelPort=SITE_PORT, forwardTo="[2001:db8::7]:9618")
        self.assertEqual(
            self.errors(),
            f"Allocated port {SITE_PORT} for remote forward to [2001:db8::7]:9618\n",
        )

    def test_notOnOffer(self) -> None:
        """
        That a site gives no port is said in one sentence; nothing is announced, and the GAHP
        runs on.
        """
        self.asked()
        self.answer(tunnelPort=0)
        said = self.errors()
        self.assertIn("it gets no tunnel: the site has given it no port", said)
        self.assertEqual(said.count("\n"), 1)
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.serves()

    def test_notAsked(self) -> None:
        """
        A port that nobody has asked for is not announced.
        """
        self.environ.clear()
        self.asked()
        self.answer(tunnelPort=SITE_PORT)
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.serves()

    def test_undialable(self) -> None:
        """
        Where the gridmanager's address cannot be dialled, one sentence names the setting
        that helps, nothing is announced, and the GAHP runs on.
        """
        self.environ["CONDOR_INHERIT"] = self.inherit("submit.example.org")
        self.asked()
        self.answer(tunnelPort=SITE_PORT)
        said = self.errors()
        self.assertIn("it gets no tunnel: ", said)
        self.assertIn("RVGAHP_FORWARD_TO", said)
        self.assertEqual(said.count("\n"), 1)
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.serves()

    def test_badRedirection(self) -> None:
        """
        So it is where the proxy's word is no address.
        """
        self.asked()
        self.answer(tunnelPort=SITE_PORT, forwardTo="submit.example.org:9618")
        said = self.errors()
        self.assertIn("it gets no tunnel: ", said)
        self.assertEqual(said.count("\n"), 1)
        self.dial()
        self.assertEqual(self.box(), {b"_answer": b"7"})
        self.serves()

    def test_impossiblePort(self) -> None:
        """
        What is no port is not announced.
        """
        self.asked()
        self.answer(tunnelPort=70000)
        status, output, errors = self.ended()
        self.assertEqual((status, output, errors.count("\n")), (255, b"", 1), errors)
        self.assertIn("there is no port 70000", errors)

    def test_notEncrypted(self) -> None:
        """
        A tunnel over channels that others can read is not taken, and not announced.
        """
        self.asked()
        policy = {"serverPolicy": "N:R:AES", "clientPolicy": "N:R:AES", "outcome": "integrity"}
        self.answer(tunnelPort=SITE_PORT, **policy)
        status, output, errors = self.ended()
        self.assertEqual((status, output, errors.count("\n")), (255, b"", 1), errors)
        self.assertIn("its channels are not encrypted", errors)


class RestartTests(TunnelTestCase):
    """
    A GAHP that is started again.
    """

    def readyTunnelled(self) -> None:
        """
        Have a GAHP with a tunnel.
        """
        self.ready(tunnelPort=SITE_PORT)
        self.assertEqual(self.errors(), self.announced)

    def askedAgain(self) -> dict[bytes, bytes]:
        """
        The present session is over.

        @return: the next request.
        """
        self.ce.close()
        self.send(
            {
                b"_command": b"SessionLost",
                b"session": SESSION_ID.encode(),
                b"reason": b"the CE was restarted",
            }
        )
        assert self.proxy is not None
        self.proxy.close()
        return self.accepted()

    def test_samePort(self) -> None:
        """
        It must have the port that the gridmanager knows, which is not told again.
        """
        self.readyTunnelled()
        for _ in range(2):
            self.assertEqual(self.wished(self.askedAgain()), (b"True", b"%d" % SITE_PORT))
            said = self.errors()
            self.assertIn("it is started again", said)
            self.grantNext(tunnelPort=SITE_PORT)
            self.greet()
            self.tell(b"VERSION")
            self.heard(b"S " + BANNER.strip())
            self.assertNotIn("Allocated", said)
        self.leave()
        self.until(lambda: (frames.END_STDIN, b"") in self.user.frames())
        self.exit(False, 0)
        self.assertEqual(self.ended(), (0, b"", ""))

    def test_anotherPort(self) -> None:
        """
        One that has another port, or none, is not taken: a sentence says so, and it is
        asked for again.
        """
        self.readyTunnelled()
        self.askedAgain()
        self.errors()
        for number in (SITE_PORT + 1, 0):
            self.answer(tunnelPort=number)
            said = self.errors()
            self.assertIn(f"the site has tunnel port {number}", said)
            self.assertIn(f"the gridmanager knows {SITE_PORT}", said)
            self.assertNotIn("Allocated", said)
            assert self.proxy is not None
            self.proxy.close()
            self.assertEqual(self.wished(self.accepted()), (b"True", b"%d" % SITE_PORT))
        self.grantNext(tunnelPort=SITE_PORT)
        self.greet()
        self.tell(b"VERSION")
        self.heard(b"S " + BANNER.strip())


class ChannelTests(TunnelTestCase):
    """
    Channels of tunnels.
    """

    def hand(self, stream: int) -> tuple[User, Any]:
        """
        The CE opens a tunnel.

        @return: who uses its end of it, and the channel.
        """
        user = User()
        user.carrier = Carrier(self.reactor, Stream(1 << 20, Budget(1 << 28)), user)
        self.addCleanup(user.carrier.close)
        ours, theirs = socketPair()
        channel = DialingChannel(
            self.reactor,
            ours,
            user.carrier,
            makeSession(),
            stream,
            TUNNEL_STREAM,
            1,
            bytes(limits.TICKET_BYTES),
        )
        theirs.recv(limits.PREAMBLE_BYTES)
        box = {b"_command": b"Channel", b"_ask": b"8", b"session": SESSION_ID.encode()}
        self.send({**box, b"stream": b"%d" % stream}, theirs)
        self.assertEqual(self.box(), {b"_answer": b"8"})
        return user, channel

    def test_passed(self) -> None:
        """
        A good request comes to the gridmanager, and its answer back; with the GAHP it is
        over.
        """
        self.ready(tunnelPort=SITE_PORT)
        user, _ = self.hand(1)
        assert user.carrier is not None
        user.carrier.send(frames.STDOUT, SEEN)
        self.until(lambda: user.carrier and user.carrier.stream.isAcknowledged())
        self.gridmanager.settimeout(PATIENCE)
        connection, _ = self.gridmanager.accept()
        self.addCleanup(connection.close)
        connection.settimeout(PATIENCE)
        self.assertEqual(connection.recv(len(SEEN) + 1), SEEN)
        connection.sendall(b"answer")
        self.until(lambda: user.frames() == [(frames.STDIN, b"answer")])
        self.leave()
        self.exit(False, 0)
        self.assertEqual(self.ended()[0], 0)
        self.assertRaises(ConnectionResetError, connection.recv, 1)

    def test_refused(self) -> None:
        """
        Another comes nowhere, and people are told.
        """
        self.ready(tunnelPort=SITE_PORT)
        self.errors()
        user, _ = self.hand(1)
        assert user.carrier is not None
        user.carrier.send(frames.STDOUT, b"GET / HTTP/1.0\r\n\r\n")
        self.until(user.frames)
        self.assertEqual(user.frames()[0][0], frames.FAILED)
        self.assertIn("tunnel 1: refused: ", self.errors())
        self.gridmanager.settimeout(0)
        self.assertRaises(BlockingIOError, self.gridmanager.accept)

    def test_none(self) -> None:
        """
        Who has no tunnels closes their channels.
        """
        self.environ.clear()
        self.ready()
        user, _ = self.hand(1)
        self.until(lambda: user.lost)
        self.assertEqual(user.opened, 0)
