"""
The time of day of real daemons is moved under sessions that run: certificates with their real
lives of 90 days are renewed, end, are revoked and are replaced.

Commands and clients go by a moved clock, too.  After each move the daemons are told to read
their files again, which has them look at the clock at once; else they look once in a minute.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import enrolmentlimits
from rvgahp.bootclock import bootSeconds
from rvgahp.certificates import Authority, makeKey
from rvgahp.daemonprocess import Daemon
from rvgahp.files import writeFile
from rvgahp.keyexchange import PRIVATE, PUBLIC, pemOf
from tests.enrolledcase import SITE, EnrolledTestCase
from tests.movedclock import DAY, MovedClock, whyNot
from tests.procfs import PATIENCE, cpuSeconds, isStopped, waitFor
from tests.programs import SOAK, runProgram
from tests.relay import Relay

#: GAHPs that run meanwhile.
SESSIONS = 100 if SOAK else 5

#: How often the clock goes to and fro.
ROUNDS = 10 if SOAK else 1

#: Days since the proxy's authority was made.
AGE = 800

#: Days, about: of a certificate's life, until it is renewed at the latest, and after its end.
LIFE, RENEWED, GRACE = 90, 34, 30

#: What the processes of L{MovedClockTests} say.
_SAYING = """
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from OpenSSL import crypto
from rvgahp.credentials import loadAuthority
print(time.time(), datetime.now(timezone.utc).timestamp())
print(time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())
store, ours = crypto.X509Store(), crypto.X509.from_cryptography(loadAuthority(".").certificate)
store.add_cert(ours)
try:
    crypto.X509StoreContext(store, ours).verify_certificate()
except crypto.X509StoreContextError as e:
    print(e)
