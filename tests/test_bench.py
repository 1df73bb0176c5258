"""
The benchmark still runs: C{bench/bench.py} with tiny numbers, as a command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import rvgahp

BENCH = Path(__file__).resolve().parent.parent / "bench" / "bench.py"

#: Seconds after which a test gives up waiting.  Long, for a loaded machine.
PATIENCE = 180.0

TINY = ["--no-ssh", "--starts=2", "--many=4", "--rounds=2", "--megabytes=4", "--lines=20"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """
    Run the benchmark with the package that is tested.
    """
    package = str(Path(rvgahp.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, str(BENCH), *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": path},
    )


class BenchTests(SynchronousTestCase):
    """
    The command as a whole.
    """

    def setUp(self) -> None:
        if not BENCH.exists():
            self.skipTest("bench/ is not installed, and this is no checkout")

    def test_everything(self) -> None:
        """
        Every topic gives every contestant its samples, all of them positive, and
        nothing is said on stderr.
        """
        path = self.mktemp()
        done = run(*TINY, f"--json={path}")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        found = json.loads(Path(path).read_text())
        counts = [self.samples(table) for table in found["tables"].values()]
        self.assertEqual(counts, [{2}, {2}, {2}, {2}, {2}, {20}])
        failed = [table["failed"] for table in found["tables"].values() if "failed" in table]
        self.assertEqual(failed, [{"local pipe": 0, "rvgahp": 0}])

    def samples(self, table: dict[str, Any]) -> set[int]:
        """
        @return: how many samples the contestants of C{table} have.
        """
        samples = table["samples"]
        self.assertLessEqual({"local pipe", "rvgahp"}, set(samples))
        for name, values in samples.items():
            self.assertGreater(min(values), 0, name)
        return {len(values) for values in samples.values()}

    def test_withoutSSH(self) -> None:
        """
        A contestant that is left out has dashes, and what depends on it is said not
        to be measured.
        """
        done = run(*TINY, "roundtrip")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        (row,) = [line for line in done.stdout.splitlines() if line.startswith("ssh ")]
        self.assertEqual(row.split(), ["ssh", "-", "-", "-", "-", "-"])
        self.assertIn("rvgahp / ssh: at most 4; not measured", done.stdout)

    def test_misuse(self) -> None:
        """
        An unknown topic is named in a sentence, and nothing is started.
        """
        done = run("thruput")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no topic 'thruput'", done.stderr)
