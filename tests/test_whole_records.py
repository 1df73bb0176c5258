"""
Real processes: what is altered, cut or delayed on the way between site and proxy.
"""

from __future__ import annotations

import os
import subprocess
import time
from random import Random
from unittest import SkipTest

from rvgahp import limits
from rvgahp.handshakemessages import takeMessage
from tests.procfs import PATIENCE, waitFor
from tests.programs import PROMPT, SOAK, Run, gahp
from tests.relay import Connection
from tests.wholecase import PlaygroundTestCase

_SENT = b"".join(b"line %07d\n" % number for number in range(20_000))


class RecordTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    gahps = {"cat": "/bin/cat", "slow": gahp("slow"), "torrent": gahp("torrent")}
    relayed = True

    def setUp(self) -> None:
        super().setUp()
        self.relay = self.playground.relay
        self.playground.quiet()  # no CE dials any more for what went before
        self.relay.forget()

    def altered(self, toProxy: bool, offset: int, mask: int = 1) -> Run:
        """
        Run a client whose channel has one byte altered.

        @param toProxy: whether the byte goes to the proxy and the client, or to the CE.
        @param offset: which byte, from the connection's first.
        """
        self.relay.forget()

        def arrived(connection: Connection) -> None:
            if connection.isData and connection.number == 0:
                way = connection.toProxy if toProxy else connection.toCE
                way.flips = {offset: mask}

        self.relay.arrived = arrived
        return self.playground.run("cat", _SENT, seconds=2 * PATIENCE)

    def assertWhole(self, run: Run, where: str) -> None:
        """
        Nothing was lost.
        """
        self.assertEqual((run.status, run.output), (0, _SENT), where)
        self.assertLess(run.errors.count("\n"), 2, f"{where}: {run}")


