"""
Tests of L{rvgahp.launcherrules}: a launcher that is root, and a CE that is in other hands.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import signal
import socket
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rvgahp import launcherrules
from rvgahp.launcherrules import READY, REQUEST_BYTES, Refused, Rules, isExpired
from tests import test_launcher
from tests.procfs import childrenOf, isAlive, isStopped, waitFor

#: An account that there is everywhere, and one whose uid is low.
SOMEBODY, SOMEBODY_UID, LOW = "nobody", 65534, "daemon"

CE_UID = 65533

#: Sleeps when it has said who it is.
_ID = "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status; pwd; exec sleep 1000"


def rules(**changed: Any) -> dict[str, Any]:
    """
    @return: what a CE that is still root hands over.
    """
    return {
        "gahps": {
            "id": {"words": ["/bin/sh", "-c", _ID], "environment": {"A": "b"}, "files": []},
            "sleep": {"words": ["/bin/sleep", "1000"], "environment": {}, "files": []},
            "keys": {"words": ["/bin/cat", "/proc/keys"], "environment": {}, "files": []},
            "env": {"words": ["/usr/bin/env"], "environment": {"A": "b"}, "files": []},
            "relative": {"words": ["sh"], "environment": {}, "files": []},
            "needy": {"words": ["/bin/true"], "environment": {}, "files": ["/etc/shadow"]},
        },
        "environment": {"PATH": "/usr/bin:/bin", "LANG": "C"},
        "umask": 0o27,
        "descriptors": 0,
        "lowest": 1000,
        "root": False,
        "ce": CE_UID,
        "ceName": "rvgahp",
        "pam": "",
        "most": 100,
        **changed,
    }


class ReadTests(SynchronousTestCase):
    """
    What is a request, and what is not.
    """

    def setUp(self) -> None:
        self.rules = Rules(rules())

    def test_requests(self) -> None:
        """
        The two requests that there are.
        """
        for request in (
            {"start": 1, "gahp": "id", "account": SOMEBODY},
            {"signal": 1, "number": int(signal.SIGSTOP)},
        ):
            self.assertEqual(self.rules.read(json.dumps(request).encode()), request)

    def test_others(self) -> None:
        """
        Whatever has another field, one less, one of another type or size, or is no object,
        is nothing.
        """
        start: dict[str, Any] = {"start": 1, "gahp": "id", "account": SOMEBODY}
        send: dict[str, Any] = {"signal": 1, "number": 9}
        odd: list[Any] = [None, [], {}, 1.5, True, ""]
        whole = [
            *({**start, name: value} for name in start for value in odd),
            *({**send, name: value} for name in send for value in odd),
            *({key: start[key] for key in start if key != name} for name in start),
            {**start, "program": "/bin/sh"},
            {**start, **send},
            {**start, "start": 0},
            {**start, "start": -1},
            {**start, "start": 2**64},
            {**start, "account": "x" * 257},
            {**send, "number": int(signal.SIGHUP)},
            {**send, "number": 0},
            {"signal": 1},
            [],
            [start],
            "start",
            None,
            7,
        ]
        for request in whole:
            self.assertEqual(self.rules.read(json.dumps(request).encode()), {}, request)
        proper = json.dumps(start).encode()
        for data in (
            b"",
            b"{",
            b"\xff" * 50,
            b"[" * REQUEST_BYTES,
            b'{"a":' * 800,
            b"9" * REQUEST_BYTES,
            proper + b" " * REQUEST_BYTES,
            proper[:-1] + b', "start": "x"}',
        ):
            self.assertEqual(self.rules.read(data), {}, data[:50])

    def test_rubbish(self) -> None:
        """
        Random bytes, and requests with bytes changed, raise nothing, and what comes out of
        them is proper.
        """
        seed = random.randrange(1 << 32)
        print(f"\nseed {seed}")
        chance = random.Random(seed)
        proper = [
            b'{"start": 3, "gahp": "id", "account": "nobody"}',
            b'{"signal": 3, "number": 15}',
        ]
        for _ in range(20_000):
            data = bytearray(chance.choice(proper))
            for _ in range(chance.randrange(4)):
                data[chance.randrange(len(data))] = chance.choice(b'{}[]":,0123456789eE-\\\0\xff a')
            found = self.rules.read(bytes(data))
            if found:
                self.assertIn(set(found), ({"start", "gahp", "account"}, {"signal", "number"}))
                self.assertIn(found.get("number", 15), launcherrules.SIGNALS)


class EntryTests(SynchronousTestCase):
    """
    Account databases of every kind.
    """

    def entry(self, account: str, name: str, uid: int) -> None:
        """
        Become an account whose entry has this name and uid.
        """
        found = pwd.struct_passwd((name, "x", uid, 5000, "", "/", "/bin/sh"))
        self.patch(pwd, "getpwnam", lambda account: found)
        Rules(rules())._entry(account)

    def test_names(self) -> None:
        """
        A database that knows an account by several names gives it by its own only: the CE has
        decided on that one.
        """
        self.entry("alice", "alice", 5000)
        for asked in ("ALICE", "alice@here", "HERE\\alice", "alice "):
            e = self.assertRaises(Refused, self.entry, asked, "alice", 5000)
            self.assertIn("is 'alice'", str(e))

    def test_uids(self) -> None:
        """
        The lowest uid is the first that may be had.
        """
        for uid in (1000, 2**32 - 2):
            self.entry("alice", "alice", uid)
        for uid in (0, 1, 999, CE_UID):
            self.assertRaises(Refused, self.entry, "alice", "alice", uid)

    def test_unchanged(self) -> None:
        """
        A uid of -1, which the kernel takes for that which one has, leaves nobody root.
        """
        if os.geteuid():
            raise SkipTest("only root has something to lose")
        for name in ("setgroups", "setresgid"):
            self.patch(os, name, lambda *ids: None)
        gids, groups = os.getgid(), os.getgroups()
        self.assertRaises(Refused, launcherrules.become, 2**32 - 1, gids, groups)
        self.assertEqual(os.getresuid(), (0, 0, 0))


class ExpiryTests(SynchronousTestCase):
    """
    The shadow file.
    """

    def test_expiry(self) -> None:
        """
        An account has expired from its day on; one without a day, without a line, or in a
        file that cannot be read has not.
        """
        today = int(time.time()) // 86400
        with tempfile.NamedTemporaryFile("w") as file:
            for name, day in (("past", today - 1), ("today", today), ("later", today + 2)):
                file.write(f"{name}:!:1:0:9:7::{day}:\n")
            file.write("odd:!:1:0:9:7::x:\nshort:!\nnone:!:1:0:9:7:::\n")
            file.flush()
            names = ("past", "today", "later", "odd", "short", "none", "nobody")
            found = [name for name in names if isExpired(name, file.name)]
        self.assertEqual(found, ["past", "today"])
        self.assertFalse(isExpired("past", "/no/such/file"))


class RootTestCase(test_launcher.LauncherTestCase):
    """
    A launcher that is root, and somebody who has the CE's end of its socket.
    """

    further = ("rules",)
    changed: dict[str, Any] = {}

    def setUp(self) -> None:
        if os.geteuid():
            raise SkipTest("only root has a launcher that is root")
        self.output = -1
        self.addCleanup(self.closeOutput)
        super().setUp()

    def begin(self) -> None:
        """
        Hand over the rules.
        """
        self.control.send(json.dumps(rules(**self.changed)).encode())
        self.assertEqual(self.control.recv(1000), READY)

    def closeOutput(self) -> None:
        """
        Let go of what the last program wrote.
        """
        if self.output >= 0:
            os.close(self.output)

    def ask(self, request: Any, count: int = 3) -> None:
        """
        Send something, with so many descriptors.
        """
        null = os.open("/dev/null", os.O_RDWR)
        self.closeOutput()
        self.output, write = os.pipe()
        data = request if isinstance(request, bytes) else json.dumps(request).encode()
        socket.send_fds(self.control, [data], [null, write, null, null, null][:count])
        os.close(null)
        os.close(write)

    def begun(self, name: int = 1, gahp: str = "sleep", account: str = SOMEBODY) -> dict[str, Any]:
        """
        @return: the report of a start.
        """
        self.ask({"start": name, "gahp": gahp, "account": account})
        return self.report()

    def assertRefused(self, *words: str, **request: Any) -> None:
        """
        A start is refused with a sentence.
        """
        report = self.begun(**request)
        self.assertEqual(set(report), {"id", "problem"}, report)
        for word in words:
            self.assertIn(word, report["problem"])
        self.assertTrue(report["problem"].isprintable())

    def assertIdle(self) -> None:
        """
        The launcher lives, and has done nothing.
        """
        self.assertTrue(isAlive(self.process.pid))
        self.control.setblocking(False)
        self.assertRaises(BlockingIOError, self.control.recv, 1000)
        self.control.settimeout(30)
        report = self.begun(999_999)
        self.assertEqual(report["uid"], SOMEBODY_UID)
        self.assertEqual(childrenOf(self.process.pid), [report["pid"]])


class HostileTests(RootTestCase):
    """
    A CE that is in other hands.
    """

    def test_start(self) -> None:
        """
        What may be started is: as the account, with nothing of root's.
        """
        report = self.begun(gahp="id")
        self.assertEqual((report["id"], report["uid"]), (1, SOMEBODY_UID))
        waitFor(lambda: os.readlink(f"/proc/{report['pid']}/exe").endswith("sleep"), "the rest")
        lines = os.read(self.output, 5000).decode().split("\n")
        told = {line.split(":")[0]: line.split(":")[1].split() for line in lines if ":" in line}
        self.assertEqual(told["Uid"], [str(SOMEBODY_UID)] * 4)
        self.assertNotIn("0", told["Gid"] + told["Groups"])
        self.assertEqual(int(told["CapEff"][0], 16), 0)
        self.assertEqual(os.getsid(report["pid"]), report["pid"])

    def test_environment(self) -> None:
        """
        The environment is that of the rules, with the account's and the GAHP's own.
        """
        self.begun(gahp="env")
        found = dict(line.split("=", 1) for line in self.read().decode().splitlines())
        self.assertEqual((found["A"], found["LANG"], found["USER"]), ("b", "C", SOMEBODY))
        names = {"A", "PATH", "LANG", "HOME", "USER", "LOGNAME", "SHELL"}
        self.assertEqual(set(found), names)
        self.report()

    def test_accounts(self) -> None:
        """
        Root, an account with a low uid, that of the CE, one that is not there, and names
        that there cannot be: a sentence, and no process.
        """
        self.assertRefused("'root' is root, and RVGAHP_ALLOW_ROOT", account="root")
        self.assertRefused("'daemon' has uid 1, and RVGAHP_LOWEST_UID is 1000", account=LOW)
        for name in ("no such", "../root", "nobody\n", "\ud800", "0", "-1", "NOBODY", "nobody\0"):
            self.assertRefused("the site has no account", account=name)
        self.assertIdle()

    def test_gahps(self) -> None:
        """
        No program that the rules do not name can be started, whatever is tried.
        """
        self.assertRefused("no GAHP named '/bin/sh'", gahp="/bin/sh")
        self.assertRefused("sh, the site's program for relative, is not there", gahp="relative")
        self.assertRefused("/etc/shadow, which needy needs at the site, may not", gahp="needy")
        plain = {"program": "/bin/sh", "arguments": [], "environment": {}, "directory": "/"}
        self.ask({"start": 5, **plain, "umask": 0, "descriptors": 0})
        self.ask({"start": 5, "gahp": "id", "account": SOMEBODY, **plain})
        self.ask({"gahps": {}, "root": True, "lowest": 0})
        self.control.send(json.dumps(rules(root=True, lowest=0)).encode())
        self.assertRefused("RVGAHP_ALLOW_ROOT", account="root")
        self.assertIdle()

    def awaitDescriptors(self, count: int) -> None:
        """
        The launcher has so many again.
        """
        fds = f"/proc/{self.process.pid}/fd"
        waitFor(lambda: len(os.listdir(fds)) == count, f"{count} descriptors of the launcher")

    def isStopped(self, pid: int, expected: bool) -> bool:
        """
        @return: whether a process is stopped, or not, as is expected.
        """
        return isStopped(pid) == expected

    def test_signals(self) -> None:
        """
        STOP, CONT and KILL reach a GAHP of another account; ids of nobody, and of one that
        has been reaped, reach nobody.
        """
        pid = self.begun(7)["pid"]
        for number, isThere in ((signal.SIGSTOP, True), (signal.SIGCONT, False)):
            self.control.send(json.dumps({"signal": 7, "number": number}).encode())
            waitFor(partial(self.isStopped, pid, isThere), f"signal {number}")
        self.control.send(json.dumps({"signal": 8, "number": 9}).encode())
        self.control.send(json.dumps({"signal": pid, "number": 9}).encode())
        self.control.send(json.dumps({"signal": 7, "number": int(signal.SIGHUP)}).encode())
        self.assertEqual(self.begun(9)["id"], 9)
        self.assertTrue(isAlive(pid))
        self.control.send(json.dumps({"signal": 7, "number": 9}).encode())
        self.assertEqual(self.report(), {"id": 7, "signalled": True, "value": 9})
        self.control.send(json.dumps({"signal": 7, "number": 9}).encode())
        self.control.send(json.dumps({"signal": 9, "number": 9}).encode())
        self.assertEqual(self.report()["id"], 9)

    def test_descriptors(self) -> None:
        """
        A start that comes with fewer descriptors than three is refused, more are closed.
        """
        before = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        for count in (0, 1, 2):
            self.ask({"start": 1, "gahp": "sleep", "account": SOMEBODY}, count)
            self.assertIn("no process could be made", self.report()["problem"])
        self.ask({"start": 1, "gahp": "sleep", "account": SOMEBODY}, 5)
        self.assertIn("pid", self.report())
        self.ask(b"rubbish", 5)
        self.control.send(json.dumps({"signal": 1, "number": 9}).encode())
        self.report()
        self.awaitDescriptors(before)

    def test_rubbish(self) -> None:
        """
        Packets of random bytes, structures, sizes and descriptors: nothing is done, nothing
        crashes, and no descriptor is left.
        """
        seed = random.randrange(1 << 32)
        print(f"\nseed {seed}")
        chance = random.Random(seed)
        before = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        keys = ["start", "signal", "number", "gahp", "account", "program", "id", "", "rules"]
        # No id that would do is among them: a start of what there is not is answered.
        values: list[Any] = [None, 0, -1, 7.0, 2**70, 1e300, "", "root", "/bin/sh", [], {}, True]
        for _ in range(3000):
            kind = chance.randrange(4)
            if kind == 0:
                data = chance.randbytes(chance.choice((1, 10, 300, 5000)))
            elif kind == 1:
                data = chance.choice((b"[", b'{"start":', b"\xff\xfe", b"1")) * 4000
            else:
                some = chance.sample(keys, chance.randrange(5))
                data = json.dumps({key: chance.choice(values) for key in some}).encode()
            self.ask(data, chance.randrange(6))
        self.assertIdle()
        self.control.send(json.dumps({"signal": 999_999, "number": 9}).encode())
        self.report()
        self.awaitDescriptors(before)

    def test_gone(self) -> None:
        """
        When the CE is gone, no GAHP of another account is left, stopped and stubborn ones
        included; when the launcher is killed, the kernel kills them.
        """
        stopped = self.begun(1)["pid"]
        self.control.send(json.dumps({"signal": 1, "number": signal.SIGSTOP}).encode())
        waitFor(lambda: isStopped(stopped), "the stop")
        self.control.close()
        waitFor(lambda: not isAlive(stopped), "the end of the stopped one", 10)

    def test_killed(self) -> None:
        """
        When the launcher is killed, the kernel kills GAHPs of other accounts.
        """
        pid = self.begun(1)["pid"]
        self.expected = (-signal.SIGKILL, b"")
        self.process.kill()
        waitFor(lambda: not isAlive(pid), "the end of the GAHP", 10)


class ManyTests(RootTestCase):
    """
    How many there may be.
    """

    changed = {"most": 2}

    def test_most(self) -> None:
        """
        One more than the rules allow is refused, until another has ended.
        """
        for name in (1, 2):
            self.assertIn("pid", self.begun(name))
        self.assertRefused("2 GAHPs run, RVGAHP_MAX_SESSIONS", name=3)
        self.control.send(json.dumps({"signal": 1, "number": 9}).encode())
        self.report()
        self.assertIn("pid", self.begun(4))


class RootTests(RootTestCase):
    """
    Rules that allow root, and a CE whose account is another's.
    """

    changed = {"root": True, "ce": SOMEBODY_UID}

    def test_root(self) -> None:
        """
        Root may be had where that is said, low uids still may not, and the CE's own account
        may not.
        """
        self.assertEqual(self.begun(1, account="root")["uid"], 0)
        self.assertRefused("RVGAHP_LOWEST_UID", account=LOW)
        self.assertRefused("'nobody' is that of rvgahp-ce", account=SOMEBODY)


class KeyringTests(RootTestCase):
    """
    A CE that was started with a session keyring, as service managers do.
    """

    prelude = (
        "import ctypes; from rvgahp.launcherchild import ownKeyring; ownKeyring()()\n"
        + test_launcher.PRELUDE
    )

    def test_keyring(self) -> None:
        """
        Each GAHP has one of its own, and sees no other of root's.
        """
        if not os.path.exists("/proc/keys"):
            raise SkipTest("this kernel tells of no keyrings")
        found = []
        for name in (1, 2):
            self.begun(name, "keys")
            lines = [line.split() for line in self.read().decode().splitlines()]
            # serial number, flags, usage, timeout, permissions, uid, gid, type, description
            found += [one[0] for one in lines if one[5] == "0" and one[8].startswith("_ses")]
            self.report()
        self.assertEqual((len(found), len(set(found))), (2, 2))


class StuckTests(RootTestCase):
    """
    What the CE's process does to the launcher's, it does to itself alone.
    """

    def test_unread(self) -> None:
        """
        A CE that reads no reports, and goes, leaves nothing.
        """
        for name in range(1, 60):
            self.ask({"start": name, "gahp": "sleep", "account": SOMEBODY})
        children = waitFor(lambda: childrenOf(self.process.pid), "a start")
        self.control.close()
        self.process.wait(30)
        self.assertEqual([pid for pid in children if isAlive(pid)], [])
        self.assertFalse(Path(f"/proc/{self.process.pid}/exe").exists())
