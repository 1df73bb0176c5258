"""
Tests of L{rvgahp.separation}.
"""

from __future__ import annotations

import atexit
import json
import os
import pwd
import subprocess
import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rvgahp import limits
from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError, NotAuthorized, UnknownGAHP
from rvgahp.gahptable import GAHPTable
from rvgahp.igahp import GAHPCommand
from rvgahp.launcherrules import Rules
from rvgahp.separation import (
    NamedStart,
    Separation,
    endWithoutLauncher,
    notesOf,
    separationOf,
)
from rvgahp.settings import Settings, settingsFrom
from tests.procfs import PATIENCE

ACCOUNT = pwd.struct_passwd(("cesar", "x", 4711, 4712, "", "/home/cesar", "/bin/sh"))

#: Lets go of root, and tells what is left.
_LET_GO = """\
import json, os, pwd
from rvgahp.configuration import Configuration
from rvgahp.separation import Separation
from rvgahp.settings import settingsFrom
settings = settingsFrom("ce", Configuration(None, {"RVGAHP_BROKER_HOST": "h"}))
os.setgroups([0, 1, 2])
Separation(settings, pwd.getpwnam("nobody")).letGo()
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
names = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "NoNewPrivs")
told = {name: status[name].split() for name in names}
for call in (os.setuid, os.setgid, os.seteuid):
    try:
        call(0)
    except PermissionError:
        continue
    told["back"] = call.__name__
try:
    os.setgroups([0])
except PermissionError:
    told["home"] = os.environ["HOME"]
print(json.dumps(told))
"""


def settings(**values: str) -> Settings:
    """
    @return: a CE's.
    """
    return settingsFrom("ce", Configuration(None, {"RVGAHP_BROKER_HOST": "h", **values}))


class ChoiceTests(SynchronousTestCase):
    """
    As whom a CE runs.
    """

    def setUp(self) -> None:
        """
        Root starts it, at a site with one account.
        """
        self.patch(os, "geteuid", lambda: 0)
        accounts = {"rvgahp": ACCOUNT, "root": pwd.struct_passwd(("root", "x", 0, 0, "", "/", ""))}
        self.patch(pwd, "getpwnam", accounts.__getitem__)

    def assertRefused(self, *words: str, **values: str) -> None:
        """
        It does not start; the sentence has these words.
        """
        e = self.assertRaises(ConfigurationError, separationOf, settings(**values), {})
        for word in words:
            self.assertIn(word, str(e))

    def test_user(self) -> None:
        """
        Whoever is not root runs all as himself, whatever the settings say.
        """
        self.patch(os, "geteuid", lambda: 1000)
        self.assertIs(separationOf(settings(RVGAHP_ACCOUNT="nosuch"), {}), None)

    def test_root(self) -> None:
        """
        Root becomes RVGAHP_ACCOUNT, unless twistd changes the account for good.
        """
        for options in ({}, {"uid": None, "euid": 0}, {"uid": 0}):
            self.assertIsInstance(separationOf(settings(), options), Separation)
        self.assertIs(separationOf(settings(), {"uid": 7, "euid": 0}), None)
        for uid in (None, 7):
            options = {"uid": uid, "euid": 1}
            e = self.assertRaises(ConfigurationError, separationOf, settings(), options)
            self.assertIn("a way back to root", str(e))

    def test_account(self) -> None:
        """
        One that is not there, or is root, is refused; root is not where that is allowed, and
        then all runs as root.
        """
        self.assertRefused("no account nosuch (RVGAHP_ACCOUNT)", RVGAHP_ACCOUNT="nosuch")
        self.assertRefused("root (RVGAHP_ACCOUNT) is root", RVGAHP_ACCOUNT="root")
        given = settings(RVGAHP_ACCOUNT="root", RVGAHP_ALLOW_ROOT="true")
        self.assertIs(separationOf(given, {}), None)

    def test_notes(self) -> None:
        """
        A PAM service that will not be asked is told of.
        """
        given = settings(RVGAHP_PAM_SERVICE="rvgahp")
        self.assertEqual(notesOf(given, separationOf(given, {})), [])
        self.assertEqual(notesOf(settings(), None), [])
        self.patch(os, "geteuid", lambda: 1000)
        (note,) = notesOf(given, separationOf(given, {}))
        self.assertIn("PAM is not asked", note)

    def test_map(self) -> None:
        """
        A map file that cannot be read is no start.
        """
        self.assertRefused("/no/such/file", CERTIFICATE_MAPFILE="/no/such/file")

    def test_writableMap(self) -> None:
        """
        Nor is one that others could change: they would choose accounts.
        """
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write("PROXY alice@x.org alice\n")
        os.chmod(path, 0o666)
        self.assertRefused(f"chmod go-w {path}", CERTIFICATE_MAPFILE=path)


