"""
Real processes: a CE that root has started, and GAHPs of many accounts.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rvgahp import limits
from rvgahp.sandbox import SITE
from tests.accountworld import CE_UID, COUNT, FIRST_UID, TOGETHER, AccountWorld, whyNot
from tests.procfs import PATIENCE, childrenOf, isAlive, isStopped, waitFor
from tests.programs import TWISTD_TELLS, program, runProgram
from tests.relay import Relay
from tests.tunnelcase import GAHP, Gridmanager, TunnelClient, connectRequest, receive
from tests.wholecase import PlaygroundTestCase

#: What the interpreter and the C library ignore by themselves.
_OWN_SIGNALS = 1 << 31 | 1 << 32 | 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1

#: What a GAHP has in its environment, and nothing else of root's.
_VARIABLES = {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ"}


class AccountTestCase(PlaygroundTestCase):
    """
    Tests with accounts.
    """

    skip = whyNot()
    playground: AccountWorld

    def makePlayground(self) -> AccountWorld:
        """
        @return: this class's, not started yet.
        """
        return AccountWorld()

    def launcher(self) -> int:
        """
        @return: the process of the CE's launcher.
        """
        (pid,) = childrenOf(self.playground.cePid)
        return pid

    def awaitEnd(self) -> int:
        """
        @return: the status with which the CE ends.
        """
        process = self.playground.sandbox.ce.process
        assert process is not None
        return process.wait(PATIENCE)


class SurroundingsTests(AccountTestCase):
    """
    What GAHPs of many accounts find, and what they cannot do.
    """

    def test_ten(self) -> None:
        """
        Ten accounts at once: each GAHP has the rights, groups, home and environment of its
        account, and nothing of root's or of the CE's.
        """
        os.environ["RVT_SECRET"] = "secret"
        self.addCleanup(os.environ.pop, "RVT_SECRET")
        probes = [self.playground.probe(f"rvt{number}") for number in range(COUNT)]
        self.assertEqual(sorted(self.playground.gahpPids()), sorted(one.pid for one in probes))
        for number, probe in enumerate(probes):
            self._checkReport(f"rvt{number}", FIRST_UID + number, probe.told("report()"))

    def _checkReport(self, name: str, uid: int, told: dict[str, Any]) -> None:
        home = str(self.playground.homes / name)
        self.assertEqual((told["uids"], told["gids"]), ([uid] * 4, [uid] * 4))
        shared = [TOGETHER] if name in ("rvt0", "rvt1") else []
        self.assertEqual(told["groups"], sorted([uid, *shared]))
        self.assertEqual(told["capabilities"], [0, 0, 0, 0])
        self.assertEqual((told["nnp"], told["group"], told["blocked"]), (0, True, 0))
        self.assertEqual(told["ignored"] & ~_OWN_SIGNALS, 0)
        self.assertEqual((told["umask"], told["cwd"]), (0o27, home))
        self.assertEqual(told["descriptors"], [0, 1, 2])
        self.assertNotEqual(told["terminal"], None)
        environ = told["environ"]
        names = {one for one in environ if not one.startswith("LC_")}
        self.assertLessEqual(names, _VARIABLES)
        self.assertEqual([environ[one] for one in ("HOME", "USER", "LOGNAME")], [home, name, name])
        self.assertEqual(environ["SHELL"], "/sbin/nologin")

    def test_processes(self) -> None:
        """
        The CE has no rights and cannot gain any; the launcher is root and reads nothing from
        the network.
        """
        status = Path(f"/proc/{self.playground.cePid}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        self.assertEqual(fields["Uid"].split(), [str(CE_UID)] * 4)
        self.assertEqual(fields["Gid"].split(), [str(CE_UID)] * 4)
        self.assertEqual(fields["Groups"].split(), [str(CE_UID)])
        for name in ("CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(fields[name], 16), 0)
        self.assertEqual(fields["NoNewPrivs"], "1")
        launcher = self.launcher()
        self.assertEqual(os.stat(f"/proc/{launcher}/task").st_uid, 0)
        self.assertEqual(os.getsid(launcher), launcher)
        opened = [os.readlink(f"/proc/{launcher}/fd/{fd}") for fd in (0, 1, 2)]
        self.assertEqual([one.split(":")[0] for one in opened], ["socket", "pipe", "pipe"])

    def test_apart(self) -> None:
        """
        What is one account's, another cannot read, trace or signal: files, environment,
        descriptors, the GAHP; nor the CE's, nor its launcher, nor the CE's key.  Its own it
        can.
        """
        alice, bob = self.playground.probe("rvt2"), self.playground.probe("rvt3")
        secret = self.playground.homes / "rvt2" / "secret"
        alice.told(f"os.close(os.open({str(secret)!r}, os.O_CREAT | os.O_WRONLY, 0o600))")
        directory = self.playground.sandbox.directory
        pids = alice.pid, self.playground.cePid, self.launcher()
        alien = [f"open({str(path)!r}).read()" for path in (secret, directory / "ce.key")]
        alien.append("open('/etc/shadow').read()")
        for pid in pids:
            alien += [f"open('/proc/{pid}/environ').read()", f"os.listdir('/proc/{pid}/fd')"]
            alien += [f"open('/proc/{pid}/fd/0')", f"open('/proc/{pid}/mem')", f"ptrace({pid})"]
            alien += [f"os.kill({pid}, {number})" for number in (0, 9, 18, 19)]
            alien.append(f"os.setpgid(os.fork() or os._exit(0), {pid})")
        for expression in alien:
            answer = bob.answer(expression)
            self.assertEqual(answer, {"error": "PermissionError"}, expression)
        for expression in (alien[0], *alien[3:5], f"os.kill({alice.pid}, 0)"):
            alice.told(expression)
        self.assertEqual(bob.answer("os.setresuid(0, 0, 0)"), {"error": "PermissionError"})

    def test_mapped(self) -> None:
        """
        Who asks for no account has the one that the map gives his name.
        """
        self.assertEqual(self.playground.probe().told("report()['uids'][0]"), FIRST_UID)
        self.playground.awaitLog("ce", "starting probe for root")

    def test_refused(self) -> None:
        """
        Accounts that there are not, or that may not be had, are refused with a sentence.
        """
        for account, words in (
            ("root", "'root' is root, and RVGAHP_ALLOW_ROOT is not true"),
            ("rvtroot", "'rvtroot' is root"),
            ("rvtlow", "RVGAHP_LOWEST_UID is "),
            ("rvtce", "'rvtce' is that of rvgahp-ce"),
            ("rvtold", "'rvtold' has expired"),
            ("rvtnone", "the site has no account 'rvtnone'"),
        ):
            self.assertRefused(self.playground.run("cat", site=f"{account}@{SITE}"), words)
        self.assertServes()
        self.assertEqual(self.playground.left(), [self.playground.cePid])

    def test_ends(self) -> None:
        """
        A GAHP of another account is ended by TERM and KILL when its client goes, though the
        CE itself may not signal it.
        """
        probe = self.playground.probe("rvt4")
        probe.told("signal.signal(signal.SIGTERM, signal.SIG_IGN) and None")
        probe.ask("time.sleep(1000)")
        probe.client.kill()
        self.assertGone(probe.pid)


class EndTests(AccountTestCase):
    """
    Ends of the CE and of its launcher.
    """

    def setUp(self) -> None:
        super().setUp()
        if self.playground.sandbox.deadDaemon():
            self.playground.startCE()

    def tearDown(self) -> None:
        """
        Begin again.
        """
        if self.playground.sandbox.deadDaemon():
            self.playground.startCE()

    def pids(self) -> list[int]:
        """
        @return: GAHPs of two accounts: one that ignores TERM, one that is stopped.
        """
        stubborn, stopped = self.playground.probe("rvt5"), self.playground.probe("rvt6")
        stubborn.told("signal.signal(signal.SIGTERM, signal.SIG_IGN) and None")
        os.kill(stopped.pid, signal.SIGSTOP)
        waitFor(lambda: isStopped(stopped.pid), "the stop")
        return [stubborn.pid, stopped.pid]

    def test_killed(self) -> None:
        """
        The CE is killed: no GAHP survives, of whatever account, and nor does the launcher.
        """
        launcher, pids = self.launcher(), self.pids()
        os.kill(self.playground.cePid, signal.SIGKILL)
        for pid in (*pids, launcher):
            self.assertGone(pid)
        self.awaitEnd()
        self.assertEqual(self.playground.left(), [])

    def test_stopped(self) -> None:
        """
        The CE is stopped: the same.
        """
        pids = self.pids()
        self.playground.sandbox.ce.stop()
        self.assertEqual([pid for pid in pids if isAlive(pid)], [])
        self.assertEqual(self.playground.left(), [])

    def test_launcherKilled(self) -> None:
        """
        The launcher is killed: so are the GAHPs, a client hears why, and the CE ends with a
        sentence and a status other than 0, for it cannot have another.
        """
        client = self.playground.client("cat", f"rvt7@{SITE}")
        pids = waitFor(self.playground.gahpPids, "the GAHP")
        os.kill(self.launcher(), signal.SIGKILL)
        for pid in pids:
            self.assertGone(pid)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (128 + signal.SIGKILL, b""))
        self.assertIn(b"the site's CE lost its launcher", errors)
        self.assertEqual(self.awaitEnd(), 1)
        self.playground.awaitLog("ce", "only root can start another: rvgahp-ce ends")


class TunnelTests(AccountTestCase):
    """
    Tunnels of GAHPs of other accounts.
    """

    def makePlayground(self) -> AccountWorld:
        """
        @return: one whose C{condor_ft-gahp} only speaks.
        """
        world = AccountWorld(relay=Relay())
        path = world.sandbox.directory / "ft-gahp"
        path.write_text(GAHP)
        path.chmod(0o755)
        world.sandbox._extraSettings["rvgahp-ce"] += f"FT_GAHP = {path}\n"
        return world

    def setUp(self) -> None:
        super().setUp()
        self.gridmanager = Gridmanager()
        self.addCleanup(self.gridmanager.close)
        environ = {**os.environ, "CONDOR_INHERIT": self.gridmanager.inherit()}
        site = f"rvt8@{SITE}"
        process = self.playground.client("condor_ft-gahp", site, env=environ)
        self.client = TunnelClient(process)
        self.addCleanup(self.client.close)
        (self.pid,) = waitFor(self.playground.gahpPids, "the GAHP")

    def connected(self, account: str) -> tuple[Any, Callable[[], dict[str, Any]]]:
        """
        Have a process of an account connect to the port.

        @return: it, and what waits for what it got.
        """
        probe = self.playground.probe(account)
        probe.ask(f"connect({self.client.sitePort}, {connectRequest().hex()!r})")
        return probe, probe.answer

    def test_owner(self) -> None:
        """
        A connection of the GAHP's own account passes; one of another account, of root, and
        of the CE's, gets nothing through, and the log says whose it was.
        """
        self.client.pathOf(b"x")
        self.assertTrue(self.client.isRefused())
        self.playground.awaitLog("ce", "this one comes from root (uid 0)", self.before("ce"))
        _, got = self.connected("rvt9")
        self.assertIn(got().get("error", ""), ("", "ConnectionResetError", "BrokenPipeError"))
        name = f"(uid {FIRST_UID + 9})"
        line = self.playground.awaitLog("ce", name, self.before("ce"))
        self.assertIn(f"must come from rvt8 (uid {FIRST_UID + 8})", line)
        self.assertTrue(self.gridmanager.isQuiet())
        _, got = self.connected("rvt8")
        near = self.gridmanager.accept()
        self.assertEqual(receive(near, len(connectRequest())), connectRequest())
        near.sendall(b"good")
        self.assertEqual(got(), {"value": "good"})

    def test_pause(self) -> None:
        """
        While the submit host cannot be reached, a GAHP of another account is stopped, and
        it goes on when it can.
        """
        self.connected("rvt8")
        near = self.gridmanager.accept()
        self.assertEqual(receive(near, len(connectRequest())), connectRequest())
        self.playground.relay.hold()
        waitFor(lambda: isStopped(self.pid), "the stop", limits.PAUSE_AFTER + PATIENCE)
        self.playground.relay.hold(False, False)
        waitFor(lambda: not isStopped(self.pid), "its going on")
        self.assertTrue(isAlive(self.pid))


class StartTests(AccountTestCase):
    """
    Starts of the CE.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def config(self, lines: str) -> str:
        """
        @return: the path of the sandbox's configuration with further lines.
        """
        path = self.directory / "config"
        text = (self.playground.sandbox.directory / "condor_config.rvgahp-ce").read_text()
        path.write_text(text + lines)
        return str(path)

    def test_notStarted(self) -> None:
        """
        Where the CE's account is not there, or is root, it does not start, and says why.
        """
        for lines, words, *options in (
            ("RVGAHP_ACCOUNT = rvtnone\n", "There is no account rvtnone (RVGAHP_ACCOUNT)"),
            ("RVGAHP_ACCOUNT = root\n", "a CE stays root only where RVGAHP_ALLOW_ROOT"),
            ("", "a way back to root", "--uid=65534", "--euid"),
            ("CERTIFICATE_MAPFILE = /no/such/file\nRVGAHP_ACCOUNT = nobody\n", "/no/such/file"),
        ):
            twistd = [program("twistd"), "--nodaemon", "--pidfile=", *options]
            run = runProgram([*twistd, "rvgahp-ce", f"--config={self.config(lines)}"])
            self.assertIn(words, run.errors)
            self.assertEqual(run.errors.count("\n"), 1, run)
            if TWISTD_TELLS:
                self.assertNotEqual(run.status, 0)

    def test_daemon(self) -> None:
        """
        As a daemon it lets go of root too, goes on to write its log, and its pid file has
        its pid.
        """
        directory = self.playground.sandbox.directory
        self.playground.sandbox.ce.stop()
        self.addCleanup(self.playground.startCE)
        words = self.playground.sandbox.ce.command
        start = next(number for number, word in enumerate(words) if word == "--nodaemon")
        options = [f"--pidfile={directory}/pid", f"--logfile={directory}/daemon.log", "--no_save"]
        role = words[words.index("rvgahp-ce") :]
        (directory / "python").rmdir()
        run = runProgram([*words[:start], *options, *role], cwd=directory)
        self.assertEqual((run.status, run.errors), (0, ""))
        pid = int((directory / "pid").read_text())
        log = directory / "daemon.log"
        try:
            waitFor(lambda: "Accepted by the proxy" in log.read_text(), "the start")
            self.assertEqual(os.stat(f"/proc/{pid}/task").st_uid, CE_UID)
            (launcher,) = childrenOf(pid)
            self.assertEqual(os.stat(f"/proc/{launcher}/task").st_uid, 0)
            run = self.playground.run("cat", b"x", f"rvt1@{SITE}")
            self.assertEqual((run.status, run.output), (0, b"x"))
        finally:
            os.kill(pid, signal.SIGTERM)
            waitFor(lambda: not isAlive(pid) and not isAlive(launcher), "the end")
        self.assertIn("Server Shut Down", log.read_text())

    def test_uid(self) -> None:
        """
        Where twistd changes the account itself, GAHPs run as that one, and another is
        refused.
        """
        self.playground.sandbox.ce.stop()
        command = self.playground.sandbox.ce.command
        self.addCleanup(self.playground.startCE)
        self.addCleanup(setattr, self.playground.sandbox.ce, "command", command)
        start = command.index("--nodaemon")
        options = [f"--uid={CE_UID}", f"--gid={CE_UID}"]
        self.playground.sandbox.ce.command = [*command[:start], *options, *command[start:]]
        self.playground.startCE()
        self.assertEqual(self.playground.probe().told("report()['uids']"), [CE_UID] * 4)
        self.assertRefused(
            self.playground.run("cat", site=f"rvt1@{SITE}"), "'rvtce' and starts GAHPs as nobody"
        )
