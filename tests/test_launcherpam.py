"""
Tests of L{rvgahp.launcherpam}: a launcher that asks a real PAM.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rvgahp import launcher, launcherpam
from rvgahp.launcherpam import PAM, Session
from rvgahp.launcherrules import Refused
from tests import test_launcher, test_launcherrules
from tests.pamservice import SERVICE, Service, holders, whyNot
from tests.procfs import childrenOf, isAlive, isStopped, waitFor
from tests.test_launcherrules import SOMEBODY, RootTestCase, rules

#: Becomes the launcher, in a mount namespace with services of its own.
_PRELUDE = """\
import ctypes, os, subprocess
os.setgroups([0, 4])
assert ctypes.CDLL(None).unshare(0x20000) == 0
for words in (
    ["--make-rprivate", "/"],
    ["--bind", {services!r}, "/etc/pam.d"],
    ["--bind", {groups!r}, "/etc/security/group.conf"],
):
    subprocess.run(["/bin/mount", *words], check=True)
"""

#: Executes the launcher with shorter limits.
_SHORT = """\
import runpy, sys
sys.path.append({package!r})
import rvgahp.launcherholder as holder
holder.OPEN_SECONDS, holder.CLOSE_SECONDS = 1, 1
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""

_GAHPS = {
    "limits": ["/bin/cat", "/proc/self/limits"],
    "groups": ["/bin/grep", "Groups", "/proc/self/status"],
    "gone": ["/no/such/program"],
    "stubborn": ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"],
}


class PAMTestCase(RootTestCase):
    """
    A launcher, a service, and somebody who has the CE's end of its socket.
    """

    def setUp(self) -> None:
        if reason := whyNot():
            raise SkipTest(reason)
        directory = Path(tempfile.mkdtemp(prefix="rvgahp-pam-"))
        self.addCleanup(shutil.rmtree, directory)
        directory.chmod(0o755)
        self.service = Service(directory)
        self.addCleanup(self.service.close)
        self.service.file("group.conf", "")
        self.before = holders()
        self.changed = {"pam": SERVICE, "gahps": self._gahps(), "descriptors": 222}
        self.prelude = (
            _PRELUDE.format(services=str(self.service.services), groups=f"{directory}/group.conf")
            + test_launcher.PRELUDE
        )
        super().setUp()

    def end(self) -> None:
        super().end()
        waitFor(lambda: not self.holders(), "the end of the holders")

    def _gahps(self) -> dict[str, Any]:
        added = {
            name: {"words": words, "environment": {}, "files": []} for name, words in _GAHPS.items()
        }
        return {**rules()["gahps"], **added}

    def holders(self) -> list[int]:
        """
        @return: those of this test.
        """
        return [pid for pid in holders() if pid not in self.before]

    def awaitHolders(self, count: int) -> list[int]:
        """
        @return: so many, when they have taken over.
        """
        waitFor(lambda: len(self.holders()) == count, f"{count} holders")
        return self.holders()

    def isGone(self, pid: int) -> bool:
        """
        @return: whether a process has ended.
        """
        return not isAlive(pid)

    def send(self, name: int, number: int) -> None:
        """
        Ask for a signal.
        """
        self.control.send(json.dumps({"signal": name, "number": number}).encode())

    def text(self, gahp: str) -> str:
        """
        @return: what a GAHP says that ends by itself.
        """
        report = self.begun(gahp=gahp)
        self.assertIn("pid", report)
        text = self.read().decode()
        self.assertEqual(self.report()["value"], 0)
        return text


