"""
Real processes: C{rvgahp trace} (L{rvgahp.tracesteps}), each step failing once, and the
program as it is run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import Any
from unittest import SkipTest

from rvgahp import gahpdialogue, inquiry, proxysocket, tracejob, tracesteps
from rvgahp.clientwords import Misuse
from rvgahp.trace import Result
from rvgahp.tracesteps import SiteTrace
from tests.dialogues import WAYS
from tests.playground import Playground
from tests.procfs import PATIENCE, isAlive, waitFor
from tests.programs import Run, program, runProgram, speaker
from tests.scriptedgahp import BANNER
from tests.test_trace import Witness
from tests.wholecase import PlaygroundTestCase

_TUNNEL = ["files", "tunnel", "passage", "guard"]
_BATCH = ["settings", "socket", "proxy", "site", "policy", "gahp", "commands", "ping"]
_STEPS = [*_BATCH, *_TUNNEL, "job"]

_NOBODY = 65534

#: Listens at a path as another account.
_SQUATTER = f"""
import os, socket, sys
os.setgid({_NOBODY})
os.setuid({_NOBODY})
port = socket.socket(socket.AF_UNIX)
port.bind(sys.argv[1])
port.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def makeProgram(path: str, text: str) -> None:
    """
    Write a script that can be run.
    """
    with open(path, "x") as file:
        file.write(text)
    os.chmod(path, 0o700)


class TraceTestCase(PlaygroundTestCase):
    """
    Traces in a sandbox.

    @cvar hasTunnel: whether its site offers condor_ft-gahp.
    """

    gahps = WAYS
    hasTunnel = False

    def setUp(self) -> None:
        super().setUp()
        self.wake, self.waker = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, self.wake)
        self.addCleanup(os.close, self.waker)
        self.witness = Witness()

    def trace(
        self,
        gahp: str = "blahpd",
        place: str = "sandbox",
        lrms: str = "",
        job: bool = False,
        path: str | None = None,
    ) -> Result | None:
        """
        Trace the way to a GAHP.
        """
        words = ["--socket", path or self.playground.sandbox.socket, place, gahp]
        return SiteTrace(words, lrms, job, self.wake, self.witness).run()

    def assertFails(self, step: str, *words: str, **trace: object) -> Result:
        """
        A trace fails at this step, after the others before it were good; its reason and
        its remedy together have these words; and nothing is left of it.
        """
        failed = self.trace(**trace)  # type: ignore[arg-type]  # as trace() has them
        assert failed is not None
        self.assertEqual(failed.step, step, failed.reason)
        position = _STEPS.index(step)
        expected = dict.fromkeys(_STEPS, "skipped") | dict.fromkeys(_STEPS[:position], "ok")
        if not self.hasTunnel:
            expected |= dict.fromkeys(_TUNNEL, "skipped")
        expected[step] = "failed"
        states = {name: result.state for name, result in self.witness.results.items()}
        self.assertEqual(states, expected)
        for word in words:
            self.assertIn(word, f"{failed.reason} | {failed.remedy}")
        self.playground.awaitNoGAHP()
        return failed