"""


def writeAuthority(directory: Path, days: float) -> None:
    """
    Write an authority that was made some days ago.
    """
    key = makeKey()
    made = Authority.new(key, datetime.now(timezone.utc) - timedelta(days=days))
    pem = made.certificate.public_bytes(Encoding.PEM)
    for name, content, mode in (("ca.key", pemOf(key), PRIVATE), ("ca.crt", pem, PUBLIC)):
        writeFile(str(directory / name), content, mode, replace=False)


#: Seconds of a CPU that a daemon may spend on one look at the clock, at the most.
_BUSY = 0.5


class MovedClockTests(SynchronousTestCase):
    """
    The clock of the tests below.
    """

    skip = whyNot()

    def test_moved(self) -> None:
        """
        The time of day moves for all that tells it, for OpenSSL that verifies, too; the clocks
        by which rvgahp measures its waits do not.
        """
        with tempfile.TemporaryDirectory() as name:
            clock = MovedClock(Path(name), "one")
            self.addCleanup(clock.close)
            writeAuthority(Path(name), 1)
            for days, words in ((0, ""), (-2, "not yet valid"), (4000, "expired")):
                clock.move(days)
                with clock.around():
                    run = runProgram([sys.executable, "-c", _SAYING], cwd=name)
                self.assertEqual((run.status, run.errors), (0, ""), run)
                day, boot, *verified = run.output.decode().splitlines()
                for said in day.split():
                    self.assertLess(abs(float(said) - days * DAY - time.time()), PATIENCE)
                for said, now in zip(boot.split(), (bootSeconds(), time.monotonic()), strict=True):
                    self.assertLess(abs(float(said) - now), PATIENCE)
                self.assertEqual([words in line for line in verified], [True] * bool(words))


class ClockTestCase(EnrolledTestCase):
    """
    A proxy whose authority is old, a site that has just joined, and sessions.
    """

    skip = whyNot()

    def prepare(self) -> None:
        """
        Make the clocks.
        """
        self.clocks = {name: MovedClock(self.directory, name) for name in ("proxy", "ce")}
        for clock in self.clocks.values():
            self.addCleanup(clock.close)
        around = ExitStack()
        around.enter_context(self.clocks["proxy"].around())
        self.addCleanup(around.close)
        state = self.directory / "state"
        state.mkdir(mode=0o700)
        writeAuthority(state, AGE)
        self.relay = Relay(keeps=0)
        self.addCleanup(self.relay.stop)

    def setUp(self) -> None:
        """
        Start all.
        """
        super().setUp()
        self.addCleanup(self.checkLogs)
        self.relay.target, self.target = self.target, self.relay.address
        run = self.join(self.invite())
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.configure()
        self.startCE()
        self.clients = [self.client() for _ in range(SESSIONS)]
        self.assertLive()

    def startCE(self) -> None:
        """
        Start the CE, by its own clock.
        """
        with self.clocks["ce"].around():
            self.ce.start()

    def daemon(self, name: str) -> Daemon:
        """
        @param name: C{"proxy"} or C{"ce"}.
        """
        return {"proxy": self.proxy, "ce": self.ce}[name]

    def pid(self, name: str) -> int:
        process = self.daemon(name).process
        assert process is not None
        return process.pid

    def log(self, name: str) -> str:
        return self.daemon(name).log.read_text()

    def awaitLog(self, name: str, words: str, start: int = 0) -> None:
        """
        Wait for C{words} in a daemon's log, after its first C{start} characters.
        """
        try:
            waitFor(lambda: words in self.log(name)[start:], words)
        except AssertionError:
            rest = self.log(name)[start:]
            raise AssertionError(f"no {words!r} in the log of the {name}: {rest}") from None

    def move(self, days: float, *names: str) -> None:
        """
        Set the clocks, and have the daemons look at them.

        @param names: whose; by default, both.
        """
        for name in names or ("proxy", "ce"):
            self.clocks[name].move(days)
        starts = {name: len(self.log(name)) for name in names or ("proxy", "ce")}
        for name in starts:
            os.kill(self.pid(name), signal.SIGHUP)
        for name, start in starts.items():
            self.awaitLog(name, "ead again", start)  # or not read again

    def assertLive(self) -> None:
        """
        No session is lost, and bytes flow both ways in each.
        """
        for client in self.clients:
            self.echo(client, b"x" * 1000)

    def joinAnew(self) -> None:
        """
        The site joins once more, and comes back with its sessions.
        """
        start = len(self.log("ce"))
        run = self.join(self.invite(), "--replace")
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.awaitLog("ce", "Accepted by the proxy", start)
        self.assertLive()
        self.assertServes()

    def assertServes(self) -> None:
        """
        One more can be started.
        """
        client = self.client()
        self.echo(client, b"one more")
        self.clients.append(client)

    def cutAll(self) -> None:
        """
        The network breaks.
        """
        for one in [*self.relay.live(), *self.relay.live(isData=False)]:
            self.relay.cut(one)

    def checkLogs(self) -> None:
        """
        Nothing shows a bug.
        """
        for name in ("proxy", "ce"):
            for bug in ("Traceback", "A bug in", "Unhandled"):
                self.assertNotIn(bug, self.log(name))


class AheadTests(ClockTestCase):
    """
    Time passes, by the clock.
    """

    def test_renewed(self) -> None:
        """
        A month on, the certificates of both sides are renewed under sessions that run, over the
        connection that there is; so is the site's enrolment when it joins anew, and a
        revocation ends all of them, with the reason.
        """
        first, host = self.serial(), (self.directory / "state" / "host.crt").read_bytes()
        self.move(RENEWED)
        waitFor(lambda: self.serial() != first, "the renewal")
        self.assertNotEqual((self.directory / "state" / "host.crt").read_bytes(), host)
        self.assertLive()
        self.assertNotIn("connection lost", self.log("ce"))
        start = len(self.log("ce"))
        self.cutAll()
        self.awaitLog("ce", "Accepted by the proxy", start)
        self.assertLive()
        self.joinAnew()
        run = self.rvgahp("revoke", SITE, "--socket", self.socket)
        self.assertIn(b"%d GAHPs were ended" % len(self.clients), run.output)
        for client in self.clients:
            _, errors = client.communicate(timeout=PATIENCE)
            self.assertIn(f"site {SITE} was revoked by ".encode(), errors)
        self.awaitLog("ce", f"site {SITE} has been revoked")

    def test_unasked(self) -> None:
        """
        Nobody has to tell the daemons: they look at the clock once in a minute.
        """
        first = self.serial()
        for clock in self.clocks.values():
            clock.move(RENEWED)
        limit = 2 * enrolmentlimits.CERTIFICATE_POLL
        waitFor(lambda: self.serial() != first, "the renewal", limit)
        self.awaitLog("proxy", "Made a certificate for ", len(self.log("proxy")) // 2)
        self.assertLive()

    if not SOAK:
        test_unasked.skip = "it takes a minute: RVGAHP_SOAK=1"  # type: ignore[attr-defined]  # trial's own mark


class AwayTests(ClockTestCase):
    """
    The CE is not there while time passes.
    """

    def test_ended(self) -> None:
        """
        A CE that wakes up after the end of its certificate renews it with the key that it has,
        and its sessions go on; one that does so after the grace is refused in a sentence, its
        sessions go on all the same, and it comes back when the site has joined anew; one that
        was down renews it when it starts.
        """
        first = self.serial()
        os.kill(self.pid("ce"), signal.SIGSTOP)
        waitFor(lambda: isStopped(self.pid("ce")), "the CE to stop")
        self.clocks["ce"].move(LIFE + 5)
        self.move(LIFE + 5, "proxy")
        self.awaitLog("proxy", "closed: the CE's certificate is valid until")
        os.kill(self.pid("ce"), signal.SIGCONT)
        self.awaitLog("ce", "the certificate had ended and has been renewed")
        self.assertLive()
        self.assertNotEqual(self.serial(), first)
        self.assertServes()

        days = 2 * LIFE + 5 + GRACE + 2
        start = len(self.log("ce"))
        self.clocks["ce"].move(days)
        self.move(days, "proxy")
        self.awaitLog("ce", "our certificate has expired, it says", start)
        self.awaitLog("ce", "ce.crt has expired, on", start)
        self.assertLive()
        self.assertNotIn("Accepted by the proxy", self.log("ce")[start:])
        self.joinAnew()

        self.ce.stop()
        self.clients = []
        self.clocks["ce"].move(days + LIFE + GRACE - 1)
        self.move(days + LIFE + GRACE - 1, "proxy")
        start = len(self.log("ce"))
        self.startCE()
        self.assertIn("ce.crt has ended", self.log("ce")[start:])
        self.assertServes()


class BackTests(ClockTestCase):
    """
    The clock is set back, or was ahead.
    """

    def test_one(self) -> None:
        """
        Where the clock of either side is far behind, no session is lost; what the network
        breaks meanwhile waits, both logs have a sentence on clocks, and all comes back by
        itself when the clock is right.
        """
        for name, days, words in (
            ("ce", -365, "is not valid before"),
            ("proxy", -365, "the CE's certificate is not valid before"),
            ("proxy", -AGE - 100, "it refuses our certificate; its log says why, and perhaps its"),
        ):
            self.move(days, name)
            self.assertLive()
            starts = {log: len(self.log(log)) for log in self.clocks}
            self.cutAll()
            self.awaitLog("ce", words, starts["ce"])
            self.awaitLog(name, "clocks right?", starts[name])
            self.assertNotIn("Accepted by the proxy", self.log("ce")[starts["ce"] :])
            self.clocks[name].move(0)
            self.assertLive()
        self.assertServes()

    def test_both(self) -> None:
        """
        Where both were ahead by a month, or are behind by a year, certificates are made anew
        and serve at once; when the clocks are right nothing is lost and nothing need be done,
        though some that were made meanwhile are not valid yet.
        """
        for days in (RENEWED, -365):
            first = self.serial()
            self.move(days)
            self.cutAll()
            waitFor(lambda: self.serial() != first, "the renewal")  # noqa: B023
            self.assertLive()
            self.move(0)
            self.cutAll()
            self.assertLive()
        self.assertServes()


class JumpTests(ClockTestCase):
    """
    The clock goes to and fro.
    """

    def test_jumps(self) -> None:
        """
        No session is lost, no connection is, and nobody has more to do than before: neither
        where one clock is far ahead of the other, by which a certificate that has just been
        renewed is due again, nor when both jump.
        """
        spent = {name: cpuSeconds(self.pid(name)) for name in self.clocks}
        self.move(RENEWED, "ce")
        end = time.monotonic() + 1.5 * enrolmentlimits.CERTIFICATE_PAUSE
        while time.monotonic() < end:
            self.assertLive()
            time.sleep(0.1)
        self.assertEqual(self.log("ce").count("has been renewed"), 1)
        jumps = [0, RENEWED, -20, -365, 60, -1] * ROUNDS
        for days in jumps:
            self.move(days)
            self.assertLive()
        for name, before in spent.items():
            after = cpuSeconds(self.pid(name))
            self.assertLess(after - before, _BUSY * (len(jumps) + 5), name)
            self.assertLess(self.log(name).count("\n"), 20 * (len(jumps) + SESSIONS))
        self.assertNotIn("connection lost", self.log("ce"))
        self.assertServes()
