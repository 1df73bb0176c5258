"""
Real processes: what GAHPs find when a CE starts them, and what their clients say of those
that cannot be started.
"""

from __future__ import annotations

import os
import pwd
import resource
import signal
from pathlib import Path

from rvgahp.gahpenvironment import PATH, WITHHELD
from tests.playground import Playground
from tests.procfs import PATIENCE, childrenOf, isStopped, waitFor
from tests.programs import gahp, speaker
from tests.wholecase import PlaygroundTestCase

#: What the CE has of each that its GAHPs must not have, where it cannot be anything.
ODD = {
    "_CONDOR_RVGAHP_*": ("_CONDOR_RVGAHP_STDIN_GRACE", "59"),
    "_CONDOR_RVGAHP.*": ("_CONDOR_RVGAHP.RVGAHP_STDIN_GRACE", "58"),
    "PYTHON*": ("PYTHONDONTWRITEBYTECODE", "1"),
    "VIRTUAL_ENV": ("VIRTUAL_ENV", "/opt/secret"),
}

#: Bits of the signals that the C library keeps for itself.
LIBRARYS_OWN = 1 << 31 | 1 << 32

ACCOUNT = pwd.getpwuid(os.geteuid())

#: Why not, where a build daemon's account has no home.
HOMELESS = None if os.access(ACCOUNT.pw_dir, os.X_OK) else "this account has no home"


def withheld() -> dict[str, str]:
    """
    @return: one variable for each name of the table.
    """
    names = [name for names, _ in WITHHELD for name in names.split()]
    return dict(ODD.get(name, (name.replace("*", "_X"), "secret")) for name in names)


class EnvironmentTestCase(PlaygroundTestCase):
    """
    A CE that is started with an environment of the test's own.
    """

    def setUp(self) -> None:
        self.patch(os, "environ", self.environ())
        super().setUp()

    def environ(self) -> dict[str, str]:
        """
        @return: the environment.
        """
        return dict(os.environ)

    def makePlayground(self) -> Playground:  # so that no other class shares it
        return super().makePlayground()

    def told(self, name: str) -> str:
        """
        @return: what a GAHP that only says something says.
        """
        run = self.playground.run(name)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        return run.output.decode()


class SurroundingsTests(EnvironmentTestCase):
    """
    What the kernel says of a GAHP.
    """

    skip = HOMELESS
    gahps = {
        "cat": "/bin/cat",
        "environ": "/bin/cat /proc/self/environ",
        "stat": "/bin/cat /proc/self/stat",
        "status": "/bin/cat /proc/self/status",
        "limits": "/bin/cat /proc/self/limits",
        "directory": "/bin/readlink /proc/self/cwd",
        "descriptors": "/bin/ls /proc/self/fd",
        "stubborn": gahp("stubborn"),
    }
    ceSettings = "RVGAHP_UMASK = 027\n"

    def environ(self) -> dict[str, str]:
        """
        All that is to be withheld, and nothing of the account.
        """
        account = ("HOME", "USER", "LOGNAME", "SHELL", "PATH")
        kept = {name: value for name, value in os.environ.items() if name not in account}
        return {**kept, **withheld(), "CONDOR_CONFIG": "/odd ünï"}

    def test_environment(self) -> None:
        """
        It has the CE's environment without what is withheld, and what every program
        needs.
        """
        found = dict(one.split("=", 1) for one in self.told("environ").split("\0") if one)
        beginnings = ("PYTHON", "SSH_", "_CONDOR_RVGAHP", "_CONDOR_Assigned")
        expected = {
            name: value
            for name, value in os.environ.items()
            if name not in withheld() and not name.startswith(beginnings)
        }
        expected.update(
            RVGAHP_BLAH_DIR=str(self.playground.sandbox.directory / "blah"),
            HOME=ACCOUNT.pw_dir,
            USER=ACCOUNT.pw_name,
            LOGNAME=ACCOUNT.pw_name,
            SHELL=ACCOUNT.pw_shell,
            PATH=PATH,
        )
        self.assertEqual(found, expected)
        self.assertEqual(found["CONDOR_CONFIG"], "/odd ünï")

    def test_signals(self) -> None:
        """
        It ignores, catches and blocks no signal, though the CE's Python does.
        """
        lines = dict(line.split(":\t", 1) for line in self.told("status").splitlines())
        for mask in ("SigIgn", "SigCgt", "SigBlk"):
            self.assertEqual(int(lines[mask], 16) & ~LIBRARYS_OWN, 0, mask)
        self.assertEqual(int(lines["Umask"], 8), 0o027)
        self.assertEqual(lines["Uid"].split()[0], str(os.geteuid()))

    def test_group(self) -> None:
        """
        It leads a process group in the CE's session.
        """
        fields = self.told("stat").rpartition(")")[2].split()
        pid = int(self.told("stat").split()[0])
        parent, group, session = map(int, fields[1:4])
        self.assertNotEqual(group, pid)
        self.assertEqual([parent], childrenOf(self.playground.cePid))
        self.assertEqual(session, os.getsid(self.playground.cePid))

    def test_limits(self) -> None:
        """
        Its limits are those with which the CE was started; the CE's own for descriptors
        is another.
        """
        lines = self.told("limits").splitlines()
        found = {line[:26].strip(): line[26:].split()[:2] for line in lines}
        for name, number in (
            ("Max open files", resource.RLIMIT_NOFILE),
            ("Max core file size", resource.RLIMIT_CORE),
            ("Max nice priority", resource.RLIMIT_NICE),
        ):
            expected = [
                "unlimited" if one == resource.RLIM_INFINITY else str(one)
                for one in resource.getrlimit(number)
            ]
            self.assertEqual(found[name], expected, name)

    def test_place(self) -> None:
        """
        It is in its home, with three descriptors and no more.
        """
        self.assertEqual(self.told("directory"), f"{os.path.realpath(ACCOUNT.pw_dir)}\n")
        self.assertEqual(self.told("descriptors").split(), ["0", "1", "2", "3"])  # 3: ls

    def test_launcherKilled(self) -> None:
        """
        When the launcher is killed while the CE can do nothing, the kernel ends the GAHP;
        when the CE can, the client says why, and the next start works.
        """
        client = self.playground.client("stubborn")
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        (launcher,) = childrenOf(self.playground.cePid)
        os.kill(self.playground.cePid, signal.SIGSTOP)
        try:
            waitFor(lambda: isStopped(self.playground.cePid), "the CE to stop")
            os.kill(launcher, signal.SIGKILL)
            self.assertGone(pid)
        finally:
            os.kill(self.playground.cePid, signal.SIGCONT)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (128 + signal.SIGKILL, b""))
        self.assertEqual(
            errors,
            b"rvgahp_client: the site's CE lost its launcher, the parent of all GAHPs, and they"
            b" ended with it\n",
        )
        self.assertServes()


