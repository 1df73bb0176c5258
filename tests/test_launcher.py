"""
Tests of L{rvgahp.launcher}: run as the program that it is.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import launcher
from tests.procfs import PATIENCE, catches, childrenOf, isAlive, waitFor

#: What a launched program tells of itself.
REPORT = """\
import json, os, resource, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
umask = os.umask(0)
print(json.dumps({
    "words": sys.argv[1:],
    "ignored": int(status["SigIgn"], 16),
    "blocked": int(status["SigBlk"], 16),
    "group": os.getpgid(0) == os.getpid(),
    "session": os.getsid(0) == os.getpid(),
    "umask": umask,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
}))
"""

#: Becomes the launcher, with dispositions that a CE may have.
PRELUDE = """\
import os, signal, sys
for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

#: What the C library keeps for itself, and its posix_spawn leaves ignored.
LIBRARYS_OWN = 1 << 31 | 1 << 32

#: And what the interpreter itself ignores.
PYTHONS_OWN = LIBRARYS_OWN | 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1


class LauncherTestCase(SynchronousTestCase):
    """
    A launcher and its CE's end.

    @cvar words: the launcher, after the interpreter.
    @cvar prelude: becomes the launcher.
    @cvar further: what comes after its own word.
    @ivar expected: the exit status and the words that it must end with.
    """

    words: tuple[str, ...] = ("-I", "-S", launcher.__file__)
    prelude = PRELUDE
    further: tuple[str, ...] = ()

    def setUp(self) -> None:
        """
        Start one, from a process that ignores and blocks this and that.
        """
        self.expected: tuple[int, bytes] = (0, b"")
        self.directory = Path(tempfile.mkdtemp(prefix="launch ünï"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(30)
        self.addCleanup(self.control.close)
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.prelude, *self.words, "0.3", *self.further],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict[str, str](),
        )
        theirs.close()
        self.begin()
        waitFor(lambda: catches(self.process.pid, signal.SIGCHLD), "the launcher's handler")
        self.addCleanup(self.end)
        self.count = 0

    def begin(self) -> None:
        """
        What it waits for.
        """

    def end(self) -> None:
        """
        The CE goes; the launcher does, with all its children and without a word.
        """
        self.control.close()
        children = childrenOf(self.process.pid)
        try:
            words, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            words, _ = self.process.communicate(timeout=PATIENCE)
            self.fail(f"the launcher did not end; it said {words!r}")
        self.assertEqual((self.process.returncode, words), self.expected)
        self.assertEqual([pid for pid in children if isAlive(pid)], [])

    def start(self, *words: str, mixed: bool = False, **request: Any) -> int:
        """
        Ask for a program.

        @param mixed: its stderr is where its stdout is.
        @return: the id.
        """
        self.count += 1
        request = {
            "start": self.count,
            "program": words[0],
            "arguments": words[1:],
            "environment": {"PATH": "/usr/bin:/bin"},
            "directory": "/",
            "umask": 0o027,
            "descriptors": 0,
            **request,
        }
        null = os.open("/dev/null", os.O_RDWR)
        self.output, write = os.pipe()
        self.addCleanup(os.close, self.output)
        fds = [null, write, write if mixed else null]
        socket.send_fds(self.control, [json.dumps(request).encode()], fds)
        os.close(null)
        os.close(write)
        return self.count

    def report(self) -> dict[str, Any]:
        """
        @return: the launcher's next report.
        """
        report: dict[str, Any] = json.loads(self.control.recv(launcher.PACKET_BYTES))
        return report

    def read(self) -> bytes:
        """
        @return: all that the last program wrote.
        """
        parts = []
        while part := os.read(self.output, 65536):
            parts.append(part)
        return b"".join(parts)

    def told(self, *words: str, **request: Any) -> dict[str, Any]:
        """
        @return: what a launched program tells of itself.
        """
        name = self.start(sys.executable, "-I", "-S", "-c", REPORT, *words, **request)
        self.assertEqual(set(self.report()), {"id", "pid", "uid"})
        told: dict[str, Any] = json.loads(self.read())
        self.assertEqual(self.report(), {"id": name, "signalled": False, "value": 0})
        return told

    def isGone(self, pid: int) -> bool:
        """
        @return: whether a process has ended.
        """
        return not isAlive(pid)

    def file(self, name: str, text: str, mode: int) -> str:
        """
        @return: the path of a new file.
        """
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)