class SurroundingsTests(PAMTestCase):
    """
    What a GAHP has of its session.
    """

    def test_limits(self) -> None:
        """
        Limits of the account are the GAHP's; what PAM does not limit is as it was, and the
        limit of open files as the CE has found it.
        """
        self.assertEqual(self._limits()["open"][3], "222")
        lines = ("hard nofile 321", "soft nofile 123", "hard nproc 4567", "hard core 0")
        self.service.file("limits", "".join(f"{SOMEBODY} {line}\n" for line in lines))
        self.service.write(session="session required pam_limits.so conf=@/limits")
        found = self._limits()
        self.assertEqual(found["open"][3:5], ["123", "321"])
        self.assertEqual(found["processes"][2:4], ["4567", "4567"])
        self.assertEqual(found["core"][4:6], ["0", "0"])
        ours = resource.getrlimit(resource.RLIMIT_STACK)[0]
        expected = "unlimited" if ours == resource.RLIM_INFINITY else str(ours)
        self.assertEqual(found["stack"][3], expected)

    def _limits(self) -> dict[str, list[str]]:
        rows = [line.split() for line in self.text("limits").splitlines()]
        return {row[1]: row for row in rows if row[0] == "Max"}

    def test_variables(self) -> None:
        """
        Variables of modules arrive, but for those that are the account's, the site's or the
        GAHP's own.
        """
        lines = ["OWN=x=y", "EMPTY=", "HOME=/evil", "PATH=/evil", "A=evil", "LANG=evil"]
        self.service.file("env", "".join(f"{line}\n" for line in lines))
        self.service.write(session="session required pam_env.so conffile=/dev/null envfile=@/env")
        found = dict(line.split("=", 1) for line in self.text("env").splitlines())
        self.assertEqual(found["OWN"], "x=y")
        self.assertEqual([found[one] for one in ("A", "PATH", "LANG")], ["b", "/usr/bin:/bin", "C"])
        self.assertNotIn("evil", " ".join(found.values()))
        self.assertLessEqual({"HOME", "USER", "LOGNAME", "SHELL"}, set(found))

    def test_groups(self) -> None:
        """
        Groups that PAM adds are the GAHP's, none of root's is.
        """
        self.service.file("group.conf", f"*;*;{SOMEBODY};Al0000-2400;mail\n")
        (self.service.services / SERVICE).write_text(
            "auth required pam_group.so\naccount required pam_permit.so\n"
            "session required pam_permit.so\n"
        )
        (line,) = self.text("groups").splitlines()
        mail = next(one for one in Path("/etc/group").read_text().split() if "mail:" in one)
        self.assertIn(mail.split(":")[2], line.split())
        self.assertEqual(set(line.split()) & {"0", "4"}, set())

    def test_children(self) -> None:
        """
        A GAHP has no child that it does not know of.
        """
        self.assertEqual(childrenOf(self.begun()["pid"]), [])
        self.awaitHolders(1)

    def test_asked(self) -> None:
        """
        Modules are told of account, service and who asks, and run as root when the session is
        opened and when it is closed.
        """
        self.text("env")
        self.service.awaitClosed(1)
        words = f"{SOMEBODY} rvgahp {SERVICE} 0"
        self.assertEqual(self.service.events(), [f"open_session {words}", f"close_session {words}"])

    def test_holder(self) -> None:
        """
        The holder is root's, in a session of its own, with limits that are not the account's,
        and has no descriptor of the GAHP's or of the launcher's.
        """
        self.service.file("limits", f"{SOMEBODY} soft nofile 99\n")
        self.service.write(session="session required pam_limits.so conf=@/limits")
        pid = self.begun()["pid"]
        (holder,) = self.awaitHolders(1)
        self.assertEqual(os.stat(f"/proc/{holder}/task").st_uid, 0)
        self.assertNotIn(os.getsid(holder), (os.getsid(pid), os.getsid(self.process.pid)))
        self.assertEqual(
            resource.prlimit(holder, resource.RLIMIT_NOFILE),
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE),
        )
        folder = f"/proc/{holder}/fd"
        opened = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
        self.assertEqual(opened.count("/dev/null"), 3 + (len(opened) == 5), opened)
        self.assertEqual(len([one for one in opened if one != "/dev/null"]), 1, opened)
        self.assertEqual(childrenOf(self.process.pid), [pid])


