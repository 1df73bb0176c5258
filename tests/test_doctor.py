"""
Tests of C{rvgahp doctor}: what is found in staged files, and how it is printed.
L{tests.test_whole_doctor} has the program.
"""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import __version__, doctorcase, doctorcli, doctordaemon
from rvgahp.configuration import Configuration
from rvgahp.credentials import Credentials
from rvgahp.doctor import CHECKS, examine
from rvgahp.doctorcase import Case, Choice, choose
from rvgahp.doctorcertificates import certificates, revocations
from rvgahp.doctordaemon import consult, daemon
from rvgahp.doctorfiles import access, map_, permissions, start
from rvgahp.doctorsettings import account, clock, clockIsKept, settings, software
from rvgahp.errors import ConfigurationError, CredentialError, RvgahpError
from rvgahp.findings import Finding, Findings, guarded, ok, warning, wrong
from rvgahp.patience import Interrupted, Patience
from rvgahp.screen import Screen
from rvgahp.settings import settingsFrom
from tests.identities import authority, ceCredentials, proxyCredentials, written

PAGE = Path(__file__).parent.parent / "doc" / "doctor.rst"

#: In place of a host that is dialled.
BROKER = "proxy.example.org"


class DoctorTestCase(SynchronousTestCase):
    """
    A directory with the files of one daemon.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(mode=0o700)
        wake, end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.end = end
        self.addCleanup(os.close, wake)
        self.addCleanup(os.close, end)
        self.patience = Patience(wake)

    def path(self, name: str) -> str:
        """
        @return: the path of a file there.
        """
        return str(self.directory / name)

    def case(self, role: str = "ce", given: Credentials | None = None, **values: Any) -> Case:
        """
        @param given: the credentials, which are written.
        @param values: of settings.
        @return: a case of these settings, whose file is in the directory.
        """
        if role == "ce":
            values = {"RVGAHP_BROKER_HOST": BROKER, **values}
        else:
            values = {"UID_DOMAIN": "example.org", "RVGAHP_SOCKET": self.path("p.sock"), **values}
        if not os.geteuid():
            values = {"RVGAHP_ACCOUNT": "root", "RVGAHP_ALLOW_ROOT": "true", **values}
            if role == "proxy":
                del values["RVGAHP_ALLOW_ROOT"]
        if given is not None:
            values = {**written(given, self.directory), **values}
        texts = {name: str(value) for name, value in values.items()}
        file = self.directory / "condor_config"
        file.write_text("".join(f"{name} = {text}\n" for name, text in texts.items()))
        configuration = Configuration(str(file), texts, (), (), "a reader 1.0")
        return Case(settingsFrom(role, configuration), configuration, self.patience)

    def levels(self, found: Iterable[Finding]) -> list[tuple[str, str]]:
        """
        @return: names and levels.
        """
        return [(one.name, one.level) for one in found]

    def assertFinding(self, found: Iterable[Finding], level: str, *words: str) -> None:
        """
        One finding has this level and these words; all others are ok.
        """
        found = list(found)
        bad = [one for one in found if one.level != "ok"]
        self.assertEqual([one.level for one in bad], [] if level == "ok" else [level], found)
        for one in bad:
            self.assertTrue(one.remedy, one)
        said = " / ".join(f"{one.sentence} / {one.remedy}" for one in bad or found)
        for word in words:
            self.assertIn(word, said)


class FindingTests(SynchronousTestCase):
    """
    Checks that fail.
    """

    def found(self, error: Exception) -> list[Finding]:
        """
        @return: what a check finds that finds one thing and then fails.
        """

        def check() -> Iterable[Finding]:
            yield ok("a", "good")
            raise error

        return list(guarded("a", "mend it", check))

    def test_refusal(self) -> None:
        """
        What a daemon's code refuses is wrong, with the remedy of the check.
        """
        self.assertEqual(
            self.found(ConfigurationError("no")), [ok("a", "good"), wrong("a", "no", "mend it")]
        )

    def test_system(self) -> None:
        """
        What the system refuses is wrong, with the file.
        """
        found = self.found(PermissionError(13, "Permission denied", "/x"))
        self.assertEqual(found[1], wrong("a", "/x: Permission denied", "mend it"))

    def test_bug(self) -> None:
        """
        A bug of a check is a finding, too.
        """
        found = self.found(LookupError("z"))[1]
        self.assertEqual(
            (found.level, found.sentence), ("wrong", "this check failed: LookupError: z")
        )

    def test_interrupted(self) -> None:
        """
        Whoever wants an end gets it.
        """
        self.assertRaises(Interrupted, self.found, Interrupted("told to end"))


class ChoiceTests(DoctorTestCase):
    """
    Which daemon is examined.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(doctorcase, "findSocket", lambda _: self.path("proxy.sock"))
        self.found: dict[str, str] = {}
        self.patch(
            doctorcase,
            "readConfiguration",
            lambda file: Configuration(file or "/etc/condor", self.found),
        )
        self.places = ([self.path("one"), self.path("two")], self.path("etc"))

    def choose(self, role: str | None = None, config: str | None = None) -> Choice:
        """
        @return: what is chosen.
        """
        return choose(role, config, *self.places)

    def test_asked(self) -> None:
        """
        What was asked for counts; a CE's file is looked for.
        """
        self.assertEqual(self.choose("proxy", "/x"), Choice("proxy", "/x", "as asked for"))
        self.assertIsNone(self.choose("ce").config)
        Path(self.path("two")).touch()
        self.assertEqual(self.choose("ce").config, self.path("two"))

    def test_file(self) -> None:
        """
        A file that is named tells whose it is.
        """
        self.assertEqual(self.choose(None, "/x").role, "proxy")
        self.found = {"RVGAHP.RVGAHP_BROKER_HOST": "h"}
        self.assertEqual(self.choose(None, "/x").role, "ce")

        def fail(file: str) -> None:
            raise ConfigurationError("no")

        self.patch(doctorcase, "readConfiguration", fail)
        self.assertEqual(self.choose(None, "/x").role, "proxy")

    def test_proxy(self) -> None:
        """
        A socket, a setting or a directory tell of a proxy, and go before a CE's file.
        """
        Path(self.path("one")).touch()
        self.assertEqual(self.choose().role, "ce")
        Path(self.path("etc")).mkdir()
        self.assertEqual(self.choose().why, f"there is {self.path('etc')}")
        self.found = {"RVGAHP_PORT": "1"}
        self.assertEqual(self.choose().why, "RVGAHP_PORT is set in /etc/condor")
        Path(self.path("proxy.sock")).touch()
        self.assertEqual(self.choose().why, f"there is {self.path('proxy.sock')}")
        self.assertEqual(self.choose().role, "proxy")

    def test_none(self) -> None:
        """
        Where there is nothing one must say.
        """
        error = self.assertRaises(RvgahpError, self.choose)
        self.assertIn("say --role or --config", str(error))


