"""
Real processes: every byte and every exit status of a GAHP arrives, and nothing is left
behind.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from random import Random

from tests.procfs import PATIENCE, waitFor
from tests.programs import SOAK, gahp
from tests.wholecase import PlaygroundTestCase

#: Starts one after the other and a few at a time, and starts all at once.
STARTS = 1000 if SOAK else 40
AT_ONCE = 100 if SOAK else 20


def _expectedStatus(how: str) -> int:
    word, number = how.split()
    return int(number) + (128 if word == "signal" else 0)


class BurstTests(PlaygroundTestCase):
    """
    GAHPs that write 1 to 10 MB and end at once.
    """

    gahps = {"burst": gahp("burst"), "cat": "/bin/cat", "slow": gahp("slow")}

    def _burst(self, _: int) -> tuple[int, int]:
        """
        @return: the number of bytes and the status of one start, which are as the GAHP
            said.
        """
        run = self.playground.run("burst", seconds=4 * PATIENCE)
        total, digest, how = run.errors.split(maxsplit=2)
        self.assertEqual(len(run.output), int(total), run)
        self.assertEqual(sha256(run.output).hexdigest(), digest, run)
        self.assertEqual(run.status, _expectedStatus(how.strip()), run)
        return len(run.output), run.status

    def test_everyByteAndStatus(self) -> None:
        """
        Of many GAHPs that write 1 to 10 MB and exit at once, or are ended by a signal,
        every byte and every exit status arrives; afterwards proxy, CE and machine have as
        many descriptors, threads and processes as before.
        """
        self.assertServes()
        before = self.playground.quiet()
        processes = sorted(self.playground.strays())
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(self._burst, range(STARTS)))
        seconds = time.monotonic() - started
        total = sum(size for size, _ in results)
        statuses = dict(sorted(Counter(status for _, status in results).items()))
        print(f"\n{STARTS} starts, {total / 1e6:.0f} MB, {seconds:.1f} s; by status: {statuses}")
        self.playground.awaitAsBefore(before)
        waitFor(lambda: sorted(self.playground.strays()) == processes, "the end of the others")

    def test_manyAtOnce(self) -> None:
        """
        Of many clients that are started at once none fails, and each has its own GAHP:
        its token comes back with one pid that no other client saw.
        """
        before = self.playground.quiet()
        started = time.monotonic()
        clients = [self.playground.client("slow") for _ in range(AT_ONCE)]
        tokens = [b"token %d\n" % number for number in range(AT_ONCE)]
        for client, token in zip(clients, tokens, strict=True):
            assert client.stdin is not None
            client.stdin.write(token)
            client.stdin.close()
            client.stdin = None
        ends = [client.communicate(timeout=4 * PATIENCE) for client in clients]
        print(f"\n{AT_ONCE} clients at once: {time.monotonic() - started:.2f} s")
        self.assertEqual({client.returncode for client in clients}, {0}, str(ends)[:1000])
        pids = set()
        for (output, errors), token in zip(ends, tokens, strict=True):
            self.assertEqual(errors, b"")
            pid, number, rest = output.split(b" ", 2)
            self.assertEqual((number, rest), (b"0", token))
            pids.add(pid)
        self.assertEqual(len(pids), AT_ONCE)
        self.playground.awaitAsBefore(before)


class StatusTests(PlaygroundTestCase):
    """
    Exit statuses, and streams that end early.
    """

    gahps = {name: gahp(name) for name in ("end", "both", "noise", "shutOut", "shutIn")} | {
        "cat": "/bin/cat",
        "wc": "/usr/bin/wc -c",
        "true": "/bin/true",
    }

    def test_statuses(self) -> None:
        """
        The client's exit status is the GAHP's, and 128 + n where signal n ended it.
        """
        for how in ("exit 0", "exit 1", "exit 7", "exit 255", "signal 1", "signal 9", "signal 15"):
            run = self.playground.run("end", how.encode() + b"\n")
            self.assertEqual((run.status, run.output), (_expectedStatus(how), b""), how)

    def test_apart(self) -> None:
        """
        stdout and stderr stay apart.
        """
        run = self.playground.run("both")
        self.assertEqual((run.status, run.output), (3, b"to stdout\n"))
        self.assertEqual(run.errors, "to stderr\n")

    def test_stderrFlood(self) -> None:
        """
        20 MB of stderr which the client's reader does not read delays no stdout; what is
        dropped is said in a line with the number of bytes, and the last lines arrive.
        """
        client = self.playground.client("noise")
        assert client.stdout is not None and client.stderr is not None
        self.assertEqual(client.stdout.readline(), b"in the middle\n")
        self.assertEqual(client.stdout.readline(), b"200000\n")
        errors = client.stderr.read()
        self.assertEqual(client.wait(PATIENCE), 0)
        dropped = re.findall(rb"\[rvgahp: (\d+) bytes of stderr dropped\]\n", errors)
        self.assertGreater(sum(int(count) for count in dropped), 1_000_000)
        self.assertLess(len(errors), 20_000_000)
        self.assertTrue(errors.endswith(b"%099d\n" % 199_999), errors[-300:])

    def test_stdoutClosedEarly(self) -> None:
        """
        A GAHP that closes its stdout and runs on: the client's reader sees the end at
        once, and the exit status later.
        """
        client = self.playground.client("shutOut")
        assert client.stdout is not None and client.stdin is not None
        self.assertEqual(client.stdout.read(), b"before\n")
        self.assertIsNone(client.poll())
        client.stdin.write(b"x" * 100_000)
        client.stdin.close()
        client.stdin = None
        _, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (7, b"100000\n"))

    def test_stdinClosedEarly(self) -> None:
        """
        A GAHP that closes its stdin and runs on: what else is sent to it is taken and
        dropped, and its output arrives.
        """
        sent = b"first\n" + os.urandom(5_000_000)
        run = self.playground.run("shutIn", sent)
        self.assertEqual((run.status, run.errors), (7, ""))
        self.assertEqual(run.output, b"shut\n" + sent[:100])

    def test_inputThatNobodyReads(self) -> None:
        """
        A GAHP that exits without reading its input: its status arrives, and the client
        does not wait for the end of its own stdin.
        """
        client = self.playground.client("true")
        self.assertEqual(client.wait(PATIENCE), 0)
        run = self.playground.run("true", os.urandom(3_000_000))
        self.assertEqual((run.status, run.output, run.errors), (0, b"", ""))

    def test_endOfInput(self) -> None:
        """
        C{wc -c} as a GAHP sees the client's end of input and answers.
        """
        seed = int.from_bytes(os.urandom(4), "big")
        random = Random(seed)
        for size in (0, 1, random.randrange(1 << 16), random.randrange(20 << 20)):
            run = self.playground.run("wc", random.randbytes(size))
            self.assertEqual((run.status, run.output), (0, b"%d\n" % size), f"seed {seed}")
