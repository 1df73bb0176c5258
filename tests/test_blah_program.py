# -*- test-case-name: tests.test_blah_program -*-
"""
Tests of the program C{rvgahp_blahpd}, as a process spoken to over pipes.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import __version__
from rvgahp.blah import limits
from rvgahp.blah.main import BANNER
from tests.blahdriver import PATIENCE, ROOT, BatchGahp, patiently

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A plugin whose pings wait for a file, and whose submits are slow and
#: leave a mark.  Its module also writes to stdout and reads stdin.
PLUGIN = """
import os, subprocess, time
from twisted.plugin import IPlugin
from zope.interface import implementer
from rvgahp.blah.errors import BatchError
from rvgahp.blah.ilrm import ILocalResourceManager

HERE = os.environ["SLOW_DIRECTORY"]
print("stray", flush=True)
subprocess.run(["/bin/sh", "-c", "cat; echo stray"], check=True)

def wait(name):
    while not os.path.exists(os.path.join(HERE, name)):
        time.sleep(0.01)

@implementer(IPlugin, ILocalResourceManager)
class Slow:
    name = "slow"
    def submit(self, job):
        open(os.path.join(HERE, "begun"), "w").close()
        wait("go")
        open(os.path.join(HERE, "submitted"), "w").close()
        return "slow/1/1"
    def status(self, jobIds):
        os._exit(9) if jobIds == ["slow/crash"] else wait("go")
        return {}
    def cancel(self, jobId):
        raise BatchError("No.")
    def ping(self):
        wait("go")