class SettingsTests(DoctorTestCase):
    """
    Software, clock, account, settings.
    """

    def test_software(self) -> None:
        """
        Versions are told.
        """
        (found,) = software()
        self.assertIn(f"rvgahp {__version__}, Python 3.", found.sentence)

    def test_clock(self) -> None:
        """
        A clock of long ago is told.
        """
        self.assertFinding(clock(kept=lambda: True), "ok", " after 1970), kept right")
        self.assertFinding(clock(kept=lambda: None), "ok", "right is not known")
        self.assertFinding(clock(kept=lambda: False), "warning", "nothing keeps", "chronyd")
        self.assertIn(clockIsKept(), (True, False, None))
        self.assertFinding(clock(datetime(1970, 1, 1, tzinfo=timezone.utc)), "warning", "set the")

    def test_account(self) -> None:
        """
        Another account than the daemon's is told; root sees all.
        """
        case = self.case("proxy", RVGAHP_ACCOUNT="nobody")
        self.patch(os, "geteuid", lambda: 0)
        self.assertFinding(account(case), "ok", "uid 0")
        self.patch(os, "geteuid", lambda: 4711)
        self.assertFinding(account(case), "warning", "RVGAHP_ACCOUNT is nobody", "as root")

    def test_settings(self) -> None:
        """
        What is set is told with its origin, what is not is not; and what is odd.
        """
        case = self.case(RVGAHP_BROKER_PORT=7)
        case.settings.notes.append("odd")
        case.configuration.settings["RVGAHP_KILL_GRACE"] = ""  # type: ignore[index]
        self.patch(os, "environ", {"_CONDOR_rvgahp_broker_port": "7"})
        found = {one.sentence: one.level for one in settings(case)}
        file = case.configuration.file
        self.assertEqual(found[f"read from {file} by a reader 1.0"], "ok")
        self.assertEqual(found[f"RVGAHP_BROKER_HOST = {BROKER} ({file})"], "ok")
        where = "_CONDOR_RVGAHP_BROKER_PORT in the environment"
        self.assertEqual(found[f"RVGAHP_BROKER_PORT = 7 ({where})"], "ok")
        self.assertEqual(found["odd"], "warning")
        self.assertNotIn("RVGAHP_KILL_GRACE", " ".join(found))

    def test_included(self) -> None:
        """
        What is in no line of the file itself is in one that it includes.
        """
        case = self.case()
        Path(str(case.configuration.file)).write_text("include : x\n")
        sentences = " ".join(one.sentence for one in settings(case))
        self.assertIn(f"(a file that {case.configuration.file} includes)", sentences)


