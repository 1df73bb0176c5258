"""
Real processes: a fresh proxy, an invitation, a site that joins, is renewed, and is revoked.
"""

from __future__ import annotations

import json
import signal
import time

from rvgahp import limits
from rvgahp.invitecode import InviteCode
from tests.enrolledcase import SITE, EnrolledTestCase
from tests.procfs import PATIENCE, waitFor
from tests.programs import SOAK

#: Seconds for which certificates are good here.
LIFETIME = 12 if SOAK else 6

#: GAHPs that run meanwhile.
SESSIONS = 100 if SOAK else 3


def _otherThan(code: str) -> str:
    """
    @return: a code of the same proxy with another secret.
    """
    found = InviteCode.decode(code)
    return InviteCode(found.host, found.port, bytes(13), found.fingerprint).encode()


class EnrolmentTests(EnrolledTestCase):
    """
    From nothing to a GAHP, and to the end of it.
    """

    proxySettings = (
        f"RVGAHP_CERTIFICATE_LIFETIME = {LIFETIME}\n"
        "RVGAHP_PENALTY_EXEMPT = 127.0.0.1\n"  # a wrong code is one of the tests
    )

    def checkAudit(self) -> None:
        """
        The audit log has the site's life, in order, and what was renewed as often as that was.
        """
        lines = [json.loads(line) for line in (self.directory / "audit").read_text().splitlines()]
        # A renewal may have come too soon after another, and the site comes again.
        events = [line["event"] for line in lines if line["event"] not in ("renew", "refused")]
        starts, ends = ["start"] * SESSIONS, ["end"] * SESSIONS
        self.assertEqual(events, ["invite", "enrol", "register", *starts, "revoke", *ends])
        self.assertGreaterEqual(len([one for one in lines if one["event"] == "renew"]), 2)
        for end in (one for one in lines if one["event"] == "end"):
            self.assertEqual((end["by"], end["site"]), ("revoked", SITE))

    def test_life(self) -> None:
        """
        Two commands make a site; its certificate is renewed again and again while a GAHP
        runs, which does not notice; a CE that comes back after its certificate has ended gets
        another; revoked, it ends its GAHP with the reason, and is not let in.
        """
        run = self.join(self.invite())
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.configure()
        self.ce.start()
        clients = [self.client() for _ in range(SESSIONS)]
        for client in clients:
            self.echo(client, b"first")
        began, serials = time.monotonic(), {self.serial()}
        while time.monotonic() < began + LIFETIME + 2:
            for client in clients:
                self.echo(client, b"x" * 1000)
            serials.add(self.serial())
            time.sleep(0.2)
        self.assertGreaterEqual(len(serials), 3)
        self.assertNotIn("connection lost", self.ce.log.read_text())
        self.assertNotIn("disconnected", self.proxy.log.read_text())
        run = self.rvgahp("revoke", SITE, "--socket", self.socket)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.assertIn(b"%d GAHPs were ended" % SESSIONS, run.output)
        for client in clients:
            _, errors = client.communicate(timeout=PATIENCE)
            self.assertEqual(client.returncode, 255)
            self.assertIn(f"site {SITE} was revoked by ".encode(), errors)
        self.checkAudit()
        words = f"site {SITE} has been revoked"
        waitFor(lambda: words in self.ce.log.read_text(), "the CE to be refused", PATIENCE)
        self.ce.stop()
        for daemon in (self.proxy, self.ce):
            for bug in ("Traceback", "A bug in", "Unhandled"):
                self.assertNotIn(bug, daemon.log.read_text())

    def test_ended(self) -> None:
        """
        A certificate that ends while GAHPs run, because the CE cannot renew it in time, ends
        the site's connection and none of them; they go on when the CE has another.
        """
        self.join(self.invite())
        self.configure()
        self.ce.start()
        clients = [self.client() for _ in range(SESSIONS)]
        for client in clients:
            self.echo(client, b"before")
        assert self.ce.process is not None
        # The proxy gives up a CE that does not answer pings after 10 s at the earliest: its
        # certificate has to end before that.
        waitFor(lambda: self._left() < limits.CONTROL_PING_TIMEOUT - 1, "an older certificate")
        self.ce.process.send_signal(signal.SIGSTOP)
        words = "closed: the CE's certificate is valid until"
        limit = 3 * LIFETIME
        waitFor(lambda: words in self.proxy.log.read_text(), "the end of the certificate", limit)
        time.sleep(1.1)  # certificates end with a whole second
        self.ce.process.send_signal(signal.SIGCONT)
        for client in clients:
            self.echo(client, b"after")
        words = "the certificate had ended and has been renewed"
        waitFor(lambda: "Accepted by" in self.ce.log.read_text().partition(words)[2], "the renewal")
        self.echo(self.client(), b"and others can be started")

    def _left(self) -> float:
        """
        @return: seconds until the CE's certificate ends.
        """
        return self.certificate().not_valid_after_utc.timestamp() - time.time()

    def test_late(self) -> None:
        """
        A CE whose certificate ended while it was off renews it when it starts; and so it is
        after a restart of the proxy.
        """
        self.join(self.invite())
        self.configure()
        first = self.serial()
        self.proxy.stop()
        ends = time.monotonic() + LIFETIME + 1.1
        said = self.proxy.said["X_RVGAHP_PORT"]
        config = self.directory / "condor_config"
        config.write_text(config.read_text().replace("PORT = 0", f"PORT = {said}"))
        self.proxy.start()
        waitFor(lambda: time.monotonic() > ends, "the end of the certificate", PATIENCE)
        self.ce.start()
        log = self.ce.log.read_text()
        self.assertIn("ce.crt has ended", log)
        self.assertIn("the certificate had ended and has been renewed", log)
        self.assertNotEqual(self.serial(), first)

    def test_refusals(self) -> None:
        """
        What is refused is refused in one sentence, with status 1; and the command teaches.
        """
        code = self.invite()
        place, _, letters = code.rpartition("/")
        for run, words in (
            (self.join(f"{place}/{letters[:-1]}"), "copy it again"),
            (self.join(_otherThan(code)), "unknown here, or has been used"),
            (self.rvgahp("revoke", "nowhere", "--socket", self.socket), "is not enrolled"),
            (self.rvgahp("invite", "a/b", "--socket", self.socket), "cannot be the name"),
            (self.rvgahp("invite", "a", "--socket", f"{self.socket}x"), "no proxy listens"),
        ):
            self.assertEqual((run.status, run.output), (1, b""), run)
            self.assertEqual(run.errors.count("\n"), 1, run)
            self.assertIn(words, run.errors)
        self.assertEqual(self.join(code).status, 0)
        self.assertIn("unknown here", self.join(code, "--replace").errors)
        self.assertIn("not replaced unasked", self.join(self.invite()).errors)
        self.assertEqual(self.join(self.invite(), "--replace").status, 0)
        for word in ("invite", "join", "revoke"):
            self.assertIn(b"usage: rvgahp", self.rvgahp(word, "--help").output)
        entry = json.loads((self.directory / "state" / "sites" / f"{SITE}.json").read_text())
        self.assertEqual((entry["site"], len(entry["serials"])), (SITE, 1))
