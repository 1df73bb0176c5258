"""
Real daemons read their files again: what changed counts, and what runs is left alone unless it
may not run any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from rvgahp.credentials import (
    loadAuthority,
    loadCredentials,
    makeCECredentials,
    makeHostCredentials,
)
from tests.pki import revocationList
from tests.playground import Playground
from tests.procfs import waitFor
from tests.programs import SOAK, Run, program, runProgram
from tests.wholecase import PlaygroundTestCase

#: Sessions that run meanwhile.
SESSIONS = 100 if SOAK else 12


class ReloadTests(PlaygroundTestCase):
    """
    A proxy and a CE, and files that change.
    """

    gahps = {"cat": "/bin/cat", "other": "/bin/cat"}

    def makePlayground(self) -> Playground:
        return Playground(self.gahps)

    def setUp(self) -> None:
        """
        Know the files.
        """
        super().setUp()
        directory = self.playground.sandbox.directory
        self.files = {
            path: path.read_bytes()
            for path in directory.iterdir()
            if path.name.startswith(("access", "condor_config")) or path.suffix in (".crt", ".key")
        }
        self.addCleanup(self.restore)

    def restore(self) -> None:
        """
        All files are as they were.
        """
        for path, content in self.files.items():
            path.write_bytes(content)
        (self.playground.sandbox.directory / "crls").unlink(missing_ok=True)
        self.assertEqual(self.reload().status, 0)
        self.hangUp()

    def path(self, name: str) -> Path:
        """
        @return: that of a file of the sandbox.
        """
        return self.playground.sandbox.directory / name

    def append(self, name: str, line: str) -> None:
        """
        Add a line to a file.
        """
        with self.path(name).open("a") as file:
            file.write(line + "\n")

    def reload(self) -> Run:
        """
        C{rvgahp reload}.
        """
        words = ["reload", "--socket", self.playground.sandbox.socket]
        return runProgram([program("rvgahp"), *words])

    def reloadCE(self) -> Run:
        """
        C{rvgahp reload --ce}.
        """
        config = str(self.path("condor_config.rvgahp-ce"))
        return runProgram([program("rvgahp"), "reload", f"--ce={config}"])

    def hangUp(self) -> str:
        """
        Have the CE read its files again.

        @return: what its log says of that.
        """
        start = len(self.playground.log("ce"))
        os.kill(self.playground.cePid, signal.SIGHUP)
        waitFor(
            lambda: any(
                words in self.playground.log("ce")[start:]
                for words in ("Read again: ", "Not read again")
            ),
            "the end of the reload",
        )
        return self.playground.log("ce")[start:]

    def sessions(self, name: str = "cat", count: int = SESSIONS) -> list[subprocess.Popen[bytes]]:
        """
        @return: clients whose GAHPs run and answer.
        """
        clients = [self.playground.client(name) for _ in range(count)]
        for client in clients:
            self.assertLives(client)
        return clients

    def assertLives(self, client: subprocess.Popen[bytes]) -> None:
        """
        Its GAHP answers.
        """
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"still there?\n")
        client.stdin.flush()
        self.assertEqual(client.stdout.readline(), b"still there?\n")

    def assertEnded(self, client: subprocess.Popen[bytes], *words: str) -> None:
        """
        It has ended, and has said why.
        """
        _, errors = client.communicate(timeout=30)
        for word in words:
            self.assertIn(word, errors.decode())
        self.assertNotEqual(client.returncode, 0)

    def test_nothing(self) -> None:
        """
        Without a change nothing changes, and that is said.
        """
        clients = self.sessions(count=2)
        run = self.reload()
        self.assertEqual((run.status, run.output), (0, b"read again; nothing is new\n"), run)
        self.assertIn("Read again: nothing is new", self.hangUp())
        run = self.reloadCE()
        self.assertEqual((run.status, run.output), (0, b"read again; nothing is new\n"), run)
        for client in clients:
            self.assertLives(client)

    def test_rules(self) -> None:
        """
        A new rule of the proxy ends the sessions that it denies, with its sentence, and no
        others.
        """
        clients, other = self.sessions(), self.sessions("other", 1)[0]
        self.append("access.rvgahp-proxy", "DENY START gahp=other *")
        run = self.reload()
        self.assertEqual((run.status, run.output.count(b": withdrawn")), (0, 1), run)
        self.assertEnded(other, "may not start other", "denies it")
        for client in clients:
            self.assertLives(client)
        self.assertRefused(self.playground.run("other"), "denies it")

    def test_sitesRules(self) -> None:
        """
        So does one of the CE.
        """
        clients, other = self.sessions(), self.sessions("other", 1)[0]
        self.append("access.rvgahp-ce", "DENY START gahp=other *")
        run = self.reloadCE()
        self.assertEqual((run.status, run.output), (0, b"the access rules have changed\n"), run)
        self.assertEnded(other, "may not start other", "denies it")
        for client in clients:
            self.assertLives(client)

    def test_broken(self) -> None:
        """
        A broken file changes nothing, and is told with its line; neither do others that are
        good, until it is mended.
        """
        clients = self.sessions(count=2)
        self.append("access.rvgahp-proxy", "DENY START *")
        self.append("access.rvgahp-proxy", "PERMIT START *")
        run = self.reload()
        self.assertEqual((run.status, run.output), (1, b""), run)
        self.assertIn("nothing was changed", run.errors)
        self.assertIn("PERMIT", run.errors)
        self.append("access.rvgahp-ce", "DENY WHATEVER *")
        self.assertIn("Not read again, all stays as it was", self.hangUp())
        run = self.reloadCE()
        self.assertEqual((run.status, run.output), (1, b""), run)
        self.assertIn("nothing was changed", run.errors)
        self.assertIn("WHATEVER", run.errors)
        self.append("condor_config.rvgahp-ce", "RVGAHP_NO_SUCH_SETTING = 1")
        run = self.reloadCE()
        self.assertEqual(run.status, 1, run)
        self.assertIn("nothing was changed", run.errors)
        self.assertIn("RVGAHP_NO_SUCH_SETTING", run.errors)
        for client in clients:
            self.assertLives(client)
        self.assertServes()

    def test_limits(self) -> None:
        """
        A new limit counts at once, for those who come; a port does not, and that is said.
        """
        clients = self.sessions(count=3)
        self.append("condor_config.rvgahp-proxy", "RVGAHP_MAX_SESSIONS_PER_USER = 3")
        self.append("condor_config.rvgahp-proxy", "RVGAHP_KILL_GRACE = 7")
        run = self.reload()
        self.assertIn(b"RVGAHP_MAX_SESSIONS_PER_USER has changed", run.output)
        self.assertIn(b"RVGAHP_KILL_GRACE stays as it was until rvgahp-proxy", run.output)
        self.assertRefused(self.playground.run("cat"), "RVGAHP_MAX_SESSIONS_PER_USER")
        for client in clients:
            self.assertLives(client)

    def test_certificates(self) -> None:
        """
        Both sides' certificates are replaced under sessions that run: none is disturbed, and
        the site comes again with the new one.
        """
        clients = self.sessions()
        directory = self.playground.sandbox.directory
        makeHostCredentials(directory, "127.0.0.1", replace=True)
        run = self.reload()
        self.assertEqual(run.status, 0, run)
        self.assertIn(b"certificate, key or authorities have changed", run.output)
        makeCECredentials(directory, "sandbox", replace=True)
        start = len(self.playground.log("ce"))
        self.assertIn("the certificate is another", self.hangUp())
        self.playground.awaitLog("ce", "Accepted by the proxy", start)
        for client in clients:
            self.assertLives(client)
        self.assertServes()

    def test_revoked(self) -> None:
        """
        A revocation list ends what runs at a site whose certificate is on it, and the site is
        not let in, until the list is gone.
        """
        clients = self.sessions()
        directory = self.playground.sandbox.directory
        cert, key, ca = (str(directory / name) for name in ("ce.crt", "ce.key", "ca.crt"))
        ours = loadCredentials(cert, key, ca, "ce")
        listed = revocationList(loadAuthority(directory), ours)
        self.path("crls").write_bytes(listed.public_bytes(Encoding.PEM))
        self.append("condor_config.rvgahp-proxy", f"RVGAHP_CRLFILE = {self.path('crls')}")
        start = len(self.playground.log("ce"))
        self.assertIn(b"has been revoked", self.reload().output)
        for client in clients:
            self.assertEnded(client, "has been revoked")
        self.playground.awaitLog("ce", "not connected", start)
        self.assertRefused(self.playground.run("cat"), "is not connected")
        start = len(self.playground.log("ce"))
        self.restore()
        self.playground.awaitLog("ce", "Accepted by the proxy", start, 30)
        self.assertServes()
