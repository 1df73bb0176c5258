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
TINY += ["--tunnel-megabytes=4", "--crowd=4"]


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

    def measured(self, *topics: str) -> dict[str, Any]:
        """
        @return: what a tiny run found, which said nothing on stderr.
        """
        path = self.mktemp()
        done = run(*TINY, f"--json={path}", *topics)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        found: dict[str, Any] = json.loads(Path(path).read_text())
        return found

    def test_gahps(self) -> None:
        """
        Every topic of GAHPs gives every contestant its samples, all of them positive.
        """
        found = self.measured("start", "burst", "throughput", "roundtrip")
        counts = [self.samples(table, "local pipe", "rvgahp") for table in found["tables"].values()]
        self.assertEqual(counts, [{2}, {2}, {2}, {2}, {2}, {20}])
        failed = [table["failed"] for table in found["tables"].values() if "failed" in table]
        self.assertEqual(failed, [{"local pipe": 0, "rvgahp": 0}])

    def test_crowd(self) -> None:
        """
        A crowd comes, what is asked is answered, and starts are measured meanwhile.
        """
        found = self.measured("crowd")
        answers, starts = found["tables"].values()
        asked = ("rvgahp status", "rvgahp list", "GET /v1/status", "GET /metrics")
        self.assertEqual(self.samples(answers, *asked), {2})
        self.assertEqual(self.samples(starts, "nobody asks", "asked each second"), {4})

    def test_tunnels(self) -> None:
        """
        Tunnels carry both ways, on loopback and over the long way, where nothing takes
        less than a round trip; the GAHP answers meanwhile; and its replies are judged.
        """
        found = self.measured("tunnel")
        counts = {
            title: self.samples(table, "plain TCP", "rvgahp")
            for title, table in found["tables"].items()
        }
        carried = [title for title in counts if "site" in title and title.startswith("Tunnel")]
        opened = [title for title in counts if "connect" in title]
        self.assertEqual([counts[title] for title in carried], [{2}] * 4)
        self.assertEqual([counts[title] for title in opened], [{2}, {1}])
        self.assertEqual(len(counts), 10)
        long = found["tables"][opened[1]]["samples"]
        self.assertGreater(min(long["plain TCP"] + long["rvgahp"]), 0.05)
        judged = [one for one in found["criteria"] if "reply" in one["what"]]
        self.assertEqual([one["bound"] for one in judged], [200] * 4)

    def samples(self, table: dict[str, Any], *names: str) -> set[int]:
        """
        @return: how many samples the contestants of C{table} have, C{names} among them.
        """
        samples = table["samples"]
        self.assertLessEqual(set(names), set(samples))
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
