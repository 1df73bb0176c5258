# -*- test-case-name: tests.test_blah_fork -*-
"""
Tests of the C{fork} manager and its supervisors, with real jobs, through the
program's dialogue.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah import limits
from rvgahp.blah.errors import BatchError
from rvgahp.blah.fork import Fork
from rvgahp.blah.jobfiles import JobDirectories
from rvgahp.blah.jobstate import Status, formatAd
from rvgahp.blah.processes import ProcessIdentity
from rvgahp.blah.submitad import SubmitAd
from tests.blahdriver import (
    BatchGahp,
    forkAd,
    killProcess,
    patiently,
    processesNaming,
    recorded,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Values that quoting and encoding are known to spoil.
HOSTILE = [
    b"",
    b" ",
    b"two  words\t",
    b"it's",
    b"''",
    b'"double"',
    b"\\",
    b"a\\ b\\\\",
    b"line\nline\r\n",
    b"$HOME `id` $(id) ; | & > < * ? [x] {a,b} ~ # !",
    b"%s %d {0}",
    "caf\u00e9 \u4f60\u597d \U0001f600".encode(),
    b"\xff\xfe latin \xe9 \x80",
    b"\x01\x02\x1b[31m\x7f",
    b"-n",
    b"=x=",
    b"\\303\\251",
]


def quoted(word: bytes) -> bytes:
    """
    One word in HTCondor's V2 syntax.
    """
    return b"'" + word.replace(b"'", b"''") + b"'"


class ForkTestCase(SynchronousTestCase):
    """
    A state directory, a directory for jobs, and at the end the proof that
    nothing is left running.
    """

    def setUp(self) -> None:
        """
        Make the directories.
        """
        base = os.path.abspath(self.mktemp())
        self.state = os.path.join(base, "state")
        self.iwd = os.path.join(base, "iwd")
        os.makedirs(self.iwd)
        self.addCleanup(self.nothingLeft, base)

    def nothingLeft(self, base: str) -> None:
        """
        No process of the test's jobs or supervisors remains.

        One that forks or becomes another program while we look may not be seen, so it takes
        some looks in a row.
        """
        unseen = 0
        for _ in patiently(lambda: str(processesNaming(base))):
            unseen = 0 if processesNaming(base) else unseen + 1
            if unseen == 4:
                return

    def start(self, **options: Any) -> BatchGahp:
        """
        @return: the program; it is killed at the end.
        """
        gahp = BatchGahp(self.state, **options)
        self.addCleanup(gahp.kill)
        return gahp

    def output(self, name: str = "out") -> bytes:
        """
        @return: what a job wrote.
        """
        return (Path(self.iwd) / name).read_bytes()

    def waitForFile(self, name: str) -> None:
        """
        Wait for a job to make a file.
        """
        for _ in patiently(lambda: f"{name} is not there"):
            if (Path(self.iwd) / name).exists():
                return

    def touch(self, name: str) -> None:
        """
        Make a file that a job waits for.
        """
        (Path(self.iwd) / name).touch()


#: Makes the GAHP die, as if it were killed, at one point of its dialogue with
#: a supervisor.
DIE = """
import os
from rvgahp.blah import launch
send = launch.send
def sendAndDie(peer, message):
    if "{word}" in message and "{died}" == "before":
        os._exit(99)
    send(peer, message)
    if "{word}" in message:
        os._exit(99)