class HomelessTests(EnvironmentTestCase):
    """
    A home that is not there.
    """

    gahps = {"directory": "/bin/readlink /proc/self/cwd"}

    def environ(self) -> dict[str, str]:
        return {**os.environ, "HOME": "/no/such/home"}

    def test_homeless(self) -> None:
        """
        GAHPs start in the root directory; their clients and the CE's log say so.
        """
        run = self.playground.run("directory")
        self.assertEqual((run.status, run.output), (0, b"/\n"))
        problem = "/no/such/home cannot be entered: No such file or directory"
        self.assertEqual(run.errors, f"rvgahp-ce: starting in / because {problem}\n")
        self.playground.awaitLog("ce", "/no/such/home cannot be entered: GAHPs start in /")


class WrongTests(EnvironmentTestCase):
    """
    What cannot be started, and why.
    """

    def makePlayground(self) -> Playground:
        directory = Path(self.mktemp()).absolute()
        (directory / "directory").mkdir(parents=True)
        for name, text, mode in (
            ("plain", "text", 0o600),
            ("format", "text", 0o700),
            ("interpreter", "#!/no/such/interpreter\n", 0o700),
        ):
            (directory / name).write_text(text)
            (directory / name).chmod(mode)
        names = ("plain", "format", "interpreter", "directory", "none")
        gahps = {name: str(directory / name) for name in names}
        return Playground({"cat": "/bin/cat", "long": f"/bin/echo {'x' * 140_000}", **gahps})

    def test_programs(self) -> None:
        """
        Each is refused with its reason, at once, and the CE goes on.
        """
        for name, words in (
            ("none", "/none, the site's program for none, is not there"),
            ("plain", "/plain, the site's program for plain, may not be executed"),
            ("directory", "/directory, the site's program for directory, is a directory"),
            ("format", "/format: it is neither a program for this machine nor a script"),
            ("interpreter", "/interpreter: the interpreter that it names is not there"),
            ("long", "/bin/echo: its arguments and environment are more than the kernel takes"),
        ):
            self.assertRefused(self.playground.run(name), words)
        self.assertServes()

    def test_start(self) -> None:
        """
        What can be known of it at the CE's start stands in its log.
        """
        for words in ("/none, the site's program", "/plain, the site's", "is a directory"):
            self.playground.awaitLog("ce", words)
        self.assertNotIn("for cat", self.playground.log("ce"))

    def test_descriptors(self) -> None:
        """
        A CE, or a launcher, that can have no more descriptors says so; when it can, it
        starts GAHPs again.
        """
        self.assertServes()
        pid = self.playground.cePid
        (launcher,) = childrenOf(pid)
        for which, words in ((pid, "no descriptors left"), (launcher, "no process could be made")):
            self.playground.quiet()
            soft, hard = resource.prlimit(which, resource.RLIMIT_NOFILE)
            resource.prlimit(which, resource.RLIMIT_NOFILE, (3, hard))
            try:
                self.assertRefused(self.playground.run("cat"), words)
            finally:
                resource.prlimit(which, resource.RLIMIT_NOFILE, (soft, hard))
            self.assertServes()