class FlipTests(RecordTestCase):
    """
    One bit of a channel is altered on its way.
    """

    def _sizes(self) -> tuple[int, int]:
        """
        @return: how many bytes go each way before the first record.
        """
        self.relay.forget()
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        client.stdout.readline()
        connection = self.relay.awaitData(1)
        said, answered = bytes(connection.toProxy.kept), bytes(connection.toCE.kept)
        client.kill()
        client.wait(PATIENCE)
        start = limits.PREAMBLE_BYTES
        _, dial = takeMessage(said[start:])
        _, confirm = takeMessage(said[start + dial :])
        _, accept = takeMessage(answered)
        return start + dial + confirm, accept

    def test_everyPart(self) -> None:
        """
        A flipped bit in preamble, handshake or record, in either direction, is noticed
        promptly, and another channel carries on: the client has all its bytes, and never a
        wrong one; the neighbour goes on.
        """
        neighbour = self.playground.client("slow")
        toProxy, toCE = self._sizes()
        seed = int.from_bytes(os.urandom(4), "big")
        random = Random(seed)
        print(f"\nseed {seed}; handshakes of {toProxy} and {toCE} bytes", end="")
        step = 1 if SOAK else 41
        places = [(True, offset) for offset in range(random.randrange(step), toProxy, step)]
        places += [(False, offset) for offset in range(random.randrange(step), toCE, step)]
        # Headers and bodies of the first records, and one far on.
        for offset in (*range(16), 20, 40, random.randrange(50, 150_000)):
            places += [(True, toProxy + offset), (False, toCE + offset)]
        slowest, noticed = 0.0, 0
        for way, offset in places:
            mask = 1 << random.randrange(8)
            run = self.altered(way, offset, mask)
            self.assertWhole(run, f"{'to proxy' if way else 'to CE'} {offset} {mask}: {run}")
            self.assertLess(run.seconds, PROMPT, f"{way} {offset} {mask}")
            slowest = max(slowest, run.seconds)
            noticed += len(self.relay.data()) > 1
        print(
            f"; {len(places)} flips, {noticed} cost a channel; the slowest run took {slowest:.2f} s"
        )
        self.assertGreaterEqual(noticed, 8)
        output, errors = neighbour.communicate(b"line\n", timeout=PATIENCE)
        self.assertEqual((neighbour.returncode, errors), (0, b""))
        self.assertTrue(output.endswith(b" 0 line\n"))
        self.playground.awaitNoGAHP()

    def test_record(self) -> None:
        """
        An altered record is said to have failed its check, at the side that received it, and
        is sent again.
        """
        toProxy, toCE = self._sizes()
        run = self.altered(True, toProxy + 60)
        self.assertWhole(run, "to proxy")
        self.assertIn("failed its integrity check", run.errors)
        start = len(self.playground.log("ce"))
        run = self.altered(False, toCE + 60)
        self.assertWhole(run, "to CE")
        self.assertEqual(run.errors, "")
        self.playground.awaitLog("ce", "failed its integrity check", start)
        self.playground.awaitNoGAHP()

    def test_length(self) -> None:
        """
        An altered length of a message or record, after which nothing comes, is said
        promptly, in the words of what happened: the start fails, or the session goes on.
        """
        toProxy, _ = self._sizes()
        client, errors = self._silent(limits.PREAMBLE_BYTES)
        self.assertIn(b"The length of a handshake message was altered", errors)
        self.assertEqual(client.wait(PATIENCE), 255)
        client, errors = self._silent(toProxy + 1)
        self.assertIn(b"The header of a record was altered", errors)
        self.relay.arrived = lambda connection: None
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (0, b""))
        self.assertTrue(output.endswith(b" 0 line\n"))
        self.relay.forget()
        self.assertServes()

    def _silent(self, offset: int) -> tuple[subprocess.Popen[bytes], bytes]:
        """
        @return: a client each of whose channels has the byte at C{offset} altered, and says
            nothing after it; and the first line that it says.
        """
        self.relay.forget()

        def arrived(connection: Connection) -> None:
            if connection.isData:
                connection.toProxy.flips = {offset: 1}

        self.relay.arrived = arrived
        started = time.monotonic()
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stderr is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        errors = client.stderr.readline()
        self.assertLess(time.monotonic() - started, PROMPT)
        return client, errors

    def test_control(self) -> None:
        """
        An altered byte on the control connection ends that connection, said in the log;
        running sessions go on, and the CE dials again.
        """
        client = self.playground.client("slow")
        channel = self.relay.awaitData(1)
        waitFor(lambda: channel.toCE.kept, "the client's part in the handshake")
        self.assertServes()
        (connection,) = self._control()
        start = len(self.playground.log("proxy"))
        connection.toProxy.flips = {connection.toProxy.passed + 10: 1}
        self.playground.run("cat")  # whatever becomes of it
        self.playground.awaitLog("proxy", "Site sandbox: disconnected", start, PATIENCE)
        self.playground.awaitLog("proxy", "Site sandbox: connected", start, PATIENCE)
        output, errors = client.communicate(b"line\n", timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (0, b""))
        self.assertTrue(output.endswith(b" 0 line\n"))
        self.assertServes()

    def _control(self) -> list[Connection]:
        """
        @return: the control connections that are open.
        """
        return [one for one in self.relay.all() if one.isOpen and not one.isData]


class SilenceTests(RecordTestCase):
    """
    A connection that carries nothing any more, and does not break.
    """

    proxySettings = "RVGAHP.SEC_DEFAULT_SESSION_LEASE = 16\n"

    def test_lease(self) -> None:
        """
        Silence is said on stderr and ends the session with its lease, at both ends.
        """
        if not SOAK:
            raise SkipTest("it takes 20 s: make soak")
        client = self.playground.client("slow")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        client.stdout.readline()
        connection = self.relay.awaitData(1)
        connection.toCE.swallows = connection.toProxy.swallows = True
        started = time.monotonic()
        _, errors = client.communicate(timeout=2 * PATIENCE)
        self.assertEqual(client.returncode, 255)
        self.assertIn(b"nothing heard from the site for", errors)
        self.assertIn(b"silent for the lease of 16 s", errors)
        self.assertGreater(time.monotonic() - started, 15.0)
        self.playground.awaitNoGAHP()


