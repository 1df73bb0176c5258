"""
Tests of L{rvgahp.mapcli}.
"""

from __future__ import annotations

from pathlib import Path

from tests.commandcase import CommandTestCase


class CommandTests(CommandTestCase):
    """
    The command, run in this process.
    """

    command = ("map",)

    def file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def test_mapped(self) -> None:
        """
        The name, then the line with its file and number.
        """
        path = self.file('# people\nSSL "/CN=a b"  alice\n')
        line = f'{path}:2: SSL "/CN=a b"  alice\n'
        self.assertEqual(self.run_("--file", path, "SSL", "/CN=a b"), (0, f"alice\n{line}", ""))
        status, output, _ = self.run_("--file", path, "ssl", "/CN=a b", "--domain", "x.org")
        self.assertEqual((status, output), (0, f"alice@x.org\n{line}"))

    def test_hashKeys(self) -> None:
        """
        C{--hash-keys} makes literals of what is not between slashes.
        """
        path = self.file("FS a. bob\n")
        self.assertEqual(self.run_("FS", "ab", "--file", path)[0], 0)
        self.assertEqual(self.run_("FS", "ab", "--file", path, "--hash-keys")[0], 1)
        self.assertEqual(self.run_("FS", "a.", "--file", path, "--hash-keys")[0], 0)

    def test_unmapped(self) -> None:
        """
        Who has no name is told so on stderr, with status 1.
        """
        path = self.file("FS a bob\nSSL a bob\n")
        for method, said in (
            ("FS", f"rvgahp: no line for FS in {path}, and what it includes, matches x\n"),
            (
                "KERBEROS",
                f"rvgahp: {path}, and what it includes, has no line for KERBEROS; it has FS, SSL\n",
            ),
        ):
            self.assertEqual(self.run_(method, "x", "--file", path), (1, "", said))
        status, output, errors = self.run_("FS", "a\n", "--file", path)
        self.assertEqual((status, output), (1, ""))
        self.assertIn("control characters", errors)
        self.assertIn("none at all", self.run_("FS", "x", "--file", self.file(""))[2])

    def test_banned(self) -> None:
        """
        A banned name is said to be one.
        """
        path = self.file("FS a x@banned.htcondor.org\n")
        status, output, _ = self.run_("FS", "a", "--file", path)
        self.assertEqual(status, 0)
        self.assertIn("\nThis name is banned, as one of *@banned.htcondor.org.\n", output)

    def test_badFile(self) -> None:
        """
        A file that is refused is named with its line, with status 1.
        """
        path = self.file("FS a\n")
        status, output, errors = self.run_("FS", "a", "--file", path)
        self.assertEqual((status, output, errors.count("\n")), (1, "", 1))
        self.assertIn(f"{path} is not used: line 1: the canonical name is missing", errors)
        status, _, errors = self.run_("FS", "a", "--file", path + "x")
        self.assertEqual(status, 1)
        self.assertIn("No such file", errors)

    def test_words(self) -> None:
        """
        The file must be named; the help has an example, and what the status means.
        """
        status, _, errors = self.run_("FS", "a")
        self.assertEqual(status, 2)
        self.assertIn("--file", errors)
        status, output, _ = self.run_("--help")
        self.assertEqual(status, 0)
        for word in ("rvgahp map --file", "SCITOKENS", "Exit status", "condor_config_val"):
            self.assertIn(word, output)
