"""
What is installed, and what that is made of: wheel, source distribution, Debian package, news.

With C{RVGAHP_PACKAGES=1} in the environment (C{make packages}) they are built and tried.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rvgahp import __version__

ROOT = Path(__file__).parents[1]
DEBIAN = ROOT / "contrib" / "debian"

#: Seconds for anything that is quick, and for a build.
PATIENCE = 60
BUILD = 900

#: Whether the packages are to be built.
BUILDS = os.environ.get("RVGAHP_PACKAGES") == "1"

#: What setuptools takes into a source distribution by itself.
TAKEN = {"README.md", "pyproject.toml", "setup.py", "rvgahp", "twisted"}

#: What Twisted's plugins need to be found, and must not be hidden by.
PLUGINS = "twisted/plugins"


def run(*words: str | Path, **variables: str) -> str:
    """
    Run a program that must succeed.

    @return: its stdout.
    """
    done = subprocess.run(
        [str(word) for word in words],
        check=False,
        capture_output=True,
        text=True,
        timeout=BUILD,
        cwd="/",
        env={**os.environ, "PYTHONPATH": "", **variables},
    )
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


class SourceTests(SynchronousTestCase):
    """
    What the builds read.
    """

    def test_packages(self) -> None:
        """
        setup.py names each package, and nothing makes C{twisted} one of ours.
        """
        found = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in ROOT.glob("rvgahp/**/__init__.py")
        }
        named = set(re.findall(r'"([\w.]+)"', (ROOT / "setup.py").read_text().split("setup(")[1]))
        self.assertEqual(named, found | {"twisted.plugins"})
        self.assertEqual(list(ROOT.glob("twisted/**/__init__.py")), [])

    def test_manifest(self) -> None:
        """
        All that stands at the top, but for what .gitignore names, is in a source distribution.
        """
        ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
        tops = {path.name for path in ROOT.iterdir()} - {".git", "PKG-INFO", "setup.cfg"}
        tops = {top for top in tops if not any(fnmatch(top, pattern) for pattern in ignored)}
        lines = (ROOT / "MANIFEST.in").read_text().splitlines()
        named = {word for line in lines if line[:1] in "ig" for word in line.split()[1:]}
        self.assertLessEqual(tops, named | TAKEN)

    def test_fragments(self) -> None:
        """
        Each news fragment is one that towncrier takes, and has a sentence.
        """
        types = set(re.findall(r'(?m)^directory = "(\w+)"$', (ROOT / "pyproject.toml").read_text()))
        self.assertIn("security", types)
        for path in (ROOT / "newsfragments").iterdir():
            if path.name not in ("README.rst", "template.rst"):
                self.assertRegex(path.name, r"\A[a-z0-9-]+\.[a-z]+\Z")
                self.assertIn(path.suffix[1:], types - {"newsfragments"}, path.name)
                self.assertTrue(path.read_text().rstrip().endswith((".", ").")), path.name)

    def test_units(self) -> None:
        """
        The units start what the Debian package has, at its path.
        """
        units = (ROOT / "contrib" / "systemd").glob("*.service")
        programs = {
            word
            for unit in units
            for word in re.findall(r"(?m)^Exec\w+=(\S+)", unit.read_text())
            if not word.startswith("/bin/")
        }
        self.assertEqual(programs, {"/opt/rvgahp/bin/twistd", "/opt/rvgahp/bin/rvgahp"})

    def test_scripts(self) -> None:
        """
        The scripts of the Debian package are scripts of sh, and give way at an error.
        """
        scripts = [DEBIAN / f"rvgahp.{when}" for when in ("preinst", "postinst", "prerm", "postrm")]
        for script in scripts:
            self.assertEqual(script.read_text().splitlines()[:2], ["#!/bin/sh", "set -e"])
            subprocess.run(["/bin/sh", "-n", str(script)], check=True, timeout=PATIENCE)
        subprocess.run(
            ["/bin/bash", "-n", str(ROOT / "contrib" / "make-deb")], check=True, timeout=PATIENCE
        )


class InstalledTests(SynchronousTestCase):
    """
    What is tested is what is installed.
    """

    def test_files(self) -> None:
        """
        The installed package has its modules, four plugins and three programs, but no tests,
        and nothing that would hide Twisted's plugins.
        """
        try:
            distribution = importlib.metadata.distribution("rvgahp")
        except importlib.metadata.PackageNotFoundError:
            raise SkipTest("not installed; the tree is tested") from None
        self.assertEqual(distribution.version, __version__)
        files = [str(path) for path in distribution.files or () if "__pycache__" not in str(path)]
        tops = {name.split("/")[0] for name in files if not name.startswith("..")}
        tops -= {f"rvgahp-{__version__}.dist-info"}
        self.assertEqual(tops, {"rvgahp", "twisted"})
        self.assertEqual(
            {name for name in files if name.startswith("twisted/")},
            {
                f"{PLUGINS}/rvgahp_{name}.py"
                for name in ("authentication", "gahps", "lrms", "plugins")
            },
        )


class BuildTests(SynchronousTestCase):
    """
    The packages, built.
    """

    def setUp(self) -> None:
        if not BUILDS:
            self.skipTest("RVGAHP_PACKAGES=1 asks for this: it takes minutes, and an index for pip")
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def build(self) -> tuple[Path, Path]:
        """
        @return: the wheel and the source distribution.
        """
        run(sys.executable, "-m", "build", "--outdir", self.directory, ROOT)
        (wheel,) = self.directory.glob("*.whl")
        (source,) = self.directory.glob("*.tar.gz")
        return wheel, source

    def test_distributions(self) -> None:
        """
        The wheel has packages and nothing else, the source distribution all that the wheel was
        made of, and both install and run a job.
        """
        wheel, source = self.build()
        with zipfile.ZipFile(wheel) as file:
            tops = {name.split("/")[0] for name in file.namelist()}
            self.assertNotIn(f"{PLUGINS}/__init__.py", file.namelist())
            for path in (ROOT / "rvgahp" / "page").iterdir():
                self.assertIn(f"rvgahp/page/{path.name}", file.namelist())
        self.assertEqual(tops, {"rvgahp", "twisted", f"rvgahp-{__version__}.dist-info"})
        with tarfile.open(source) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        for name in ("tests/vectors.json", "doc/conf.py", "bench/bench.py", "contrib/debian/rules"):
            self.assertIn(name, names)
        for number, package in enumerate((wheel, source)):
            venv = self.directory / f"venv{number}"
            run(sys.executable, "-m", "venv", venv)
            run(venv / "bin" / "pip", "install", "--quiet", package)
            self.assertIn("rvgahp-proxy", run(venv / "bin" / "twistd", "--help"))
            self.assertIn("nothing is left behind", run(venv / "bin" / "rvgahp", "demo"))
        self.assertCacheFollows(venv)

    def assertCacheFollows(self, venv: Path) -> None:
        """
        Twisted's list of plugins has ours when twistd has run, and no more when they are
        gone and it has run again.
        """
        (cache,) = venv.glob("lib/python3*/site-packages/twisted/plugins/dropin.cache")
        self.assertIn(b"rvgahp", cache.read_bytes())
        run(venv / "bin" / "pip", "uninstall", "--quiet", "--yes", "rvgahp")
        self.assertNotIn("rvgahp", run(venv / "bin" / "twistd", "--help"))
        self.assertNotIn(b"rvgahp", cache.read_bytes())

    def test_deb(self) -> None:
        """
        The Debian package has the units, programs of the path that these name, compiled
        modules, no list of plugins, and no word of where it was built.
        """
        if not (shutil.which("dpkg-buildpackage") and shutil.which("dh")):
            raise SkipTest("no debhelper here")
        tree = self.directory / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", "build", "dist", "_trial_temp*")
        shutil.copytree(ROOT, tree, ignore=ignored)
        run(tree / "contrib" / "make-deb", DEBEMAIL="nobody@example.org")
        (package,) = tree.glob("dist/*.deb")
        control = self.directory / "control"
        run("dpkg-deb", "--control", package, control)
        for script in ("preinst", "postinst"):
            self.assertNotIn("invoke stop", (control / script).read_text(), "at an upgrade")
        data = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(package)],
            check=True,
            capture_output=True,
            timeout=BUILD,
        ).stdout
        self.assertNotIn(os.fsencode(tree), data)
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            names = {name.removeprefix(".") for name in archive.getnames()}
        for name in ("lib/systemd/system/rvgahp-proxy.socket", "usr/bin/rvgahp_client"):
            self.assertIn(f"/{name}", names)
        for name in ("twistd", "rvgahp", "rvgahp_client", "python3"):
            self.assertIn(f"/opt/rvgahp/bin/{name}", names)
        self.assertFalse([name for name in names if name.endswith("dropin.cache")])
        modules = {name for name in names if re.search(r"/site-packages/rvgahp/\w+\.py$", name)}
        self.assertGreater(len(modules), 100)
        found = re.findall(r"(?m)^(.*/)__pycache__/(\w+)\.cpython-\d+\.pyc$", "\n".join(names))
        self.assertLessEqual(modules, {f"{directory}{stem}.py" for directory, stem in found})