class SiteTraceTests(TraceTestCase):
    """
    With GAHPs that are scripted and the one that is ours.
    """

    # -- good ---------------------------------------------------------------

    def test_allPass(self) -> None:
        """
        With our own GAHP each step passes, the job and its output included, and what is
        seen is what there is; no file and no GAHP is left.
        """
        directory = os.path.abspath(self.mktemp())
        os.mkdir(directory)
        self.patch(tracejob, "_DIRECTORY", directory)
        self.assertIsNone(self.trace(job=True))
        states = {name: result.state for name, result in self.witness.results.items()}
        expected = dict.fromkeys(_STEPS, "ok") | dict.fromkeys(_TUNNEL, "skipped")
        self.assertEqual(states, expected)
        self.assertIn("offers no condor_ft-gahp", self.witness.results["files"].reason)
        facts = {step: result.facts for step, result in self.witness.results.items()}
        socketPath = self.playground.sandbox.socket
        self.assertEqual(facts["settings"]["socket"], socketPath)
        self.assertEqual(facts["socket"]["pid"], self.playground.proxyPid)
        self.assertIn("rvgahp", facts["proxy"]["software"])
        self.assertEqual(
            (facts["site"]["site"], facts["site"]["address"]), ("sandbox", "127.0.0.1")
        )
        self.assertIn("blahpd", facts["site"]["gahps"])
        self.assertIn("no condor_ft-gahp", facts["site"]["note"])
        self.assertEqual(facts["policy"]["outcome"], "encrypt AES")
        self.assertEqual(facts["policy"]["identity"], "sandbox@site.rvgahp")
        self.assertIn("rvgahp_blahpd", facts["gahp"]["banner"])
        self.assertIn("BLAH_PING", facts["commands"]["commands"])
        self.assertEqual(facts["ping"]["lrms"], "fork")
        self.assertEqual((facts["job"]["exit"], facts["job"]["output"]), (0, "as expected"))
        self.playground.awaitNoGAHP()
        self.assertEqual(os.listdir(directory), [])

    def test_transfers(self) -> None:
        """
        A GAHP that has no BLAH_PING needs none; without --job no job is run.
        """
        self.assertIsNone(self.trace("transfers"))
        self.assertEqual(self.witness.results["ping"].state, "skipped")
        self.assertEqual(self.witness.results["job"].reason, "not asked for (--job)")

    def test_greets(self) -> None:
        """
        A site that greets before the banner is no failure, and the batch system can be
        named.
        """
        self.assertIsNone(self.trace("greets", lrms="slurm", job=True))
        self.assertEqual(self.witness.results["gahp"].facts["banner"], BANNER)
        self.assertIn("stayed at the site", self.witness.results["job"].facts["output"])

    # -- settings and socket ------------------------------------------------

    def test_noClient(self) -> None:
        """
        Where the client is missing the first step fails.
        """
        empty = self.mktemp()
        os.mkdir(empty)
        self.patch(sys, "executable", os.path.abspath(f"{empty}/python"))
        self.patch(os, "environ", {**os.environ, "PATH": os.path.abspath(empty)})
        self.assertFails("settings", "there is no program rvgahp_client", "Install rvgahp")

    def test_longPath(self) -> None:
        """
        So it does with a path that no socket can have.
        """
        self.assertFails("settings", "longer than", path="/" + 200 * "x")

    def test_noSocket(self) -> None:
        """
        Where nobody listens the second fails, and says where it looked and why there.
        """
        self.patch(proxysocket, "DEFAULT_SOCKET", "/no/such/default")
        self.patch(os, "environ", {**os.environ, "_CONDOR_RVGAHP_SOCKET": "/no/such/socket"})
        failed = SiteTrace(["s", "g"], "", False, self.wake, self.witness).run()
        assert failed is not None
        self.assertIn("no proxy listens on /no/such/socket (No such file", failed.reason)
        self.assertRegex(failed.remedy, "(twistd|systemctl restart) rvgahp-proxy")
        facts = self.witness.results["settings"].facts
        self.assertEqual(facts["found"], "_CONDOR_RVGAHP_SOCKET in the environment")

    def test_squatter(self) -> None:
        """
        Where somebody else listens the second fails, and nothing is said to him.
        """
        if os.getuid() != 0:
            raise SkipTest("another account is needed")
        directory = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, directory)
        os.chown(directory, _NOBODY, _NOBODY)
        path = f"{directory}/s"
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SQUATTER, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as squatter:
            assert squatter.stdout is not None
            squatter.stdout.readline()
            self.assertFails("socket", "belongs to a process of", "trust nothing", path=path)
        os.unlink(path)

    def test_silentProxy(self) -> None:
        """
        Where something of ours listens that is no proxy, the third fails.
        """
        directory = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, directory)
        path = f"{directory}/s"
        with socket.socket(socket.AF_UNIX) as port:
            port.bind(path)
            port.listen()
            self.patch(inquiry, "_FIRST_LIMIT", 0.1)
            self.assertFails("proxy", "DescribeProxy", "another program", "its pid", path=path)
        os.unlink(path)

    # -- the site -----------------------------------------------------------

    def test_noSite(self) -> None:
        """
        A site that is not connected is told, and no other.
        """
        failed = self.assertFails("site", "site a@b is not connected", ", nor is b;", place="a@b")
        self.assertNotIn("sandbox", failed.reason)

    def test_policies(self) -> None:
        """
        Policies that exclude each other are told with both, and no GAHP is tried.
        """
        ce = self.playground.addCE("lax", settings="RVGAHP.SEC_DEFAULT_ENCRYPTION = NEVER\n")
        ce.start()
        failed = self.assertFails(
            "policy", "exclude each other", "RVGAHP.SEC_DEFAULT_ENCRYPTION", place="lax"
        )
        self.assertIn("encryption NEVER", failed.facts["policy"])
        self.assertEqual(failed.facts["outcome"], "none that suits both")

    # -- the GAHP -----------------------------------------------------------

    def test_unknownGAHP(self) -> None:
        """
        A GAHP that the site does not offer is told in the client's words.
        """
        self.assertFails("gahp", "offers no GAHP named 'nonesuch'", "--gahp", gahp="nonesuch")

    def test_otherAccount(self) -> None:
        """
        So is an account that the site does not give.
        """
        failed = self.assertFails("gahp", "account 'bob' was asked for", place="bob@sandbox")
        self.assertIn("log", failed.remedy)

    def test_exits(self) -> None:
        """
        One that exits at once is told with its status and its last words.
        """
        self.assertFails("gahp", "status 3", "no license", "by hand", gahp="exits")

    def test_mute(self) -> None:
        """
        One that says nothing is not waited for for ever, and is ended.
        """
        self.patch(gahpdialogue, "BANNER_LIMIT", 0.5)
        self.patch(gahpdialogue, "_EOF_LIMIT", 0.1)
        self.assertFails("gahp", "the GAHP's banner did not come within 0.5 s", gahp="mute")

    def test_noCommands(self) -> None:
        """
        One that has a banner and no COMMANDS is told.
        """
        self.assertFails("commands", "COMMANDS was answered E Unknown command", gahp="noCommands")

    def test_badPing(self) -> None:
        """
        A batch system that cannot be used is told in its words.
        """
        self.assertFails("ping", "sinfo: no such cluster", gahp="badPing", lrms="slurm")

    def test_unknownManager(self) -> None:
        """
        Our own GAHP tells that it has no such batch system; of another's none is guessed.
        """
        self.assertFails("ping", "nonesuch", lrms="nonesuch")
        self.assertFails("ping", "the batch system is not known", "--lrms", gahp="badPing")

    # -- the job ------------------------------------------------------------

    def test_noJobs(self) -> None:
        """
        A GAHP that takes no jobs is told when one is asked for.
        """
        failed = self.trace("transfers", job=True)
        assert failed is not None
        self.assertIn("takes no jobs", failed.reason)

    def test_held(self) -> None:
        """
        A held job is a failure at once, with its reason.
        """
        self.assertFails("job", "the job was held: over quota", gahp="held", lrms="x", job=True)
        self.assertLess(self.witness.results["job"].seconds, tracejob.JOB_LIMIT / 10)

    def test_endless(self) -> None:
        """
        A job that does not end is cancelled when its time is over.
        """
        self.patch(tracejob, "JOB_LIMIT", 0.3)
        failed = self.assertFails(
            "job", "the end of the job did not come", gahp="endless", lrms="x", job=True
        )
        self.assertEqual(failed.facts["cancelled"], "some/1")

    def test_lostSite(self) -> None:
        """
        A GAHP that is killed in the middle of a step is told.
        """
        seen = self.witness.saw

        def saw(step: str, name: str, value: object) -> None:
            seen(step, name, value)
            if (name, value) == ("state", "running"):
                for pid in self.playground.gahpPids():
                    os.kill(pid, signal.SIGKILL)

        self.witness.saw = saw  # type: ignore[method-assign]  # at a moment of its own
        self.assertFails("job", "status 137", gahp="endless", lrms="x", job=True)
        waitFor(lambda: not self.playground.gahpPids(), "no GAHP")

    def test_misuse(self) -> None:
        """
        Words that make no sense are no trace.
        """
        self.assertRaises(Misuse, self.trace, place="a b")


