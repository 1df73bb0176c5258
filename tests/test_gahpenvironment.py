"""
Tests of L{rvgahp.gahpenvironment}, and that C{doc/gahps.rst} says the same.
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.gahpenvironment import (
    ACCOUNT_VARIABLES,
    PATH,
    SHARED,
    WITHHELD,
    GAHPEnvironment,
    sharedVariables,
)
from tests.test_gahptable import settings

MANUAL = Path(__file__).parent.parent / "doc" / "gahps.rst"

#: The account that the tests run as, as they have it.
ACCOUNT = pwd.struct_passwd(("me", "x", os.geteuid(), os.getegid(), "", "/usr", "/bin/mine"))

#: What says everything of it.
WHOLE = {
    "HOME": "/",
    "USER": ACCOUNT.pw_name,
    "LOGNAME": ACCOUNT.pw_name,
    "SHELL": "/bin/odd",
    "PATH": "/odd",
}


def withheld() -> list[str]:
    """
    @return: a name for each of the table's.
    """
    return [name.replace("*", "X") for names, _ in WITHHELD for name in names.split()]


class VariableTests(SynchronousTestCase):
    """
    What of the CE's environment its GAHPs have.
    """

    def setUp(self) -> None:
        """
        Begin with a database of two accounts.
        """
        self.patch(pwd, "getpwuid", {os.geteuid(): ACCOUNT}.__getitem__)
        other = pwd.struct_passwd(("you", "x", os.geteuid() + 1, 1, "", "/you", "/bin/yours"))
        again = pwd.struct_passwd(("me@here", "x", os.geteuid(), 1, "", "/here", "/bin/here"))
        names = {one.pw_name: one for one in (ACCOUNT, other, again)}
        self.patch(pwd, "getpwnam", names.__getitem__)

    def variables(self, **environ: str) -> dict[str, str]:
        """
        @return: a GAHP's environment; nothing is said to the log.
        """
        with capturedLogs() as logs:
            variables = GAHPEnvironment(environ).variables
        self.assertEqual(logs, [])
        return variables

    def test_withheld(self) -> None:
        """
        What would mislead or betray is withheld.
        """
        environ = {**WHOLE, **dict.fromkeys(withheld(), "secret")}
        self.assertEqual(self.variables(**environ), WHOLE)

    def test_kept(self) -> None:
        """
        All else stays: what the site sets for its batch system, a pool's configuration,
        settings of HTCondor's, the mark by which HTCondor knows its own processes.
        """
        kept = {
            "CONDOR_CONFIG": "/etc/pool",
            "_CONDOR_LOG": "/var/log",
            "_CONDOR_ANCESTOR_17": "17:1:2",
            "BLAHPD_LOCATION": "/opt/blahp",
            "RVGAHP_BLAH_DIR": "/var/blah",
            "LD_LIBRARY_PATH": "/opt/slurm/lib",
            "SLURM_CONF": "/etc/slurm",
            "KRB5CCNAME": "FILE:/tmp/krb5cc_7",
            "XPYTHONPATH": "x",
            "odd ünï": "x=y\n",
            **WHOLE,
        }
        self.assertEqual(self.variables(**kept), kept)

    def test_account(self) -> None:
        """
        What is missing or empty of the account comes from its database.
        """
        expected = {
            "HOME": ACCOUNT.pw_dir,
            "USER": ACCOUNT.pw_name,
            "LOGNAME": ACCOUNT.pw_name,
            "SHELL": ACCOUNT.pw_shell,
            "PATH": PATH,
        }
        self.assertEqual(self.variables(), expected)
        self.assertEqual(self.variables(HOME="", USER="", PATH=""), expected)
        self.assertEqual(self.variables(HOME="/"), {**expected, "HOME": "/"})

    def test_otherAccount(self) -> None:
        """
        An environment of another account, such as that of who has started the CE with
        another uid, does not count; one with another name for our own does.
        """
        for name in ("USER", "LOGNAME"):
            environ = {"HOME": "/", "SHELL": "/bin/odd", name: "you"}
            self.assertEqual(self.variables(**environ), self.variables())
            for own in ("me@here", "me\\elsewhere"):
                environ[name] = own
                found = self.variables(**environ)
                self.assertEqual((found["HOME"], found[name]), ("/", own))

    def test_noAccount(self) -> None:
        """
        Where the database has no entry, that is logged, and there is still a home.
        """

        self.patch(pwd, "getpwuid", dict[int, object]().__getitem__)
        with capturedLogs() as logs:
            environment = GAHPEnvironment({"USER": "me"})
        self.assertEqual(environment.variables, {"USER": "me", "HOME": "/", "PATH": PATH})
        self.assertEqual(len(logs), 1)

    def test_venv(self) -> None:
        """
        The path does not lead to the Python under the CE, and is otherwise as it was.
        """
        environ = {"VIRTUAL_ENV": "/opt/venv", "PATH": "/opt/venv/bin:/a:/opt/venv/bin2::/b"}
        self.assertEqual(self.variables(**environ)["PATH"], "/a:/opt/venv/bin2::/b")
        environ["PATH"] = "/opt/venv/bin"
        self.assertEqual(self.variables(**environ)["PATH"], PATH)
        self.assertEqual(self.variables(PATH="/opt/venv/bin")["PATH"], "/opt/venv/bin")


class SharedTests(SynchronousTestCase):
    """
    What the GAHPs of a CE that root has started have of its environment.
    """

    def test_shared(self) -> None:
        """
        The language, the time zone and the path, and nothing else of root's.
        """
        kept = {"LANG": "C", "LC_ALL": "de", "LC_TIME": "C", "TZ": "UTC", "PATH": "/opt/bin:/bin"}
        environ = {**kept, "HOME": "/root", "LD_PRELOAD": "x", "SECRET": "x", "LANGUAGE": "x"}
        self.assertEqual(sharedVariables(environ), kept)
        self.assertEqual(sharedVariables({}), {"PATH": PATH})
        venv = {"VIRTUAL_ENV": "/opt", "PATH": "/opt/bin"}
        self.assertEqual(sharedVariables(venv), {"PATH": PATH})


class SurroundingsTests(SynchronousTestCase):
    """
    The rest.
    """

    def test_directory(self) -> None:
        """
        It is the home; where that cannot be entered, the log has a line at the start.
        """
        self.assertEqual(GAHPEnvironment({"HOME": "/usr"}).directory, "/usr")
        for home in ("/no/such/home", __file__):
            with capturedLogs() as logs:
                self.assertEqual(GAHPEnvironment({"HOME": home}).directory, home)
            self.assertEqual([event["home"] for event in logs], [home])
        self.assertEqual(GAHPEnvironment({**WHOLE, "HOME": "relative"}).directory, "/")

    def test_umask(self) -> None:
        """
        The usual umask unless the site sets another.
        """
        self.assertEqual(GAHPEnvironment(WHOLE).umask, 0o022)
        self.assertEqual(settings().get("RVGAHP_UMASK"), 0o022)
        self.assertEqual(settings(RVGAHP_UMASK="077").get("RVGAHP_UMASK"), 0o077)


class ManualTests(SynchronousTestCase):
    """
    C{doc/gahps.rst} has the tables that the program has.
    """

    def rows(self, title: str) -> list[list[str]]:
        """
        @return: the cells of a table, blanks made one.
        """
        text = MANUAL.read_text(encoding="utf-8")
        table = text.partition(f".. list-table:: {title}\n")[2]
        table = re.split(r"\n(?=\S)", table)[0]
        rows = re.split(r"\n   \* - ", table)[2:]
        return [[" ".join(cell.split()) for cell in row.split("\n     - ")] for row in rows]

    def test_withheld(self) -> None:
        """
        The manual's table of what is withheld is the program's, reasons included.
        """
        expected = [
            [" ".join(f"``{name}``" for name in names.split()), why] for names, why in WITHHELD
        ]
        self.assertEqual(self.rows("Withheld"), expected)

    def test_added(self) -> None:
        """
        And so is that of what is there in any case.
        """
        names = [cell.strip("`") for cell, _ in self.rows("Always there")]
        self.assertEqual(names, [name for name, _ in ACCOUNT_VARIABLES] + ["PATH"])
        self.assertIn(f"``{PATH}``", MANUAL.read_text(encoding="utf-8"))

    def test_shared(self) -> None:
        """
        And what GAHPs of a CE that root has started have of its environment.
        """
        words = " ".join(MANUAL.read_text(encoding="utf-8").split())
        self.assertIn(" ".join(f"``{name}``" for name in SHARED.split()), words)