class CutTests(RecordTestCase):
    """
    Connections that break.
    """

    def test_channel(self) -> None:
        """
        A busy channel that is cut by FIN or RST costs nothing but a moment; the neighbour
        goes on.
        """
        neighbour = self.playground.client("slow")
        self._echo(neighbour)
        for reset in (False, True):
            self.relay.forget()
            client = self.playground.client("torrent")
            assert client.stdout is not None
            client.stdout.read(8)
            self.relay.cut(self.relay.awaitData(1), reset)
            self.assertEqual(len(client.stdout.read(64 << 20)), 64 << 20)
            self.relay.awaitData(2)
            client.kill()
        waitFor(lambda: len(self.playground.gahpPids()) == 1, "the end of what was cut")
        self._echo(neighbour)

    def _echo(self, client: subprocess.Popen[bytes]) -> None:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        self.assertTrue(client.stdout.readline().endswith(b" line\n"))

    def test_everywhere(self) -> None:
        """
        Three channels, one after the other, that are cut after any number of bytes, in either
        direction, by FIN or RST: a start may fail, and nothing else does; nothing hangs,
        nothing stays, no wrong byte comes.
        """
        seed = int.from_bytes(os.urandom(4), "big")
        random = Random(seed)
        print(f"\nseed {seed}")
        for number in range(200 if SOAK else 16):
            self.relay.forget()
            self.relay.resets = bool(number & 2)
            offset = random.randrange(500) if number & 4 else random.randrange(300_000)

            def arrived(
                connection: Connection, toCE: int = number & 1, offset: int = offset
            ) -> None:
                if connection.isData and connection.number < 3:
                    (connection.toCE if toCE else connection.toProxy).cutAt = offset

            self.relay.arrived = arrived
            run = self.playground.run("cat", _SENT)
            self.assertIn((run.status, run.output), [(0, _SENT), (255, b"")], run)
            self.assertEqual(run.errors.count("\n"), 1 if run.status else 0, run)
        self.relay.forget()
        self.playground.awaitNoGAHP()
        self.assertServes()

    def test_control(self) -> None:
        """
        The end of the control connection ends no session: they go on, the CE dials again,
        and new starts work.
        """
        client = self.playground.client("slow")
        self._echo(client)
        start = len(self.playground.log("proxy"))
        (control,) = [one for one in self.relay.all() if one.isOpen and not one.isData]
        self.relay.cut(control, reset=True)
        self._echo(client)
        self.playground.awaitLog("proxy", "Site sandbox: connected", start, PATIENCE)
        self.assertServes()
        self._echo(client)

    def test_delay(self) -> None:
        """
        Behind a line of 50 ms each way all works as ever.
        """

        def arrived(connection: Connection) -> None:
            connection.toCE.delay = connection.toProxy.delay = 0.05

        self.relay.arrived = arrived
        run = self.playground.run("cat", _SENT)
        self.assertEqual((run.status, run.output, run.errors), (0, _SENT, ""))
        self.assertGreater(run.seconds, 0.1)

    def test_stalled(self) -> None:
        """
        A first data connection that comes to nothing is overtaken by the next.
        """

        def arrived(connection: Connection) -> None:
            if connection.isData and connection.number == 0:
                connection.toProxy.swallows = True

        self.relay.arrived = arrived
        run = self.playground.run("cat", _SENT)
        self.assertEqual((run.status, run.output, run.errors), (0, _SENT, ""))
        self.assertGreater(run.seconds, limits.SPARE_DIAL_DELAY)
        self.playground.awaitNoGAHP()

    def test_swallowed(self) -> None:
        """
        A site whose data connections come to nothing: the client says so after a while.
        """

        def arrived(connection: Connection) -> None:
            if connection.isData:
                connection.toProxy.swallows = True

        self.relay.arrived = arrived
        client = self.playground.client("cat")
        self.relay.awaitData(1)
        if SOAK:
            _, errors = client.communicate(timeout=PATIENCE)
            self.assertEqual(client.returncode, 255)
            self.assertIn(b"can the site reach the proxy's port?", errors)
        client.kill()
        self.relay.forget()
        self.playground.awaitNoGAHP()
        self.assertServes()
