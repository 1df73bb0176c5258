"""
Run the tests against the installed package: C{python contrib/trial-installed.py}.

Python puts a script's own directory on its path, C{python -m} the current one, and
either might hold the package's source.  Here only C{tests} is added, by itself.

With arguments this is trial.  Without, all tests run, in some processes beside each other,
for many of them wait for most of their time.  Each process takes the next module when it
is done with one.  What they say of their tests is shown when all have ended, and of those
that failed last.
"""

import importlib.machinery
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Processes beside each other; more than cores, for they wait for half of their time.
WORKERS = max(5, 2 * (os.cpu_count() or 1))

#: The modules that take longest, which begin first, lest one be left over at the end.  What
#: is missing here costs some seconds at the most.
LONGEST = (
    "test_whole_faults",
    "test_whole_flood",
    "test_whole_outages",
    "test_whole_daemons",
    "test_blah_fork",
    "test_whole_enrolment",
    "test_whole_accounts",
    "test_whole_credentials",
    "test_whole_refusals",
    "test_whole_records",
    "test_clientfront",
    "test_whole_ends",
    "test_whole_tunnellife",
    "test_whole_tunnelattack",
    "test_gridmanageroutages",
    "test_ce",
    "test_bench",
)

#: The word before a worker's number and its descriptors.
WORK = "--work"

#: Bytes of the queue for the name of each module.
RECORD = 64

#: Seconds for the end of a worker that is told to end.
STOP = 30.0


class TestsFinder(importlib.machinery.PathFinder):
    """
    Finds the package C{tests}, and nothing else, beside this directory.
    """

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname != "tests":
            return None
        return super().find_spec(fullname, [str(ROOT)], target)


def trial(words):
    """
    Become trial.
    """
    from twisted.scripts.trial import run

    # Whoever began this in the background ignores interrupts; what tests start must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [sys.argv[0], *words]
    run()


def processorSeconds():
    """
    @return: how long this process, and its children that have ended, kept processors busy.
    """
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(one)[:2]) for one in whose)


def work(number, queue, reports):
    """
    Run the tests of modules from the queue, until there are none or who began this is gone.

    @param number: which worker this is.
    @param queue: the descriptor of a pipe, of which each worker reads whole records.
    @param reports: one for a line about each module.
    """
    from twisted.trial import itrial, reporter, runner, unittest

    for descriptor in queue, reports:
        os.set_inheritable(descriptor, False)
    sys.argv = sys.argv[:1]
    parent = os.getppid()
    loader = runner.TestLoader()
    loader.suiteFactory = runner.DestructiveTestSuite

    class Queue(unittest.TestSuite):
        def run(self, result):
            def interrupted(number, frame):
                result.stop()  # who is in the reactor does not hear of the exception
                raise KeyboardInterrupt

            signal.signal(signal.SIGINT, interrupted)
            while os.getppid() == parent:
                name = os.read(queue, RECORD).decode().strip()
                if not name:
                    break
                print(f"\n{name} ", end="", flush=True)
                began, before, used = time.monotonic(), tests(result), processorSeconds()
                unittest.decorate(loader.loadByNames([name]), itrial.ITestCase).run(result)
                if result.shouldStop:
                    break
                count, bad = (now - then for now, then in zip(tests(result), before, strict=True))
                seconds = time.monotonic() - began
                used = processorSeconds() - used
                os.write(reports, f"{name} {count} {bad} {seconds:.1f} {used:.1f}\n".encode())
            return result

    def tests(result):
        return result.testsRun, len(result.errors) + len(result.failures)

    directory = f"_trial_temp_{number}"
    result = runner.TrialRunner(reporter.TextReporter, workingDirectory=directory).run(Queue())
    sys.exit(not result.wasSuccessful())


def modules():
    """
    @return: all modules of tests, in the order in which they are to begin.
    """
    found = sorted(path.stem for path in (ROOT / "tests").glob("test_*.py"))
    longest = [name for name in LONGEST if name in found]
    whole = [name for name in found if name.startswith("test_whole_")]
    return [f"tests.{name}" for name in dict.fromkeys([*longest, *whole, *found])]


def startWorker(number, queue, reports):
    """
    @return: a worker, and the file that it writes to.
    """
    itself = sys.orig_argv[: sys.orig_argv.index(sys.argv[0]) + 1]
    output = tempfile.TemporaryFile()
    worker = subprocess.Popen(
        [*itself, WORK, str(number), str(queue), str(reports)],
        pass_fds=(queue, reports),
        stdout=output,
        stderr=output,
        start_new_session=True,  # an interrupt comes to it once, from here
    )
    return worker, output


def follow(reports, left, counts):
    """
    Show the workers' reports until all workers have ended.

    @param left: the modules, of which those that were run are removed.
    @param counts: becomes the numbers of their tests.
    """
    with open(reports) as lines:
        for line in lines:
            name, count, bad, seconds, used = line.split()
            verdict = "ok" if bad == "0" else f"{bad} FAILED"
            times = f"{seconds:>6} s  {used:>5} s of processor"
            print(f"{times}  {name}: {count} tests, {verdict}", flush=True)
            left.remove(name)
            counts.append(int(count))


def endWorkers(workers):
    """
    End those that still run; they stop what they have started.
    """
    for worker, _ in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGINT)
    end = time.monotonic() + STOP
    for worker, _ in workers:
        try:
            worker.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def trialAll():
    """
    @return: the exit status of all tests.
    """
    began, left, workers, counts = time.monotonic(), modules(), [], []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    queue, feed = os.pipe()
    reports, report = os.pipe()
    try:
        for number in range(WORKERS):
            workers.append(startWorker(number, queue, report))
        os.close(report)
        os.write(feed, b"".join(name.encode().ljust(RECORD) for name in left))
        os.close(feed)
        follow(reports, left, counts)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    finally:
        endWorkers(workers)
    workers.sort(key=lambda pair: pair[0].returncode != 0)
    for _, output in workers:
        with output:
            output.seek(0)
            sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    print(f"\n{sum(counts)} tests in {time.monotonic() - began:.0f} s")
    statuses = [worker.returncode for worker, _ in workers]
    if any(statuses) or left:
        print(
            f"tests failed: {statuses}", *(f"not run to its end: {name}" for name in left), sep="\n"
        )
        return 1
    print("all tests passed")
    return 0


sys.meta_path.append(TestsFinder)
if sys.argv[1:2] == [WORK]:
    work(*map(int, sys.argv[2:]))
elif len(sys.argv) > 1:
    trial(sys.argv[1:])
else:
    sys.exit(trialAll())
