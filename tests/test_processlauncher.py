"""
Tests of L{rvgahp.processlauncher}: a real launcher on a reactor of the test's own.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SkipTest

from rvgahp import launcherrules
from rvgahp.errors import ConfigurationError
from rvgahp.processlauncher import LaunchUser, ProcessLauncher
from tests.privatereactor import ReactorTestCase
from tests.procfs import childrenOf, isAlive


def request(*words: str, **environment: str) -> dict[str, Any]:
    """
    @return: a request for a program.
    """
    return {
        "program": words[0],
        "arguments": words[1:],
        "environment": environment,
        "directory": "/",
        "umask": 0o22,
        "descriptors": 0,
    }


class Recorder(LaunchUser):
    """
    What is told of a process.

    @ivar events: in order.
    @ivar why: the reason that was told with its end.
    @ivar uid: the account that it ran as.
    """

    def __init__(self) -> None:
        self.uid = -1
        self.events: list[Any] = []
        self.why = ""

    def launched(self, uid: int) -> None:
        self.uid = uid
        self.events.append("launched")

    def launchFailed(self, problem: str) -> None:
        self.events.append(("failed", problem))

    def exited(self, signalled: bool, value: int, why: str = "") -> None:
        self.events.append(("signal" if signalled else "exit", value))
        self.why = why


class LauncherTestCase(ReactorTestCase):
    """
    A launcher and its CE.
    """

    def setUp(self) -> None:
        """
        Begin without one.
        """
        super().setUp()
        self.launcher = ProcessLauncher(self.reactor, 0.2)
        self.names: list[int] = []

    def tearDown(self) -> None:
        """
        It ends, and all that it started.
        """
        self.resultOf(self.launcher.stop())
        self.assertEqual(childrenOf(os.getpid()), [])
        super().tearDown()

    def streams(self) -> list[int]:
        """
        @return: descriptors for one process.
        """
        return [os.open("/dev/null", os.O_RDWR) for _ in range(3)]

    def launch(self, *words: str, **environment: str) -> Recorder:
        """
        Start a process.
        """
        user = Recorder()
        name = self.launcher.launch(user, request(*words, **environment), self.streams())
        self.names.append(name)
        return user

    def running(self, *words: str) -> Recorder:
        """
        Start a process, and wait until it runs.
        """
        user = self.launch(*words)
        self.until(lambda: user.events == ["launched"])
        return user

    def untilEvents(self, user: Recorder, count: int) -> None:
        """
        Wait until so much was told of a process.
        """
        self.until(lambda: len(user.events) >= count)

    def pid(self) -> int:
        """
        @return: the launcher's process.
        """
        (pid,) = childrenOf(os.getpid())
        return pid


class LaunchTests(LauncherTestCase):
    """
    Starts and ends.
    """

    def test_ends(self) -> None:
        """
        Each process is told to run, and then how it ended.
        """
        users = [self.launch("/bin/sh", "-c", f"exit {number}") for number in range(30)]
        users.append(self.launch("/bin/sh", "-c", "kill -KILL $$"))
        for number, user in enumerate(users[:-1]):
            self.untilEvents(user, 2)
            self.assertEqual(user.events, ["launched", ("exit", number)])
        self.until(lambda: len(users[-1].events) == 2)
        self.assertEqual(users[-1].events, ["launched", ("signal", signal.SIGKILL)])

    def test_one(self) -> None:
        """
        There is one launcher however often it is asked for.
        """
        self.launcher.start()
        pid = self.pid()
        self.running("/bin/sleep", "1000")
        self.launcher.start()
        self.assertEqual(self.pid(), pid)

    def test_failed(self) -> None:
        """
        One that cannot be executed is told so, and nothing else.
        """
        user = self.launch("/no/such/program")
        self.until(lambda: user.events)
        self.spend(0.05)
        self.assertEqual(user.events, [("failed", "/no/such/program: No such file or directory")])

    def test_tooLarge(self) -> None:
        """
        A request that is too large for one packet fails with a reason; the next is served.
        """
        user = self.launch("/bin/true", HUGE="x" * 1_000_000)
        self.until(lambda: user.events)
        ((event, problem),) = user.events
        self.assertEqual(event, "failed")
        self.assertRegex(problem, "its arguments and environment, 10001.. bytes, are more")
        self.running("/bin/sleep", "1000")

    def test_signal(self) -> None:
        """
        A signal reaches its process, and none that has ended.
        """
        user = self.running("/bin/sleep", "1000")
        other = self.running("/bin/sleep", "1000")
        self.launcher.signal(self.names[0], signal.SIGTERM)
        self.until(lambda: len(user.events) == 2)
        self.assertEqual(user.events[1], ("signal", signal.SIGTERM))
        self.launcher.signal(self.names[0], signal.SIGTERM)
        self.launcher.signal(4711, signal.SIGTERM)
        self.spend(0.05)
        self.assertEqual(other.events, ["launched"])

    def test_busy(self) -> None:
        """
        A launcher that is slow takes what waits for it when it can.
        """
        self.running("/bin/sleep", "1000")
        os.kill(self.pid(), signal.SIGSTOP)
        users = [self.launch("/bin/sh", "-c", "exit 0", X="x" * 50_000) for _ in range(20)]
        self.spend(0.05)
        self.assertEqual([user.events for user in users], [[]] * 20)
        os.kill(self.pid(), signal.SIGCONT)
        for user in users:
            self.untilEvents(user, 2)


class EndTests(LauncherTestCase):
    """
    Ends of the launcher.
    """

    def test_stop(self) -> None:
        """
        When it is stopped, so are its processes, the stubborn ones by force; nobody is
        told any more.
        """
        user = self.running("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.02; done")
        pids = childrenOf(self.pid())
        self.resultOf(self.launcher.stop())
        self.assertEqual([pid for pid in pids if isAlive(pid)], [])
        self.assertEqual(user.events, ["launched"])

    def test_stopUnstarted(self) -> None:
        """
        One that was never needed is stopped at once.
        """
        self.successResultOf(self.launcher.stop())

    def test_lost(self) -> None:
        """
        When it is killed its processes are too, each user is told once, and the next
        start has a new one.
        """
        users = [self.running("/bin/sleep", "1000") for _ in range(2)]
        old = self.pid()
        children = childrenOf(old)
        os.kill(old, signal.SIGSTOP)
        starting = self.launch("/bin/sleep", "1000")
        with capturedLogs() as logs:
            os.kill(old, signal.SIGKILL)
            self.until(lambda: starting.events and all(len(user.events) == 2 for user in users))
        for user in users:
            self.assertEqual(user.events[1], ("signal", signal.SIGKILL))
            self.assertIn("the site's CE lost its launcher", user.why)
        ((event, problem),) = starting.events
        self.assertEqual(event, "failed")
        self.assertIn("the site's CE lost its launcher", problem)
        self.assertEqual(len(logs), 1)
        self.until(lambda: not any(isAlive(pid) for pid in children))
        self.running("/bin/true")
        self.assertNotEqual(self.pid(), old)

    def test_lostWithRequests(self) -> None:
        """
        What waited for one that is lost is told so too, and leaves no descriptor.
        """
        self.running("/bin/true")
        os.kill(self.pid(), signal.SIGSTOP)
        users = [self.launch("/bin/true", X="x" * 50_000) for _ in range(20)]
        with capturedLogs():
            os.kill(self.pid(), signal.SIGKILL)
            for user in users:
                self.untilEvents(user, 1)
        for user in users:
            self.assertEqual(len(user.events), 1)

    def test_noSocket(self) -> None:
        """
        Where no launcher can be had, the descriptors for the process are let go.
        """

        def refuse(*arguments: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(socket, "socketpair", refuse)
        streams = self.streams()
        self.assertRaises(OSError, self.launcher.launch, Recorder(), request("/bin/true"), streams)
        for fd in streams:
            self.assertRaises(OSError, os.fstat, fd)


class RuledTests(LauncherTestCase):
    """
    A launcher that stays root.
    """

    def setUp(self) -> None:
        if os.geteuid():
            raise SkipTest("only root has a launcher that is root")
        super().setUp()
        self.lost: list[None] = []
        command = {"words": ["/bin/sleep", "1000"], "environment": {}, "files": []}
        self.rules = {
            "gahps": {"sleep": command},
            "environment": {},
            "umask": 0o22,
            "descriptors": 0,
            "lowest": 1000,
            "root": False,
            "ce": 4711,
            "ceName": "cesar",
            "pam": "",
            "most": 10,
        }

    def begin(self) -> None:
        """
        Start it.
        """
        self.launcher.startRuled(self.rules, lambda: self.lost.append(None))

    def start(self, **words: str) -> Recorder:
        """
        Ask for a GAHP.
        """
        user = Recorder()
        self.names.append(self.launcher.launch(user, words, self.streams()))
        return user

    def test_start(self) -> None:
        """
        A GAHP is started by its name and an account's, whose uid is told, and can be
        signalled.
        """
        self.begin()
        user = self.start(gahp="sleep", account="nobody")
        self.until(lambda: user.events)
        self.assertEqual((user.events, user.uid), (["launched"], 65534))
        self.launcher.signal(self.names[0], signal.SIGKILL)
        self.untilEvents(user, 2)
        self.assertEqual(user.events[1], ("signal", signal.SIGKILL))

    def test_refused(self) -> None:
        """
        What is not allowed fails with its sentence.
        """
        self.begin()
        user = self.start(gahp="sleep", account="root")
        self.until(lambda: user.events)
        ((event, problem),) = user.events
        self.assertEqual(event, "failed")
        self.assertIn("RVGAHP_ALLOW_ROOT", problem)

    def test_lost(self) -> None:
        """
        When it is killed its GAHPs are too, each user is told, and then the CE, once; there
        is no other.
        """
        self.begin()
        user = self.start(gahp="sleep", account="nobody")
        self.until(lambda: user.events)
        with capturedLogs():
            os.kill(self.pid(), signal.SIGKILL)
            self.untilEvents(user, 2)
        self.assertIn("the site's CE lost its launcher", user.why)
        self.assertEqual(len(self.lost), 1)
        self.assertRaises(OSError, self.start, gahp="sleep", account="nobody")
        self.assertRaises(OSError, self.launcher.start)
        self.until(lambda: not childrenOf(os.getpid()))  # its socket ends before it does

    def test_noRules(self) -> None:
        """
        One that does not understand its rules is an error at once, and leaves nothing.
        """
        del self.rules["lowest"]
        with capturedLogs():
            self.assertRaises(OSError, self.begin)
            self.until(lambda: not childrenOf(os.getpid()))

    def test_cannot(self) -> None:
        """
        One that cannot do what its rules say tells why, and leaves nothing.
        """
        self.rules["pam"] = "no-such-service"
        with capturedLogs():
            e = self.assertRaises(ConfigurationError, self.begin)
            self.until(lambda: not childrenOf(os.getpid()))
        self.assertIn("/etc/pam.d/no-such-service, which RVGAHP_PAM_SERVICE names", str(e))

    def test_large(self) -> None:
        """
        Rules that are too large for one packet are an error, too.
        """
        self.rules["environment"] = {"X": "x" * launcherrules.RULES_BYTES * 2}
        with capturedLogs():
            e = self.assertRaises(OSError, self.begin)
            self.assertEqual(e.errno, errno.EMSGSIZE)