class FileTestCase(TraceTestCase):
    """
    At a site with a condor_ft-gahp that only speaks.
    """

    hasTunnel = True

    def makePlayground(self) -> Playground:
        """
        @return: one with it.
        """
        path = os.path.abspath(self.mktemp())
        makeProgram(path, speaker("Files"))
        return Playground(self.gahps, self.proxySettings, f"FT_GAHP = {path}\n")


class FileTests(FileTestCase):
    """
    Its tunnel is tried.
    """

    def clientIs(self, script: str) -> None:
        """
        From now on the client is a shell script, in which C{$client} is the real one.
        """
        path = os.path.abspath(self.mktemp())
        makeProgram(path, f"#!/bin/sh\nclient={program('rvgahp_client')}\n{script}\n")
        self.patch(tracesteps, "findClient", lambda: path)

    def test_tunnel(self) -> None:
        """
        A connection from the site comes here, an answer goes back, and the client refuses
        one for somebody else; nothing is left.
        """
        before = self.playground.quiet()
        self.assertIsNone(self.trace())
        facts = {step: self.witness.results[step].facts for step in _TUNNEL}
        self.assertEqual(facts["files"]["banner"], "$GahpVersion: 1.0 Files $")
        self.assertIn("ASYNC_MODE_ON", facts["files"]["commands"])
        self.assertRegex(facts["tunnel"]["target"], "^127.0.0.1:[1-9][0-9]*$")
        self.assertRegex(facts["passage"]["answered"], "in [0-9]+ ms$")
        self.assertRegex(
            facts["guard"]["refused"],
            "refused: .* rvgahp_trace_.* only, and this one asks for 'rvgahp_other_",
        )
        self.assertNotIn("note", self.witness.results["site"].facts)
        self.playground.awaitAsBefore(before)

    def test_asked(self) -> None:
        """
        condor_ft-gahp itself can be named, in whatever way the site is.
        """
        self.assertIsNone(self.trace("condor_ft-gahp"))
        self.assertEqual(self.witness.results["guard"].state, "ok")

    def test_noTunnel(self) -> None:
        """
        A GAHP without a tunnel is told.
        """
        self.clientIs('exec env -u CONDOR_INHERIT "$client" "$@"')
        self.assertFails("tunnel", "the GAHP has no tunnel", "too old for tunnels")

    def test_unguarded(self) -> None:
        """
        A client that would let another's connection through is told.
        """
        self.clientIs(
            'CONDOR_INHERIT=$(echo "$CONDOR_INHERIT" | sed "s/&sock=[^&>]*//")\n'
            'export CONDOR_INHERIT\nexec "$client" "$@"'
        )
        self.assertFails("guard", "let through: 1 came here", "use no site that you do not trust")

    def test_clientGone(self) -> None:
        """
        A client that is gone has no tunnel to be tried.
        """
        seen = self.witness.saw

        def saw(step: str, name: str, value: object) -> None:
            seen(step, name, value)
            if name == "target":
                pid = self.witness.results["files"].facts["pid"]
                os.kill(pid, signal.SIGKILL)
                waitFor(lambda: not isAlive(pid), "the end of the client")

        self.witness.saw = saw  # type: ignore[method-assign]  # at a moment of its own
        self.assertFails("passage", "is no client of")


