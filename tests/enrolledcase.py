"""
Test cases of real processes whose site is enrolled: a fresh proxy, an invitation, a site that
joins.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

from cryptography.x509 import Certificate

from rvgahp.credentials import loadCredentials
from rvgahp.daemonprocess import Daemon
from rvgahp.sandbox import STAYS_ROOT
from tests.procfs import PATIENCE
from tests.programs import Run, program, runProgram
from tests.wholecase import WholeTestCase

SITE = "cluster.example"


class EnrolledTestCase(WholeTestCase):
    """
    A proxy that runs, and a site that can join.

    @cvar proxySettings: further lines for the proxy's configuration file.
    @ivar target: what the site dials.
    """

    proxySettings = ""

    def setUp(self) -> None:
        """
        Begin with an empty directory.
        """
        self.directory = Path(tempfile.mkdtemp(prefix="rvgahp-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.socket = str(self.directory / "proxy.sock")
        self.site = self.directory / "site"
        self.prepare()
        config = self.directory / "condor_config"
        config.write_text(
            "RVGAHP_PORT = 0\n"
            f"RVGAHP_SOCKET = {self.socket}\n"
            f"RVGAHP_STATE_DIR = {self.directory}/state\n"
            f"RVGAHP_AUDIT_LOG = {self.directory}/audit\n"
            f"{self.proxySettings}"
        )
        self.proxy = Daemon(self.directory, "rvgahp-proxy", config)
        self.addCleanup(self.proxy.stop)
        self.proxy.start()
        self.target = ("127.0.0.1", int(self.proxy.said["X_RVGAHP_PORT"]))
        self.ce = Daemon(self.directory, "rvgahp-ce", self.site / "condor_config.rvgahp")
        self.addCleanup(self.ce.stop)

    def prepare(self) -> None:
        """
        Called before the proxy is started.
        """

    def rvgahp(self, *words: str) -> Run:
        """
        Run the command for people.
        """
        return runProgram([program("rvgahp"), *words], b"")

    def invite(self) -> str:
        """
        @return: a code.
        """
        run = self.rvgahp("invite", SITE, "--socket", self.socket)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        found = re.search(r"^    rvgahp join (\S+)$", run.output.decode(), re.MULTILINE)
        assert found is not None, run
        return found[1]

    def join(self, code: str, *words: str) -> Run:
        """
        The site joins.
        """
        where = "{}:{}".format(*self.target)
        return self.rvgahp("join", code, "--dir", str(self.site), "--connect-to", where, *words)

    def configure(self) -> None:
        """
        What whoever runs the CE adds to what C{rvgahp join} has written.
        """
        with (self.site / "condor_config.rvgahp").open("a") as file:
            file.write(f"RVGAHP_GAHP_NAMES = cat\nRVGAHP_GAHP_cat = /bin/cat\n{STAYS_ROOT}")

    def client(self, socket: str = "", site: str = SITE) -> subprocess.Popen[bytes]:
        """
        @param socket: the proxy's; by default that of ours.
        @return: a client whose GAHP is cat.
        """
        words = [program("rvgahp_client"), "--socket", socket or self.socket, site, "cat"]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            self.addCleanup(pipe.close)
        return process

    def echo(self, client: subprocess.Popen[bytes], line: bytes) -> None:
        """
        A line goes there and back.
        """
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(line + b"\n")
        client.stdin.flush()
        self.assertTrue(select.select([client.stdout], [], [], PATIENCE)[0], "no answer")
        self.assertEqual(client.stdout.readline(), line + b"\n")

    def serial(self) -> int:
        """
        @return: that of the certificate that the CE has.
        """
        return self.certificate().serial_number

    def certificate(self) -> Certificate:
        """
        @return: the one that the CE has.
        """
        paths = [str(self.site / name) for name in ("ce.crt", "ce.key", "ca.crt")]
        whenever = timedelta(days=9999)
        found = loadCredentials(paths[0], paths[1], paths[2], "ce", grace=whenever)
        return found.certificate