class CertificateTests(DoctorTestCase):
    """
    Certificates and their dates.
    """

    def test_good(self) -> None:
        """
        The dates are told, and the daemon's credentials are kept for the other checks.
        """
        case = self.case(given=ceCredentials())
        found = list(certificates(case))
        self.assertEqual({one.level for one in found}, {"ok"}, found)
        self.assertIn("of site site.example", found[0].sentence)
        self.assertIsNotNone(case.credentials)

    def test_due(self) -> None:
        """
        A certificate that should have been renewed long ago is told.
        """
        end = ceCredentials().certificate.not_valid_after_utc
        case = self.case(given=ceCredentials())
        self.assertFinding(
            certificates(case, end - timedelta(days=1)), "warning", "should have been renewed"
        )

    def test_soon(self) -> None:
        """
        So is one that nobody renews by itself, before its end.
        """
        case = self.case("proxy", proxyCredentials())
        end = proxyCredentials().certificate.not_valid_after_utc
        self.assertFinding(certificates(case, end - timedelta(days=15)), "ok")
        self.assertFinding(
            certificates(case, end - timedelta(days=1)), "warning", "soon", "rvgahp reload"
        )

    def test_expired(self) -> None:
        """
        A CE starts with one that has ended, and yet it is wrong; a proxy does not.
        """
        case = self.case(given=ceCredentials(expired=True))
        self.assertFinding(certificates(case), "wrong", "has expired", "rvgahp join")
        case = self.case("proxy", proxyCredentials(expired=True))
        words = ("has expired", "clock is right", "rvgahp credentials host")
        self.assertFinding(certificates(case), "wrong", *words)
        case = self.case(given=ceCredentials())
        later = datetime.now(timezone.utc) + timedelta(days=3650)
        words = ("has expired", "clock is right", "join --replace")
        self.assertFinding(certificates(case, later), "wrong", *words)

    def test_garbage(self) -> None:
        """
        A file without a certificate is refused in the daemon's own words.
        """
        case = self.case(given=ceCredentials())
        Path(self.path("ce.crt")).write_bytes(b"\xff no certificate")
        error = self.assertRaises(CredentialError, list, certificates(case))
        self.assertIn("is no certificate in PEM", str(error))

    def test_earlyAuthority(self) -> None:
        """
        Where the authority's time has not come a new certificate is of no use: it is the clock.
        """
        case = self.case(given=ceCredentials())
        before = datetime.now(timezone.utc) - timedelta(days=3650)
        found = certificates(case, before)
        self.assertFinding(found, "wrong", "is not valid before", "set the one that is wrong")

    def test_future(self) -> None:
        """
        A CE starts with one whose time has not come; the clock is wrong.
        """
        case = self.case(given=ceCredentials())
        early = ceCredentials().certificate.not_valid_before_utc - timedelta(days=1)
        self.assertFinding(certificates(case, early), "wrong", "is not valid before", "clock")

    def test_authorities(self) -> None:
        """
        An authority that has ended or that does not count yet is told.
        """
        case = self.case(given=ceCredentials())
        ca = authority("ours").certificate
        file = self.path("ca.crt")
        other = authority("other").certificate
        Path(file).write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (other, ca)))
        self.assertEqual(self.levels(certificates(case)).count(("authority", "ok")), 3)

    def test_stranger(self) -> None:
        """
        A site's certificate of an authority that is not the proxy's is told.
        """
        case = self.case(given=ceCredentials(trusted="another"))
        self.assertFinding(certificates(case), "warning", "which is not in", "made together")

    def test_own(self) -> None:
        """
        A proxy without credentials makes its own.
        """
        self.assertFinding(certificates(self.case("proxy")), "ok", "the proxy makes its own")

    def test_ownClosed(self) -> None:
        """
        Whoever may not see what it has made is told so.
        """
        case = self.case("proxy")
        os.mkdir(self.path("enrolment"))
        self.patch(os, "access", lambda *_: False)
        self.assertFinding(certificates(case), "warning", "may not look into", "as root")

    def revoked(self, last: timedelta, following: timedelta) -> list[Finding]:
        """
        @return: what is found of a revocation list with these dates, from now.
        """
        ours, now = authority("ours"), datetime.now(timezone.utc)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ours.certificate.subject)
            .last_update(now + last)
            .next_update(now + following)
        )
        pem = builder.sign(ours._key, SHA256()).public_bytes(Encoding.PEM)
        Path(self.path("crl")).write_bytes(pem)
        case = self.case(given=ceCredentials(), RVGAHP_CRLFILE=self.path("crl"))
        list(certificates(case))
        return list(revocations(case))

    def test_revocations(self) -> None:
        """
        The dates of a revocation list count.
        """
        day = timedelta(days=1)
        self.assertFinding(self.revoked(-day, day), "ok", "is good until")
        self.assertFinding(self.revoked(-2 * day, -day), "wrong", "nobody", "get a new one")
        self.assertFinding(self.revoked(day, 2 * day), "warning", "is of", "clock")


