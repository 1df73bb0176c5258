"""
Tests of L{rvgahp.accesscli}.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import tempfile
from pathlib import Path

from tests.commandcase import CommandTestCase


class CommandTests(CommandTestCase):
    """
    The command, run in this process.
    """

    command = ("access",)

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = self.directory / "access"

    def ask(self, text: str, *words: str) -> tuple[object, str]:
        """
        @return: exit status and stdout, of a file with this text.
        """
        self.path.write_text(text)
        self.path.chmod(0o644)
        status, output, errors = self.run_(*words, "--file", str(self.path))
        self.assertEqual(errors, "")
        return status, output

    def test_allowed(self) -> None:
        """
        The answer, then the rule with its file and line.
        """
        rule = "ALLOW START site=hpc* gahp=blahpd alice@x"
        words = ("START", "alice@x", "--site", "hpc.x")
        self.assertEqual(self.ask(rule, *words), (0, f"allowed\n{self.path}:1: {rule}\n"))

    def test_refused(self) -> None:
        """
        So for one who may not; where no rule decided it is said why.
        """
        rule = "DENY START account=root *"
        words = ("START", "alice@x", "--site", "hpc.x")
        answer = self.ask(rule, *words, "--account=root")
        self.assertEqual(answer, (1, f"refused\n{self.path}:1: {rule}\n"))
        status, output = self.ask(rule, *words)
        self.assertEqual(status, 1)
        self.assertIn("refused\nalice@x may not start blahpd at site hpc.x: no rule of", output)
        self.assertEqual(self.ask("ALLOW START gahp=a *", *words, "--gahp=b")[0], 1)

    def test_ce(self) -> None:
        """
        Without a site it is a CE's file; its account is ours unless another is named, and the
        address is where the proxy dials from.
        """
        rule = "ALLOW START account=ce alice@x/192.0.2.0/24"
        words = ("START", "alice@x", "--from", "192.0.2.1")
        self.assertEqual(self.ask(rule, *words, "--account", "ce")[0], 0)
        self.assertEqual(self.ask(rule, *words)[0], 1)
        self.assertEqual(self.ask(rule, "START", "alice@x", "--account", "ce")[0], 1)
        self.path.write_text("ALLOW START site=a *")
        status, _, errors = self.run_(*words, "--file", str(self.path))
        self.assertEqual(status, 1)
        self.assertIn(f"{self.path}:1: 'site' is no key", errors)

    def test_register(self) -> None:
        """
        A CE may register the site of its certificate, and no other unless a rule lets it.
        """
        words = ("REGISTER", "--site", "hpc.x")
        self.assertEqual(
            self.ask("", *words, "hpc.x@site.rvgahp"),
            (0, "allowed\nbuilt in: the site of its certificate\n"),
        )
        self.assertEqual(self.ask("", *words, "other@site.rvgahp")[0], 1)
        self.assertEqual(self.ask("DENY REGISTER *", *words, "hpc.x@site.rvgahp")[0], 1)
        status, _, errors = self.run_("REGISTER", "a@x")
        self.assertEqual(status, 2)
        self.assertIn("REGISTER needs --site", errors)

    def test_names(self) -> None:
        """
        The names of an address are looked up if a rule has one; where there are none it has
        none.
        """
        self.patch(socket, "gethostbyaddr", lambda address: ("h.x.org", [], [address]))
        self.patch(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.1", 0))])
        words = ("START", "alice@x", "--from", "192.0.2.1")
        self.assertEqual(self.ask("ALLOW START *.x.org", *words)[0], 0)

        def fail(address: str) -> None:
            raise socket.herror("unknown")

        self.patch(socket, "gethostbyaddr", fail)
        self.assertEqual(self.ask("ALLOW START *.x.org", *words)[0], 1)

    def test_mistakes(self) -> None:
        """
        Words that cannot be are refused.
        """
        self.assertEqual(self.run_("READ", "alice@x")[0], 2)
        self.path.write_text("")
        status, output, errors = self.run_(
            "START", "a@x", "--from", "nowhere", "--file", str(self.path)
        )
        self.assertEqual((status, output), (1, ""))
        self.assertIn("nowhere is no IP address", errors)
        status, output, _ = self.run_("--help")
        self.assertEqual(status, 0)
        for word in ("REGISTER", "--from", "Exit status"):
            self.assertIn(word, output)

    def test_configured(self) -> None:
        """
        Without --file it is the one that the configuration names.
        """
        home = self.directory / ".rvgahp"
        home.mkdir(mode=0o700)
        (home / "condor_config.rvgahp").write_text("RVGAHP_BROKER_HOST = proxy.example.org\n")
        (home / "access").write_text("ALLOW START alice@x\n")
        (home / "access").chmod(0o644)
        clean = {n: v for n, v in os.environ.items() if "CONDOR" not in n.upper()}
        self.patch(os, "environ", {**clean, "HOME": str(self.directory)})
        status, output, _ = self.run_("START", "alice@x")
        self.assertEqual((status, output.split("\n")[1][: len(str(home))]), (0, str(home)))

    if importlib.util.find_spec("htcondor2") is None:
        test_configured.skip = "the htcondor package is not there"  # type: ignore[attr-defined]  # trial's own mark