launch.send = sendAndDie
"""

#: A script that tells when it runs, and goes on when it is told.
WAIT = "touch running; while ! test -e go; do sleep 0.01; done; "


class LifeTests(ForkTestCase):
    """
    Jobs that run to their end.
    """

    def test_success(self) -> None:
        """
        A job runs in its directory, its output arrives, and its end is told
        with its exit code and times.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, "pwd; echo trouble >&2; exit 3"))
        ad = gahp.waitForStatus(jobId, Status.COMPLETED)
        self.assertEqual(self.output(), self.iwd.encode() + b"\n")
        self.assertEqual(self.output("err"), b"trouble\n")
        self.assertEqual((ad["ExitCode"], ad["ExitBySignal"]), (3, False))
        self.assertEqual(ad["BatchJobId"], jobId.decode())
        self.assertEqual(ad["JobStatus"], 4)
        self.assertEqual(ad["WorkerNode"], os.uname().nodename)
        for name in ("RemoteWallClockTime", "RemoteUserCpu", "RemoteSysCpu"):
            self.assertTrue(0 <= ad[name] < 60)

    def test_signal(self) -> None:
        """
        A job that dies on a signal is told as that.
        """
        gahp = self.start()
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE):
            jobId = gahp.submit(forkAd(self.iwd, f"kill -{number} $$"))
            ad = gahp.waitForStatus(jobId, Status.COMPLETED)
            self.assertEqual((ad["ExitBySignal"], ad["ExitSignal"]), (True, number))
            self.assertIn(number.name, ad["ExitReason"])
            self.assertNotIn("ExitCode", ad)

    def test_running(self) -> None:
        """
        While it runs it is RUNNING, for any GAHP of the account.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        self.assertEqual(gahp.status(jobId)[0], Status.RUNNING)
        self.assertEqual(self.start().status(jobId)[0], Status.RUNNING)
        self.touch("go")
        gahp.waitForStatus(jobId, Status.COMPLETED)

    def test_hostileValues(self) -> None:
        """
        Arguments and environment arrive byte for byte, whatever is in them.
        """
        variables = {b"V%d" % number: value for number, value in enumerate(HOSTILE)}
        script = (
            "import os, sys; words = sys.argv[2:];"
            "values = [os.environb[b'V%d' % n] for n in range(int(sys.argv[1]))];"
            "print(*[w.hex() + '.' for w in [*map(os.fsencode, words), *values]])"
        )
        arguments = [b"-c", script.encode(), b"%d" % len(HOSTILE), *HOSTILE]
        attributes: dict[str, str | bytes] = {
            "gridtype": "fork",
            "Cmd": "/usr/bin/env",
            "Iwd": self.iwd,
            "Out": "out",
            "Arguments": b" ".join(map(quoted, [b"python3", *arguments])),
            "Environment": b" ".join([quoted(b"%s=%s" % item) for item in variables.items()]),
        }
        gahp = self.start()
        jobId = gahp.submit(formatAd(attributes))
        self.assertEqual(gahp.waitForStatus(jobId, Status.COMPLETED)["ExitCode"], 0)
        seen = [bytes.fromhex(word.rstrip(".")) for word in self.output().decode().split()]
        self.assertEqual(seen, HOSTILE * 2)

    def test_v1(self) -> None:
        """
        The older forms of arguments and environment work too.
        """
        gahp = self.start()
        attributes = {
            "gridtype": "fork",
            "Cmd": "/usr/bin/printenv",
            "Args": "  AAA \t BBB ",
            "Env": "AAA=1 2;BBB='x'",
            "Iwd": self.iwd,
            "Out": "out",
        }
        gahp.waitForStatus(gahp.submit(formatAd(attributes)), Status.COMPLETED)
        self.assertEqual(self.output(), b"1 2\n'x'\n")

    def test_environment(self) -> None:
        """
        A job has the account's basic variables and its own, the proxy's path,
        and nothing else of the GAHP's.
        """
        gahp = self.start(environment={"SECRET_TOKEN": "hunter2", "CONDOR_INHERIT": "x"})
        attributes = {
            "gridtype": "fork",
            "Cmd": "/usr/bin/env",
            "Iwd": self.iwd,
            "Out": "out",
            "Environment": "PATH=/mine",
            "x509userproxy": "proxy file",
        }
        gahp.waitForStatus(gahp.submit(formatAd(attributes)), Status.COMPLETED)
        seen = dict(line.split("=", 1) for line in self.output().decode().splitlines())
        self.assertEqual(seen["PATH"], "/mine")
        self.assertEqual(seen["X509_USER_PROXY"], self.iwd + "/proxy file")
        self.assertEqual(seen["HOME"], os.path.expanduser("~"))
        self.assertEqual(
            set(seen) - {"LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"},
            {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "X509_USER_PROXY"},
        )

    def test_renewProxy(self) -> None:
        """
        A running job's proxy is renewed in its place; a job without one has
        none to renew.
        """
        for name in ("own", "new"):
            (Path(self.iwd) / name).write_text(name)
        gahp = self.start()
        script = WAIT + 'cat "$X509_USER_PROXY"'
        jobId = gahp.submit(forkAd(self.iwd, script, x509userproxy="own"))
        for name in ("own", "new"):
            path = os.path.join(self.iwd, name).encode()
            self.assertEqual(
                gahp.request(b"BLAH_JOB_REFRESH_PROXY", jobId, path), [b"0", b"No error"]
            )
        self.touch("go")
        gahp.waitForStatus(jobId, Status.COMPLETED)
        self.assertEqual(self.output(), b"new")
        other = gahp.submit(forkAd(self.iwd, "true"))
        code, sentence = gahp.request(b"BLAH_JOB_REFRESH_PROXY", other, path)
        self.assertEqual(code, b"1")
        self.assertIn(b"without a proxy", sentence)

    def test_standardFiles(self) -> None:
        """
        In is read; Out and Err may be one file, of which neither overwrites
        the other; without them there is /dev/null.
        """
        (Path(self.iwd) / "input").write_bytes(b"some input\n")
        gahp = self.start()
        script = "cat; echo one; echo two >&2; echo three"
        jobId = gahp.submit(forkAd(self.iwd, script, In="input", Err=self.iwd + "/out"))
        gahp.waitForStatus(jobId, Status.COMPLETED)
        self.assertEqual(self.output(), b"some input\none\ntwo\nthree\n")
        script = "exec 3>&1; readlink /proc/self/fd/0 /proc/self/fd/2 /proc/self/fd/3 > seen"
        gahp.waitForStatus(gahp.submit(forkAd(self.iwd, script, Out="", Err="")), Status.COMPLETED)
        self.assertEqual(self.output("seen"), b"/dev/null\n" * 3)

    def test_clean(self) -> None:
        """
        A job begins with nothing of the GAHP's: no descriptors beyond its
        three, no signal ignored or blocked, a session of its own.
        """
        gahp = self.start(restore_signals=False)
        script = (
            'ls /proc/$$/fd; grep -E ^Sig.*[kn]: /proc/self/status; cut -d" " -f1,6 /proc/$$/stat'
        )
        gahp.waitForStatus(gahp.submit(forkAd(self.iwd, script)), Status.COMPLETED)
        lines = self.output().decode().splitlines()
        self.assertEqual(lines[:3], ["0", "1", "2"])
        # 32 and 33 are the C library's own, which no program can set; whoever started
        # the tests may have left them ignored.
        masks = [int(line.split()[1], 16) for line in lines if line.startswith("Sig")]
        self.assertEqual([mask & ~(1 << 31 | 1 << 32) for mask in masks], [0, 0])
        self.assertEqual(*lines[-1].split())

    def test_leftovers(self) -> None:
        """
        What a job leaves running is killed when it ends.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, "sleep 1000 & set -m; sleep 1000 & exit 0"))
        self.assertEqual(gahp.waitForStatus(jobId, Status.COMPLETED)["ExitCode"], 0)
        self.assertEqual(livingIn(self.iwd), [])

    def test_many(self) -> None:
        """
        Forty submits at once make forty jobs.
        """
        gahp = self.start()
        ids = [gahp.begin(b"BLAH_JOB_SUBMIT", forkAd(self.iwd, "echo x >> all")) for _ in range(40)]
        jobs = [gahp.result(requestId)[2] for requestId in ids]
        self.assertEqual(len(set(jobs)), 40)
        for jobId in jobs:
            self.assertEqual(gahp.waitForStatus(jobId, Status.COMPLETED)["ExitCode"], 0)
        self.assertEqual(self.output("all"), b"x\n" * 40)

    def test_childSignalsIgnored(self) -> None:
        """
        A GAHP whose starter ignored SIGCHLD still tells exit codes.
        """
        old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            gahp = self.start()
        finally:
            signal.signal(signal.SIGCHLD, old)
        jobId = gahp.submit(forkAd(self.iwd, "exit 7"))
        self.assertEqual(gahp.waitForStatus(jobId, Status.COMPLETED)["ExitCode"], 7)