class ProxiesTests(DoctorTestCase):
    """
    A CE with several proxies.
    """

    def test_each(self) -> None:
        """
        Each proxy's certificate is looked at with its own files, and the one that cannot be used
        is named; the CE would start with the others, and not without any.
        """
        names = {"RVGAHP_PROXY_NAMES": "b", "RVGAHP_PROXY_B_BROKER_HOST": "b.example"}
        case = self.case(given=ceCredentials(), **names)
        first, second = case.proxies
        self.assertFinding(certificates(first), "ok", self.path("ce.crt"))
        e = self.assertRaises(CredentialError, list, certificates(second))
        self.assertIn(self.path("proxies/b/ce.crt"), str(e))
        self.assertEqual(second.settings.get("RVGAHP_BROKER_HOST"), "b.example")
        case.credentials = first.credentials
        self.assertFinding(start(case), "ok")

    def test_one(self) -> None:
        """
        Of a CE with one proxy there is one case; and of a proxy.
        """
        for role in ("ce", "proxy"):
            case = self.case(role)
            self.assertEqual(case.proxies, [case])


class FileTests(DoctorTestCase):
    """
    Access file, map file, permissions.
    """

    def test_access(self) -> None:
        """
        The rules are read; without any nobody may use a CE.
        """
        case = self.case()
        self.assertFinding(access(case), "warning", "Nobody may start a GAHP here")
        Path(self.path("access")).write_text("ALLOW START *\n")
        self.assertFinding(access(case), "ok", "has rules for START")
        self.assertFinding(access(self.case("proxy", RVGAHP_KILL_GRACE=1)), "ok")

    def test_accessAtProxy(self) -> None:
        """
        A proxy needs no file.
        """
        self.assertFinding(access(self.case("proxy")), "ok", "there is none")

    def test_map(self) -> None:
        """
        The map is read where it counts.
        """
        self.assertFinding(map_(self.case("proxy")), "ok", "none is named")
        self.assertFinding(map_(self.case()), "ok", "not needed")
        Path(self.path("map")).write_text("SSL\n")
        case = self.case("proxy", CERTIFICATE_MAPFILE=self.path("map"))
        error = self.assertRaises(ConfigurationError, list, map_(case))
        self.assertIn(f"{self.path('map')} is not used: line 1", str(error))

    def test_permissions(self) -> None:
        """
        Files that others can write are told, and sockets that they could replace.
        """
        case = self.case("proxy", proxyCredentials())
        self.assertFinding(permissions(case), "ok")
        os.chmod(self.path("ca.crt"), 0o666)
        self.assertFinding(permissions(case), "warning", "chmod go-w", "ca.crt")
        os.chmod(self.path("ca.crt"), 0o644)
        other = self.directory / "open"
        other.mkdir()
        other.chmod(0o777)
        case = self.case("proxy", proxyCredentials(), RVGAHP_SOCKET=str(other / "sock"))
        self.assertFinding(permissions(case), "warning", "a socket of theirs", "chmod go-w")
        case = self.case("proxy", proxyCredentials(), RVGAHP_SOCKET=self.path("no/sock"))
        self.assertFinding(permissions(case), "wrong", "is not there", "install -d")

    def test_state(self) -> None:
        """
        The directory of keys is the proxy's alone, and is not made.
        """
        case = self.case("proxy", proxyCredentials())
        list(permissions(case))
        self.assertFalse(os.path.exists(self.path("enrolment")))
        os.mkdir(self.path("enrolment"), 0o700)
        self.assertFinding(permissions(case), "ok")
        os.chmod(self.path("enrolment"), 0o750)
        error = self.assertRaises(CredentialError, list, permissions(case))
        self.assertIn("chmod 700", str(error))

    def test_start(self) -> None:
        """
        What remains is looked at by the daemon's own code.
        """
        case = self.case(given=ceCredentials())
        self.assertEqual(list(start(case)), [])  # no credentials, no more
        list(certificates(case))
        self.assertFinding(start(case), "ok", "rvgahp-ce takes")
        case = self.case(given=ceCredentials(), RVGAHP_SITE="another.example")
        list(certificates(case))
        self.assertRaises(ConfigurationError, list, start(case))
        self.assertEqual(list(start(self.case("proxy", proxyCredentials()))), [])
        for file in self.directory.glob("*.crt"):
            file.unlink()
        self.assertFinding(start(self.case("proxy")), "ok", "rvgahp-proxy takes")


