"""
Tests of L{rvgahp.cecli}, L{rvgahp.ceunit} and L{rvgahp.cecron}: C{rvgahp ce install}, in a home
of its own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import cecli
from rvgahp.cecron import command, crontab
from rvgahp.ceunit import systemUnit, userUnit
from rvgahp.errors import RvgahpError
from tests.commandcase import CommandTestCase
from tests.procfs import PATIENCE

CONTRIB = Path(__file__).parent.parent / "contrib" / "systemd"

TWISTD = str(Path(sys.executable).with_name("twistd"))


class InstallTests(CommandTestCase):
    """
    The command.
    """

    command = ("ce", "install")

    def setUp(self) -> None:
        """
        Make a home with a configuration, and a systemd for all.
        """
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        (self.home / ".rvgahp").mkdir()
        self.config = self.home / ".rvgahp" / "condor_config.rvgahp"
        self.config.touch()
        (self.home / "run" / "systemd" / "private").mkdir(parents=True)
        (self.home / "system").mkdir()
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("XDG_", "LD_"))}
        own = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home / "run"), "PATH": "/bin"}
        self.patch(os, "environ", {**clean, **own})
        self.patch(cecli, "_BOOTED", str(self.home / "run"))
        self.patch(cecli, "_SYSTEM_DIRECTORY", str(self.home / "system"))
        self.unit = self.home / ".config" / "systemd" / "user" / "rvgahp-ce.service"
        self.systemUnit = self.home / "system" / "rvgahp-ce.service"

    def installed(self, *words: str) -> str:
        """
        @return: what is said when all is well.
        """
        status, output, errors = self.run_(*words)
        self.assertEqual((status, errors), (0, ""))
        return output

    def refused(self, *words: str) -> str:
        """
        @return: the sentence.
        """
        status, output, errors = self.run_(*words)
        self.assertEqual((status, output), (1, ""))
        self.assertEqual(errors.count("\n"), 1, errors)
        return errors

    def test_user(self) -> None:
        """
        A unit of one's own has the paths of this installation, the log where the guides look,
        and the environment of the shell; the commands that start it are printed.
        """
        output = self.installed("--user")
        self.assertEqual(
            output.splitlines(),
            [
                f"wrote {self.unit}",
                "    systemctl --user daemon-reload",
                "    systemctl --user enable --now rvgahp-ce.service",
                "    loginctl enable-linger",
            ],
        )
        lines = self.unit.read_text().splitlines()
        self.assertIn("Environment=PATH=/bin", [line.replace('"', "") for line in lines])
        self.assertIn(
            f"ExecStart={TWISTD} --nodaemon --no_save --pidfile="
            f" --logfile={self.home}/.rvgahp/ce.log rvgahp-ce",
            lines,
        )
        self.assertEqual(self.unit.stat().st_mode & 0o777, 0o644)
        self.assertEqual(os.listdir(self.unit.parent), ["rvgahp-ce.service"])

    def test_system(self) -> None:
        """
        Root's has the configuration's path, and no environment.
        """
        config = self.home / "condor_config"
        config.touch()
        output = self.installed("--system", f"--config={config}")
        self.assertIn("systemctl enable --now rvgahp-ce.service", output)
        text = self.systemUnit.read_text()
        self.assertNotIn("Environment", text)
        self.assertIn(f"rvgahp-ce --config={config}\n", text)
        self.assertFalse(self.unit.exists())

    def test_who(self) -> None:
        """
        Without a word it is root's for root, and one's own for others.
        """
        for uid, path in ((0, self.systemUnit), (1000, self.unit)):
            self.patch(os, "geteuid", lambda uid=uid: uid)
            self.assertIn(f"# {path}\n", self.installed("--dry-run"))

    def test_dryRun(self) -> None:
        """
        Nothing is written; what would be is shown.
        """
        output = self.installed("--user", "--dry-run")
        self.assertFalse(self.unit.exists())
        self.installed("--user")
        self.assertEqual(output, f"# {self.unit}\n{self.unit.read_text()}")

    def test_replace(self) -> None:
        """
        The same may be written again; another is kept, unless C{--replace} is given.
        """
        self.assertNotIn("restart", self.installed("--user"))
        self.assertIn("systemctl --user restart rvgahp-ce.service", self.installed("--user"))
        self.unit.write_text("mine\n")
        self.assertIn(f"{self.unit} is there, and is another", self.refused("--user"))
        self.assertEqual(self.unit.read_text(), "mine\n")
        self.installed("--user", "--replace")
        self.assertIn("WatchdogSec=", self.unit.read_text())

    def test_otherDirectory(self) -> None:
        """
        C{XDG_CONFIG_HOME} is followed, and another configuration is named, its log beside it.
        """
        os.environ["XDG_CONFIG_HOME"] = str(self.home / "xdg")
        os.environ["LD_LIBRARY_PATH"] = '/a b/"c"%'
        config = self.home / "two words"
        config.touch()
        self.installed("--user", f"--config={config}")
        text = (self.home / "xdg" / "systemd" / "user" / "rvgahp-ce.service").read_text()
        self.assertIn(f'"--config={config}"\n', text)
        self.assertIn(f"--logfile={self.home}/ce.log ", text)
        self.assertIn('Environment="LD_LIBRARY_PATH=/a b/\\"c\\"%%"\n', text)

    def test_noConfiguration(self) -> None:
        """
        Where there is no configuration, no unit is written: it would do nothing but fail.
        """
        self.config.unlink()
        self.assertIn(f"there is no configuration {self.config}", self.refused("--user"))
        self.assertFalse(self.unit.exists())

    def test_noTwistd(self) -> None:
        """
        Without a twistd there is none either.
        """
        os.environ["PATH"] = "/nonexistent"
        self.patch(sys, "executable", "/nonexistent/python")
        self.assertIn("there is no twistd", self.refused("--user"))

    def test_unprintable(self) -> None:
        """
        What cannot stand in a unit is refused.
        """
        config = self.home / "a\nb"
        config.touch()
        self.assertIn("cannot stand in a unit", self.refused("--user", f"--config={config}"))

    def test_cron(self) -> None:
        """
        C{--cron} prints lines for crontab, and nothing else is done.
        """
        output = self.installed("--cron", "--user")
        self.assertFalse(self.unit.exists())
        self.assertIn("/run/rvgahp-ce.lock", self.installed("--cron", "--system"))
        lines = [line for line in output.splitlines() if not line.startswith("#")]
        (first, line), (second, other) = (
            (line.split(" flock ")[0], line.partition(" flock ")[2]) for line in lines
        )
        self.assertEqual((first, second), ("@reboot", "*/5 * * * *"))
        self.assertEqual(line, other)
        files = f"{self.home}/.rvgahp/ce"
        self.assertEqual(
            shlex.split(line)[:5],
            [
                "-n",
                f"{files}.lock",
                "sh",
                "-c",
                f"rm -f {files}.pid; exec env PATH=/bin {TWISTD} --nodaemon --no_save"
                f" --pidfile={files}.pid --logfile={files}.log rvgahp-ce",
            ],
        )

    def test_noSystemd(self) -> None:
        """
        Where there is no systemd for one, the same lines are printed; unless a unit is asked
        for by its name.
        """
        self.patch(os, "geteuid", lambda: 1000)
        shutil.rmtree(self.home / "run" / "systemd")
        status, output, errors = self.run_()
        self.assertEqual((status, output), (0, self.installed("--cron")))
        self.assertIn("there is no systemd for your account", errors)
        self.assertFalse(self.unit.exists())
        self.assertIn("There is no systemd here", self.installed("--user"))
        self.assertTrue(self.unit.exists())

    def test_badWords(self) -> None:
        """
        Words that exclude each other, or that there are not.
        """
        for words in (["--user", "--system"], ["--nonsense"], ["more"]):
            status, _, errors = self.run_(*words)
            self.assertEqual(status, 2)
            self.assertIn("usage: rvgahp", errors)


class UnitTests(SynchronousTestCase):
    """
    The texts.
    """

    def test_contrib(self) -> None:
        """
        C{contrib/systemd} has them with the usual paths.
        """
        twistd = ["--nodaemon", "--no_save", "--pidfile="]
        words = ["/opt/rvgahp/bin/twistd", *twistd, "rvgahp-ce"]
        config = "/etc/rvgahp-ce/condor_config"
        reload = ["/opt/rvgahp/bin/rvgahp", "reload", f"--ce={config}"]
        made = systemUnit([*words, f"--config={config}"], reload)
        self.assertEqual((CONTRIB / "rvgahp-ce.service").read_text(), made)
        words = ["/H/rvgahp/bin/twistd", *twistd, "--logfile=/H/.rvgahp/ce.log", "rvgahp-ce"]
        made = userUnit(words, ["/H/rvgahp/bin/rvgahp", "reload", "--ce"], {}).replace("/H/", "%h/")
        self.assertEqual((CONTRIB / "user" / "rvgahp-ce.service").read_text(), made)

    def test_quoted(self) -> None:
        """
        systemd takes each word as it is.
        """
        words = ["/a b/c", "$HOME", "50%", 'a\\"b', ""]
        text = userUnit(words, ["/a b/r", "$"], {"A": "$HOME"})
        self.assertIn('ExecReload="/a b/r" "$$"\n', text)
        self.assertIn('ExecStart="/a b/c" "$$HOME" "50%%" "a\\\\\\"b" ""\n', text)
        self.assertIn('Environment="A=$HOME"\n', text)
        self.assertRaises(RvgahpError, systemUnit, ["/a", "b\n"], ["/a"])


class CronTests(SynchronousTestCase):
    """
    What cron runs.
    """

    if shutil.which("flock") is None:
        skip = "there is no flock here"

    def test_percent(self) -> None:
        """
        cron takes a percent sign for the end of a command, unless there is a backslash.
        """
        self.assertEqual(crontab("a%b").count("a\\%b"), 2)

    def test_once(self) -> None:
        """
        The line starts the program with its variables, and does nothing while that runs;
        afterwards it starts it again, and a pid file that was left is removed.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        said, pidfile, lock = directory / "said it's", directory / "pid", directory / "lock"
        os.mkfifo(directory / "end")
        script = f'echo "$A" >> "{said}"; read line < "{directory / "end"}"'
        line = command(str(lock), str(pidfile), ["sh", "-c", script], {"A": "b  'c'"})
        for runs in (1, 2):
            pidfile.touch()
            words = ["sh", "-c", line]
            with subprocess.Popen(words) as first, (directory / "end").open("w") as end:
                self.assertEqual(subprocess.run(words, timeout=PATIENCE, check=False).returncode, 1)
                end.write("\n")
                end.flush()
                self.assertEqual(first.wait(PATIENCE), 0)
            self.assertEqual(said.read_text(), "b  'c'\n" * runs)
            self.assertFalse(pidfile.exists())
