"""
Real processes: those who may not have a tunnel, and those who want more of one than they
may have: other accounts at the site, and the site itself.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
import subprocess
import sys
import time
from unittest import SkipTest, skipUnless

from rvgahp import frames, limits, tunnellimits
from rvgahp.errors import ChannelLost, StreamOver
from rvgahp.frames import encodeFrame
from rvgahp.handshakemessages import GAHP_STREAM
from tests.procfs import PATIENCE, descriptors, residentBytes, waitFor
from tests.programs import PROMPT, SOAK
from tests.tunnelcase import (
    TunnelClient,
    TunnelTestCase,
    connectRequest,
    receive,
)
from tests.tunnelpeer import SITE, HandChannel, HostileSite

#: Connections that write and close at once.
_HASTY = 1000

#: Tunnels that are filled with empty frames.
_FRAMED = 16 if SOAK else 3

#: Ports that are not the one that was told: after each the next try is later.
_OTHER_PORTS = [b"4712", b"0"] if SOAK else [b"4712"]

#: Seconds of a flood.
_FLOOD = 20.0 if SOAK else 2.0

#: Connects as another account, writes, and waits for the end or does not; at the end it
#: tells how many bytes it got.  Each line of stdin is one attack.
_STRANGER = """
import os, socket, sys
uid = int(sys.argv[1])
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
for line in sys.stdin:
    host, port, count, waits, data = line.split()
    heard = 0
    for _ in range(int(count)):
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        one.settimeout(30)
        try:
            one.connect((host, int(port)))
            one.sendall(bytes.fromhex(data))
            while waits == "True":
                more = one.recv(1000)
                heard += len(more)
                if not more:
                    break
        except (ConnectionError, BrokenPipeError):
            pass
        one.close()
    print(heard, flush=True)