def told(case: Case, seen: dict[str, Any]) -> Findings:
    """
    @return: what is found of a daemon that says this.
    """
    consult(case, lambda _: seen)
    return daemon(case)


class DaemonTests(DoctorTestCase):
    """
    What a daemon says.
    """

    def seen(self, **values: Any) -> dict[str, Any]:
        """
        @return: a status without anything special.
        """
        software = f"rvgahp {__version__}"
        return {"software": software, "pid": os.getpid(), "attention": [], **values}

    def test_absent(self) -> None:
        """
        It does not run.
        """

        def fail(path: str) -> dict[str, Any]:
            raise RvgahpError("no daemon answers")

        case = self.case()
        consult(case, fail)
        self.assertFinding(daemon(case), "wrong", "no daemon answers", "start it")

    def test_runs(self) -> None:
        """
        It runs; what needs attention, another version, and a lost proxy are told.
        """
        case = self.case()
        self.assertFinding(told(case, self.seen()), "ok", "runs as process")
        found = told(case, self.seen(attention=["Beware."]))
        self.assertFinding(found, "warning", "Beware.", "rvgahp status")
        found = told(case, self.seen(software="rvgahp 0"))
        self.assertFinding(found, "warning", "it is rvgahp 0", "start it again", "its GAHPs end")
        lost = {"host": "h", "port": 1, "connected": False, "reason": "why", "software": ""}
        found = told(case, self.seen(proxies=[lost]))
        self.assertFinding(found, "wrong", "none to the proxy at h:1: why")
        good = {**lost, "connected": True}
        site = {"site": "s", "connected": True}
        found = told(case, self.seen(proxies=[good]))
        self.assertFinding(found, "ok", "has accepted us")
        found = told(case, self.seen(sites=[site] * 11 + [{"connected": False}]))
        self.assertFinding(found, "ok", "11 of 12 are connected: s, s", "s, ...")

    def test_conflict(self) -> None:
        """
        Policies that let no GAHP be started are wrong, at either end.
        """
        case = self.case()
        proxy = {"host": "h", "port": 1, "connected": True, "conflict": "Why.", "software": ""}
        words = ("no GAHP can be started: Why.", "SEC_DEFAULT_ENCRYPTION")
        self.assertFinding(told(case, self.seen(proxies=[proxy])), "wrong", *words)
        site = {"site": "s", "connected": True, "conflict": "Why."}
        self.assertFinding(told(case, self.seen(sites=[site])), "wrong", "at site s no", *words)

    def test_otherConfig(self) -> None:
        """
        A daemon that was started with another file, or with one where we have none, is told.
        """
        case = self.case()
        words = [b"twistd", b"rvgahp-ce", b"--config", b"other"]
        self.patch(doctordaemon, "_wordsOf", lambda _: [*words, b""])
        found = list(told(case, self.seen()))
        other = os.path.join(os.getcwd(), "other")
        self.assertFinding(
            found, "warning", f"started with --config {other}, and", self.path("condor_config")
        )
        self.patch(case, "configuration", Configuration(None, {}))
        found = list(told(case, self.seen()))
        self.assertFinding(found, "warning", "what was looked at is the environment")
        words[2:] = [os.fsencode(f"--config={self.path('condor_config')}")]
        found = list(told(self.case(), self.seen()))
        self.assertFinding(found, "ok")


