"""
Access rules in real daemons: what is refused, in which words, and what is not.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path

from rvgahp.accountnames import ownAccount
from rvgahp.daemonprocess import Daemon
from rvgahp.errors import StartFailed
from rvgahp.sandbox import DOMAIN, SITE
from tests.playground import Playground
from tests.programs import program, runProgram
from tests.wholecase import PlaygroundTestCase

RULES = f"""\
ALLOW START *
DENY START gahp=secret {ownAccount()}@*
DENY REGISTER site=banned *
DENY START site=hidden *
"""


class AccessTests(PlaygroundTestCase):
    """
    A proxy with rules, and CEs with theirs.
    """

    gahps = {"cat": "/bin/cat", "secret": "/bin/cat"}

    def makePlayground(self) -> Playground:
        directory = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, directory)
        type(self).path = directory / "rules"
        self.path.write_text(RULES)
        self.path.chmod(0o644)
        return Playground(self.gahps, f"RVGAHP_ACCESS_FILE = {self.path}\n")

    path: Path

    def test_proxy(self) -> None:
        """
        What the proxy denies is refused with its file and line, before the site is asked; the
        rest is served, and both logs have the user's canonical name with the rule.
        """
        owner = f"{ownAccount()}@{DOMAIN}"
        run = self.playground.run("secret")
        self.assertRefused(
            run, f"{owner} may not start secret at site {SITE}: {self.path}:2 denies"
        )
        start = self.before("ce")
        self.assertServes()
        line = self.playground.awaitLog("ce", "starting cat", start)
        access = f"{self.playground.sandbox.directory}/access."
        self.assertIn(f"for {owner} as {ownAccount()}, allowed by {access}", line)
        line = self.playground.awaitLog("proxy", "asks for cat", self.before("proxy"))
        self.assertIn(f"({owner}) asks for cat at {SITE}, allowed by {self.path}:1: ", line)
        self.assertNotIn("starting secret", self.playground.log("ce"))

    def test_trace(self) -> None:
        """
        The trace is refused in the same words as the client, also for a site that is not there,
        and its last step tells no more; the remedy names the rule that is in the way.
        """
        for gahp, site in (("secret", SITE), ("cat", "hidden")):
            run = self.playground.run(gahp, site=site)
            sentence = run.errors.partition(": ")[2].partition(": ")[2].strip()
            self.assertIn(f"may not start {gahp} at site {site}", sentence)
            socket = self.playground.sandbox.socket
            words = ["trace", "--json", "--gahp", gahp, "--socket", socket, site]
            trace = runProgram([program("rvgahp"), *words])
            self.assertEqual(trace.status, 1, trace)
            self.assertIn(json.dumps(sentence)[1:-1], trace.output.decode())
            self.assertIn(f"remove the DENY rule at {self.path}:", trace.output.decode())

    def test_closedCE(self) -> None:
        """
        A CE without an access file starts nothing, and says so at its start, with the remedy;
        so does one that has the sample alone.
        """
        ce = self.playground.addCE("closed", {"cat": "/bin/cat"})
        access = ce.directory / "access"
        access.unlink()
        ce.start()
        log = ce.log.read_text()
        self.assertIn(f"Nobody may start a GAHP here: the access file {access} is not there.", log)
        run = self.playground.run("cat", site="closed")
        self.assertRefused(run, f"may not start cat as account {ownAccount()}: there is no file")
        self.assertRefused(run, f"whoever runs rvgahp-ce at the site can change {access} there")
        access.write_text(f"ALLOW START gahp=cat {ownAccount()}@{DOMAIN}/127.0.0.1\n")
        ce.start()
        self.assertEqual(self.playground.run("cat", b"text", "closed").output, b"text")

    def test_bannedSite(self) -> None:
        """
        A CE whose site may not be registered is told by which rule.
        """
        ce = self.playground.addCE("banned", {"cat": "/bin/cat"})
        words = f"banned@site.rvgahp may not register site banned: {self.path}:3 denies it"

        def isTold() -> bool:
            return ce.log.exists() and words in ce.log.read_text()

        config = ce.directory / "condor_config"
        e = self.assertRaises(StartFailed, Daemon(ce.directory, "rvgahp-ce", config, isTold).start)
        self.assertIn("told to end", str(e))
        self.playground.awaitLog("proxy", words, self.before("proxy"))

    def test_badFile(self) -> None:
        """
        A daemon whose access file is wrong, or open to others, does not start, and says where.
        """
        ce = self.playground.addCE("bad", {"cat": "/bin/cat"})
        access = ce.directory / "access"
        access.write_text("ALLOW START *\nALOW START *\n")
        e = self.assertRaises(StartFailed, ce.start)
        self.assertIn(f"{access}:2: 'ALOW' is no action", str(e))
        access.write_text("ALLOW START *\n")
        access.chmod(0o666)
        e = self.assertRaises(StartFailed, ce.start)
        self.assertIn(f"chmod go-w {access}", str(e))