class RefusalTests(PAMTestCase):
    """
    Accounts that PAM does not let in.
    """

    def test_account(self) -> None:
        """
        The account phase refuses: a sentence, and no session.
        """
        self.service.write("required pam_deny.so")
        name = f"PAM refuses the site's account {SOMEBODY!r}: "
        self.assertRefused(name, f"(service {SERVICE})", f"/etc/pam.d/{SERVICE}")
        self.service.write(f"required pam_succeed_if.so quiet user != {SOMEBODY}")
        self.assertRefused(name)
        self.assertEqual(self.service.events(), [])
        self.service.write()
        self.assertIdle()

    def test_words(self) -> None:
        """
        What a module tells is in the sentence, on one line.
        """
        self.service.file("nologin", "Back at noon;\n\x1b[1mpromised\n")
        self.service.write("required pam_nologin.so file=@/nologin")
        self.assertRefused("PAM refuses", "Back at noon;", "promised")

    def test_session(self) -> None:
        """
        Without a session there is no GAHP; what was opened of it is closed by the modules.
        """
        self.service.write(session="session required pam_deny.so")
        self.assertRefused("PAM opens no session for the site's account", "system's log")
        self.service.write()
        self.assertIdle()

    def test_service(self) -> None:
        """
        A service that has gone is not replaced by others'.
        """
        (self.service.services / SERVICE).unlink()
        (self.service.services / "other").write_text("account required pam_permit.so\n")
        self.assertRefused(f"/etc/pam.d/{SERVICE}, which RVGAHP_PAM_SERVICE names, is not there")

    def test_rules(self) -> None:
        """
        PAM is not asked for what the rules refuse.
        """
        self.assertRefused("RVGAHP_ALLOW_ROOT", account="root")
        self.assertRefused("the site has no account", account="no-such")
        self.assertRefused("no GAHP named", gahp="nothing")
        self.assertEqual(self.service.events(), [])

    def test_after(self) -> None:
        """
        What fails after the session was opened closes it.
        """
        self.assertRefused("/no/such/program: No such file", gahp="gone")
        self.service.awaitClosed(1)
        self.assertRefused("/etc/shadow, which needy needs at the site, may not", gahp="needy")
        self.service.awaitClosed(2)

    def test_processes(self) -> None:
        """
        An account that has as many processes as it may reads so.
        """
        for name in (1, 2):
            self.begun(name)
        self.service.file("limits", f"{SOMEBODY} - nproc 1\n")
        self.service.write(session="session required pam_limits.so conf=@/limits")
        self.assertRefused("its account has as many processes as the site's limits", name=3)
        waitFor(lambda: self.service.sessions() == (3, 1), "the end of the third session")


