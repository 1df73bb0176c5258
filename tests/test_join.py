"""
Tests of L{rvgahp.join} and L{rvgahp.joinfiles}: a real proxy on loopback, real TLS, real
files.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rvgahp import enrolmentlimits, limits
from rvgahp.accessreader import readAccessRules
from rvgahp.accessrules import START, Subject
from rvgahp.authentication import Authenticator
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.certificates import makeKey, siteOf
from rvgahp.configuration import Configuration
from rvgahp.credentials import loadCredentials
from rvgahp.errors import CredentialError, NotAuthorized, ProtocolError, RvgahpError
from rvgahp.invitecode import SECRET_BYTES, InviteCode
from rvgahp.join import Joined, join
from rvgahp.joinfiles import CONFIG, JoinDirectory
from rvgahp.joinfurther import FurtherProxy
from rvgahp.joinroute import DIRECT, Route
from rvgahp.peercred import LocalUser
from rvgahp.proxytap import ProxyService
from rvgahp.servedproxies import readServed
from rvgahp.settings import Settings, load, settingsFrom
from rvgahp.sslmethod import SSLMethod
from rvgahp.trust import Trust
from tests.broker import DOMAIN
from tests.gateways import Gateway
from tests.identities import ceCredentials
from tests.kills import killedAfter
from tests.openrules import allowingAll
from tests.privatereactor import ReactorTestCase
from tests.programs import SOAK
from tests.tlspair import TWISTED_WARNINGS

HOST = "127.0.0.1"
ALICE = LocalUser(70001, "alice", 1)
OWNER = f"alice@{DOMAIN}"
FILES = ["access", "ca.crt", "ce.crt", "ce.key", CONFIG]


class Attempt:
    """
    A join in a thread, since it blocks.

    @ivar result: what came of it, or the error.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.result: Any = None

        def work() -> None:
            try:
                self.result = join(*arguments, **named)
            except RvgahpError as e:
                self.result = e

        self.thread = threading.Thread(target=work)
        self.thread.start()


class JoinTestCase(ReactorTestCase):
    """
    A fresh proxy, and a site.
    """

    suppress = TWISTED_WARNINGS

    #: More of the proxy's settings.
    further: dict[str, str] = {}

    def setUp(self) -> None:
        """
        Start the proxy.
        """
        super().setUp()
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.site = self.directory / "site"
        self.proxy, self.port = self.startProxy("state")

    def startProxy(self, state: str) -> tuple[ProxyService, int]:
        """
        @param state: the name of its directory.
        @return: a proxy without credentials, and its port.
        """
        values = {
            "RVGAHP_INTERFACE": HOST,
            "RVGAHP_PORT": "0",
            "RVGAHP_SOCKET": str(self.directory / f"{state}.sock"),
            "RVGAHP_STATE_DIR": str(self.directory / state),
            "RVGAHP_PUBLIC_ADDRESS": f"{HOST}:41000",
            **self.further,
        }
        settings = settingsFrom("proxy", Configuration(None, values))
        proxy = ProxyService(
            self.reactor,
            settings,
            None,
            Trust(()),
            Authenticator([SSLMethod()], CanonicalNames(None, "example.org")),
            allowingAll(self.reactor),
            self.fail,  # nobody asks for a reload
        )
        proxy.privilegedStartService()
        proxy.startService()
        return proxy, proxy._listeners[0]._port.getsockname()[1]

    def tearDown(self) -> None:
        """
        It stops.
        """
        self.proxy.stopService()
        self.until(lambda: not self.reactor.getDelayedCalls())
        super().tearDown()

    def invite(self, site: str = "a.example", proxy: ProxyService | None = None) -> InviteCode:
        """
        @return: a code.
        """
        enrolment = (proxy or self.proxy)._proxy.enrolment
        return InviteCode.decode(enrolment.invite(ALICE, site)["code"])

    def joined(self, code: InviteCode, **named: Any) -> Any:
        """
        @return: what came of a join.
        """
        route = Route((named.pop("target", (HOST, self.port)),))
        route = named.pop("route", route)
        path = named.pop("path", self.site)
        attempt = Attempt(code, str(path), route, **named)
        self.until(lambda: not attempt.thread.is_alive(), 20)
        return attempt.result

    def refused(self, error: type[RvgahpError], code: InviteCode, **named: Any) -> str:
        """
        @return: why it came to nothing.
        """
        found = self.joined(code, **named)
        self.assertIsInstance(found, error)
        self.assertNotIn("\n", str(found))
        return str(found)

    def settings(self, path: Path) -> Settings:
        """
        @return: those of the CE whose directory it is.
        """
        values = dict(
            line.split(" = ")
            for line in (path / CONFIG).read_text().splitlines()
            if " = " in line and not line.startswith("#")
        )
        return settingsFrom("ce", Configuration(str(path / CONFIG), values))

    def assertWorks(self, path: Path | None = None, site: str = "a.example") -> None:
        """
        The files are whole, and the proxy knows the certificate as good.
        """
        path = path or self.site
        self.assertEqual(sorted(one.name for one in path.iterdir()), FILES)
        found = loadCredentials(
            str(path / "ce.crt"), str(path / "ce.key"), str(path / "ca.crt"), "ce"
        )
        self.assertEqual(siteOf(found.certificate), site)
        self.proxy._proxy.enrolment.checkHello(site, found.certificate)
        settings = self.settings(path)
        self.assertEqual(settings.get("RVGAHP_BROKER_HOST"), HOST)
        self.assertEqual(settings.get("RVGAHP_BROKER_PORT"), 41000)
        self.assertEqual(settings.get("RVGAHP_CONNECT_TO"), ((HOST, self.port),))
        self.assertEqual(settings.get("RVGAHP_CERTFILE"), str(path / "ce.crt"))
        rules = [one for one in (path / "access").read_text().splitlines() if one[0] != "#"]
        self.assertEqual(rules, [f"ALLOW START {OWNER}"])