slow = Slow()
"""


class ProgramTests(SynchronousTestCase):
    """
    The dialogue, from the banner to the exit.
    """

    def setUp(self) -> None:
        """
        A directory for the account's state.
        """
        self.directory = os.path.abspath(self.mktemp())
        os.mkdir(self.directory)

    def start(self, **options: Any) -> BatchGahp:
        """
        @return: the program, which is killed at the end of the test.
        """
        gahp = BatchGahp(self.directory, **options)
        self.addCleanup(gahp.kill)
        return gahp

    def startWith(self, plugin: str, **environment: str) -> BatchGahp:
        """
        @param plugin: the source of a plugin's module.
        @return: the program with that plugin installed.
        """
        plugins = Path(self.directory) / "path" / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "trial_manager.py").write_text(plugin)
        path = [str(plugins.parent.parent)]
        return self.start(environment={"path": path, **environment})

    def startWithSlow(self) -> tuple[BatchGahp, Path]:
        """
        @return: the program with the slow plugin installed, and the
            directory in which that looks for its files.
        """
        gahp = self.startWith(PLUGIN, SLOW_DIRECTORY=self.directory)
        return gahp, Path(self.directory)

    def test_banner(self) -> None:
        """
        The program speaks first, at most 150 bytes.
        """
        gahp = self.start()
        self.assertEqual(gahp.banner, BANNER + b"\r\n")
        self.assertTrue(gahp.banner.startswith(b"$GahpVersion: "))
        self.assertTrue(len(gahp.banner) <= 150)

    def test_quit(self) -> None:
        """
        QUIT is answered, and the program exits with 0 and no complaint.
        """
        gahp = self.start()
        self.assertEqual(gahp.ask(b"QUIT"), [b"S", b"Server exiting"])
        self.assertEqual(gahp.end(), (0, b""))

    def test_inputEnds(self) -> None:
        """
        At the end of its input the program exits with 1 and blahpd's words.
        """
        status, errors = self.start().end()
        self.assertEqual(status, 1)
        self.assertEqual(errors, b"rvgahp_blahpd: Connection closed by remote host\n")

    def test_outputGone(self) -> None:
        """
        A client that reads no more ends the program too, without a traceback.
        """
        gahp = self.start()
        assert gahp.process.stdout is not None
        gahp.process.stdout.close()
        gahp.process.stdout = None
        status, errors = gahp.end(b"VERSION\r\n")
        self.assertEqual(status, 1)
        self.assertEqual(errors, b"rvgahp_blahpd: Connection closed by remote host\n")

    def test_noStreams(self) -> None:
        """
        Started without standard streams the program exits, at once.
        """
        status = subprocess.call(
            ["/bin/sh", "-c", 'exec "$0" -m rvgahp.blah 0<&- 1>&-', sys.executable],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        self.assertEqual(status, 1)

    def test_signals(self) -> None:
        """
        TERM, INT and HUP end the program with a word; HUP, where it was
        ignored, does not.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # The tests themselves may run under nohup, or in a shell's background.
            self.addCleanup(signal.signal, number, signal.getsignal(number))
            signal.signal(number, signal.SIG_DFL)
            gahp = self.start()
            self.assertEqual(gahp.ask(b"RESULTS"), [b"S", b"0"])
            gahp.process.send_signal(number)
            # Not before it has obeyed: the end of the input would be another.
            self.assertEqual(gahp.readLine(), b"")
            status, errors = gahp.end()
            self.assertEqual(status, 128 + number)
            self.assertEqual(errors, b"rvgahp_blahpd: ended by signal %d\n" % number)

    def test_hangupIgnored(self) -> None:
        """
        Started under nohup, the program does not end at a hangup.
        """
        old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, old)
        gahp = self.start()
        gahp.ask(b"RESULTS")
        gahp.process.send_signal(signal.SIGHUP)
        self.assertEqual(gahp.ask(b"QUIT")[0], b"S")
        self.assertEqual(gahp.end()[0], 0)

    def test_fragments(self) -> None:
        """
        A dialogue that arrives byte by byte has the same answers.
        """
        gahp = self.start()
        dialogue = b"\r\n\nversion\r\nBLAH_PING 5 nothing\\ \\\r\\\nlike\\\\it\0RESULTS 1\rQuit\n"
        for byte in dialogue:
            gahp.write(bytes([byte]))
        self.assertEqual(
            [gahp.readLine() for _ in range(5)],
            [
                b"S " + BANNER + b"\r\n",
                b"S\r\n",
                b"E expected\\ 0\\ parameters,\\ 1\\ found\r\n",
                b"S Server\\ exiting\r\n",
                b"",
            ],
        )

    def test_longLines(self) -> None:
        """
        A line of a mebibyte is read, a longer one is refused, and the next
        one is obeyed.
        """
        gahp = self.start()
        ping = b"BLAH_PING 2 "
        gahp.write(ping + b"x" * (limits.LINE_LENGTH - len(ping)) + b"\n")
        self.assertEqual(gahp.readLine(), b"S\r\n")
        gahp.write(b"BLAH_PING 3 " + b"x" * limits.LINE_LENGTH + b"\n")
        self.assertRegex(gahp.readLine(), rb"\AE A\\ line")
        self.assertEqual(gahp.ask(b"VERSION")[0], b"S")
        code, sentence = gahp.result(b"2")
        self.assertEqual(code, b"1")
        self.assertTrue(len(sentence) <= limits.SENTENCE_LENGTH)

    def test_garbage(self) -> None:
        """
        Random lines get one answer each, and the server lives.
        """
        random_ = random.Random(20261120)
        gahp = self.start()
        words = [b"BLAH_PING", b"BLAH_JOB_SUBMIT", b"blah_job_status", b"RESULTS", b"NULL", b"5"]
        words += [b"", b"\xff", b"\\", b"fork", b"fork/20261120/0123456789abcdef", b"[Cmd=1"]
        for _ in range(300):
            line = b" ".join(random_.choices(words, k=random_.randint(1, 4))).strip(b"\\ ")
            if line.split() and line.upper() != b"RESULTS":
                gahp.write(line + b"\n")
                self.assertIn(gahp.readLine()[:2].strip(), (b"S", b"E", b"F"), line)
        gahp.write(b"QUIT\n")
        while (line := gahp.readLine()) and b"exiting" not in line:
            pass
        status, errors = gahp.end()
        self.assertEqual((status, errors), (0, b""))

    def test_sixtyAtOnce(self) -> None:
        """
        Of sixty requests fifty are accepted and ten refused; all fifty end,
        a notice tells of them, and there is room again.
        """
        gahp, directory = self.startWithSlow()
        self.assertEqual(gahp.ask(b"ASYNC_MODE_ON"), [b"S"])
        gahp.write(b"".join([b"BLAH_PING %d slow\r\n" % number for number in range(60)]))
        answers = [gahp.readLine() for _ in range(60)]
        self.assertEqual(answers, [b"S\r\n"] * 50 + [b"F Threads\\ limit\\ reached\r\n"] * 10)
        self.assertEqual(gahp.ask(b"RESULTS"), [b"S", b"0"])
        (directory / "go").touch()
        self.assertEqual(gahp.readLine(), b"R\r\n")
        self.assertEqual(gahp.ask(b"ASYNC_MODE_OFF"), [b"S"])
        for number in range(50):
            self.assertEqual(gahp.result(b"%d" % number), [b"0", b"No error"])
        self.assertEqual(gahp.request(b"BLAH_PING", b"slow"), [b"0", b"No error"])

    def test_strayOutput(self) -> None:
        """
        What a plugin, or a program that it runs, prints goes to stderr and
        not into the dialogue; nor does it get the client's commands to read.
        """
        gahp, directory = self.startWithSlow()
        (directory / "go").touch()
        # The second command is there to be stolen while the plugin is loaded.
        gahp.write(b"BLAH_PING 2 slow\nVERSION\n")
        self.assertEqual(gahp.readLine(), b"S\r\n")
        self.assertEqual(gahp.readLine(), b"S " + BANNER + b"\r\n")
        self.assertEqual(gahp.result(b"2"), [b"0", b"No error"])
        _, errors = gahp.end()
        self.assertEqual(errors.count(b"stray\n"), 2)

    def test_submitAtTheEnd(self) -> None:
        """
        A submit that has begun when the input ends is brought to its end, and
        a look that would take for ever is not.
        """
        gahp, directory = self.startWithSlow()
        gahp.begin(b"BLAH_JOB_SUBMIT", b'[gridtype="slow"; Cmd="/x"; Iwd="/"]')
        for _ in patiently():
            if (directory / "begun").exists():
                break
        assert gahp.process.stdin is not None
        gahp.process.stdin.close()
        gahp.process.stdin = None
        # The end of the input is known when the complaint is there.
        assert gahp.process.stderr is not None
        errors = b""
        while not errors.endswith(b"closed by remote host\n"):
            errors += os.read(gahp.process.stderr.fileno(), 1000)
        self.assertIdentical(gahp.process.poll(), None)
        self.assertFalse((directory / "submitted").exists())
        (directory / "go").touch()
        self.assertEqual(gahp.end()[0], 1)
        self.assertTrue((directory / "submitted").exists())

    def test_lookAtTheEnd(self) -> None:
        """
        A request that only looks does not keep the program.
        """
        gahp, _ = self.startWithSlow()
        gahp.begin(b"BLAH_PING", b"slow")
        self.assertEqual(gahp.end()[0], 1)

    def test_nonBlockingOutput(self) -> None:
        """
        Output longer than a pipe holds arrives whole, also if the program
        was given a pipe that does not block.
        """
        script = "import os, runpy; os.set_blocking(1, False); runpy.run_module('rvgahp.blah')"
        request = b"".join([b"COMMANDS\n"] * 2000) + b"QUIT\n"
        process = subprocess.Popen(
            [sys.executable, "-c", script.replace("')", "', run_name='__main__')")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        output, _ = process.communicate(request, timeout=PATIENCE)
        lines = output.splitlines()
        self.assertEqual(len(lines), 2002)
        self.assertEqual(len(set(lines[1:-1])), 1)

    def test_oneSocket(self) -> None:
        """
        Input and output may be one socket, of which the client closes its
        half; what was asked before that is answered.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", "rvgahp.blah"],
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                )
            ours.settimeout(PATIENCE)
            ours.sendall(b"RESULTS\n")
            ours.shutdown(socket.SHUT_WR)
            with ours.makefile("rb") as file:
                self.assertEqual(file.read(), BANNER + b"\r\nS 0\r\n")
        self.assertEqual(process.wait(PATIENCE), 1)

    def test_fileAsInput(self) -> None:
        """
        Commands may come from a file.
        """
        path = Path(self.directory) / "commands"
        path.write_bytes(b"VERSION\nQUIT\n")
        with path.open() as file:
            output = subprocess.check_output(
                [sys.executable, "-m", "rvgahp.blah"],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=file,
                timeout=PATIENCE,
            )
        self.assertEqual(len(output.splitlines()), 3)

    def test_documentedPlugin(self) -> None:
        """
        The plugin in the documentation works, with its batch system's
        commands played by scripts.
        """
        text = (ROOT / "doc" / "blahpd.rst").read_text()
        block = text.partition("code-block:: python\n")[2].partition("\nThe methods")[0]
        commands = Path(self.directory) / "bin"
        commands.mkdir()
        for name, script in (
            ("acme-submit", 'printf "<%s>" "$@" > "$0.asked"; echo 17'),
            ("acme-state", 'for n in "$@"; do echo "$n D 3"; done'),
            ("acme-kill", "exit 1"),
        ):
            (commands / name).write_text(f"#!/bin/sh\n{script}\n")
            (commands / name).chmod(0o755)
        gahp = self.startWith(
            textwrap.dedent(block), PATH=os.pathsep.join([str(commands), os.environ["PATH"]])
        )
        self.assertEqual(gahp.request(b"BLAH_PING", b"acme"), [b"0", b"No error"])
        ad = b'[gridtype="acme"; Cmd="run"; Iwd="/i"; Out="o"; Args="a b"; Env="X=1 2"]'
        jobId = gahp.submit(ad)
        self.assertRegex(jobId, rb"\Aacme/\d{8}/17\Z")
        self.assertEqual(
            (commands / "acme-submit.asked").read_text(),
            "<--queue=default><--cwd=/i><--output=/i/o><--env=X=1 2><--></i/run><a><b>",
        )
        status, attributes = gahp.status(jobId)
        self.assertEqual((status, attributes["ExitCode"]), (4, 3))
        code, sentence = gahp.request(b"BLAH_JOB_CANCEL", jobId)
        self.assertEqual((code, sentence), (b"1", b"acme-kill failed: CalledProcessError."))


class OptionTests(SynchronousTestCase):
    """
    The command line.
    """

    def call(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """
        Run the program with arguments.
        """
        return subprocess.run(
            [sys.executable, "-m", "rvgahp.blah", *arguments],
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )

    def test_help(self) -> None:
        """
        --help teaches the dialogue, and the lines in it are understood.
        """
        result = self.call("--help")
        self.assertEqual(result.returncode, 0)
        for word in (b"BLAH_JOB_SUBMIT", b"RVGAHP_BLAH_DIR", b"RESULTS", b"doc/blahpd.rst"):
            self.assertIn(word, result.stdout)

    def test_version(self) -> None:
        """
        --version tells the version.
        """
        self.assertEqual(
            self.call("--version").stdout.split(), [b"rvgahp_blahpd", __version__.encode()]
        )

    def test_unknown(self) -> None:
        """
        Arguments are refused before the banner, with nothing on stdout.
        """
        for argument in ("-s", "slurm"):
            result = self.call(argument)
            self.assertEqual((result.returncode, result.stdout), (2, b""))
            self.assertIn(argument.encode(), result.stderr)
