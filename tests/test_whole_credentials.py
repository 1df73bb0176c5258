"""
Real processes: who is let in as a CE, and to whom a CE says anything.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rvgahp.credentials import makeCA, makeCECredentials, makeHostCredentials
from rvgahp.daemonprocess import Daemon
from tests.byhand import Boxes, HandCE, HandProxy
from tests.forgery import CLIENT, SERVER, forge, site
from tests.pki import Entity, SiteCA
from tests.procfs import PATIENCE, isStopped, waitFor
from tests.wholecase import PlaygroundTestCase

_UNKNOWN = "its certificate's authority (CA) is not one that we know"


class CredentialTestCase(PlaygroundTestCase):
    """
    What these tests have in common.
    """

    gahps = {"cat": "/bin/cat"}

    def setUp(self) -> None:
        super().setUp()
        self.ours = self.playground.sandbox.directory
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.other = Path(directory.name)
        makeCA(self.other)

    def launch(self, daemon: Daemon) -> subprocess.Popen[bytes]:
        """
        Start a CE that is not expected to be accepted.
        """
        process = subprocess.Popen(
            daemon.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        daemon.process = process  # so that it is ended
        return process

    def assertDaemonSays(self, daemon: Daemon, words: str) -> None:
        """
        A daemon that runs says so in its log.
        """
        waitFor(
            lambda: daemon.log.exists() and words in daemon.log.read_text(),
            f"{words!r} in {daemon.log}",
            PATIENCE,
        )

    def assertStartFails(self, daemon: Daemon, words: str) -> None:
        """
        A daemon does not start and says why.
        """
        process = self.launch(daemon)
        said, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1)
        (line,) = said.decode().splitlines()
        self.assertIn(words, line)
        self.assertIn(words, daemon.log.read_text())


class CertificateOfCETests(CredentialTestCase):
    """
    The proxy and the CE's certificate.
    """

    def assertNotLetIn(self, directory: Path, name: str, words: str, **context: object) -> None:
        """
        TLS with these credentials comes to nothing, or authentication does, and the proxy's log
        says why, promptly.
        """
        start = len(self.playground.log("proxy"))
        try:
            with HandCE(self.playground.sandbox.port, directory, name, **context) as ce:
                self.assertIn(b"_error", ce.authenticate())
        except (EOFError, ssl.SSLError, ConnectionError):
            pass
        line = self.playground.awaitLog("proxy", words, start)
        self.assertIn("CE at 127.0.0.1: ", line)

    def test_refused(self) -> None:
        """
        Of another authority, expired, for another purpose, of no site, of
        two, of an impossible one; none at all; an earlier TLS: none is let in, each is
        named in the proxy's log, and everything else goes on.
        """
        forged: dict[str, tuple[list[x509.GeneralName], x509.ObjectIdentifier, int]] = {
            "expired": ([site("x")], CLIENT, -100),
            "late": ([site("x")], CLIENT, -1),
            "server": ([site("x")], SERVER, 1),
            "nameless": ([], CLIENT, 1),
            "host": ([x509.DNSName("x")], CLIENT, 1),
            "two": ([site("x"), site("y")], CLIENT, 1),
            "odd": ([site("../x")], CLIENT, 1),
            "empty": ([site("")], CLIENT, 1),
        }
        for name, (names, purpose, days) in forged.items():
            forge(self.ours, self.other, name, names, purpose, days)
        makeCECredentials(self.other, "sandbox", self.other / "ce")
        # Its own authority is the other one; whom it believes does not matter here.
        for directory in (self.other, self.other / "ce"):
            shutil.copy(self.ours / "ca.crt", directory / "ca.crt")
        before = self.playground.quiet()
        self.assertNotLetIn(self.other / "ce", "ce", _UNKNOWN)
        self.assertNotLetIn(self.other, "expired", "expired on")
        self.assertNotLetIn(self.other, "server", "is for another role")
        with HandCE(self.playground.sandbox.port, self.other, "late") as ce:
            refusal = ce.hello("x")  # it could be renewed
        self.assertIn(b"is good for its own renewal only", refusal[b"_error_description"])
        for name in ("nameless", "host", "two", "odd", "empty"):
            self.assertNotLetIn(self.other, name, "site")
        self.assertNotLetIn(
            self.ours, "ce", "does not speak TLS 1.3", maximum_version=ssl.TLSVersion.TLSv1_2
        )
        self.playground.awaitAsBefore(before)
        self.assertServes()

    def test_noCertificate(self) -> None:
        """
        Who shows no certificate cannot be authenticated by one.
        """
        context = ssl.create_default_context(cafile=str(self.ours / "ca.crt"))
        context.check_hostname = False
        port = self.playground.sandbox.port
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain) as secured,
        ):
            refusal = Boxes(secured).ask(b"Authenticate", methods=b"\0\x03SSL", data=b"")
        self.assertEqual(refusal[b"_error_code"], b"NotAuthorized")
        line = self.playground.awaitLog("proxy", "CE at 127.0.0.1: ", self.before("proxy"))
        self.assertIn("the CE has shown none", line)

    def test_late(self) -> None:
        """
        A certificate that ended within the grace is good for a renewal alone, and one of the
        administrator's not even for that.
        """
        forge(self.ours, self.other, "late", [site("x")], CLIENT, -1)
        shutil.copy(self.ours / "ca.crt", self.other / "ca.crt")
        with HandCE(self.playground.sandbox.port, self.other, "late") as ce:
            refusal = ce.hello("x")
            self.assertEqual(refusal[b"_error_code"], b"NotAuthorized")
            self.assertIn(b"good for its own renewal only", refusal[b"_error_description"])
            refusal = ce.ask(b"RenewCertificate", request=b"x")
            self.assertIn(b"was not made by this proxy", refusal[b"_error_description"])

    def test_hello(self) -> None:
        """
        A certificate of one site does for no other, nor for anything before Hello; versions
        and instances that cannot be are refused with a sentence.
        """
        makeCECredentials(self.ours, "mine", self.other / "mine")
        with HandCE(self.playground.sandbox.port, self.other / "mine") as ce:
            refusal = ce.hello("sandbox")
            self.assertEqual(refusal[b"_error_code"], b"NotAuthorized")
            words = b"mine@site.rvgahp may not register site sandbox"
            self.assertIn(words, refusal[b"_error_description"])
            self.assertEqual(ce.sessions()[b"_error_code"], b"NotAuthorized")
        with HandCE(self.playground.sandbox.port, self.other / "mine") as ce:
            for command in (b"Sessions", b"OpenChannel", b"SessionEnded"):
                more = {"reason": b"", "received": b"0", "sent": b"0"}
                refusal = ce.ask(
                    command, sessions=b"", last=b"True", session=b"x", stream=b"0", **more
                )
                self.assertEqual(refusal.get(b"_error_code"), b"NotAuthorized", refusal)
            refusal = ce.hello("mine", instance=b"short")
            self.assertEqual(refusal[b"_error_code"], b"NotAuthorized")
            refusal = ce.hello("mine", policy=b"nonsense")
            self.assertIn(b"_error_code", refusal)
            refusal = ce.ask(
                b"Hello",
                versions=b"\0\x0299",
                instance=bytes(16),
                site=b"mine",
                software=b"",
                gahps=b"",
                policy=b"R:R:AES",
            )
            self.assertEqual(refusal[b"_error_code"], b"VersionMismatch")
            run = self.playground.run("cat", site="mine")
            self.assertRefused(run, "site mine is not connected")
            self.assertIn(b"_answer", ce.hello("mine"))
        self.assertServes()

    def test_realCE(self) -> None:
        """
        A CE says itself what is wrong: at its start where it can see it, else in its log
        when the proxy has refused it.
        """
        expired = self.playground.addCE("expired", settings="RVGAHP_RENEWAL_GRACE = 0\n")
        forge(self.ours, expired.directory, "ce", [site("expired")], CLIENT, -1)
        self.assertStartFails(expired, "has expired")
        named = self.playground.addCE("named", settings="RVGAHP_SITE = another\n")
        self.assertStartFails(named, "RVGAHP_SITE is another")
        foreign = self.playground.addCE("foreign")
        for path in (foreign.directory / "ce.crt", foreign.directory / "ce.key"):
            path.unlink()
        makeCECredentials(self.other, "foreign", self.other / "foreign")
        for name in ("ce.crt", "ce.key"):
            shutil.copy(self.other / "foreign" / name, foreign.directory / name)
        self.launch(foreign)
        self.assertDaemonSays(
            foreign, "it does not know the authority (CA) that signed our certificate"
        )
        self.playground.awaitLog("proxy", _UNKNOWN, self.before("proxy"))
        self.assertServes()


class OwnPKITests(CredentialTestCase):
    """
    Certificates of a site's own authority.
    """

    def otherProxy(self, **files: bytes) -> Daemon:
        """
        @param files: what its settings name, by setting.
        @return: a further proxy, with the sandbox's credentials.
        """
        settings = {
            "RVGAHP_INTERFACE": "127.0.0.1",
            "RVGAHP_PORT": "0",
            "RVGAHP_SOCKET": f"{self.other}/proxy.sock",
            "RVGAHP_CERTFILE": f"{self.ours}/host.crt",
            "RVGAHP_KEYFILE": f"{self.ours}/host.key",
            "RVGAHP_CAFILE": f"{self.ours}/ca.crt",
            "UID_DOMAIN": "example.org",
        }
        for name, content in files.items():
            settings[name] = f"{self.other}/{name}"
            (self.other / name).write_bytes(content)
        config = self.other / "condor_config"
        config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        proxy = Daemon(self.other, "rvgahp-proxy", config)
        proxy.start()
        self.addCleanup(proxy.stop)
        return proxy

    def ce(self, name: str, proxy: Daemon, entity: Entity) -> Daemon:
        """
        @return: a CE with the credentials of C{entity}, started.
        """
        port = proxy.said["X_RVGAHP_PORT"]
        daemon = self.playground.addCE(
            name, settings=f"RVGAHP_SITE = {name}\nRVGAHP_CONNECT_TO = 127.0.0.1:{port}\n"
        )
        mine = entity.credentials()
        (daemon.directory / "ce.crt").write_bytes(mine.certificatePEM)
        (daemon.directory / "ce.key").write_bytes(mine.keyPEM)
        self.launch(daemon)
        return daemon

    def test_mapped(self) -> None:
        """
        A CE with a proxy certificate is whom the map makes of its owner, and registers the site
        that a rule lets that one register.  Where none does, its log says so.  A revoked owner's
        comes to nothing, and both logs say why.
        """
        ca = SiteCA()
        alice, mallory = ca.issue("alice"), ca.issue("mallory")
        proxy = self.otherProxy(
            RVGAHP_SITE_CAFILE=ca.certificate.public_bytes(Encoding.PEM),
            RVGAHP_CRLFILE=ca.revoke(mallory).public_bytes(Encoding.PEM),
            CERTIFICATE_MAPFILE=b"SSL CN=alice$ alice\n",
            RVGAHP_ACCESS_FILE=b"ALLOW REGISTER site=alice alice@example.org\n",
        )
        good = self.ce("alice", proxy, alice.proxy().proxy())
        self.assertDaemonSays(good, "Accepted by the proxy")
        self.assertDaemonSays(proxy, "Site alice: connected from 127.0.0.1 as alice@example.org")
        other = self.ce("other", proxy, alice.proxy())
        self.assertDaemonSays(other, "alice@example.org may not register site other: no rule of ")
        bad = self.ce("mallory", proxy, mallory.proxy())
        self.assertDaemonSays(bad, "our certificate has been revoked, it says")
        self.assertDaemonSays(proxy, "the certificate of /DC=org/DC=example/CN=mallory has been")
        self.assertServes()


class CertificateOfProxyTests(CredentialTestCase):
    """
    The CE and the proxy's certificate.
    """

    def _says(self, directory: Path, name: str, words: str, settings: str = "") -> None:
        """
        A CE that dials a proxy with these credentials says nothing to it and says why in
        its log.
        """
        proxy = HandProxy(directory, name)
        self.addCleanup(proxy.close)
        settings += f"RVGAHP_CONNECT_TO = 127.0.0.1:{proxy.port}\n"
        daemon = self.playground.addCE("dialler", settings=settings)
        self.launch(daemon)
        try:
            with proxy.accept() as boxes:
                self.assertTrue(boxes.ends())
                self.assertEqual(boxes.heard, b"")
        except (ssl.SSLError, ConnectionError):
            pass
        self.assertDaemonSays(daemon, words)
        self.playground.endFurther()

    def test_refused(self) -> None:
        """
        Of another authority, expired, for another purpose, for another host, of another
        kind: nothing is said to such a proxy.
        """
        here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        forge(self.ours, self.other, "expired", [here], SERVER, -1)
        forge(self.ours, self.other, "purpose", [here], CLIENT)
        forge(self.ours, self.other, "elsewhere", [x509.DNSName("elsewhere.example")], SERVER)
        forge(self.ours, self.other, "nameless", [], SERVER)
        forge(self.ours, self.other, "ce", [site("x")], SERVER)
        makeHostCredentials(self.other, "localhost", ["127.0.0.1"], self.other / "foreign")
        for directory in (self.other, self.other / "foreign"):
            shutil.copy(self.ours / "ca.crt", directory / "ca.crt")
        self._says(self.other / "foreign", "host", _UNKNOWN)
        self._says(self.other, "expired", "expired on")
        self._says(self.other, "purpose", "is for another role")
        for name in ("elsewhere", "nameless", "ce"):
            self._says(self.other, name, "its certificate is not for 127.0.0.1")

    def test_otherHost(self) -> None:
        """
        The real proxy, dialled under a name that its certificate does not have.
        """
        settings = (
            "RVGAHP_BROKER_HOST = other.example.com\n"
            f"RVGAHP_CONNECT_TO = 127.0.0.1:{self.playground.sandbox.port}\n"
        )
        daemon = self.playground.addCE("dialler", settings=settings)
        self.launch(daemon)
        self.assertDaemonSays(daemon, "its certificate is not for other.example.com")


class TakenTests(CredentialTestCase):
    """
    Two CEs of one site.
    """

    def _second(self) -> Daemon:
        """
        @return: another CE with the sandbox's certificate.
        """
        second = self.playground.addCE("second")
        for name in ("ce.crt", "ce.key"):
            shutil.copy(self.ours / name, second.directory / name)
        return second

    def test_alive(self) -> None:
        """
        A second CE of a site whose first is alive is refused with a sentence, and the
        first serves on.
        """
        second = self._second()
        self.launch(second)
        self.assertDaemonSays(second, "site sandbox is taken")
        self.assertServes()

    def test_dead(self) -> None:
        """
        A second CE takes over from one that does not answer; when that one comes back it
        is the one to be refused.
        """
        os.kill(self.playground.cePid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.playground.cePid, signal.SIGCONT)
        waitFor(lambda: isStopped(self.playground.cePid), "the first to stop")
        second = self._second()
        second.start()
        self.assertRefused(self.playground.run("cat"), "no GAHP named 'cat'")
        os.kill(self.playground.cePid, signal.SIGCONT)
        self.playground.awaitLog("ce", "site sandbox is taken", self.before("ce"), PATIENCE)
        self.assertRefused(self.playground.run("cat"), "no GAHP named 'cat'")
        start = len(self.playground.log("proxy"))
        second.stop()
        self.playground.awaitLog("proxy", "offers batch_gahp, blahpd, cat", start, 2 * PATIENCE)
        self.assertServes()

    def test_newcomerGone(self) -> None:
        """
        A second CE that goes away while the first is being asked whether it lives takes
        nothing from the first.
        """
        os.kill(self.playground.cePid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.playground.cePid, signal.SIGCONT)
        waitFor(lambda: isStopped(self.playground.cePid), "the first to stop")
        with HandCE(self.playground.sandbox.port, self.ours) as newcomer:
            newcomer.authenticate()
            # Sent before the connection's end, it is read before it.
            newcomer.post(
                b"Hello",
                versions=b"\0\x011",
                instance=bytes(16),
                site=b"sandbox",
                software=b"",
                gahps=b"",
                policy=b"R:R:AES",
            )
        with HandCE(self.playground.sandbox.port, self.ours) as another:
            # By the time that this one has its answer the other's is due too.
            self.assertIn(b"_answer", another.hello("sandbox"))
        os.kill(self.playground.cePid, signal.SIGCONT)
        self.playground.awaitLog("ce", "Accepted by the proxy", self.before("ce"), PATIENCE)
        self.assertServes()
