"""
Real processes: the client with every form of words that the gridmanager gives it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from rvgahp import limits
from rvgahp.accountnames import ownAccount
from tests.playground import Playground
from tests.procfs import PATIENCE
from tests.programs import Run, program, runProgram, speaker
from tests.test_clientwords import SSH_OPTIONS, gridmanagerWords
from tests.wholecase import PlaygroundTestCase

#: A host as it stands in a user's grid_resource.
HOST = "login.example.edu"


class WordsTestCase(PlaygroundTestCase):
    """
    A proxy with sockets for two sites, one of which is there, and GAHPs that say who they
    are.

    @cvar directory: where the sockets are.
    """

    directory = ""

    def makePlayground(self) -> Playground:
        directory = type(self).directory = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        for name in ("blahpd", "ft", "mine"):
            path = Path(directory, name)
            path.write_text(speaker(name))
            path.chmod(0o755)
        sockets = f"RVGAHP_SITE_SOCKETS = sandbox = {directory}/hpc.sock, gone={directory}/gone\n"
        programs = f"BATCH_GAHP = {directory}/blahpd\nFT_GAHP = {directory}/ft\n"
        return Playground({"mine": f"{directory}/mine"}, sockets, programs)

    def client(self, words: list[str], sent: bytes = b"VERSION\r\n") -> Run:
        """
        Run a client that finds the proxy by itself.
        """
        environment = {
            **os.environ,
            "_CONDOR_RVGAHP_SOCKET": self.playground.sandbox.socket,
        }
        return runProgram([program("rvgahp_client"), *words], sent, env=environment)

    def assertGives(self, words: list[str], banner: str) -> None:
        """
        These words give the GAHP with this banner.
        """
        run = self.client(words)
        line = f"$GahpVersion: 1.0 {banner} $\n"
        said = run.output.replace(b"\r", b"").decode()
        self.assertEqual((run.status, said, run.errors), (0, f"{line}S {line}", ""), words)


class FormTests(WordsTestCase):
    """
    Words that are right.
    """

    def test_gridResources(self) -> None:
        """
        Each form of grid_resource gives both of the gridmanager's GAHPs at the site.
        """
        main, socket = self.playground.sandbox.socket, f"{self.directory}/hpc.sock"
        own = ownAccount()
        for gridResource in (
            "batch slurm sandbox",
            f"batch slurm {own}@sandbox",
            f"batch slurm {own}@sandbox:2222",
            f"batch slurm {own}@sandbox --rvgahp-socket {main}",
            f"batch slurm {own}@sandbox --rvgahp-socket {socket}",
            f"batch slurm --rvgahp-socket {main} --rgahp-user {own} sandbox",
            f"batch pbs {socket}",
            f"batch pbs  {socket} ",
        ):
            for gahp, banner in (("blahpd", "blahpd"), ("condor_ft-gahp", "ft")):
                self.assertGives(gridmanagerWords(gridResource, gahp), banner)

    def test_remoteGahpOptions(self) -> None:
        """
        All options of C{remote_gahp} that only concern ssh, before and after the host; and
        one that gives another GAHP.
        """
        every = [word for option in SSH_OPTIONS for word in option]
        for words in ([*every, "sandbox"], ["sandbox", *every]):
            self.assertGives([*words, "blahpd"], "blahpd")
        self.assertGives(["sandbox", "--rgahp-script", "mine", "blahpd"], "mine")
        self.assertGives(["sandbox", "--rgahp-script", "mine", "condor_ft-gahp"], "ft")

    def test_siteWithAnAccount(self) -> None:
        """
        A site may have account and host for its name; that one is meant where it is there.
        """
        for site in (HOST, f"alice@{HOST}"):
            settings = f"BATCH_GAHP = {self.directory}/mine\n" if "@" in site else ""
            settings = settings or f"BATCH_GAHP = {self.directory}/blahpd\n"
            self.playground.addCE(site, settings=settings).start()
        self.assertGives(gridmanagerWords(f"batch pbs alice@{HOST}"), "mine")
        self.assertGives(gridmanagerWords(f"batch pbs {ownAccount()}@{HOST}"), "blahpd")
        self.assertGives(gridmanagerWords(f"batch pbs {HOST}"), "blahpd")


class RefusalTests(WordsTestCase):
    """
    Words that are wrong, or ask for what there is not.
    """

    def test_account(self) -> None:
        """
        Another account than the CE's is refused by a sentence with both, and the remedy.
        """
        run = self.client(gridmanagerWords("batch slurm else.where@sandbox"))
        self.assertRefused(run, "blahpd at site sandbox: ", "'else.where'", repr(ownAccount()))
        self.assertRefused(run, "leave the account out of grid_resource")

    def test_sockets(self) -> None:
        """
        The socket of one site gives no other, and the main one none without its name; the
        socket is named where the site is not.
        """
        main = self.playground.sandbox.socket
        self.assertRefused(
            self.client(["other", "--rvgahp-socket", f"{self.directory}/hpc.sock", "blahpd"]),
            "blahpd at site other: the socket is for site sandbox alone",
        )
        run = self.client([main, "blahpd"])
        self.assertRefused(run, f"blahpd at the site of socket {main}: no site is named")
        run = self.client([f"{self.directory}/gone", "blahpd"])
        self.assertRefused(run, "site gone is not connected to the proxy; check")
        missing = f"{self.directory}/missing"
        run = self.client([missing, "blahpd"])
        self.assertRefused(run, f"the site of socket {missing}: no proxy listens on {missing}")

    def test_mistakes(self) -> None:
        """
        A mistake in the words gives at once, and before anything on stdout, one line that
        names it and has the right form.
        """
        for gridResource, said in (
            ("batch slurm sandbox --rvgahp-socket", "--rvgahp-socket took 'blahpd'"),
            ("batch slurm sandbox --rgahp-key", "--rgahp-key took 'blahpd'"),
            ("batch slurm sandbox --rvgahp-socket  /s", "--rvgahp-socket needs a path"),
            ("batch slurm sandbox more", "'blahpd' is one word too many"),
            ("batch slurm /p --rvgahp-socket /q", "two sockets"),
            ("batch slurm sandbox --rgahp-nonsense", "no option '--rgahp-nonsense'"),
            ("batch slurm -p 22 sandbox", "no option '-p'"),
            ("batch slurm alice@", "'alice@' is neither"),
            ("batch slurm sandbox:ssh", "'sandbox:ssh' is neither"),
            ("batch slurm ", "no GAHP is named after 'blahpd'"),
        ):
            run = self.client(gridmanagerWords(gridResource))
            self.assertEqual((run.status, run.output, run.errors.count("\n")), (2, b"", 1), run)
            self.assertTrue(run.errors.startswith("rvgahp_client: "), run)
            for word in (said, "grid_resource = batch SYSTEM [USER@]SITE"):
                self.assertIn(word, run.errors)


class ConductTests(WordsTestCase):
    """
    What the gridmanager must not notice.
    """

    def test_restart(self) -> None:
        """
        A proxy that has just been restarted waits for its sites.
        """
        self.assertGives(["sandbox", "blahpd"], "blahpd")
        daemon = self.playground.sandbox.proxy
        assert daemon.process is not None
        daemon.process.kill()
        daemon.process.wait(PATIENCE)
        started = time.monotonic()
        self.playground.sandbox.startProxy()
        if time.monotonic() - started > limits.RESTART_GRACE:
            raise SkipTest("this machine is too busy to restart a daemon as fast as is usual")
        self.assertGives([f"{self.directory}/hpc.sock", "blahpd"], "blahpd")

    def test_inheritedDescriptors(self) -> None:
        """
        The client keeps no descriptor of whoever starts it, even before there is an answer.
        """
        read, write = os.pipe()
        words = [program("rvgahp_client"), f"{self.directory}/missing", "blahpd"]
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[write]
        ) as client:
            os.close(write)
            self.assertEqual(os.read(read, 1), b"")
            self.assertIsNone(client.poll())  # it waits for a proxy that may be restarting
            os.close(read)
            client.kill()
            client.communicate(timeout=PATIENCE)
