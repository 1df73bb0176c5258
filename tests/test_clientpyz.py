"""
The client in one file, as C{contrib/make-client-pyz.py} makes it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cryptography
from twisted.trial.unittest import SynchronousTestCase

from tests.procfs import PATIENCE
from tests.programs import Run, runProgram
from tests.test_layers import CLIENT_LAYERS, LAYER, ours
from tests.wholecase import PlaygroundTestCase

ROOT = Path(__file__).parents[1]
MAKER = ROOT / "contrib" / "make-client-pyz.py"

#: Runs a file with one directory more on the path: what is in it, and the standard library,
#: is all that there is.
_ALONE = """\
import runpy, sys
sys.path.append(sys.argv[1])
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make(path: str, *words: str, **variables: str) -> bytes:
    """
    Make the file, by the Python that runs this.

    @return: what is in it.
    """
    subprocess.run(
        [sys.executable, str(MAKER), path, *words],
        check=True,
        timeout=PATIENCE,
        env=os.environ | variables,
    )
    return Path(path).read_bytes()


@cache
def made() -> bytes:
    """
    @return: a file as it is made at first.
    """
    with TemporaryDirectory() as directory:
        return make(f"{directory}/dist/client.pyz", PYTHONHASHSEED="1", TZ="UTC")


class FileTests(SynchronousTestCase):
    """
    What is in the file.
    """

    def test_modules(self) -> None:
        """
        The file has what the client can import, in both forms, and nothing else; none of it
        is what the client may not have.
        """
        with zipfile.ZipFile(io.BytesIO(made())) as file:
            names = set(file.namelist())
        reached, left = {"__init__"}, {"client"}
        while left:
            name = left.pop()
            self.assertTrue(LAYER[name] in CLIENT_LAYERS or name.startswith("client"), name)
            reached.add(name)
            left |= ours(ROOT / "rvgahp" / f"{name}.py") - reached
        both = {f"rvgahp/{name}.{kind}" for name in reached for kind in ("py", "pyc")}
        self.assertEqual(names, both | {"__main__.py"})
        self.assertLessEqual({"client", "clientfront", "primitives"}, reached)

    def test_reproducible(self) -> None:
        """
        Whoever makes it, and when, the bytes are the same; C{SOURCE_DATE_EPOCH} and the
        interpreter are all that one can choose.
        """
        line, archive = made().split(b"\n", 1)
        self.assertEqual(line, b"#!/usr/bin/python3 -I")
        other = make(self.mktemp(), "/opt/python", PYTHONHASHSEED="2", TZ="Asia/Tokyo")
        self.assertEqual(other, b"#!/opt/python -I\n" + archive)
        third = io.BytesIO(make(self.mktemp(), SOURCE_DATE_EPOCH="1700000000"))
        with zipfile.ZipFile(third) as file:
            dates = {entry.date_time for entry in file.infolist()}
        self.assertEqual(dates, {(2023, 11, 14, 22, 13, 20)})


class SessionTests(PlaygroundTestCase):
    """
    The file at work.
    """

    gahps = {"cat": "/bin/cat"}

    def runAlone(self, *packages: Path) -> Run:
        """
        @param packages: all that is importable beside the file and the standard library.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        for package in packages:
            (directory / package.name).symlink_to(package)
        words = [sys.executable, "-I", "-S", "-c", _ALONE, str(directory)]
        client = self.mktemp()
        Path(client).write_bytes(made())
        return runProgram([*words, client, *self.playground.words("cat")[1:]], b"text\n")

    def test_session(self) -> None:
        """
        A whole session needs no package but C{cryptography}, with what that needs.
        """
        package = Path(cryptography.__file__).parent
        needed = [*package.parent.glob("_cffi_backend*"), *package.parent.glob("typing_ext*.py")]
        run = self.runAlone(package, *needed)
        self.assertEqual((run.status, run.output, run.errors), (0, b"text\n", ""))

    def test_replaced(self) -> None:
        """
        What a client needs later is loaded once its session runs: an upgrade may take its
        files away, and restart the proxy, and it claims its session all the same.
        """
        file = Path(self.mktemp())
        file.write_bytes(made())
        words = [sys.executable, str(file), *self.playground.words("cat")[1:]]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            self.addCleanup(client.kill)
            assert client.stdin is not None and client.stdout is not None
            client.stdin.write(b"before\n")
            client.stdin.flush()
            self.assertEqual(client.stdout.readline(), b"before\n")
            file.write_bytes(b"")
            proxy = self.playground.sandbox.proxy
            assert proxy.process is not None
            proxy.process.kill()
            proxy.process.wait(PATIENCE)
            self.playground.sandbox.startProxy()
            self.playground.awaitLog("proxy", "has claimed it", self.before("proxy"), PATIENCE)
            output, _ = client.communicate(b"after\n", timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (0, b"after\n"))

    def test_missing(self) -> None:
        """
        Without it there is one sentence, and the status of a client that got no GAHP.
        """
        run = self.runAlone()
        self.assertRefused(run, sys.executable, "no module cryptography", "install")