class CommandTests(DoctorTestCase):
    """
    All of it, and what is printed.
    """

    def test_settingsWrong(self) -> None:
        """
        Where the settings are refused nothing else is looked at.
        """
        file = self.directory / "config"
        file.write_text("RVGAHP_PROT = 7\n")
        found = list(examine(Choice("proxy", str(file), "why"), self.patience))
        self.assertEqual([one.name for one in found], ["role", "software", "clock", "settings"])
        self.assertIn("RVGAHP_PORT meant?", found[-1].sentence)

    def test_foreign(self) -> None:
        """
        Root does not run the commands that another's configuration includes.
        """
        file = self.directory / "config"
        file.write_text("RVGAHP_PORT = 7\n")
        self.patch(os, "geteuid", lambda: 0)
        self.assertEqual(choose("proxy", str(file)).config, str(file))
        if os.getuid() == 0:
            os.chown(file, 65534, -1)
        found = list(examine(Choice("proxy", str(file), "why"), self.patience))
        self.assertEqual(found[-1].level, "wrong")
        self.assertIn(f"-- rvgahp doctor --config {file}", found[-1].sentence)
        self.assertEqual(choose(None, str(file)).role, "proxy")

    def test_noRoom(self) -> None:
        """
        Where no temporary file can be made that is said, and it is no failure of the doctor's.
        """

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(tempfile, "TemporaryFile", full)
        found = list(examine(choose(None, self.path("config")), self.patience))
        self.assertEqual(found[-1].level, "wrong")
        self.assertIn("could not be begun: No space left on device", found[-1].sentence)

    def test_ended(self) -> None:
        """
        Whoever wants an end gets it between two checks, too.
        """
        file = self.directory / "config"
        file.write_text("")
        os.write(self.end, b"!")
        choice = Choice("proxy", str(file), "why")
        self.assertRaises(Interrupted, list, examine(choice, self.patience))

    def test_plain(self) -> None:
        """
        A line for each, the remedy below it; nothing that a terminal would obey.
        """
        output = io.StringIO()
        screen = Screen(output)
        found = [ok("a", "x\033[2J"), warning("b", "y", "z\r"), wrong("c", "d", "e")]
        for one in found:
            doctorcli.show(one, screen)
        doctorcli.summary(found, "ce", screen)
        self.assertEqual(
            output.getvalue().splitlines(),
            [
                "ok       a: x [2J",
                "warning  b: y",
                "         remedy: z",
                "WRONG    c: d",
                "         remedy: e",
                "rvgahp-ce: 1 wrong, 1 to be looked at, 1 ok",
            ],
        )

    def test_json(self) -> None:
        """
        A list for programs.
        """
        output = io.StringIO()
        doctorcli._asJSON([wrong("a", "b\n", "c")], output)
        expected = [{"name": "a", "level": "wrong", "sentence": "b ", "remedy": "c"}]
        self.assertEqual(json.loads(output.getvalue()), expected)

    def test_page(self) -> None:
        """
        doc/doctor.rst has each check.
        """
        page = PAGE.read_text()
        for name, *_ in CHECKS:
            self.assertIn(f"\n   * - {name}\n", page)
