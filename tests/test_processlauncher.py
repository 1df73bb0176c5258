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

from rvgahp.processlauncher import LaunchUser, ProcessLauncher
from tests.privatereactor import ReactorTestCase
from tests.procfs import childrenOf, isAlive


class Recorder(LaunchUser):
    """
    What is told of a process.

    @ivar events: in order.
    @ivar why: the reason that was told with its end.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.why = ""

    def launched(self) -> None:
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
        name = self.launcher.launch(user, list(words), environment, "/", 0o22, 0, self.streams())
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
        self.assertRaises(
            OSError, self.launcher.launch, Recorder(), ["/bin/true"], {}, "/", 0o22, 0, streams
        )
        for fd in streams:
            self.assertRaises(OSError, os.fstat, fd)