class RefusalTests(ForkTestCase):
    """
    Submits that fail.
    """

    def refused(self, gahp: BatchGahp, ad: bytes) -> str:
        """
        @return: the sentence with which a submit fails.
        """
        code, sentence, jobId = gahp.request(b"BLAH_JOB_SUBMIT", ad)
        self.assertEqual((code, jobId), (b"1", b"N/A"))
        return sentence.decode()

    def test_impossible(self) -> None:
        """
        What cannot be started is refused with what and why, and leaves no
        record.
        """
        (Path(self.iwd) / "plain").write_text("no program")
        (Path(self.iwd) / "noformat").write_text("no program")
        (Path(self.iwd) / "noformat").chmod(0o755)
        os.mkfifo(Path(self.iwd) / "pipe")
        gahp = self.start()
        for attributes, words in (
            ({"Cmd": "missing"}, ["missing", "No such file"]),
            ({"Cmd": "plain"}, ["plain", "Permission denied"]),
            ({"Cmd": "noformat"}, ["noformat", "format"]),
            ({"Cmd": "."}, ["Permission denied"]),
            ({"Iwd": self.iwd + "/missing"}, ["directory", "missing"]),
            ({"In": "missing"}, ["In", "missing"]),
            ({"Out": "no/where"}, ["Out", "no/where"]),
            # Nobody reads it, and the submit must not wait for somebody.
            ({"Err": "pipe"}, ["Err", "pipe"]),
            ({"Arguments": "x" * 200_000}, ["too long"]),
            ({"gridtype": "slurm"}, ["slurm", "fork"]),
        ):
            sentence = self.refused(gahp, forkAd(self.iwd, "true", **attributes))
            for word in words:
                self.assertIn(word, sentence)
        self.assertEqual(list(JobDirectories(self.state).all()), [])

    def test_fullDisk(self) -> None:
        """
        Where a job's records cannot be written, at whatever point, the submit
        fails and nothing runs; the ping fails too, and the dialogue goes on.
        """
        for limit in (0, 300, limits.END_RECORD_LENGTH - 1):
            gahp = self.start(preexec_fn=lambda: limitFiles(limit))  # noqa: B023  # called at once
            sentence = self.refused(gahp, forkAd(self.iwd, "touch ran"))
            self.assertIn(self.state, sentence)
            code, sentence_ = gahp.request(b"BLAH_PING", b"fork")
            self.assertEqual(code, b"1")
            self.assertIn(self.state.encode(), sentence_)
            self.assertEqual(gahp.end(b"QUIT\n")[0], 0)
            self.assertEqual(list(JobDirectories(self.state).all()), [])
        self.nothingLeft(self.state)
        self.assertFalse((Path(self.iwd) / "ran").exists())

    def test_supervisorHangs(self) -> None:
        """
        A submit whose supervisor does not come about fails in time.
        """
        hanging = Path(self.iwd) / "hanging"
        hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
        hanging.chmod(0o755)
        prelude = (
            "import sys; from rvgahp.blah import limits;"
            f"sys.executable = {str(hanging)!r}; limits.LAUNCH_WAIT = 0.5"
        )
        sentence = self.refused(self.start(prelude=prelude), forkAd(self.iwd, "true"))
        self.assertIn("supervisor", sentence)
        self.assertIn("file system", sentence)
        self.assertEqual(list(JobDirectories(self.state).all()), [])

    def test_supervisorDies(self) -> None:
        """
        A submit whose supervisor dies before it said anything fails at once.
        """
        prelude = "import sys; sys.executable = '/bin/false'"
        sentence = self.refused(self.start(prelude=prelude), forkAd(self.iwd, "true"))
        self.assertIn("supervisor", sentence)

    def test_noStateDirectory(self) -> None:
        """
        A state directory that cannot be is a sentence for submit and ping.
        """
        Path(self.state).touch()
        gahp = self.start()
        self.assertIn("RVGAHP_BLAH_DIR", self.refused(gahp, forkAd(self.iwd, "true")))
        self.assertEqual(gahp.request(b"BLAH_PING", b"fork")[0], b"1")

    def test_withoutClassad2(self) -> None:
        """
        Where classad2 is not installed the GAHP runs, and a submit says what
        is missing.
        """
        hidden = Path(self.iwd) / "hidden"
        hidden.mkdir()
        (hidden / "classad2.py").write_text("raise ImportError('not here')")
        gahp = self.start(environment={"path": [str(hidden)]})
        self.assertEqual(gahp.request(b"BLAH_PING", b"fork"), [b"0", b"No error"])
        self.assertIn("htcondor", self.refused(gahp, forkAd(self.iwd, "true")))


