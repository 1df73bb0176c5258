"""
Tests of L{rvgahp.gahpprocess}: real child processes on a reactor of their own.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
from typing import Any

from twisted.logger import capturedLogs

from rvgahp.gahpenvironment import GAHPEnvironment
from rvgahp.gahpprocess import GAHPProcess, ProcessUser
from rvgahp.igahp import GAHPCommand
from rvgahp.processlauncher import ProcessLauncher
from tests.privatereactor import ReactorTestCase
from tests.procfs import isAlive
from tests.steppedloop import descriptorCount

ENVIRONMENT = GAHPEnvironment({"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, 0o027)

#: What a child tells of itself.
REPORT = """\
import json, os
umask = os.umask(0)
print(json.dumps({
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
    "umask": umask,
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "group": os.getpgid(0) == os.getpid(),
    "ignored": [line.split()[1] for line in open("/proc/self/status") if "SigIgn" in line][0],
}), flush=True)
"""


class Recorder(ProcessUser):
    """
    What is told of a process.

    @ivar events: in order, by name; data of one descriptor in a row are one.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.delivered = 0
        self.stdout = b""
        self.stderr = b""

    def launched(self, uid: int) -> None:
        self.events.append("launched")

    def launchFailed(self, problem: str) -> None:
        self.events.append(("failed", problem))

    def stdoutReceived(self, data: bytes) -> None:
        self.stdout += data
        if self.events[-1:] != ["stdout"]:
            self.events.append("stdout")

    def stdoutEnded(self) -> None:
        self.events.append("stdout ended")

    def stderrReceived(self, data: bytes) -> None:
        self.stderr += data

    def stderrEnded(self) -> None:
        self.events.append("stderr ended")

    def stdinDelivered(self, cost: int) -> None:
        self.delivered += cost

    def exited(self, signalled: bool, value: int, why: str = "") -> None:
        self.events.append(("signal" if signalled else "exit", value))


class ProcessTestCase(ReactorTestCase):
    """
    A process and what is told of it.
    """

    def setUp(self) -> None:
        """
        Begin with a launcher.
        """
        super().setUp()
        self.launcher = ProcessLauncher(self.reactor, 0.2)
        self.user = Recorder()
        self.process = GAHPProcess(self.reactor, self.launcher, self.user)

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.process.close()
        self.resultOf(self.launcher.stop())
        super().tearDown()

    def start(self, *words: str, environment: GAHPEnvironment = ENVIRONMENT) -> GAHPProcess:
        """
        Start a program.
        """
        command = GAHPCommand(words[0], list(words[1:]), {"EXTRA": "1"})
        self.process.start(command, environment)
        return self.process

    def shell(self, script: str) -> GAHPProcess:
        """
        Start a shell script, and wait until it runs.
        """
        self.start("/bin/sh", "-c", script)
        self.until(lambda: "launched" in self.user.events)
        return self.process

    def ended(self) -> Any:
        """
        @return: how it ended, when that is told.
        """
        return self.until(self.exits)

    def exits(self) -> Any:
        """
        @return: how it ended, or nothing.
        """
        found = [event for event in self.user.events if isinstance(event, tuple)]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else None

    def runs(self) -> bool:
        """
        @return: whether its end has not been told.
        """
        return self.exits() is None