class BoscoTests(EnvironmentTestCase):
    """
    What C{condor_remote_cluster} has installed, by one setting.
    """

    ceSettings = "RVGAHP_BOSCO_DIR = $ENV(HOME)/bosco\n"

    #: Where it is, for all tests of the class.
    home = Path()

    @property
    def glite(self) -> Path:
        """
        Where its parts are.
        """
        return self.home / "bosco" / "glite"

    def environ(self) -> dict[str, str]:
        """
        Make a home with stand-ins for the two GAHPs in it.
        """
        if not self.home.is_absolute():
            type(self).home = Path(self.mktemp()).absolute() / "home ünï"
            self._install()
        return {**os.environ, **withheld(), "HOME": str(self.home)}

    def _install(self) -> None:
        for name in ("bin", "etc"):
            (self.glite / name).mkdir(parents=True)
        (self.home / ".bash_profile").write_text(
            "umask 077\nexport PATH=/opt/batch/bin:$PATH BLAHPD_LOCATION=/else PYTHONPATH=/mine\n"
        )
        (self.glite / "etc" / "condor_config.ft-gahp").write_text("LOG = $ENV(HOME)/log\n")
        for name in ("blahpd", "condor_ft-gahp"):
            path = self.glite / "bin" / name
            told = 'echo "$0 $*"; umask; cat /proc/$$/environ'
            path.write_text(speaker(name, f"{{ {told}; }} > '{self.home}/told'"))
            path.chmod(0o700)

    def told(self, name: str) -> str:
        run = self.playground.run(name)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        return (self.home / "told").read_text()

    def found(self, name: str, *words: str) -> dict[str, str]:
        """
        @return: the environment of a GAHP, started with certain words.
        """
        line, umask, environ = self.told(name).split("\n", 2)
        self.assertEqual(line, " ".join((f"{self.glite}/bin/{name}", *words)) + " " * (not words))
        self.assertEqual(umask, "0077")
        found = dict(one.split("=", 1) for one in environ.split("\0") if one)
        self.assertTrue(found["PATH"].startswith("/opt/batch/bin:"))
        self.assertEqual(found["PYTHONPATH"], "/mine")
        self.assertEqual(found["HOME"], str(self.home))
        self.assertNotIn("secret", " ".join(found.values()))
        return found

    def test_both(self) -> None:
        """
        Both have the login shell's surroundings, with the places that are theirs.
        """
        found = self.found("blahpd")
        for name in ("BLAHPD_LOCATION", "GLITE_LOCATION"):
            self.assertEqual(found[name], str(self.glite))
        self.assertNotIn("CONDOR_CONFIG", found)
        found = self.found("condor_ft-gahp", "-f")
        self.assertEqual(found["CONDOR_CONFIG"], f"{self.glite}/etc/condor_config.ft-gahp")

    def test_ends(self) -> None:
        """
        Such a GAHP is one process, which hears what it is sent.
        """
        path = self.glite / "bin" / "blahpd"
        text = path.read_text()
        self.addCleanup(path.write_text, text)
        prelude = f"trap 'echo heard >&2; exit 7' TERM; echo $$ > '{self.home}/pid'"
        path.write_text(speaker("stays", prelude) + "while :; do sleep 0.05; done\n")
        client = self.playground.client("blahpd")
        assert client.stdout is not None
        client.stdout.readline()
        self.assertEqual(self.playground.gahpPids(), [int((self.home / "pid").read_text())])
        client.send_signal(signal.SIGTERM)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (7, b""))
        self.assertTrue(errors.endswith(b"heard\n"), errors)  # its shell may say something

    def test_missing(self) -> None:
        """
        What is missing is named to the client, and is found again when it is there.
        """
        for name, path in (
            ("blahpd", self.glite / "bin" / "blahpd"),
            ("condor_ft-gahp", self.glite / "etc" / "condor_config.ft-gahp"),
        ):
            away = path.with_name("away")
            path.rename(away)
            try:
                self.assertRefused(self.playground.run(name), str(path), name, "is not there")
            finally:
                away.rename(path)
            self.told(name)
