"""
Real processes: a CE that root has started, and that asks PAM for each GAHP.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from rvgahp.sandbox import SITE
from tests.accountworld import FIRST_UID, AccountWorld, Probe
from tests.pamservice import SERVICE, Service, holders, whyNot
from tests.procfs import PATIENCE, childrenOf, waitFor
from tests.programs import TWISTD_TELLS, program, runProgram
from tests.test_whole_accounts import AccountTestCase


class PAMWorld(AccountWorld):
    """
    The sandbox, with a service.
    """

    service: Service

    def __init__(self) -> None:
        super().__init__(ceSettings=f"RVGAHP_PAM_SERVICE = {SERVICE}\n")
        self.service = Service(self.sandbox.directory)


class PAMTestCase(AccountTestCase):
    """
    Tests with a service.
    """

    skip = whyNot()
    playground: PAMWorld

    def makePlayground(self) -> PAMWorld:
        """
        @return: this class's, not started yet.
        """
        return PAMWorld()

    def setUp(self) -> None:
        self._others = holders()
        super().setUp()
        if self.playground.sandbox.deadDaemon():
            self.playground.startCE()
        self.service = self.playground.service
        self.service.write()
        self.closed = self.service.sessions()[1]

    def tearDown(self) -> None:
        """
        Whatever the test did, nobody holds a session any more.
        """
        self.playground.endClients()
        waitFor(lambda: not self.holders(), "the end of the holders")
        opened, closed = self.service.sessions()
        self.assertEqual(opened, closed)

    def holders(self) -> list[int]:
        """
        @return: those of this test.
        """
        return [pid for pid in holders() if pid not in self._others]

    def held(self, account: str = "rvt2") -> tuple[Probe, int]:
        """
        @return: a GAHP that runs, and the holder of its session.
        """
        probe = self.playground.probe(account)
        (holder,) = waitFor(self.holders, "the holder")
        return probe, holder

    def awaitClosed(self) -> None:
        """
        One more session has been closed.
        """
        waitFor(lambda: self.service.sessions()[1] == self.closed + 1, "the close")


class SurroundingsTests(PAMTestCase):
    """
    What a GAHP has of PAM.
    """

    def test_limits(self) -> None:
        """
        One account has its limits, another those with which the CE was started; variables of
        modules arrive, and the account's own stay.
        """
        lines = ("soft nofile 77", "hard nofile 88", "- nproc 999", "- core 0")
        self.service.file("limits", "".join(f"rvt2 {line}\n" for line in lines))
        self.service.file("env", "SPOOL=/scratch\nHOME=/evil\nLD_PRELOAD_X=1\n")
        self.service.write(
            session="session required pam_limits.so conf=@/limits\n"
            "session required pam_env.so conffile=/dev/null envfile=@/env"
        )
        limited = self.playground.probe("rvt2")
        names = ("NOFILE", "NPROC", "CORE")
        get = "[resource.getrlimit(getattr(resource, 'RLIMIT_' + one)) for one in {}]"
        self.assertEqual(limited.told(get.format(names)), [[77, 88], [999, 999], [0, 0]])
        told = limited.told("report()")
        self.assertEqual(told["environ"]["SPOOL"], "/scratch")
        self.assertEqual(told["environ"]["HOME"], str(self.playground.homes / "rvt2"))
        self.assertEqual((told["uids"], told["groups"]), ([FIRST_UID + 2] * 4, [FIRST_UID + 2]))
        self.assertEqual(told["capabilities"], [0, 0, 0, 0])
        self.assertEqual(told["descriptors"], [0, 1, 2])
        self.assertEqual((told["nnp"], told["blocked"], told["umask"]), (0, 0, 0o27))
        self.assertEqual(limited.told("signal.getitimer(signal.ITIMER_REAL)"), [0, 0])
        free = self.playground.probe("rvt3")
        self.assertNotEqual(free.told("report()['files']")[0], 77)

    def test_refused(self) -> None:
        """
        The client of an account that PAM refuses reads who does, for which service, and what
        to do; other accounts are served.
        """
        self.service.write("required pam_succeed_if.so quiet user != rvt4")
        run = self.playground.run("cat", site=f"rvt4@{SITE}")
        self.assertRefused(run, "PAM refuses the site's account 'rvt4'", f"(service {SERVICE})")
        run = self.playground.run("cat", b"x", f"rvt5@{SITE}")
        self.assertEqual((run.status, run.output), (0, b"x"))
        self.awaitClosed()
        self.service.file("access", "+ : rvt5 : ALL\n- : ALL : ALL\n")
        self.service.write("required pam_access.so accessfile=@/access")
        self.assertRefused(self.playground.run("cat", site=f"rvt4@{SITE}"), "PAM refuses")
        run = self.playground.run("cat", b"x", f"rvt5@{SITE}")
        self.assertEqual((run.status, run.output), (0, b"x"))

    def test_slow(self) -> None:
        """
        A client whose account's PAM hangs reads that, before the proxy gives up.
        """
        self.service.hold("open_session")
        self.addCleanup((self.service.directory / "open_session").unlink)
        opened = self.service.sessions()[0]
        run = self.playground.run("cat", site=f"rvt4@{SITE}")
        self.assertIn("PAM gave no answer within 8 s", run.errors)
        self.assertEqual((run.status, run.output), (255, b""))
        path = self.service.directory / "events"
        self.assertEqual(self.service.sessions()[0], opened + 1)
        lines = [one for one in self.service.events() if not one.startswith("open_session rvt4")]
        path.write_text("".join(f"{one}\n" for one in lines))  # this one is never closed

    def test_attack(self) -> None:
        """
        The account's processes can neither signal, trace nor read the holder, nor find what
        is root's in the GAHP; and no child that they do not know.
        """
        probe, holder = self.held()
        for expression in (
            *(f"os.kill({holder}, {number})" for number in (0, 9, 15, 18, 19)),
            f"ptrace({holder})",
            *(f"open('/proc/{holder}/{name}').read()" for name in ("environ", "mem", "maps")),
            f"os.listdir('/proc/{holder}/fd')",
            f"os.killpg({holder}, 9)",
        ):
            answer = probe.answer(expression)
            self.assertIn(answer.get("error"), ("PermissionError", "ProcessLookupError"), answer)
        self.assertEqual(probe.answer("os.wait()"), {"error": "ChildProcessError"})
        self.assertEqual(probe.answer("os.setresuid(0, 0, 0)"), {"error": "PermissionError"})
        if os.path.exists("/proc/keys"):
            told = probe.told("open('/proc/keys').read()")
            rings = [one for one in told.splitlines() if " keyring   _ses:" in one]
            self.assertEqual(len(rings), 1, told)  # its own


class EndTests(PAMTestCase):
    """
    A session ends with its GAHP.
    """

    def test_client(self) -> None:
        """
        The client goes.
        """
        probe, _ = self.held()
        probe.client.kill()
        self.assertGone(probe.pid)
        self.awaitClosed()

    def test_signals(self) -> None:
        """
        The GAHP ends by itself, by TERM, by KILL.
        """
        for expression in ("os._exit(3)", "os.kill(0, 15)", "os.kill(0, 9)"):
            probe, holder = self.held()
            probe.ask(expression)
            output, _ = probe.client.communicate(timeout=PATIENCE)
            self.assertEqual(output, b"")
            self.awaitClosed()
            self.assertGone(holder)
            self.closed += 1

    def awaitCE(self) -> None:
        """
        The CE ends.
        """
        self.awaitEnd()
        waitFor(lambda: not self.playground.left(), "the end of the accounts' processes")

    def test_ceKilled(self) -> None:
        """
        The CE is killed.
        """
        _, holder = self.held()
        launcher = self.launcher()
        os.kill(self.playground.cePid, signal.SIGKILL)
        self.awaitCE()
        for pid in (holder, launcher):
            self.assertGone(pid)
        self.awaitClosed()

    def test_ceStopped(self) -> None:
        """
        The CE is stopped: when it has ended, the session is closed.
        """
        self.held()
        self.playground.sandbox.ce.stop()
        self.assertEqual(self.service.sessions()[1], self.closed + 1)
        self.assertEqual(self.holders(), [])

    def test_launcherKilled(self) -> None:
        """
        The launcher is killed.
        """
        probe, holder = self.held()
        os.kill(self.launcher(), signal.SIGKILL)
        for pid in (probe.pid, holder):
            self.assertGone(pid)
        self.awaitClosed()
        self.awaitCE()

    def test_all(self) -> None:
        """
        A service manager sends TERM to all of them at once.
        """
        _, holder = self.held()
        launcher = self.launcher()
        for pid in (holder, *childrenOf(launcher), launcher):
            os.kill(pid, signal.SIGTERM)
        self.awaitCE()
        self.assertGone(holder)
        self.awaitClosed()


class StartTests(PAMTestCase):
    """
    A CE that cannot ask PAM.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def start(self, lines: str) -> Any:
        """
        @return: how a CE ended that was started with further lines.
        """
        path = self.directory / "config"
        text = (self.playground.sandbox.directory / "condor_config.rvgahp-ce").read_text()
        path.write_text(text + lines)
        twistd = [program("twistd"), "--nodaemon", "--pidfile="]
        return runProgram([*twistd, "rvgahp-ce", f"--config={path}"])

    def test_notStarted(self) -> None:
        """
        Without the service, or with one that cannot be, it does not start, and says why.
        """
        for name, words in (
            ("no-such-service", "/etc/pam.d/no-such-service, which RVGAHP_PAM_SERVICE names"),
            ("../login", "RVGAHP_PAM_SERVICE"),
            ("Login", "RVGAHP_PAM_SERVICE"),
        ):
            run = self.start(f"RVGAHP_ACCOUNT = nobody\nRVGAHP_PAM_SERVICE = {name}\n")
            self.assertIn(words, run.errors)
            self.assertEqual(run.errors.count("\n"), 1, run)
            if TWISTD_TELLS:
                self.assertNotEqual(run.status, 0)