class GoodTests(JoinTestCase):
    """
    A site joins.
    """

    def test_joined(self) -> None:
        """
        It has all files, of which the key and the directory are its own alone.
        """
        found = self.joined(self.invite())
        self.assertIsInstance(found, Joined)
        self.assertEqual((found.site, found.owner, found.kept), ("a.example", OWNER, []))
        self.assertEqual(sorted(found.written), [str(self.site / name) for name in FILES])
        self.assertWorks()
        self.assertEqual((self.site / "ce.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.site.stat().st_mode & 0o777, 0o700)

    def test_access(self) -> None:
        """
        A CE with these files reads the access file without a word, and by it the one who has
        invited the site may start anything as any account there, and nobody else may.
        """
        self.joined(self.invite())
        settings = self.settings(self.site)
        rules, notes = readAccessRules(settings)
        self.assertEqual((rules.path, notes), (str(self.site / "access"), []))
        things = {"gahp": "blahpd", "account": "somebody"}
        for owner, mayStart in (
            (OWNER, True),
            (f"{ALICE.name}@elsewhere.example", False),
            (f"bob@{DOMAIN}", False),
            ("a.example@site.rvgahp", False),
        ):
            decision = rules.decide(START, Subject(owner, HOST), things)
            self.assertEqual(decision.isAllowed, mayStart, (owner, decision))
        site, owner = "b.example", f"A.l-i_c+e$1@{DOMAIN}"
        code, key, made = self.invite(), makeKey(), ceCredentials(site)
        path = self.directory / "odd"
        directory = JoinDirectory(str(path), code)
        directory.finish(code, {}, owner, key, made.certificate, made.certificatePEM, made.caPEM)
        directory.close()
        rules, _ = readAccessRules(self.settings(path))
        self.assertTrue(rules.decide(START, Subject(owner, HOST), things).isAllowed)
        self.assertFalse(rules.decide(START, Subject(OWNER, HOST), things).isAllowed)

    def test_existing(self) -> None:
        """
        Files that are there are not replaced unasked, whichever it is, and the code still works.
        """
        code = self.invite()
        self.site.mkdir()
        for name in FILES:
            (self.site / name).write_text("mine")
            self.assertIn("not replaced unasked", self.refused(CredentialError, code))
            self.assertEqual([one.name for one in self.site.iterdir()], [name])
            (self.site / name).unlink()
        self.joined(code)
        self.assertWorks()

    def test_replaced(self) -> None:
        """
        With --replace a site that is enrolled anew keeps its configuration and access, and
        another site gets its own.
        """
        self.joined(self.invite())
        before = (self.site / "ce.key").read_bytes()
        for name in ("access", CONFIG):
            path = self.site / name
            path.write_text(f"# changed\n{path.read_text()}")
        found = self.joined(self.invite(), replace=True)
        self.assertEqual(sorted(found.kept), [str(self.site / "access"), str(self.site / CONFIG)])
        self.assertWorks()
        self.assertIn("# changed", (self.site / "access").read_text())
        self.assertNotEqual((self.site / "ce.key").read_bytes(), before)
        found = self.joined(self.invite("b.example"), replace=True)
        self.assertEqual(found.kept, [])
        self.assertWorks(site="b.example")
        self.assertNotIn("# changed", (self.site / "access").read_text())


class FurtherTests(JoinTestCase):
    """
    One proxy more for a CE.
    """

    def also(self, name: str = "Physics", **named: Any) -> Any:
        """
        @return: what came of C{rvgahp join --as}.
        """
        route = Route(((HOST, self.port),))
        code = self.invite("b.example")
        return self.joined(code, further=FurtherProxy(str(self.site), name), route=route, **named)

    def test_further(self) -> None:
        """
        The CE keeps what it has; its new credentials go to a directory of their own, and the
        configuration and the access file, with what others have written there, get a few lines.
        """
        self.joined(self.invite())
        before = {name: (self.site / name).read_bytes() for name in FILES}
        (self.site / CONFIG).chmod(0o640)
        found = self.also()
        self.assertEqual(found.site, "b.example")
        after = {name: (self.site / name).read_bytes() for name in FILES}
        for name in FILES:
            self.assertTrue(after[name].startswith(before[name]), name)
        changed = [name for name in FILES if after[name] != before[name]]
        self.assertEqual(changed, ["access", CONFIG])
        self.assertEqual((self.site / CONFIG).stat().st_mode & 0o777, 0o640)
        whole = load("ce", str(self.site / CONFIG))
        settings = whole.ofProxies()
        self.assertEqual(list(settings), ["", "physics"])
        own = settings["physics"]
        self.assertEqual(own.get("RVGAHP_BROKER_HOST"), HOST)
        self.assertEqual(own.get("RVGAHP_CONNECT_TO"), ((HOST, self.port),))
        self.assertEqual(
            own.get("RVGAHP_CERTFILE"), str(self.site / "proxies" / "physics" / "ce.crt")
        )
        served, _ = readServed(whole)
        self.assertEqual([one.site for one in served], ["a.example", "b.example"])
        rules, _ = readAccessRules(whole)
        self.assertTrue(rules.levels())
        self.assertIn(f"ALLOW START {OWNER}/{HOST}\n".encode(), after["access"])
        self.also("chemistry")
        self.assertEqual(len(load("ce", str(self.site / CONFIG)).ofProxies()), 3)
        text = (self.site / "access").read_text()
        self.assertEqual(text.count(f"ALLOW START {OWNER}/{HOST}"), 1)

    def test_again(self) -> None:
        """
        What is there already is not replaced unasked; with --replace the credentials are, and the
        lines stay as they are.
        """
        self.joined(self.invite())
        self.also()
        self.assertIn("not replaced unasked", str(self.also()))
        text = (self.site / CONFIG).read_text()
        key = self.site / "proxies" / "physics" / "ce.key"
        before = key.read_bytes()
        found = self.also(replace=True)
        self.assertEqual(found.kept, [str(self.site / "access"), str(self.site / CONFIG)])
        self.assertNotEqual(key.read_bytes(), before)
        self.assertEqual((self.site / CONFIG).read_text(), text)

    def test_refused(self) -> None:
        """
        Without a CE there is none that could serve more; names that cannot be are refused before
        anything is said to anybody; and who joins twice is told how.
        """
        e = self.assertRaises(CredentialError, FurtherProxy, str(self.site), "x")
        self.assertIn("the first joins without --as", str(e))
        self.joined(self.invite())
        for name in ("../x", "a/b", "", "x y", "1", "a-b"):
            e = self.assertRaises(CredentialError, FurtherProxy, str(self.site), name)
            self.assertIn("cannot be called", str(e))
        said = self.refused(CredentialError, self.invite("c.example"))
        self.assertIn("rvgahp join --as NAME", said)

    def test_through(self) -> None:
        """
        It is dialled through what the CE has in between, and nothing else can be named.
        """
        self.joined(self.invite())
        with (self.site / CONFIG).open("a") as file:
            file.write("RVGAHP_CONNECT_THROUGH = http://gateway.example:3128\n")
        further = FurtherProxy(str(self.site), "x")
        self.assertEqual(further.route(DIRECT).through, ("http", "gateway.example", 3128))
        other = Route((), ("http", "other.example", 3128))
        e = self.assertRaises(CredentialError, further.route, other)
        self.assertIn("All proxies of a CE are dialled through the same", str(e))


class BadTests(JoinTestCase):
    """
    What can go wrong.
    """

    #: One wrong code is enough for an address to be refused for some time.
    further = {"RVGAHP_PENALTY_EXEMPT": HOST}

    def test_codes(self) -> None:
        """
        A wrong secret, a used code: refused alike, and nothing is left in the directory.
        """
        code = self.invite()
        wrong = InviteCode(code.host, code.port, bytes(SECRET_BYTES), code.fingerprint)
        said = self.refused(NotAuthorized, wrong)
        self.assertEqual(list(self.site.iterdir()), [])
        self.joined(code)
        self.assertEqual(self.refused(NotAuthorized, code, path=self.directory / "other"), said)
        self.assertWorks()

    def test_tooOld(self) -> None:
        """
        So is one that is too old.
        """
        code = self.invite()
        registry = self.proxy._proxy.enrolment.registry  # type: ignore[attr-defined]  # it enrols
        registry._now = lambda: time.time() + enrolmentlimits.INVITATION_LIFETIME
        self.assertIn("too old", self.refused(NotAuthorized, code))

    def test_evilAnswer(self) -> None:
        """
        A proxy that names another site than its certificate does, or an owner that would let
        more than him in, or that no rule can have, gets nothing written.
        """
        enrolment = self.proxy._proxy.enrolment
        enrol = enrolment.enrol
        for changes in (
            {"site": "b.example"},
            {"site": "a.example\n\x1b[2J"},
            *({"owner": one} for one in ("127.0.0.1", "host", "*@*", "a@", "@", "+g@x", "a@b\n")),
        ):
            self.patch(enrolment, "enrol", lambda *words: {**enrol(*words), **changes})  # noqa: B023
            self.assertIn("The proxy", self.refused(CredentialError, self.invite()))
            self.assertFalse([one for one in self.site.iterdir() if one.name in FILES])

    def test_anotherProxy(self) -> None:
        """
        Nothing is said to a proxy with another key, and the code stays good.
        """
        other, port = self.startProxy("other")
        code = self.invite()
        said = self.refused(CredentialError, code, target=(HOST, port))
        self.assertIn("its key is another", said)
        self.assertIn("its key is another", self.refused(CredentialError, self.invite(proxy=other)))
        other.stopService()
        self.joined(code)
        self.assertWorks()

    def test_noProxy(self) -> None:
        """
        Nobody listens; what listens speaks no TLS, closes, or hangs: each is said in time, and
        the same command does it later.
        """
        code = self.invite()
        self.patch(limits, "DIAL_TIMEOUT", 0.2)
        with socket.create_server((HOST, 0)) as server:
            target = server.getsockname()
            self.assertIn("connection broke", self.refused(ProtocolError, code, target=target))
        said = self.refused(ProtocolError, code, target=target)
        self.assertIn("could not be reached: Connection refused: is the proxy running", said)
        with socket.create_server((HOST, 0)) as server:

            def speak() -> None:
                with server.accept()[0] as one:
                    one.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

            thread = threading.Thread(target=speak)
            thread.start()
            said = self.refused(ProtocolError, code, target=server.getsockname())
            thread.join()
        self.assertIn("is no proxy", said)
        self.patch(limits, "DIAL_TIMEOUT", 10.0)
        self.joined(code)
        self.assertWorks()

    def test_gateway(self) -> None:
        """
        It goes through a gateway, and so does the CE later; a gateway that refuses is told, with
        the code still good.
        """
        code, gateway = self.invite(), Gateway("http")
        login = self.directory / "login"
        login.write_text("alice:secret")
        login.chmod(0o600)
        through, place = ("http", HOST, gateway.port), (HOST, self.port)
        gateway.wants = b"alice:secret"
        said = self.refused(ProtocolError, code, route=Route((place,), through))
        self.assertIn("it wants a user and a password", said)
        self.joined(code, route=Route((place,), through, str(login)))
        gateway.close()
        self.assertEqual(gateway.targets, [place])
        self.assertWorks()
        settings = self.settings(self.site)
        self.assertEqual(settings.get("RVGAHP_CONNECT_THROUGH"), through)
        self.assertEqual(settings.get("RVGAHP_CONNECT_THROUGH_CREDENTIALS"), str(login))

    def test_fullDisk(self) -> None:
        """
        Where nothing can be written it is said, before the code is used up.
        """
        code = self.invite()
        self.site.write_text("")
        self.assertIn(str(self.site), self.refused(CredentialError, code))
        self.site.unlink()
        self.joined(code)
        self.assertWorks()

    def test_twoAtOnce(self) -> None:
        """
        Two at one moment with one code in two directories: just one is enrolled.  In one
        directory the second is told to wait.
        """
        code = self.invite()
        paths = [self.directory / name for name in ("one", "two")]
        attempts = [Attempt(code, str(path), Route(((HOST, self.port),))) for path in paths]
        self.until(lambda: not any(one.thread.is_alive() for one in attempts))
        won = [isinstance(one.result, Joined) for one in attempts]
        self.assertEqual(sorted(won), [False, True])
        self.assertWorks(paths[won.index(True)])
        self.assertEqual(list(paths[won.index(False)].iterdir()), [])
        holder = JoinDirectory(str(self.site), code)
        self.assertIn("at work", self.refused(CredentialError, code))
        holder.close()


class KillTests(JoinTestCase):
    """
    A join that is killed.
    """

    def _killed(self, prepare: Callable[[], InviteCode], replace: bool) -> None:
        changes, isDone = 0, False
        route = Route(((HOST, self.port),))
        while not isDone:
            shutil.rmtree(self.site, ignore_errors=True)
            code = prepare()
            isDone = killedAfter(
                changes,
                lambda code=code: join(code, str(self.site), route, replace=replace),  # type: ignore[misc]  # a default
                lambda: self.turn(0.001),
            )
            if not isDone:
                found = self.joined(code)
                # Where it had not begun with the files, what is there is not replaced unasked.
                if isinstance(found, CredentialError) and replace:
                    found = self.joined(code, replace=True)
                self.assertIsInstance(found, Joined, str(found))
            self.assertWorks()
            changes += 1
        self.assertGreater(changes, 20)

    def test_first(self) -> None:
        """
        Killed before any of its changes, the same command completes it.
        """
        self._killed(self.invite, False)

    def test_replacing(self) -> None:
        """
        So it does where there were files of before.
        """

        def prepare() -> InviteCode:
            self.assertIsInstance(self.joined(self.invite()), Joined)
            return self.invite()

        self._killed(prepare, True)

    def test_further(self) -> None:
        """
        So it does with C{--as}, and what is added is added once.
        """
        self.joined(self.invite())
        lines = {name: (self.site / name).read_text() for name in ("access", CONFIG)}
        route = Route(((HOST, self.port),))
        changes, isDone = 0, False
        while not isDone:
            shutil.rmtree(self.site / "proxies", ignore_errors=True)
            for name, text in lines.items():
                (self.site / name).write_text(text)
            code, further = self.invite("b.example"), FurtherProxy(str(self.site), "b")
            isDone = killedAfter(
                changes,
                lambda code=code, further=further: join(  # type: ignore[misc]  # defaults
                    code, str(self.site), route, further=further
                ),
                lambda: self.turn(0.001),
            )
            if not isDone:
                again = FurtherProxy(str(self.site), "b")
                found = self.joined(code, further=again)
                self.assertIsInstance(found, Joined, str(found))
            served, unusable = readServed(load("ce", str(self.site / CONFIG)))
            self.assertEqual(([one.name for one in served], unusable), (["", "b"], []))
            for name, word in (("access", "ALLOW"), (CONFIG, "RVGAHP_PROXY_NAMES =")):
                text = (self.site / name).read_text().removeprefix(lines[name])
                self.assertEqual(text.count(word), 1)
            changes += 1 if SOAK else 12  # those of the credentials' files are tried above
        self.assertGreater(changes, 15)
