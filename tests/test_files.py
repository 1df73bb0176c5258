"""
Tests of L{rvgahp.files}.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import CredentialError
from rvgahp.files import makeDirectory, readFile, refuseExisting, writeFile

#: An account that may not do what root may.
_NOBODY = 65534


class FileTests(SynchronousTestCase):
    """
    Reading and writing.
    """

    def setUp(self) -> None:
        """
        Make a directory.
        """
        self.directory = self.mktemp()
        makeDirectory(self.directory)
        self.path = os.path.join(self.directory, "x.key")

    def test_written(self) -> None:
        """
        A file has its contents and its permissions, and nothing else is left in
        the directory.
        """
        writeFile(self.path, b"one", 0o600, replace=False)
        self.assertEqual(readFile(self.path), b"one")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(os.listdir(self.directory), ["x.key"])

    def test_notReplaced(self) -> None:
        """
        A file that is there stays as it is unless it is to be replaced, even if
        it is a link to nowhere.
        """
        writeFile(self.path, b"one", 0o600, replace=False)
        e = self.assertRaises(CredentialError, writeFile, self.path, b"two", 0o600, replace=False)
        self.assertIn(self.path, str(e))
        self.assertIn("--replace", str(e))
        self.assertEqual(readFile(self.path), b"one")
        writeFile(self.path, b"two", 0o600, replace=True)
        self.assertEqual(readFile(self.path), b"two")
        dangling = os.path.join(self.directory, "dangling")
        os.symlink("nowhere", dangling)
        self.assertRaises(CredentialError, writeFile, dangling, b"", 0o600, replace=False)
        self.assertRaises(CredentialError, refuseExisting, dangling)
        self.assertEqual(sorted(os.listdir(self.directory)), ["dangling", "x.key"])

    def test_noFile(self) -> None:
        """
        What is no file is refused at once: nobody waits for a pipe that nobody writes to.
        """
        os.mkfifo(self.path)
        for path in (self.path, "/dev/zero", self.directory):
            e = self.assertRaises(CredentialError, readFile, path)
            self.assertEqual(f"{path} cannot be read: ", str(e)[: len(path) + 17])

    def test_closedDirectory(self) -> None:
        """
        Where a directory keeps an account from reading a file, it is named with its mode,
        and not the file blamed.
        """
        if os.getuid() != 0:
            raise SkipTest("another account is needed")
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "host.key")
        writeFile(path, b"key", 0o600, replace=False)
        self.addCleanup(os.seteuid, 0)
        for mode, said in ((0o700, f"the directory {directory}"), (0o755, "Permission denied")):
            os.chmod(directory, mode)
            os.seteuid(_NOBODY)
            e = self.assertRaises(CredentialError, readFile, path)
            os.seteuid(0)
            self.assertIn(f"{path} cannot be read: ", str(e))
            self.assertIn(said, str(e))
            self.assertEqual("of root and has mode 0700" in str(e), mode == 0o700)

    def test_replacedAsAWhole(self) -> None:
        """
        Who has the old file open goes on reading the old contents: it is
        another file that takes its place.
        """
        writeFile(self.path, b"one", 0o600, replace=False)
        with open(self.path, "rb") as old:
            writeFile(self.path, b"two", 0o600, replace=True)
            self.assertEqual(old.read(), b"one")

    def test_cannot(self) -> None:
        """
        What cannot be written or read is told with its path and the reason.
        """
        nowhere = os.path.join(self.directory, "none", "x")
        e = self.assertRaises(CredentialError, writeFile, nowhere, b"", 0o600, replace=True)
        self.assertEqual(str(e), f"{nowhere} cannot be written: No such file or directory.")
        e = self.assertRaises(CredentialError, readFile, nowhere)
        self.assertEqual(str(e), f"{nowhere} cannot be read: No such file or directory.")
        self.assertRaises(CredentialError, readFile, self.directory)
        self.assertRaises(CredentialError, writeFile, self.directory, b"", 0o600, replace=True)
        self.assertEqual(os.listdir(os.path.dirname(self.directory)), ["temp"])
        writeFile(self.path, b"", 0o600, replace=False)
        self.assertRaises(CredentialError, makeDirectory, self.path)

    def test_directories(self) -> None:
        """
        Others can write to no directory that is made, nor enter the last, whatever the umask.
        """
        for umask in (0, 0o002, 0o077):
            path = os.path.join(self.directory, f"{umask:o}", "b", "c")
            self.addCleanup(os.umask, os.umask(umask))
            makeDirectory(path)
            makeDirectory(path)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o700)
            for parent in (os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
                self.assertEqual(os.stat(parent).st_mode & 0o022, 0)

    def test_tooLarge(self) -> None:
        """
        What is far too large for a certificate is not read into memory.
        """
        with open(self.path, "wb") as file:
            file.truncate(1 << 40)
        e = self.assertRaises(CredentialError, readFile, self.path)
        self.assertIn("too large", str(e))