class StartTests(LauncherTestCase):
    """
    What becomes of what is launched.
    """

    def test_signals(self) -> None:
        """
        Whatever the CE ignores or blocks, it ignores and blocks nothing.
        """
        told = self.told()
        self.assertEqual((told["ignored"] & ~PYTHONS_OWN, told["blocked"]), (0, 0))
        path = self.file("sig", "#!/bin/sh\ngrep -E 'Sig(Ign|Blk)' /proc/self/status\n", 0o700)
        self.start(path)
        masks = [int(word, 16) & ~LIBRARYS_OWN for word in self.read().split()[1::2]]
        self.assertEqual(masks, [0, 0])

    def test_group(self) -> None:
        """
        It leads a process group, and no session.
        """
        told = self.told()
        self.assertEqual((told["group"], told["session"]), (True, False))

    def test_words(self) -> None:
        """
        Its words are what they were, empty ones, odd bytes and all.
        """
        words = ["", " ", "--", "-x", "a\nb", "ünïcode", os.fsdecode(b"\xff\xfe")]
        self.assertEqual(self.told(*words)["words"], words)

    def test_surroundings(self) -> None:
        """
        umask and directory are as they are told, and it has its three descriptors and no
        more, also when others run beside it.
        """
        for _ in range(3):
            self.start("/bin/sleep", "1000")
            self.report()
        told = self.told(directory=str(self.directory))
        self.assertEqual(told["umask"], 0o027)
        self.assertEqual(told["directory"], str(self.directory))
        self.assertEqual(told["descriptors"], [0, 1, 2])

    def test_environment(self) -> None:
        """
        It has the environment that it is given and nothing else.
        """
        path = self.file("env", "#!/bin/sh\nexec cat /proc/self/environ\n", 0o700)
        for environment in ({"A": "ünï"}, {"PYTHONPATH": "/nowhere"}, {}):
            self.start(path, environment=environment)
            found = dict(line.split("=", 1) for line in self.read().decode().split("\0") if line)
            found.pop("PWD", None)  # the shell's own
            self.assertEqual(found, environment)

    def test_limit(self) -> None:
        """
        The soft limit of descriptors is what it is told, and 0 leaves it.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(self.told(descriptors=123)["files"], [123, hard])
        self.assertEqual(self.told()["files"], [soft, hard])

    def test_signalled(self) -> None:
        """
        An end by a signal is told as that, and a signal reaches what it has started too.
        """
        name = self.start("/bin/sh", "-c", "sleep 1000 & echo $!; wait")
        self.report()
        child = int(os.read(self.output, 100))
        self.control.send(json.dumps({"signal": name, "number": signal.SIGTERM}).encode())
        self.assertEqual(self.report(), {"id": name, "signalled": True, "value": signal.SIGTERM})
        waitFor(lambda: not isAlive(child), "the grandchild's end")
        self.control.send(json.dumps({"signal": name, "number": signal.SIGTERM}).encode())
        self.told()

    def test_signalAtOnce(self) -> None:
        """
        A signal that comes with the start ends it, once.
        """
        name = self.start("/bin/sleep", "1000")
        self.control.send(json.dumps({"signal": name, "number": signal.SIGKILL}).encode())
        reports = [self.report()]
        if "pid" in reports[0]:
            reports.append(self.report())
        self.assertEqual(reports[-1]["id"], name)
        self.assertTrue("problem" in reports[-1] or reports[-1]["signalled"])

    def test_many(self) -> None:
        """
        Many at once are each told to run, and then how they ended.
        """
        names = [self.start("/bin/sh", "-c", f"exit {number}") for number in range(50)]
        reports = [self.report() for _ in range(100)]
        for number, name in enumerate(names):
            first, second = (report for report in reports if report["id"] == name)
            self.assertIn("pid", first)
            self.assertEqual(second, {"id": name, "signalled": False, "value": number})


class FailureTests(LauncherTestCase):
    """
    What cannot be launched.
    """

    def assertNotLaunched(self, words: list[str], *said: str, **request: Any) -> None:
        """
        It cannot be executed; that is told once, with these words in the reason.
        """
        name = self.start(*words, **request)
        report = self.report()
        self.assertEqual(set(report), {"id", "problem"})
        self.assertEqual(report["id"], name)
        for word in said:
            self.assertIn(word, report["problem"])
        self.assertNotIn("\n", report["problem"])
        self.told()  # and nothing more is heard of it

    def test_missing(self) -> None:
        """
        A program that is not there.
        """
        self.assertNotLaunched(["/no/such/program"], "/no/such/program: No such file")

    def test_notExecutable(self) -> None:
        """
        One that may not be executed.
        """
        path = self.file("plain", "text", 0o600)
        self.assertNotLaunched([path], f"{path}: Permission denied")

    def test_directoryForProgram(self) -> None:
        """
        One that is a directory.
        """
        self.assertNotLaunched([str(self.directory)], f"{self.directory}: it is a directory")

    def test_format(self) -> None:
        """
        One that is no program.
        """
        path = self.file("text", "just text", 0o700)
        self.assertNotLaunched([path], f"{path}: it is neither a program for this machine nor")

    def test_interpreter(self) -> None:
        """
        A script whose interpreter is not there, or is none, is not said to be missing or
        forbidden itself.
        """
        path = self.file("script", "#!/no/such/interpreter\n", 0o700)
        self.assertNotLaunched([path], path, "the interpreter that it names is not there")
        plain = self.file("plain", "text", 0o600)
        short = "/tmp/rvgahp-test-" + secrets.token_hex(8)  # #! takes no blank in a path
        os.symlink(plain, short)
        self.addCleanup(os.unlink, short)
        path = self.file("another", f"#!{short}\n", 0o700)
        self.assertNotLaunched([path], path, "the interpreter that it names may not be executed")

    def test_noDirectory(self) -> None:
        """
        Where the directory cannot be entered, it starts in the root directory, and says so
        on stderr.
        """
        for directory, words in (
            ("/no/such ünï place", "No such file or directory"),
            (self.file("plain", "text", 0o600), "Not a directory"),
        ):
            self.start("/bin/pwd", directory=directory, mixed=True)
            self.report()
            self.assertEqual(
                self.read().decode(),
                f"rvgahp-ce: starting in / because {directory} cannot be entered: {words}\n/\n",
            )
            self.report()

    def test_impossible(self) -> None:
        """
        Words, variables and limits that there cannot be have a reason too.
        """
        self.assertNotLaunched(["/bin/echo", "a\0b"], "null")
        self.assertNotLaunched(["/bin/echo"], "environment", environment={"A=B": "c"})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.assertNotLaunched(["/bin/echo"], "limit", descriptors=hard + 1)

    def test_noDescriptors(self) -> None:
        """
        A launcher that can have no more descriptors says so, and starts again what it is
        asked to when it can.
        """
        self.told()
        limits = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)
        for most in range(3, 12):
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (most, limits[1]))
            name = self.start("/bin/cat")
            report = self.report()
            if "problem" not in report:
                self.assertEqual(self.report()["id"], name)
                break
            self.assertIn("no process could be made", report["problem"])
        self.assertGreater(most, 5)
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, limits)
        self.told()

    def test_tooMuch(self) -> None:
        """
        A word that is longer than the kernel takes.
        """
        self.assertNotLaunched(["/bin/echo", "x" * 140_000], "/bin/echo: its arguments and env")


class EndTests(LauncherTestCase):
    """
    The CE goes, whatever it was doing.
    """

    def test_stubborn(self) -> None:
        """
        What does not mind TERM is killed; what is stopped is woken to hear of it.
        """
        self.start("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
        pid = self.report()["pid"]
        os.read(self.output, 10)
        self.start("/bin/sleep", "1000")
        stopped = self.report()["pid"]
        os.kill(stopped, signal.SIGSTOP)
        self.control.close()
        waitFor(lambda: not isAlive(stopped), "the end of the stopped one", 10)
        waitFor(lambda: not isAlive(pid), "the end of the stubborn one", 10)

    def test_inTheMiddle(self) -> None:
        """
        Also in the middle of starts.
        """
        for _ in range(10):
            self.start("/bin/sleep", "1000")
        self.control.close()
        self.process.wait(30)
        self.assertEqual(childrenOf(self.process.pid), [])

    def test_killed(self) -> None:
        """
        When the launcher itself is killed, and nobody else does anything, no GAHP is left:
        none that is stopped, ignores signals, or has been started by a shell.
        """
        self.start("/bin/sleep", "1000")
        stopped = self.report()["pid"]
        os.kill(stopped, signal.SIGSTOP)
        self.start("/bin/sh", "-c", "trap '' TERM HUP; echo up; while :; do sleep 0.05; done")
        stubborn = self.report()["pid"]
        os.read(self.output, 10)
        self.start("/bin/bash", "-c", 'exec "$@"', "bash", "/bin/sleep", "1000")
        executed = self.report()["pid"]
        self.process.kill()
        self.expected = (-signal.SIGKILL, b"")
        for pid in (stopped, stubborn, executed):
            waitFor(partial(self.isGone, pid), f"the end of {pid}", 10)

    def test_killedBefore(self) -> None:
        """
        One whose parent died before the kernel was asked ends at once.
        """
        script = (
            "import sys; from rvgahp.launcherchild import deathBond;"
            "deathBond()(int(sys.argv[1])); print('lives')"
        )
        for parent, status, words in ((os.getpid(), 0, b"lives\n"), (os.getpid() + 1, 127, b"")):
            run = subprocess.run(
                [sys.executable, "-c", script, str(parent)],
                capture_output=True,
                check=False,
                timeout=PATIENCE,
            )
            self.assertEqual((run.returncode, run.stdout, run.stderr), (status, words, b""))

    def test_terminal(self) -> None:
        """
        It has a process group of its own: what a terminal sends to the CE is not for it.
        """
        self.told()
        self.assertEqual(os.getpgid(self.process.pid), self.process.pid)


class UnboundTests(LauncherTestCase):
    """
    A Python without ctypes.
    """

    words = (
        "-c",
        "import runpy, sys; sys.modules['ctypes'] = None; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')",
        launcher.__file__,
    )

    def test_starts(self) -> None:
        """
        The launcher says what it cannot do, and starts GAHPs.
        """
        self.told()
        problem = b"import of ctypes halted; None in sys.modules"
        self.expected = (0, b"GAHPs may outlive a launcher that is killed: %s\n" % problem)