class ForwardTests(FileTestCase):
    """
    Where RVGAHP_FORWARD_TO says where HTCondor's shared port is.
    """

    def makePlayground(self) -> Playground:
        self.port = socket.create_server(("127.0.0.1", 0))
        host, port = self.port.getsockname()
        self.proxySettings = f"RVGAHP_FORWARD_TO = {host}:{port}\n"
        return super().makePlayground()

    def takeOne(self) -> None:
        """
        Be a shared port that does not know who is asked for.
        """
        connection, _ = self.port.accept()
        self.assertIn(b"rvgahp_trace", connection.recv(10000))
        connection.close()

    def test_forwarded(self) -> None:
        """
        The trace tells where connections go, and that somebody listens there; if nobody does,
        which setting it is.
        """
        host, port = self.port.getsockname()
        with self.port:
            taking = threading.Thread(target=self.takeOne)
            taking.start()
            self.assertIsNone(self.trace())
            taking.join(PATIENCE)
        self.assertEqual(self.witness.results["tunnel"].facts["target"], f"{host}:{port}")
        self.assertIn("by what listens there", self.witness.results["passage"].facts["closed"])
        self.assertIn("asks for", self.witness.results["guard"].facts["refused"])
        self.assertFails("passage", "could not be reached", "RVGAHP_FORWARD_TO")