class RulesTests(SynchronousTestCase):
    """
    What is handed over.
    """

    def table(self, **gahps: str) -> tuple[GAHPTable, dict[str, Any]]:
        """
        @return: a table of these command lines, and the rules.
        """
        values = {f"RVGAHP_GAHP_{name.upper()}": line for name, line in gahps.items()}
        given = settings(RVGAHP_GAHP_NAMES=" ".join(gahps), RVGAHP_UMASK="077", **values)
        table = GAHPTable(given, [])
        self.patch(os, "environ", {"PATH": "/bin:/usr/bin", "SECRET": "x", "LC_ALL": "C"})
        return table, Separation(given, ACCOUNT).rules(table, 1024)

    def test_rules(self) -> None:
        """
        They have the full command lines, the settings and the CE's account, and survive
        being sent.
        """
        _, rules = self.table(cat="cat -u")
        command = rules["gahps"]["cat"]
        self.assertEqual(command["words"][1:], ["-u"])
        self.assertTrue(os.path.isabs(command["words"][0]))
        self.assertEqual(rules["environment"], {"PATH": "/bin:/usr/bin", "LC_ALL": "C"})
        numbers = [rules[name] for name in ("umask", "descriptors", "lowest", "root", "ce", "most")]
        self.assertEqual(numbers, [0o77, 1024, 1000, False, 4711, 5000])
        self.assertEqual((rules["ceName"], rules["pam"]), ("cesar", ""))
        Rules(json.loads(json.dumps(rules)))

    def test_request(self) -> None:
        """
        A start has two names, and the launcher takes them.
        """
        _, rules = self.table(cat="/bin/cat")
        request = NamedStart("cat", "alice").request(GAHPCommand("/bin/sh"))
        self.assertEqual(request, {"gahp": "cat", "account": "alice"})
        whole = {"start": 1, **request}
        self.assertEqual(Rules(rules).read(json.dumps(whole).encode()), whole)

    def test_fixed(self) -> None:
        """
        The table looks for no program any more, for it is the account that must see it; what
        was missing at the start stays in its list.
        """
        table, _ = self.table(cat="/bin/cat", gone="/no/such/program")
        self.assertEqual(table.find("gone").program, "/no/such/program")
        self.assertIn("/no/such/program", " ".join(table.problems()))
        self.assertRaises(UnknownGAHP, table.find, "other")


class LetGoTests(SynchronousTestCase):
    """
    Root is let go of.
    """

    def test_letGo(self) -> None:
        """
        Nothing of root is left, and it cannot be had back.
        """
        if os.geteuid():
            raise SkipTest("only root can let go of root")
        run = subprocess.run(
            [sys.executable, "-c", _LET_GO],
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        self.assertEqual(run.stderr, b"")
        told = json.loads(run.stdout)
        nobody = pwd.getpwnam("nobody")
        self.assertEqual(told["Uid"], [str(nobody.pw_uid)] * 4)
        self.assertEqual(told["Gid"], [str(nobody.pw_gid)] * 4)
        groups = sorted(map(str, os.getgrouplist("nobody", nobody.pw_gid)))
        self.assertEqual(sorted(told["Groups"]), groups)
        self.assertEqual([int(told[name][0], 16) for name in ("CapEff", "CapPrm")], [0, 0])
        self.assertEqual(told["NoNewPrivs"], ["1"])
        self.assertNotIn("back", told)
        self.assertEqual(told["home"], nobody.pw_dir)

    def test_cannot(self) -> None:
        """
        Where the kernel refuses, that is a sentence.
        """

        def refuse(*ids: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "setgroups", refuse)
        e = self.assertRaises(ConfigurationError, Separation(settings(), ACCOUNT).letGo)
        self.assertIn("The CE cannot become cesar (uid 4711, RVGAHP_ACCOUNT)", str(e))

    def test_pretended(self) -> None:
        """
        Where the kernel only says that it has done so, too.
        """
        for name in ("setgroups", "setresgid", "setresuid"):
            self.patch(os, name, lambda *ids: None)
        e = self.assertRaises(ConfigurationError, Separation(settings(), ACCOUNT).letGo)
        self.assertIn("uid 4711 and gid 4712 could not be had", str(e))


class StoppingClock(Clock):
    """
    A reactor that tells when it was stopped.
    """

    stopped = -1.0

    def stop(self) -> None:
        self.stopped = self.seconds()


class EndTests(SynchronousTestCase):
    """
    A launcher that was lost.
    """

    def setUp(self) -> None:
        self.registered: list[Any] = []
        self.patch(atexit, "register", self.registered.append)
        self.clock = StoppingClock()

    def test_over(self) -> None:
        """
        The CE ends when its last session is over, and fails.
        """
        sessions = {"s": 1}
        with capturedLogs() as logs:
            endWithoutLauncher(self.clock, sessions)
        self.assertEqual(len(logs), 1)
        self.clock.advance(1)
        self.assertEqual((self.clock.stopped, self.registered), (-1.0, []))
        sessions.clear()
        self.clock.advance(0.2)
        self.assertEqual((self.clock.stopped, len(self.registered)), (1.2, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """
        It does not wait for ever.
        """
        endWithoutLauncher(self.clock, {"s": 1})
        self.clock.pump([0.5] * 60)
        self.assertAlmostEqual(self.clock.stopped, limits.LAUNCHER_TIMEOUT, delta=0.6)


class AccountsTests(SynchronousTestCase):
    """
    Without a map.
    """

    def test_noMap(self) -> None:
        """
        Who asks for no account has none, and reads what to do.
        """
        accounts = Separation(settings(), ACCOUNT).accounts
        self.assertEqual(accounts.accountFor("alice@here", "bob", "s"), "bob")
        e = self.assertRaises(NotAuthorized, accounts.accountFor, "alice@here", "", "s")
        self.assertIn("'PROXY alice@here ACCOUNT'", str(e))