"""


#: Another account, and how the log names one.
_OTHER = 65534


def _named(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


#: A line of the CE's log, with the number of connections that it tells of.
_REFUSED = re.compile(
    r"(?:a connection|([0-9]+) more connections) to its tunnel port [0-9]+ refused"
)


class Stranger:
    """
    A process of another account at the site.
    """

    def __init__(self, uid: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _STRANGER, str(uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def begin(self, port: int, count: int, waits: bool, host: str, data: bytes) -> None:
        """
        Connect so often, and write.
        """
        assert self._process.stdin is not None
        line = f"{host} {port} {count} {waits} {data.hex()}\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

    def heard(self) -> int:
        """
        @return: how many bytes it got, when it is done.
        """
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def attack(
        self,
        port: int,
        count: int = 1,
        waits: bool = True,
        host: str = "127.0.0.1",
        data: bytes = connectRequest(),
    ) -> int:
        """
        @return: how many bytes it got.
        """
        self.begin(port, count, waits, host, data)
        return self.heard()

    def close(self) -> None:
        """
        End it.
        """
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)


class StrangerTests(TunnelTestCase):
    """
    Other accounts of the site's host.
    """

    def setUp(self) -> None:
        if os.getuid() != 0:
            raise SkipTest("only root can be another account")
        super().setUp()

    def _stranger(self, uid: int = _OTHER) -> Stranger:
        stranger = Stranger(uid)
        self.addCleanup(stranger.close)
        return stranger

    def _refused(self, words: str = "") -> int:
        """
        @return: how many of this test's connections were refused, as the CE's log has it.
        @param words: of the reason.
        """
        lines = self.playground.log("ce")[self.before("ce") :].splitlines()
        found = [_REFUSED.search(line) for line in lines if words in line]
        return sum(int(one[1] or 1) for one in found if one)

    def assertNothingPassed(self, client: TunnelClient) -> None:
        """
        Nothing has come to the gridmanager, and the way is as good as it was.
        """
        self.assertTrue(self.gridmanager.isQuiet())
        site, near = self.opened(client)
        near.sendall(b"good")
        self.assertEqual(receive(site, 4), b"good")
        self.assertTrue(self.gridmanager.isQuiet())

    def test_named(self) -> None:
        """
        One who connects, and one without a name, get no byte through and none back, over
        IPv4 and over IPv6; the log says who they were.
        """
        client = self.tunnelled()
        for uid, name in ((_OTHER, _named(_OTHER)), (54321, _named(54321))):
            stranger = self._stranger(uid)
            hosts = ["127.0.0.1", "::ffff:127.0.0.1"] if socket.has_ipv6 else ["127.0.0.1"]
            for host in hosts:
                start = len(self.playground.log("ce"))
                self.assertEqual(stranger.attack(client.sitePort, host=host), 0)
                line = self.playground.awaitLog("ce", "tunnel port", start)
                self.assertIn(f"this one comes from {name}", line)
        self.assertNothingPassed(client)

    def test_hasty(self) -> None:
        """
        One who writes a perfect request and closes at once, a thousand times, gets nothing
        through, not once; each time it is logged, and nothing of it is left.
        """
        client = self.tunnelled()
        self.opened(client)
        before = self.playground.counts()
        strangers = [self._stranger() for _ in range(10)]
        started = time.monotonic()
        for stranger in strangers:
            count = _HASTY // len(strangers)
            stranger.begin(client.sitePort, count, False, "127.0.0.1", connectRequest())
        for stranger in strangers:
            self.assertEqual(stranger.heard(), 0)
        waitFor(lambda: self._refused() == _HASTY, f"{_HASTY} refusals in the log")
        known = self._refused(_named(_OTHER))
        closed = self._refused("closed it")
        print(
            f"\n{_HASTY} refused in {time.monotonic() - started:.2f} s: {known} by name; {closed}"
            " had closed it by then"
        )
        self.playground.awaitAsBefore(before)
        self.assertNothingPassed(client)

    def test_whileFlooded(self) -> None:
        """
        While strangers flood the port, the GAHP's own connections come through, soon and
        unaltered.
        """
        client = self.tunnelled()
        strangers = [self._stranger() for _ in range(4)]
        count = 1 << 30
        for number, stranger in enumerate(strangers):
            stranger.begin(client.sitePort, count, number % 2 == 1, "127.0.0.1", connectRequest())
        waitFor(lambda: self._refused() > 100, "the flood")
        end = time.monotonic() + _FLOOD
        durations = []
        while time.monotonic() < end:
            started = time.monotonic()
            site, near = self.opened(client)
            durations.append(time.monotonic() - started)
            near.sendall(b"good")
            self.assertEqual(receive(site, 4), b"good")
            site.close()
            near.close()
        for stranger in strangers:
            stranger.close()
        print(
            f"\n{len(durations)} connections while {self._refused()} were refused; the"
            f" slowest was open after {max(durations):.2f} s"
        )
        self.assertLess(max(durations), PROMPT)
        self.assertNothingPassed(client)


def _without() -> dict[str, str]:
    """
    @return: an environment that has no gridmanager.
    """
    return {name: value for name, value in os.environ.items() if name != "CONDOR_INHERIT"}


class SiteTests(TunnelTestCase):
    """
    A site that wants more of a client than it may have.
    """

    def setUp(self) -> None:
        super().setUp()
        self.site = HostileSite(self.playground, [b"4711"])
        self.addCleanup(self.site.close)

    def _begun(self) -> TunnelClient:
        client = self.tunnelled(site=SITE)
        self.assertEqual(client.target, self.gridmanager.address)
        self.session = self.site.session()
        self.assertEqual(client.banner(), b"$GahpVersion: 1.0 Hand $\n")
        return client

    def assertGoesOn(self, client: TunnelClient) -> None:
        """
        The gridmanager's port has seen nobody, and the client serves as before.
        """
        self.assertTrue(self.gridmanager.isQuiet())
        self.assertEqual(client.pathOf(b"one"), b"/sandboxes/one")
        number = tunnellimits.LAST_STREAM - 7
        tunnel = self.site.tunnel(self.session, number)
        tunnel.send(frames.STDOUT, connectRequest())
        near = self.gridmanager.accept()
        self.assertEqual(receive(near, len(connectRequest())), connectRequest())
        near.sendall(b"good")
        self.assertEqual(bytes(tunnel.receive().payload), b"good")
        tunnel.close()
        self.assertIsNone(client.process.poll())

    def test_requests(self) -> None:
        """
        What is not the one request that may be made is not passed on: another daemon, the
        shared port itself, another command, more than 2 KiB, something after an end; and
        each is told why.
        """
        client = self._begun()
        good = connectRequest()
        long = b"\1" + struct.pack(">I", tunnellimits.PEEK_BYTES - 4) + good[5:]
        for number, (request, reason) in enumerate(
            (
                (connectRequest("schedd_1_ab"), "asks for 'schedd_1_ab'"),
                (connectRequest("self"), "asks for 'self'"),
                (connectRequest(""), "asks for ''"),
                (connectRequest("gridmanager_4711_ab12\0"), ""),
                (connectRequest("gridmanager_4711_ab1"), ""),
                (connectRequest(command=60001), "not SHARED_PORT_CONNECT"),
                (connectRequest(command=75 + (1 << 32)), "not SHARED_PORT_CONNECT"),
                (connectRequest(more=1), "further arguments"),
                (long.ljust(tunnellimits.PEEK_BYTES + 1, b"x"), "more than 2048 bytes"),
                (b"\0" + good[1:], "in one packet"),
                (b"GET / HTTP/1.0\r\n\r\n", "in one packet"),
                (bytes(limits.FRAME_PAYLOAD_BYTES), "in one packet"),
            ),
            1,
        ):
            tunnel = self.site.tunnel(self.session, number)
            tunnel.send(frames.STDOUT, request)
            self.assertIn(reason, tunnel.failure(), request[:80])
            tunnel.close()
            self.assertIn("refused: ", client.said())
        tunnel = self.site.tunnel(self.session, 100)
        tunnel.send(frames.STDOUT, good[:-1])
        tunnel.send(frames.END_STDOUT)
        self.assertIn("ended before its first message", tunnel.failure())
        self.assertGoesOn(client)

    def test_frames(self) -> None:
        """
        Frames that are none, or not for a tunnel, or are the client's to send, end their
        tunnel and no other.
        """
        client = self._begun()
        for number, data in enumerate(
            (
                encodeFrame(frames.STDIN, connectRequest()),
                encodeFrame(frames.STDERR, b"Allocated port 99 for remote forward to\n"),
                encodeFrame(frames.END_STDIN),
                encodeFrame(frames.EXIT, b"\0\0"),
                encodeFrame(frames.STOP, b"\x0f"),
                b"\x63\0\0\1x",
                b"\x22\0\xff\xff" + bytes(0xFFFF),
                b"\1\xff\xff\xff" + bytes(100),
            ),
            1,
        ):
            tunnel = self.site.tunnel(self.session, number)
            tunnel.sendBytes(data)
            self.assertEqual(tunnel.ends(), [], data[:50])
            tunnel.close()
            self.assertIn(f"tunnel {number}: ", client.said())
        self.assertGoesOn(client)

    def test_failures(self) -> None:
        """
        What the site says of a failure is told without what a terminal would obey, in one
        line, however it is encoded.
        """
        client = self._begun()
        for number, sentence in enumerate(
            (
                b"\x1b[2J\x1b]0;owned\x07",
                b"two\nAllocated port 99 for remote forward to x\r\n",
                b"\xff\xfe\x80",
                "\u202e\u2028\x9b31m".encode(),
                bytes(limits.CONTROL_FRAME_BYTES),
                b"",
            ),
            1,
        ):
            tunnel = self.site.tunnel(self.session, number)
            tunnel.send(frames.FAILED, sentence)
            self.assertEqual(tunnel.ends(), [])
            tunnel.close()
            line = client.said()
            self.assertTrue(line.startswith(f"rvgahp_client: tunnel {number}: its other"), line)
            self.assertTrue(line.rstrip("\n").isprintable(), line)
        self.assertGoesOn(client)

    def test_numbers(self) -> None:
        """
        Tunnels with the number of the GAHP's own stream, of one that has ended, of one that
        runs, or of none that there can be, are not made.
        """
        client = self._begun()
        for number in (-1, tunnellimits.LAST_STREAM + 1, 1 << 64):
            self.assertEqual(self.site.ticket(self.session, number), b"")
        for generation in (1, 2):
            with self.assertRaises(ChannelLost):  # it is the GAHP's
                self.site.dial(self.session, 0, generation).shakeHands()
        with self.assertRaises(ChannelLost):
            self.site.dial(self.session, 9, kind=GAHP_STREAM).shakeHands()
        first = self.site.tunnel(self.session, 7)
        with self.assertRaises(ChannelLost):  # there is one of that generation
            self.site.dial(self.session, 7).shakeHands()
        first.send(frames.STDOUT, b"no such thing")
        first.failure()
        with self.assertRaises(StreamOver):
            self.site.dial(self.session, 7, 2).shakeHands()
        last = self.site.tunnel(self.session, tunnellimits.LAST_STREAM)
        last.send(frames.STDOUT, b"no such thing")
        last.failure()
        self.assertGoesOn(client)

    def test_otherStream(self) -> None:
        """
        A ticket for one stream is not good for another.
        """
        client = self._begun()
        ticket = self.site.ticket(self.session, 3)
        channel = HandChannel(self.site.port, ticket, self.session, 4)
        with self.assertRaises(ChannelLost):
            channel.shakeHands()
        channel.close()
        self.assertGoesOn(client)

    def test_thousand(self) -> None:
        """
        Of a thousand tunnels at once a client has sixty-four, whether they get through the
        handshake or not; its descriptors and its memory are bounded.  When their channels
        break it waits for others, with no more descriptors than before, and serves the GAHP.
        """
        client = self._begun()
        pid = client.process.pid
        before, memory = descriptors(pid), residentBytes(pid)
        channels = [self.site.dial(self.session, number) for number in range(1, 1001)]
        opened = []
        for channel in channels:
            try:
                channel.shakeHands()
                opened.append(channel)
            except EOFError:
                channel.close()
        most = descriptors(pid)
        grown = residentBytes(pid) - memory
        print(f"\n{len(opened)} of 1000 tunnels: {most} descriptors, grown by {grown >> 20} MiB")
        self.assertLessEqual(len(opened), tunnellimits.TUNNELS)
        self.assertLessEqual(most, before + 2 * tunnellimits.TUNNELS)
        self.assertLess(grown, 100 << 20)
        for channel in opened:
            channel.close()
        waitFor(lambda: descriptors(pid) == before, "the descriptors from before")
        self.assertTrue(self.gridmanager.isQuiet())
        self.assertEqual(client.pathOf(b"one"), b"/sandboxes/one")

    def test_sameNumber(self) -> None:
        """
        Many channels for one tunnel, or for the GAHP, that never come to be: the client
        keeps a few.
        """
        client = self._begun()
        pid = client.process.pid
        before = descriptors(pid)
        channels = [self.site.dial(self.session, 5) for _ in range(300)]
        channels += [self.site.dial(self.session, 0, 2) for _ in range(300)]
        self.assertEqual(client.pathOf(b"two"), b"/sandboxes/two")
        most = descriptors(pid)
        print(f"\n600 channels that do not come to be: {most - before} descriptors")
        self.assertLessEqual(most, before + tunnellimits.TUNNELS)
        for channel in channels:
            channel.close()
        waitFor(lambda: descriptors(pid) == before, "the descriptors from before")
        self.assertGoesOn(client)

    def test_manyFrames(self) -> None:
        """
        Frames without a byte, as many as the client takes, cost it no more memory than any
        others do: before the first message, while it is incomplete, and after it.
        """
        client = self._begun()
        pid = client.process.pid
        memory = residentBytes(pid)
        empty = encodeFrame(frames.STDOUT) * ((1 << 20) // 4 - 1000)
        tunnels = []
        for number in range(1, 1 + _FRAMED):
            tunnel = self.site.tunnel(self.session, number)
            start = connectRequest()[: 20 * (number % 2)]
            tunnel.sendBytes(encodeFrame(frames.STDOUT, start) + empty)
            tunnels.append(tunnel)
        self.assertEqual(client.pathOf(b"three"), b"/sandboxes/three")
        grown = residentBytes(pid) - memory
        print(
            f"\n{_FRAMED} tunnels with 1 MiB of empty frames: grown by {grown / (1 << 20):.1f} MiB"
        )
        self.assertLess(grown, 32 << 20)
        for tunnel in tunnels:
            tunnel.close()
        self.assertGoesOn(client)

    def test_beyondWindow(self) -> None:
        """
        One that sends on and on, and a gridmanager that does not read: what is beyond the
        client's word ends the tunnel, and its memory is bounded.
        """
        client = self._begun()
        tunnel = self.site.tunnel(self.session, 1)
        tunnel.send(frames.STDOUT, connectRequest())
        near = self.gridmanager.accept()
        block = encodeFrame(frames.STDOUT, bytes(limits.FRAME_PAYLOAD_BYTES))
        memory = residentBytes(client.process.pid)
        sent = 0
        try:
            while sent < 400 << 20:
                tunnel.sendBytes(block)
                sent += len(block)
        except (ConnectionError, BrokenPipeError):
            pass
        grown = residentBytes(client.process.pid) - memory
        print(f"\nended after {sent >> 20} MiB; grown by {grown >> 20} MiB")
        self.assertLess(sent, 64 << 20)
        self.assertLess(grown, 48 << 20)
        self.assertIn("beyond the window", client.said())
        near.settimeout(PATIENCE)
        with self.assertRaises(ConnectionResetError):
            while near.recv(1 << 20):
                pass
        self.assertGoesOn(client)

    @skipUnless(SOAK, "the limits are of 10 and 15 s; RVGAHP_SOAK=1 asks for it")
    def test_slow(self) -> None:
        """
        A first message that never comes, or comes a byte a second, is not waited for, nor
        is a handshake.
        """
        client = self._begun()
        shaking = self.site.dial(self.session, 1)
        silent = self.site.tunnel(self.session, 2)
        slow = self.site.tunnel(self.session, 3)
        started = time.monotonic()
        for byte in connectRequest()[: int(tunnellimits.PEEK_TIMEOUT) + 1]:
            slow.send(frames.STDOUT, bytes((byte,)))
            time.sleep(1)
        for tunnel in (slow, silent):
            self.assertIn("not complete after 10 s", tunnel.failure())
        self.assertLess(time.monotonic() - started, tunnellimits.PEEK_TIMEOUT + PROMPT)
        print(f"\nended after {time.monotonic() - started:.1f} s")
        with self.assertRaises(EOFError):
            shaking.awaitEnd()
        self.assertGoesOn(client)

    def test_noTunnel(self) -> None:
        """
        A session that has no tunnels, of another GAHP or without C{CONDOR_INHERIT}, gets no
        ticket for one, and says nothing of one.
        """
        inherit = {"CONDOR_INHERIT": self.gridmanager.inherit()}
        for name, more in (("blahpd", inherit), ("condor_ft-gahp", {})):
            client = self.playground.client(name, SITE, env={**_without(), **more})
            session = self.site.session().sessionId.encode()
            assert client.stdout is not None and client.stderr is not None
            self.assertEqual(client.stdout.readline(), b"$GahpVersion: 1.0 Hand $\n")
            refusal = self.site.ask(b"OpenChannel", session=session, stream=b"1")
            self.assertEqual(refusal[b"_error_code"], b"NotAuthorized")
            self.assertIn(b"has no tunnels", refusal[b"_error_description"])
            client.kill()
            self.assertNotIn(b"Allocated", client.stderr.read())
        self.assertTrue(self.gridmanager.isQuiet())

    def test_noPort(self) -> None:
        """
        A site that gives no port is named as one without, and the GAHP is used without a
        tunnel; a port that there cannot be is refused.
        """
        environ = {**_without(), "CONDOR_INHERIT": self.gridmanager.inherit()}
        self.site.tunnelPorts = [b"-1", b"70000", b"9" * 400, b"4.5", b"0"]
        for _ in range(4):
            self.assertRefused(
                self.playground.run("condor_ft-gahp", site=SITE, env=environ), "not understood"
            )
        client = self.playground.client("condor_ft-gahp", SITE, env=environ)
        assert client.stdout is not None and client.stderr is not None
        self.assertIn(b"it gets no tunnel", client.stderr.readline())
        self.assertEqual(client.stdout.readline(), b"$GahpVersion: 1.0 Hand $\n")

    def test_otherPort(self) -> None:
        """
        When a GAHP is started again behind the front, the port that the gridmanager knows
        is asked for; another one, or none, is refused until it comes.
        """
        self.site.tunnelPorts = [b"4711", *_OTHER_PORTS, b"4711"]
        client = self._begun()
        self.site.endGAHP(self.session)
        self.assertIn("started again", client.said())
        for port in _OTHER_PORTS:
            said = f"tunnel port {port.decode()}, and the gridmanager knows 4711"
            self.assertIn(said, client.said())
            self.site.session()
        self.session = self.site.session()
        self.assertEqual(self.site.wished, [0] + [4711] * (1 + len(_OTHER_PORTS)))
        self.assertGoesOn(client)