class ProgramTests(PlaygroundTestCase):
    """
    C{rvgahp trace} as it is run.
    """

    gahps = WAYS

    def words(self, *words: str) -> list[str]:
        """
        @return: the command.
        """
        socket = self.playground.sandbox.socket
        return [program("rvgahp"), "trace", "--socket", socket, *words]

    def trace(self, *words: str) -> Run:
        """
        Run it.
        """
        return runProgram(self.words(*words))

    def test_good(self) -> None:
        """
        When all is well it says so, and its status is 0.
        """
        run = self.trace("--job", "sandbox")
        self.assertEqual((run.status, run.errors), (0, ""), run.output)
        text = run.output.decode()
        for words in ("client ", "account ", "identity ", "banner ", "output     as expected"):
            self.assertIn(f"\n  {words}", text)
        self.assertIn("\nNo step failed", text)
        self.assertNotIn("\033", text)

    def test_failed(self) -> None:
        """
        When something is wrong its status is 1; with --json each line is an object.
        """
        run = self.trace("--json", "--gahp=exits", "sandbox")
        self.assertEqual((run.status, run.errors), (1, ""))
        lines: list[dict[str, Any]] = [json.loads(line) for line in run.output.splitlines()]
        states = {line["step"]: line["state"] for line in lines[:-1]}
        self.assertEqual(list(states.values()), ["ok"] * 5 + ["failed"] + ["skipped"] * 7)
        self.assertEqual((lines[-1]["result"], lines[-1]["failed"]), ("failed", "gahp"))

    def test_badWords(self) -> None:
        """
        Words that make no sense are named, with status 2.
        """
        for words, said in (
            ([], "SITE"),
            (["--lrms", "a/b", "sandbox"], "'a/b' cannot be the name of a batch system"),
            (["no site"], "'no site'"),
            (["--gahp", "/bin/cat", "sandbox"], "'/bin/cat' is a path"),
        ):
            run = self.trace(*words)
            self.assertEqual((run.status, run.output), (2, b""), words)
            self.assertIn(said, run.errors)

    def test_interrupted(self) -> None:
        """
        Ctrl-C while a job runs has the job cancelled and everything ended, with status 1.
        """
        words = self.words("--json", "--job", "--gahp=endless", "--lrms=x", "sandbox")
        with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line).get("value") == "running":
                    os.killpg(process.pid, signal.SIGINT)
                    break
            rest = [json.loads(line) for line in process.stdout]
            self.assertEqual(process.wait(PATIENCE), 1)
        self.assertIn("cancelled", [line.get("fact") for line in rest])
        self.assertIn("told to end", rest[-2]["reason"])
        self.playground.awaitNoGAHP()
