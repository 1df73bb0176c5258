"""
Tests of L{rvgahp.mapreader}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import maplimits
from rvgahp.errors import ConfigurationError
from rvgahp.mapreader import readMapFile


class ReadTests(SynchronousTestCase):
    """
    Files, in a directory of their own.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        (self.directory / "mapfiles.d").mkdir(parents=True)

    def write(self, name: str, text: str) -> str:
        (self.directory / name).write_text(text)
        return str(self.directory / name)

    def test_directory(self) -> None:
        """
        A directory's files are read in the order of their names' bytes, without those that
        HTCondor leaves out, and without directories.
        """
        path = self.write("map", "@include mapfiles.d/\nFS . last")
        for name in ("90-ban", "10-ssl", "Z", "a", "\u00e9"):
            self.write(f"mapfiles.d/{name}", f"FS ^{name}$ {name}")
        for name in (".x", "#x", "x~", "x.rpmnew", "x.rpmsave", "x.py", "x.dpkg-old", "x.cfsaved"):
            self.write(f"mapfiles.d/{name}", "nonsense")
        (self.directory / "mapfiles.d" / "b").mkdir()
        made = readMapFile(path)
        self.assertEqual(
            [os.path.basename(name) for name in made.files],
            ["map", "10-ssl", "90-ban", "Z", "a", "\u00e9"],
        )

    def test_example(self) -> None:
        """
        HTCondor-CE's own files do what they say, and a ban holds where it stands.
        """
        path = self.write("map", "@include mapfiles.d/")
        self.write(
            "mapfiles.d/10-scitokens.conf",
            "# people\nSCITOKENS /^https:\\/\\/scitokens.org\\/osg-connect,.*/ osg\n",
        )
        self.write(
            "mapfiles.d/05-ban.conf", "SCITOKENS /^https\\:.*,mallory$/ m@banned.htcondor.org\n"
        )
        self.write(
            "mapfiles.d/50-default.conf", "CLAIMTOBE /.*/ anonymous@claimtobe\nFS /(.*)/ \\1\n"
        )
        made = readMapFile(path, True)
        for method, principal, name in (
            ("SCITOKENS", "https://scitokens.org/osg-connect,jane", "osg@dom"),
            ("SCITOKENS", "https://scitokens.org/osg-connect,mallory", "m@banned.htcondor.org"),
            ("FS", "alice", "alice@dom"),
            ("CLAIMTOBE", "x", "anonymous@claimtobe"),
        ):
            match = made.lookup(method, principal, "dom")
            assert match is not None
            self.assertEqual(match.canonical, name)
        self.assertIsNone(made.lookup("SSL", "/CN=a"))

    def test_unreadable(self) -> None:
        """
        What cannot be read, or is no file, refuses the whole map.
        """
        os.mkfifo(self.directory / "fifo")
        for name, said in (
            ("gone", "No such file"),
            ("mapfiles.d/gone", "No such file"),
            ("fifo", "it is no file"),
            ("a\\0b", "No such file"),
        ):
            path = self.write("map", f"FS a b\n@include {name}")
            error = self.assertRaises(ConfigurationError, readMapFile, path)
            self.assertIn(said, str(error))
            self.assertIn("cannot be read", str(error))
        self.assertRaises(ConfigurationError, readMapFile, str(self.directory))
        self.assertRaises(ConfigurationError, readMapFile, "a\0b")

    def test_writable(self) -> None:
        """
        Where a daemon goes by it, no file of a map may be one that others could change, or put
        another in its place, included ones among them; who only looks may.
        """
        self.directory.chmod(0o700)
        included = self.directory / "mapfiles.d"
        included.chmod(0o700)
        path = self.write("map", "@include mapfiles.d")
        one = self.write("mapfiles.d/one", "FS a b")
        owners = {0, os.geteuid()}
        for open_, mode in ((path, 0o664), (one, 0o646), (str(included), 0o770)):
            before = os.stat(open_).st_mode
            os.chmod(open_, mode)
            error = self.assertRaises(ConfigurationError, readMapFile, path, False, owners)
            self.assertTrue(str(error).endswith(f": chmod go-w {open_}"), error)
            readMapFile(path)
            os.chmod(open_, before)
        self.assertEqual(len(readMapFile(path, False, owners).files), 2)

    def test_directoryClosed(self) -> None:
        """
        So does a dangling link in a directory.
        """
        path = self.write("map", "@include mapfiles.d")
        (self.directory / "mapfiles.d" / "x").symlink_to("gone")
        error = self.assertRaises(ConfigurationError, readMapFile, path)
        self.assertIn("mapfiles.d/x cannot be read", str(error))

    def test_large(self) -> None:
        """
        No more of a file is read than it may have.
        """
        self.patch(maplimits, "FILE_BYTES", 1000)
        path = self.write("map", "#" * 5000)
        error = self.assertRaises(ConfigurationError, readMapFile, path)
        self.assertIn("too large", str(error))