class SurvivalTests(ForkTestCase):
    """
    What is killed, and what is told afterwards.
    """

    def test_gahpKilled(self) -> None:
        """
        A job outlives its GAHP's SIGKILL, and the next GAHP tells that it
        runs, and then its exit code.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT + "exit 5"))
        self.waitForFile("running")
        gahp.kill()
        second = self.start()
        self.assertEqual(second.status(jobId)[0], Status.RUNNING)
        second.kill()
        self.touch("go")
        ad = self.start().waitForStatus(jobId, Status.COMPLETED)
        self.assertEqual((ad["ExitCode"], ad["ExitBySignal"]), (5, False))

    def test_gahpGroupKilled(self) -> None:
        """
        Nor does it end with its GAHP's process group, or hold its GAHP's
        streams open.
        """
        gahp = self.start(start_new_session=True)
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        self.waitForFile("running")
        os.killpg(gahp.process.pid, signal.SIGKILL)
        # communicate returns at the end of both streams only.
        gahp.process.communicate(timeout=30)
        second = self.start()
        self.assertEqual(second.status(jobId)[0], Status.RUNNING)
        self.touch("go")
        second.waitForStatus(jobId, Status.COMPLETED)

    def test_noZombies(self) -> None:
        """
        The GAHP is nobody's parent once a job runs; the job and its
        supervisor are not its children.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        pid = gahp.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        threads = [entry.name for entry in Path(f"/proc/{pid}/task").iterdir()]
        self.assertEqual(children, "", threads)
        self.touch("go")
        gahp.waitForStatus(jobId, Status.COMPLETED)

    def test_killedAtEachStep(self) -> None:
        """
        A GAHP that dies before it said go leaves no job and no record; one
        that dies right after leaves a job that runs, with its record.
        """
        for word, died, expected in (
            ("command", "before", []),
            ("command", "after", []),
            ("go", "before", []),
            ("go", "after", [0]),
        ):
            gahp = self.start(prelude=DIE.format(word=word, died=died))
            gahp.begin(b"BLAH_JOB_SUBMIT", forkAd(self.iwd, f"touch {word}-{died}"))
            self.assertEqual(gahp.readLine(), b"")
            self.assertEqual(gahp.end()[0], 99)
            self.nothingLeft(self.state)
            ends = [job.read("end") for job in JobDirectories(self.state).all()]
            started = [end["code"] for end in ends if end]
            self.assertEqual(started, expected, (word, died))
            self.assertEqual((Path(self.iwd) / f"{word}-{died}").exists(), bool(expected))

    def test_notExecuted(self) -> None:
        """
        A job that could not be executed when its GAHP heard of nothing any
        more is HELD with the reason.
        """
        gahp = self.start(prelude=DIE.format(word="go", died="after"))
        gahp.begin(b"BLAH_JOB_SUBMIT", forkAd(self.iwd, "true", Cmd="missing"))
        self.assertEqual(gahp.end()[0], 99)
        self.nothingLeft(self.state)
        (job,) = JobDirectories(self.state).all()
        jobId = job.path[len(self.state) + 1 :].encode()
        status, ad = self.start().status(jobId)
        self.assertEqual(status, Status.HELD)
        self.assertIn("cannot be executed", ad["HoldReason"])

    def test_killedInTheMiddle(self) -> None:
        """
        A GAHP killed at any moment of a submit leaves either no job, or one
        that is on record and runs to its end.
        """
        for delay in range(8):
            gahp = self.start()
            gahp.request(b"BLAH_PING", b"fork")
            gahp.begin(b"BLAH_JOB_SUBMIT", forkAd(self.iwd, f"echo {delay} >> all"))
            # The point of time is the thing that is tried here.
            time.sleep(delay * 0.01)
            gahp.kill()
        self.nothingLeft(self.state)
        jobs = list(JobDirectories(self.state).all())
        ends = [job.read("end") for job in jobs if job.read("start")]
        self.assertEqual([end and end["code"] for end in ends], [0] * len(ends))
        out = Path(self.iwd) / "all"
        ran = out.read_text().split() if out.exists() else []
        self.assertEqual(len(ran), len(ends))
        self.assertEqual(len(ran), len(set(ran)))

    def test_supervisorKilled(self) -> None:
        """
        Without its supervisor a job is RUNNING while it runs, and then HELD
        with the reason: its exit code is lost, and none is made up.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        self.waitForFile("running")
        killProcess(recorded(self.state, jobId)["supervisor"]["pid"])
        self.assertEqual(gahp.status(jobId)[0], Status.RUNNING)
        self.touch("go")
        ad = gahp.waitForStatus(jobId, Status.HELD)
        self.assertIn("supervisor", ad["HoldReason"])
        self.assertNotIn("ExitCode", ad)
        # So it stays, until the client is rid of it.
        self.assertEqual(self.start().status(jobId)[0], Status.HELD)
        self.assertEqual(gahp.request(b"BLAH_JOB_CANCEL", jobId), [b"0", b"No error"])
        self.assertEqual(gahp.status(jobId)[0], Status.REMOVED)

    def test_reboot(self) -> None:
        """
        A job whose record is of another boot is HELD, though processes with
        its ids and start times exist.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        path = Path(self.state) / jobId.decode() / "start"
        start = json.loads(path.read_text())
        self.addCleanup(self.touch, "go")
        for process in ("supervisor", "job"):
            start[process]["boot"] = "00000000-0000-0000-0000-000000000000"
        path.write_text(json.dumps(start))
        status, ad = gahp.status(jobId)
        self.assertEqual(status, Status.HELD)
        self.assertIn("host went down", ad["HoldReason"])

    def test_idsUsedAgain(self) -> None:
        """
        Other processes that have the ids of a job and its supervisor do not
        pass for them, and are not killed for them.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        path = Path(self.state) / jobId.decode() / "start"
        start = json.loads(path.read_text())
        for process in ("supervisor", "job"):
            start[process]["startTime"] -= 1
        path.write_text(json.dumps(start))
        self.assertEqual(gahp.status(jobId)[0], Status.HELD)
        self.assertEqual(gahp.request(b"BLAH_JOB_CANCEL", jobId)[0], b"0")
        start["job"]["startTime"] += 1
        self.assertTrue(ProcessIdentity.fromRecord(start["job"]).alive())
        self.touch("go")

    def test_otherHost(self) -> None:
        """
        Of a job that another host runs, nothing is claimed; its end, which
        is on record, is told.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, WAIT))
        path = Path(self.state) / jobId.decode() / "start"
        original = path.read_text()
        start = json.loads(original)
        start["host"] = "elsewhere.example"
        start["supervisor"]["boot"] = "00000000-0000-0000-0000-000000000000"
        path.write_text(json.dumps(start))
        for command in (b"BLAH_JOB_STATUS", b"BLAH_JOB_CANCEL"):
            code, sentence, *_ = gahp.request(command, jobId)
            self.assertEqual(code, b"1")
            self.assertIn(b"elsewhere.example", sentence)
        self.touch("go")
        for _ in patiently():
            if path.with_name("end").exists():
                break
        self.assertEqual(gahp.status(jobId)[0], Status.COMPLETED)

    def test_hostGoesDown(self) -> None:
        """
        A supervisor that gets a TERM from elsewhere passes it on, and what
        comes of it is told as it is.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, 'trap "exit 9" TERM; ' + WAIT))
        self.waitForFile("running")
        os.kill(recorded(self.state, jobId)["supervisor"]["pid"], signal.SIGTERM)
        self.assertEqual(gahp.waitForStatus(jobId, Status.COMPLETED)["ExitCode"], 9)


class CancelTests(ForkTestCase):
    """
    BLAH_JOB_CANCEL.
    """

    def test_cancel(self) -> None:
        """
        A cancelled job has had its TERM, is gone when the result is there,
        and is REMOVED whatever it made of it; once more changes nothing.
        """
        gahp = self.start()
        script = 'trap "echo told; exit 0" TERM; ' + WAIT
        jobId = gahp.submit(forkAd(self.iwd, script))
        self.waitForFile("running")
        for _ in range(2):
            self.assertEqual(gahp.request(b"BLAH_JOB_CANCEL", jobId), [b"0", b"No error"])
            self.assertEqual(gahp.status(jobId)[0], Status.REMOVED)
        self.assertEqual(self.output(), b"told\n")
        self.assertEqual(livingIn(self.iwd), [])

    def test_byAnotherGahp(self) -> None:
        """
        A job is cancelled by a GAHP that did not start it.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, "exec sleep 1000"))
        gahp.kill()
        second = self.start()
        self.assertEqual(second.request(b"BLAH_JOB_CANCEL", jobId), [b"0", b"No error"])
        self.assertEqual(second.status(jobId)[0], Status.REMOVED)

    def test_stubborn(self) -> None:
        """
        A job that ignores TERM, with children in process groups of their
        own, one of them stopped, is killed with all of them.
        """
        gahp = self.start(prelude="from rvgahp.blah import limits; limits.KILL_GRACE = 0.5")
        script = "trap '' TERM; set -m; sleep 1000 & sleep 1000 & kill -STOP $!; set +m; " + WAIT
        jobId = gahp.submit(forkAd(self.iwd, script))
        self.waitForFile("running")
        begun = time.monotonic()
        self.assertEqual(gahp.request(b"BLAH_JOB_CANCEL", jobId), [b"0", b"No error"])
        self.assertTrue(time.monotonic() - begun >= 0.5)
        self.assertEqual(gahp.status(jobId)[0], Status.REMOVED)
        self.assertEqual(livingIn(self.iwd), [])

    def test_orphan(self) -> None:
        """
        A job whose supervisor was killed can be cancelled.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, "touch running; sleep 1000; sleep 1000"))
        self.waitForFile("running")
        killProcess(recorded(self.state, jobId)["supervisor"]["pid"])
        self.assertEqual(gahp.request(b"BLAH_JOB_CANCEL", jobId), [b"0", b"No error"])
        self.assertEqual(gahp.status(jobId)[0], Status.REMOVED)
        for _ in patiently(lambda: str(livingIn(self.iwd))):
            if not livingIn(self.iwd):
                break

    def test_finished(self) -> None:
        """
        Cancelling a finished job fails with a sentence that says how it
        finished, and its state stays.
        """
        gahp = self.start()
        jobId = gahp.submit(forkAd(self.iwd, "exit 6"))
        gahp.waitForStatus(jobId, Status.COMPLETED)
        code, sentence = gahp.request(b"BLAH_JOB_CANCEL", jobId)
        self.assertEqual(code, b"1")
        self.assertIn(b"exit code 6", sentence)
        self.assertEqual(gahp.status(jobId)[0], Status.COMPLETED)

    def test_unknown(self) -> None:
        """
        Unknown jobs get a sentence, and no path leads out of the directory.
        """
        gahp = self.start()
        for jobId in (b"fork/20261120/0123456789abcdef", b"fork/../../etc", b"fork/", b"fork"):
            for command in (b"BLAH_JOB_CANCEL", b"BLAH_JOB_STATUS"):
                code, sentence, *_ = gahp.request(command, jobId)
                self.assertEqual(code, b"1")
                self.assertTrue(sentence.endswith(b"."), sentence)


class PruneTests(ForkTestCase):
    """
    Records that are thrown away.
    """

    def test_prune(self) -> None:
        """
        Records of jobs that finished a week ago go at the next submit;
        younger ones, and those of running jobs, stay.
        """
        self.patch(os, "environ", {**os.environ, "RVGAHP_BLAH_DIR": self.state})
        fork = Fork()
        jobs = JobDirectories(self.state)
        old, young, running, begun = [jobs.create() for _ in range(4)]
        now = time.time()
        for (_, directory), age in ((old, 8), (young, 6)):
            directory.write("end", {"host": "h", "ended": now - age * 86400, "removed": True})
        me = ProcessIdentity.of(os.getpid()).record()
        start = {"host": os.uname().nodename, "supervisor": me, "job": me}
        running[1].write("start", start)
        damaged = jobs.create()
        (Path(damaged[1].path) / "end").write_text("{}")
        # A submit that was killed before it came to anything.
        os.utime(begun[1].path, (0, 0))
        jobId = fork.submit(SubmitAd(forkAd(self.iwd, "true")))
        left = {directory.path for directory in jobs.all()}
        self.assertEqual(
            left,
            {young[1].path, running[1].path, damaged[1].path, jobs.find(jobId).path},
        )
        self.assertIsInstance(fork.status([old[0]])[old[0]], BatchError)
        self.nothingLeft(self.state)


def limitFiles(size: int) -> None:
    """
    Let no file of this process grow beyond a size, as if the disk were full.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def livingIn(directory: str) -> list[str]:
    """
    @return: the living processes whose current directory this is.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_bytes().rpartition(b") ")[2][:1]
                if os.readlink(entry / "cwd") == directory and state != b"Z":
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return found