class EndTests(PAMTestCase):
    """
    A session ends with its GAHP, in whatever way that ends.
    """

    def test_ends(self) -> None:
        """
        By itself, by TERM, by KILL: the session is closed, once, and not before.
        """
        self.text("env")
        self.service.awaitClosed(1)
        for number, gahp in ((signal.SIGTERM, "sleep"), (signal.SIGKILL, "stubborn")):
            self.begun(gahp=gahp)
            opened, closed = self.service.sessions()
            self.assertEqual(opened, closed + 1)
            self.send(1, number)
            self.assertEqual(self.report(), {"id": 1, "signalled": True, "value": number})
            self.service.awaitClosed(opened)

    def test_directly(self) -> None:
        """
        Somebody kills the GAHP, past the launcher.
        """
        os.kill(self.begun()["pid"], signal.SIGKILL)
        self.report()
        self.service.awaitClosed(1)

    def test_gone(self) -> None:
        """
        The CE goes: when the launcher has ended, all sessions are closed, those of stopped and
        stubborn GAHPs included.
        """
        self.begun(1, "stubborn")
        os.read(self.output, 10)
        stopped = self.begun(2)["pid"]
        os.kill(stopped, signal.SIGSTOP)
        waitFor(partial(isStopped, stopped), "the stop")
        self.service.hold("close_session")
        self.control.close()
        waitFor(lambda: self.service.sessions() == (2, 2), "the modules")
        self.assertRaises(subprocess.TimeoutExpired, self.process.wait, 1)
        self.service.release("close_session")
        self.process.wait(30)
        self.assertEqual(self.holders(), [])

    def test_killed(self) -> None:
        """
        The launcher is killed: sessions are closed, and no holder is left.
        """
        pids = [self.begun(name)["pid"] for name in (1, 2)]
        self.expected = (-signal.SIGKILL, b"")
        self.process.kill()
        self.service.awaitClosed(2)
        for pid in pids:
            waitFor(partial(self.isGone, pid), "the end of a GAHP")

    def test_signalled(self) -> None:
        """
        What a service manager sends to all processes does not lose the session.
        """
        self.begun()
        (holder,) = self.awaitHolders(1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            os.kill(holder, number)
        self.send(1, signal.SIGKILL)
        self.report()
        self.service.awaitClosed(1)

    def test_holderKilled(self) -> None:
        """
        A holder that is killed takes nothing with it.
        """
        pid = self.begun()["pid"]
        (holder,) = self.awaitHolders(1)
        os.kill(holder, signal.SIGKILL)
        waitFor(partial(self.isGone, holder), "its end")
        self.assertTrue(isAlive(pid))
        self.send(1, signal.SIGTERM)
        self.assertEqual(self.report()["value"], signal.SIGTERM)

    def test_many(self) -> None:
        """
        Many at once: each has its session, and nothing is left with the launcher.
        """
        before = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        for name in range(1, 21):
            self.ask({"start": name, "gahp": "sleep", "account": SOMEBODY})
        for _ in range(20):
            self.assertIn("pid", self.report())
        self.awaitHolders(20)
        for name in range(1, 21):
            self.send(name, signal.SIGKILL)
        for _ in range(20):
            self.report()
        self.service.awaitClosed(20)
        fds = f"/proc/{self.process.pid}/fd"
        waitFor(lambda: len(os.listdir(fds)) == before, "the launcher's descriptors")


class HostileTests(PAMTestCase, test_launcherrules.HostileTests):
    """
    A CE that is in other hands, and a launcher that asks PAM: all is as without.
    """


class HangingTests(PAMTestCase):
    """
    Modules that do not come back.
    """

    def setUp(self) -> None:
        package = str(Path(launcher.__file__).parent.parent)
        code = _SHORT.format(package=package)
        self.words = ("-I", "-S", "-c", code, launcher.__file__)
        super().setUp()

    def begin(self) -> None:
        self.changed["most"] = 3
        super().begin()

    def scripts(self) -> list[int]:
        """
        @return: what modules have executed.
        """
        wanted = f"{self.service.directory}/tell".encode()
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if wanted in words:
                    found.append(int(name))
        return [pid for pid in found if isAlive(pid)]

    def test_open(self) -> None:
        """
        One that hangs when the session is opened is cut, with what it has executed; another
        account's start waits for nothing.
        """
        self.service.hold("open_session")
        self.ask({"start": 1, "gahp": "sleep", "account": SOMEBODY})
        waitFor(self.scripts, "the script")
        self.assertRefused("RVGAHP_ALLOW_ROOT", account="root", name=2)
        report = self.report()
        self.assertEqual(report["id"], 1)
        self.assertIn("PAM gave no answer within 1 s", report["problem"])
        self.assertIn(f"(service {SERVICE})", report["problem"])
        waitFor(lambda: not self.scripts(), "the end of the script")
        (self.service.directory / "open_session").unlink()
        self.assertIdle()

    def test_close(self) -> None:
        """
        The output of a GAHP ends, and its end is told, though its session cannot be closed;
        that is cut, with what was executed for it.
        """
        self.service.hold("close_session")
        self.begun(gahp="env")
        self.assertTrue(self.read())
        self.assertEqual(self.report()["value"], 0)
        waitFor(lambda: not self.scripts() and not self.holders(), "the end of the holder")
        self.assertEqual(self.service.sessions(), (1, 1))

    def test_most(self) -> None:
        """
        A session that is not closed yet counts as a GAHP: there cannot be ever more of them.
        """
        self.service.hold("close_session")
        for name in (1, 2, 3):
            self.begun(name, "env")
            self.report()
        self.assertRefused("3 GAHPs run, RVGAHP_MAX_SESSIONS", name=4)
        (self.service.directory / "close_session").unlink()
        waitFor(lambda: not self.holders(), "the ends of the holders")
        self.assertIn("pid", self.begun(5))

    def test_closeGone(self) -> None:
        """
        A launcher whose CE is gone does not wait for such a session for ever.
        """
        self.service.hold("close_session")
        self.begun()
        self.control.close()
        self.process.wait(30)
        self.assertEqual((self.scripts(), self.holders()), ([], []))

    def test_signals(self) -> None:
        """
        A start that is given up while its session is opened: that is closed, too.
        """
        self.service.hold("open_session")
        self.ask({"start": 1, "gahp": "sleep", "account": SOMEBODY})
        waitFor(self.scripts, "the script")
        self.send(1, signal.SIGTERM)
        self.send(1, signal.SIGKILL)
        self.assertRefused("RVGAHP_ALLOW_ROOT", account="root", name=2)  # they have been heard
        self.service.release("open_session")
        reports = [self.report()]
        if "pid" in reports[0]:
            reports.append(self.report())
        self.assertTrue("problem" in reports[-1] or reports[-1]["signalled"], reports)
        self.service.awaitClosed(1)

    def test_killed(self) -> None:
        """
        The launcher is killed while a session is opened: that is closed, and no GAHP starts.
        """
        self.service.hold("open_session")
        self.ask({"start": 1, "gahp": "sleep", "account": SOMEBODY})
        waitFor(self.scripts, "the script")
        self.expected = (-signal.SIGKILL, b"")
        self.process.kill()
        self.process.wait(30)
        self.service.release("open_session")
        self.service.awaitClosed(1)


class StartTests(SynchronousTestCase):
    """
    A launcher that cannot ask PAM, in the CE's own process.
    """

    def test_service(self) -> None:
        """
        Without the service it does not start: PAM would go by C{other}.
        """
        e = self.assertRaises(Refused, PAM, "no-such-service", "rvgahp")
        self.assertIn("/etc/pam.d/no-such-service, which RVGAHP_PAM_SERVICE names", str(e))

    def test_library(self) -> None:
        """
        Nor without libpam, nor where ctypes cannot make what it needs.
        """

        def fail(*words: Any) -> None:
            raise OSError("libpam.so.0: cannot open shared object file")

        for name in ("_load", "_Converse"):
            patch = self.patch(launcherpam, name, fail)
            e = self.assertRaises(Refused, PAM, "login", "rvgahp")
            self.assertIn("libpam.so.0: cannot open shared object file; install", str(e))
            patch.restore()


class Library:
    """
    In place of libpam: records its calls.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return partial(self._called, name)

    def _called(self, name: str, handle: Any, number: int) -> int:
        self.calls.append((name, number))
        return 7


class SessionTests(SynchronousTestCase):
    """
    What becomes of a handle.
    """

    def test_close(self) -> None:
        """
        The session, then what it was given, then the handle, whatever fails before.
        """
        library = Library()
        Session(library, ctypes.c_void_p()).close()
        silent = 0x8000
        expected = [("pam_close_session", silent), ("pam_setcred", silent | 4), ("pam_end", 7)]
        self.assertEqual(library.calls, expected)


class ConversationTests(SynchronousTestCase):
    """
    What modules say and ask.
    """

    def setUp(self) -> None:
        if reason := whyNot():
            raise SkipTest(reason)
        self.patch(launcherpam.PAM, "_checkService", lambda self: None)
        self.pam = PAM(SERVICE, "rvgahp")

    def converse(self, *messages: tuple[int, bytes]) -> tuple[int, int | None]:
        """
        @return: the code, and the address of the answers.
        """
        made = [launcherpam._Message(*one) for one in messages]
        pointers = (ctypes.POINTER(launcherpam._Message) * len(made))(*map(ctypes.pointer, made))
        answers = (ctypes.c_void_p * 1)()
        code = self.pam._conversation.converse(len(made), pointers, answers, None)
        self.addCleanup(ctypes.CDLL(None).free, ctypes.c_void_p(answers[0]))
        return code, answers[0]

    def test_said(self) -> None:
        """
        What is told is heard, so much of it as a sentence bears, and has answers without a
        text.
        """
        code, answers = self.converse((3, b"one\n"), (4, b"\xff two"))
        self.assertEqual(code, 0)
        self.assertEqual(ctypes.string_at(answers or 0, 32), bytes(32))
        for _ in range(20):
            self.converse((4, b"x" * 1000))
        words = self.pam._words(None, 7)
        self.assertTrue(words.startswith("Authentication failure, one, \ufffd two, xxx"), words)
        self.assertLessEqual(len(words), 300)

    def test_asked(self) -> None:
        """
        What is asked for is not answered.
        """
        for style in (1, 2, 5, 7, -1):
            self.assertEqual(self.converse((4, b"Hear"), (style, b"Password: ")), (19, None))
