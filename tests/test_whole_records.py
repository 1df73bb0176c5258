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

    def assertNoticed(self, run: Run, where: str) -> None:
        """
        Either nothing was lost, or the client ended with a sentence, and what it wrote
        before is what the GAHP wrote.
        """
        self.assertTrue(_SENT.startswith(run.output), where)
        if run.status == 0:
            self.assertEqual((run.output, run.errors), (_SENT, ""), where)
            return
        self.assertEqual(run.status, 255, f"{where}: {run}")
        self.assertEqual(run.errors.count("\n"), 1, f"{where}: {run}")
        self.assertTrue(run.errors.startswith("rvgahp_client: "), f"{where}: {run}")


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
        promptly: the client has a sentence or, where it was in time to dial again, all its
        bytes; never a wrong byte; the neighbour goes on.
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
            self.assertNoticed(run, f"{'to proxy' if way else 'to CE'} {offset} {mask}: {run}")
            self.assertLess(run.seconds, PROMPT, f"{way} {offset} {mask}")
            slowest = max(slowest, run.seconds)
            noticed += run.status != 0
        print(f"; {len(places)} flips, {noticed} ended a client, the slowest after {slowest:.2f} s")
        self.assertGreaterEqual(noticed, 8)
        output, errors = neighbour.communicate(b"line\n", timeout=PATIENCE)
        self.assertEqual((neighbour.returncode, errors), (0, b""))
        self.assertTrue(output.endswith(b" 0 line\n"))
        self.playground.awaitNoGAHP()

    def test_record(self) -> None:
        """
        An altered record is said to have failed its check, promptly, at the side that
        received it; nothing is left of its session.
        """
        toProxy, toCE = self._sizes()
        run = self.altered(True, toProxy + 60)
        self.assertRefused(run, "failed its integrity check")
        start = len(self.playground.log("ce"))
        run = self.altered(False, toCE + 60)
        self.assertRefused(run, "lost")
        self.playground.awaitLog("ce", "failed its integrity check", start)
        self.playground.awaitNoGAHP()

    def test_length(self) -> None:
        """
        An altered length of a message or record, after which nothing comes, is said
        promptly, in the words of what happened.
        """
        toProxy, _ = self._sizes()
        for offset, words in (
            (limits.PREAMBLE_BYTES, b"The length of a handshake message was altered"),
            (toProxy + 1, b"The header of a record was altered"),
        ):
            errors = self._silent(offset)
            self.assertIn(words, errors)
        self.relay.forget()
        self.assertServes()

    def _silent(self, offset: int) -> bytes:
        """
        @return: what a client says whose channel has the byte at C{offset} altered, and
            says nothing after it.
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
        self.assertEqual(client.wait(PATIENCE), 255)
        return errors

    def test_control(self) -> None:
        """
        An altered byte on the control connection ends that connection, said in the log;
        running sessions go on, and the CE dials again.
        """
        client = self.playground.client("slow")
        self.relay.awaitData(1)
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

    def _cutSession(self, reset: bool) -> tuple[float, bytes]:
        """
        Cut a busy channel.

        @return: how long its client took to end, and what it said.
        """
        self.relay.forget()
        client = self.playground.client("torrent")
        assert client.stdout is not None
        client.stdout.read(8)
        connection = self.relay.awaitData(1)
        started = time.monotonic()
        self.relay.cut(connection, reset)
        _, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 255)
        self.assertEqual(errors.count(b"\n"), 1, errors)
        return time.monotonic() - started, errors

    def test_channel(self) -> None:
        """
        A channel that is cut by FIN or RST: the client ends with a sentence, promptly; its
        GAHP is ended; the neighbour goes on.
        """
        neighbour = self.playground.client("slow")
        self._echo(neighbour)
        for reset in (False, True):
            seconds, errors = self._cutSession(reset)
            self.assertIn(b"the connection to the site was lost", errors)
            self.assertLess(seconds, PROMPT)
        waitFor(lambda: len(self.playground.gahpPids()) == 1, "the end of what was cut")
        self._echo(neighbour)

    def _echo(self, client: subprocess.Popen[bytes]) -> None:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        self.assertTrue(client.stdout.readline().endswith(b" line\n"))

    def test_everywhere(self) -> None:
        """
        A channel that is cut after any number of bytes, in either direction, by FIN or
        RST: nothing hangs, nothing stays, no wrong byte comes.
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
                if connection.isData:
                    (connection.toCE if toCE else connection.toProxy).cutAt = offset

            self.relay.arrived = arrived
            run = self.playground.run("cat", _SENT)
            self.assertTrue(_SENT.startswith(run.output), run)
            self.assertIn(run.status, (0, 255), run)
            if run.status:
                self.assertEqual(run.errors.count("\n"), 1, run)
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