class RunTests(ProcessTestCase):
    """
    What a program does, and what is told of it.
    """

    def test_output(self) -> None:
        """
        That it runs is told, and then how it exited; its output, and the ends of that, come
        between or after, as the kernel has them.
        """
        self.start("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual(self.ended(), ("exit", 7))
        self.until(lambda: len(self.user.events) == 5)
        self.assertEqual((self.user.stdout, self.user.stderr), (b"out\n", b"err\n"))
        self.assertLess(self.user.events.index("launched"), self.user.events.index(("exit", 7)))
        self.assertEqual(
            set(map(str, self.user.events)),
            {"launched", "stdout", "stdout ended", "stderr ended", "('exit', 7)"},
        )

    def test_quick(self) -> None:
        """
        Quick ones have run too: that is told, and then how they ended.
        """
        self.start("/bin/sh", "-c", "echo out; exit 3")
        time.sleep(0.1)  # so that all of it is there at once
        self.assertEqual(self.ended(), ("exit", 3))
        self.until(lambda: len(self.user.events) == 5)
        self.assertLess(self.user.events.index("launched"), self.user.events.index(("exit", 3)))
        self.assertEqual(self.user.stdout, b"out\n")

    def test_signal(self) -> None:
        """
        Its end by a signal is told as that.
        """
        self.shell("kill -KILL $$")
        self.assertEqual(self.ended(), ("signal", signal.SIGKILL))

    def test_signalGroup(self) -> None:
        """
        A signal is for it and what it has started; one after its end is for nobody.
        """
        process = self.shell("sleep 1000 & echo $!; wait")
        self.until(lambda: self.user.stdout.endswith(b"\n"))
        child = int(self.user.stdout)
        self.assertTrue(isAlive(child))
        process.signal(signal.SIGTERM)
        self.assertEqual(self.ended(), ("signal", signal.SIGTERM))
        self.until(lambda: not isAlive(child))
        process.signal(signal.SIGTERM)

    def test_killedWhileStarting(self) -> None:
        """
        One that is killed before it runs ends once, whatever is told of it.
        """
        process = self.start("/bin/sleep", "1000")
        process.signal(signal.SIGKILL)
        self.ended()
        self.spend(0.05)
        self.assertIn(self.exits()[0], ("signal", "failed"))

    def test_surroundings(self) -> None:
        """
        It has descriptors 0, 1 and 2, its home as directory, the umask it was given, a group
        of its own, and the environment it was given with its kind's own.
        """
        spare = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(spare, True)
        self.start(sys.executable, "-I", "-S", "-c", REPORT)
        self.assertEqual(self.ended(), ("exit", 0))
        os.close(spare)
        self.until(lambda: "stdout ended" in self.user.events)
        report = json.loads(self.user.stdout)
        self.assertEqual(report["descriptors"], [0, 1, 2])
        self.assertEqual(report["umask"], 0o027)
        self.assertEqual(report["directory"], os.path.realpath("/tmp"))
        self.assertTrue(report["group"])
        report["environment"].pop("LC_CTYPE", None)  # this interpreter's own
        self.assertEqual(report["environment"], {**ENVIRONMENT.variables, "EXTRA": "1"})

    def test_noHome(self) -> None:
        """
        Where there is no such home, it starts in the root directory, and its stderr begins
        with a line that says so.
        """
        with capturedLogs():
            environment = GAHPEnvironment({"HOME": "/no/such/home"})
        self.start("/bin/sh", "-c", "pwd; echo mine >&2", environment=environment)
        self.ended()
        self.until(lambda: "stderr ended" in self.user.events and self.user.stdout)
        self.assertEqual(self.user.stdout, b"/\n")
        self.assertEqual(
            self.user.stderr,
            b"rvgahp-ce: starting in / because /no/such/home cannot be entered: No such file or"
            b" directory\nmine\n",
        )


class StdioTests(ProcessTestCase):
    """
    Ends of one descriptor or the other.
    """

    def put(self, data: bytes) -> None:
        """
        Write to its stdin.
        """
        self.process.stdin.put(data, len(data))

    def test_endOfInput(self) -> None:
        """
        It sees the end of its input, and goes on to answer.
        """
        self.start("/usr/bin/wc", "-c")
        self.put(b"x" * 1_000_000)
        self.process.stdin.endWriting()
        self.ended()
        self.until(lambda: "stdout ended" in self.user.events)
        self.assertEqual(self.user.stdout.strip(), b"1000000")
        self.assertEqual(self.user.delivered, 1_000_000)

    def test_closesStdout(self) -> None:
        """
        It may close its stdout, and go on reading.
        """
        self.shell('exec >&-; read line; test "$line" = go && exit 5')
        self.until(lambda: "stdout ended" in self.user.events)
        self.assertTrue(self.runs())
        self.put(b"go\n")
        self.assertEqual(self.ended(), ("exit", 5))

    def test_closesStdin(self) -> None:
        """
        It may close its stdin, and go on writing; what is sent to it then counts as
        delivered, for it has nowhere to go.
        """
        self.shell("exec <&-; echo closed; sleep 0.2; echo still here; exec sleep 1000")
        self.until(lambda: self.user.stdout == b"closed\n")
        for _ in range(20):
            self.put(b"x" * 100_000)
        self.until(lambda: self.user.delivered == 2_000_000)
        self.put(b"more")
        self.until(lambda: self.user.stdout == b"closed\nstill here\n")
        self.assertEqual(self.user.delivered, 2_000_004)
        self.assertTrue(self.runs())

    def test_doesNotRead(self) -> None:
        """
        What it does not read waits, and is not delivered.
        """
        self.shell("exec sleep 1000")
        for _ in range(20):
            self.put(b"x" * 100_000)
        self.spend(0.1)
        self.assertLess(self.user.delivered, 1_900_000)

    def test_grandchild(self) -> None:
        """
        That it has exited is told though a child of its own still holds its output.
        """
        self.shell("sleep 1000 & echo $!")
        self.assertEqual(self.ended(), ("exit", 0))
        self.until(lambda: self.user.stdout.endswith(b"\n"))
        child = int(self.user.stdout)
        self.assertNotIn("stdout ended", self.user.events)
        self.assertNotIn("stderr ended", self.user.events)
        os.kill(child, signal.SIGKILL)
        self.until(lambda: {"stdout ended", "stderr ended"} <= set(self.user.events))

    def test_paused(self) -> None:
        """
        While its output is not read it waits; nothing is lost.
        """
        self.shell("head -c 3000000 /dev/zero; echo done >&2")
        self.process.stdout.pauseReading()
        self.spend(0.1)
        self.assertEqual(self.user.stderr, b"")
        self.process.stdout.resumeReading()
        self.until(lambda: "stdout ended" in self.user.events)
        self.assertEqual(len(self.user.stdout), 3_000_000)


class FailureTests(ProcessTestCase):
    """
    Programs that cannot be started.
    """

    def test_missing(self) -> None:
        """
        One that is not there: its reason is told, and neither that it runs nor how it
        ended.
        """
        self.start("/no/such/program")
        self.assertEqual(self.ended(), ("failed", "/no/such/program: No such file or directory"))
        self.spend(0.05)
        self.assertNotIn("launched", self.user.events)

    def test_close(self) -> None:
        """
        After a close in the middle nothing is told of its output any more.
        """
        self.shell("exec sleep 1000")
        self.process.close()
        self.process.close()
        count = len(self.user.events)
        self.process.signal(signal.SIGKILL)
        self.assertEqual(self.ended(), ("signal", signal.SIGKILL))
        self.assertEqual(len(self.user.events), count + 1)

    def test_notStarted(self) -> None:
        """
        One that was never started may be closed, and be sent a signal.
        """
        before = descriptorCount()
        process = GAHPProcess(self.reactor, self.launcher, self.user)
        self.assertGreater(descriptorCount(), before)
        process.signal(signal.SIGTERM)
        process.close()
        self.assertEqual(descriptorCount(), before)

    def test_noDescriptors(self) -> None:
        """
        At whichever of its descriptors the kernel refuses, those before it are let go.
        """
        calls = {"socketpair": socket.socketpair, "pipe2": os.pipe2}
        for most in range(3):
            made: list[str] = []

            def limited(name: str, most: int = most, made: list[str] = made) -> Any:
                def call(*arguments: Any) -> Any:
                    if len(made) == most:
                        raise OSError(errno.EMFILE, "Too many open files")
                    made.append(name)
                    return calls[name](*arguments)  # type: ignore[operator]  # two kinds

                return call

            self.patch(socket, "socketpair", limited("socketpair"))
            self.patch(os, "pipe2", limited("pipe2"))
            before = descriptorCount()
            self.assertRaises(OSError, GAHPProcess, self.reactor, self.launcher, self.user)
            self.assertEqual(descriptorCount(), before)

    def test_noLauncher(self) -> None:
        """
        Where no launcher can be had, that is raised, and nothing is kept.
        """

        def spawnProcess(*arguments: Any, **more: Any) -> None:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

        self.patch(self.reactor, "spawnProcess", spawnProcess)
        self.assertRaises(OSError, self.start, "/bin/true")
        self.process.close()
        self.process.signal(signal.SIGTERM)
        self.assertEqual(self.user.events, [])
