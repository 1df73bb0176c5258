"""
Tests of L{rvgahp.clientwords}.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.clientwords import HELP, USAGE, Arguments, Misuse

#: What C{remote_gahp} takes for its host, in bash's words.
HOST = re.compile(r"(([A-Za-z_][A-Za-z0-9_.-]*)@)?([A-Za-z0-9.-]+)(:([0-9]*))?")

#: Its options, each with a value where it takes one.
SSH_OPTIONS = (
    ["--rgahp-key", "/home/alice/.ssh/key"],
    ["--rgahp-key", ""],
    ["--rgahp-nokey"],
    ["--rgahp-pass", "/home/alice/.bosco/.pass"],
    ["--rgahp-nopass"],
    ["--rgahp-glite", "~/bosco/glite"],
    ["--rgahp-nobatchmode"],
    ["--rgahp-nologin"],
)


def gridmanagerWords(gridResource: str, gahp: str = "blahpd") -> list[str]:
    """
    @return: the words that the gridmanager makes of a C{grid_resource}: what stands
        after the batch system, parted at single blanks, and the GAHP
        (C{src/condor_gridmanager/infnbatchjob.cpp}).
    """
    kind, _system, *words = gridResource.split(" ")
    assert kind == "batch"
    return [*words, gahp]


def read(words: list[str]) -> tuple[str, str, str, str | None]:
    """
    @return: site, account, GAHP and socket.
    """
    arguments = Arguments(words)
    return arguments.site, arguments.account, arguments.gahp, arguments.socket


class FormTests(SynchronousTestCase):
    """
    Command lines that are right.
    """

    def test_gridResources(self) -> None:
        """
        Each form of grid_resource means the same for the two GAHPs of the gridmanager.
        """
        host, path = "login.example.edu", "/tmp/alice.rvgahp.sock"
        for gridResource, meant in {
            f"batch slurm {host}": (host, "", None),
            f"batch slurm alice@{host}": (host, "alice", None),
            f"batch slurm alice@{host}:2222": (host, "alice", None),
            f"batch slurm {host}:": (host, "", None),
            "batch pbs juve@hpc-pegasus.usc.edu": ("hpc-pegasus.usc.edu", "juve", None),
            f"batch slurm alice@{host} --rvgahp-socket {path}": (host, "alice", path),
            f"batch slurm --rvgahp-socket {path} alice@{host}": (host, "alice", path),
            f"batch slurm {host} --rgahp-user alice": (host, "alice", None),
            f"batch slurm --rgahp-user alice {host}": (host, "alice", None),
            f"batch slurm --rgahp-user bob alice@{host}": (host, "alice", None),
            f"batch slurm alice@{host} --rgahp-user bob": (host, "bob", None),
            f"batch slurm --rgahp-user alice {path}": ("", "alice", path),
            f"batch pbs {path}": ("", "", path),
            f"batch pbs {path} --rgahp-nokey": ("", "", path),
            "batch pbs ./relative": ("", "", "./relative"),
            # Blanks side by side, at the beginning and at the end.
            f"batch slurm  {host}": (host, "", None),
            f"batch slurm {host} ": (host, "", None),
            f"batch slurm  alice@{host}  --rvgahp-socket {path} ": (host, "alice", path),
            f"batch slurm {host} --": (host, "", None),
        }.items():
            for gahp in ("blahpd", "condor_ft-gahp"):
                site, account, socket = meant
                found = read(gridmanagerWords(gridResource, gahp))
                self.assertEqual(found, (site, account, gahp, socket), gridResource)

    def test_withoutEffect(self) -> None:
        """
        The options that are ssh's business may stand before and after the host, all of
        them too, with C{=} too, and change nothing.
        """
        every = [word for option in SSH_OPTIONS for word in option]
        for option in (*SSH_OPTIONS, every, ["--rgahp-key=/k"], ["--rgahp-pass="]):
            for words in ([*option, "alice@site"], ["alice@site", *option]):
                self.assertEqual(read([*words, "blahpd"]), ("site", "alice", "blahpd", None))
            self.assertEqual(read(["site", "blahpd", *option]), ("site", "", "blahpd", None))

    def test_socket(self) -> None:
        """
        The socket may stand anywhere, and has two names.
        """
        for words in (
            ["--socket", "/s", "site", "cat"],
            ["site", "--socket=/s", "cat"],
            ["site", "cat", "--socket", "/s"],
            ["--socket=/s", "--", "site", "cat"],
            ["site", "--rvgahp-socket=/s", "cat"],
            ["--rvgahp-socket", "/s", "--socket", "/s", "site", "cat"],
        ):
            self.assertEqual(read(words), ("site", "", "cat", "/s"))
        self.assertEqual(read(["--socket", "/s", "/s", "cat"]), ("", "", "cat", "/s"))
        self.assertEqual(read(["--socket", "relative", "s", "c"]), ("s", "", "c", "relative"))

    def test_script(self) -> None:
        """
        C{--rgahp-script} goes before the gridmanager's C{blahpd} and not before its
        C{condor_ft-gahp}, and needs no other name.
        """
        for words, gahp in (
            (["site", "--rgahp-script", "mine", "blahpd"], "mine"),
            (["site", "--rgahp-script", "mine", "condor_ft-gahp"], "condor_ft-gahp"),
            (["--rgahp-script", "mine", "site", "blahpd"], "mine"),
            (["--rgahp-script", "mine", "site"], "mine"),
            (["/path", "--rgahp-script", "mine", "blahpd"], "mine"),
            (["site", "--rgahp-script", "", "blahpd"], "blahpd"),
        ):
            self.assertEqual(Arguments(words).gahp, gahp, words)

    def test_lastOptionsEnd(self) -> None:
        """
        After C{--} nothing is an option.
        """
        self.assertEqual(read(["--", "site", "--y"]), ("site", "", "--y", None))
        self.assertEqual(read(["site", "--", "-h"]), ("site", "", "-h", None))

    def test_help(self) -> None:
        """
        Help and version go before all else that may be missing.
        """
        self.assertTrue(Arguments(["-h"]).wantsHelp)
        self.assertTrue(Arguments(["x", "--help"]).wantsHelp)
        self.assertTrue(Arguments(["--version"]).wantsVersion)
        self.assertFalse(Arguments(["site", "cat"]).wantsHelp)

    def test_place(self) -> None:
        """
        For people a place is a site, or a socket's site.
        """
        self.assertEqual(Arguments(["alice@site:7", "cat"]).place, "site site")
        self.assertEqual(Arguments(["/p/s", "cat"]).place, "the site of socket /p/s")

    @given(st.from_regex(HOST, fullmatch=True))
    def test_asRemoteGahp(self, word: str) -> None:
        """
        Whatever C{remote_gahp} takes for a host is taken here, with the same parts, or
        its name can be no site's.
        """
        match = HOST.fullmatch(word)
        assert match is not None
        try:
            arguments = Arguments(["--", word, "blahpd"])
        except Misuse as e:
            self.assertIn("cannot be the name of", str(e))
        else:
            found = arguments.site, arguments.account, arguments.socket
            self.assertEqual(found, (match[3], match[2] or "", None))


class MisuseTests(SynchronousTestCase):
    """
    Command lines that are wrong.
    """

    def test_misuse(self) -> None:
        """
        What makes no sense is named.
        """
        site = "login.example.edu"
        for words, said in (
            ([], "no site and no GAHP"),
            (["", ""], "no site and no GAHP"),
            (["site"], "no GAHP is named after 'site'"),
            (["site", "extra", "blahpd"], "'blahpd' is one word too many"),
            (["/path", "site", "blahpd"], "'blahpd' is one word too many"),
            (["--rgahp-script", "mine", "site", "x", "blahpd"], "'blahpd' is one word too many"),
            (["--socket"], "--socket needs a path"),
            (["--socket="], "--socket needs a path"),
            (["--socket", "", "site", "cat"], "--socket needs a path"),
            (["site", "--rvgahp-socket", "--rgahp-nokey", "cat"], "--rvgahp-socket needs a path"),
            (["site", "--rgahp-user", "--", "cat"], "--rgahp-user needs an account"),
            (["site", "cat", "--rgahp-key"], "--rgahp-key needs a path"),
            ([site, "--rvgahp-socket", "blahpd"], "--rvgahp-socket took 'blahpd' for its value"),
            ([site, "--rgahp-key", "blahpd"], "--rgahp-key took 'blahpd' for its value"),
            (["--sock=x", "a", "b"], "no option '--sock=x'"),
            (["site", "--rgahp-nokey=x", "b"], "no option '--rgahp-nokey=x'"),
            (["site", "--rgahp-foo", "b"], "no option '--rgahp-foo'"),
            (["site", "--rvgahp-foo", "b"], "no option '--rvgahp-foo'"),
            (["-", "b"], "no option '-'"),
            (["/p", "--socket", "/q", "cat"], "two sockets are named, '/p' and '/q'"),
            (["--socket", "/q", "/p", "cat"], "two sockets are named, '/q' and '/p'"),
            (["@site", "cat"], "'@site' is neither"),
            (["alice@", "cat"], "'alice@' is neither"),
            ([":22", "cat"], "':22' is neither"),
            (["site:ssh", "cat"], "'site:ssh' is neither"),
            (["site:\N{ARABIC-INDIC DIGIT ONE}", "cat"], "is neither"),
            (["::1", "cat"], "'::1' is neither"),
            (["-", "cat"], "no option"),
            (["a@b@site", "cat"], "'a@b' cannot be the name of an account"),
            (["a b@site", "cat"], "'a b' cannot be the name of an account"),
            (["site", "--rgahp-user", ".x", "cat"], "'.x' cannot be the name of an account"),
            (["a site", "cat"], "'a site' cannot be the name of a site"),
            (["site.", "cat"], "'site.' cannot be the name of a site"),
            (["s" * 254, "cat"], "cannot be the name of a site"),
            (["site\udcff", "cat"], "cannot be the name of a site"),
            (["site", "\udcff"], "UTF-8"),
            (["site", "b" * 2000], "too long"),
            (["site", "--rgahp-script", "~/bin/blahpd", "blahpd"], "'~/bin/blahpd' is a path"),
            (["--rgahp-script", "blahpd"], "--rgahp-script took 'blahpd' for its value"),
            (["--rgahp-script=blahpd"], "no site and no GAHP is named"),
        ):
            e = self.assertRaises(Misuse, Arguments, words)
            self.assertIn(said, str(e), words)
            self.assertFalse(str(e).endswith("."))

    @given(
        st.lists(
            st.sampled_from(
                ["--", "-h", "", "-x", "a@b", "/p", "x", "--version", "--socket", "--rgahp-user"]
                + [word for option in SSH_OPTIONS for word in option]
                + ["--rgahp-script", "--rvgahp-socket=/p", "blahpd", "\x1b[1m\n", "\udcff"]
            ),
            max_size=8,
        )
    )
    def test_neverElse(self, words: list[str]) -> None:
        """
        Whatever the words are, they are understood or refused: names that are complete, or
        a sentence of printable text.
        """
        given = list(words)
        try:
            arguments = Arguments(words)
        except Misuse as e:
            self.assertTrue(str(e).isprintable(), str(e))
        else:
            if not (arguments.wantsHelp or arguments.wantsVersion):
                self.assertTrue(arguments.gahp)
                self.assertTrue(arguments.site or arguments.socket)
        self.assertEqual(words, given)


class TextTests(SynchronousTestCase):
    """
    What is said to people.
    """

    def test_options(self) -> None:
        """
        The help names each option, and the one line of usage each form.
        """
        options = {option[0] for option in SSH_OPTIONS}
        for word in (*options, "--rvgahp-socket", "--socket", "--rgahp-user", "--rgahp-script"):
            self.assertIn(word, HELP)
        for form in ("[USER@]SITE[:PORT] GAHP", "SOCKPATH GAHP", "grid_resource = batch"):
            self.assertIn(form, USAGE)
        self.assertTrue(USAGE.isprintable())
        self.assertLessEqual(max(map(len, HELP.splitlines())), 80)
