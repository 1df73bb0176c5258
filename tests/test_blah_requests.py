# -*- test-case-name: tests.test_blah_requests -*-
"""
Tests of L{rvgahp.blah.requests}, on a local resource manager made for them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer

from rvgahp.blah import limits
from rvgahp.blah.errors import BatchError
from rvgahp.blah.ilrm import ILocalResourceManager, IProxyRenewer
from rvgahp.blah.jobstate import JobState, Status
from rvgahp.blah.registry import ManagerRegistry
from rvgahp.blah.requests import makeRequests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rvgahp.blah.submitad import SubmitAd

AD = b'[ gridtype = "Memory"; Cmd = "/bin/true"; Iwd = "/" ]'


@implementer(ILocalResourceManager)
class MemoryManager:
    """
    Remembers jobs and runs none.

    @ivar trouble: raised by everything, if it is set.
    @ivar jobId: what the next submit returns.
    """

    name = "memory"

    def __init__(self) -> None:
        self.trouble: BaseException | None = None
        self.jobId: Any = "memory/20261120/1"
        self.states: dict[str, Any] = {}
        self.renewed: list[tuple[str, bytes]] = []

    def submit(self, job: SubmitAd) -> str:
        """
        Remember it as running.
        """
        self._raise()
        self.states[self.jobId] = JobState(Status.RUNNING, {"WorkerNode": "here"})
        return self.jobId  # type: ignore[no-any-return]  # on purpose, sometimes another

    def status(self, jobIds: Sequence[str]) -> Mapping[str, JobState | BatchError]:
        """
        What is remembered.
        """
        self._raise()
        return {jobId: self.states[jobId] for jobId in jobIds if jobId in self.states}

    def cancel(self, jobId: str) -> None:
        """
        Forget it.
        """
        self._raise()
        del self.states[jobId]

    def renewProxy(self, jobId: str, path: bytes) -> None:
        """
        Remember that it was asked to.
        """
        self.renewed.append((jobId, path))

    def ping(self) -> None:
        """
        Well, unless there is trouble.
        """
        self._raise()

    def _raise(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class RequestTests(SynchronousTestCase):
    """
    L{makeRequests}.
    """

    def setUp(self) -> None:
        """
        A table of requests for one manager.
        """
        self.manager = MemoryManager()
        self.complaints: list[str] = []
        registry = ManagerRegistry(self.complaints.append, lambda: [self.manager])
        self.requests = {request.name: request for request in makeRequests(registry)}

    def run_(self, name: str, *arguments: bytes) -> list[bytes]:
        """
        @return: a request's result fields, after the id.
        """
        request = self.requests[name]
        self.assertEqual(len(arguments), request.parameters - 1)
        return request.run(list(arguments), self.complaints.append)

    def test_life(self) -> None:
        """
        A job is submitted, looked at and cancelled, each with blahpd's words.
        """
        self.assertEqual(
            self.run_("BLAH_JOB_SUBMIT", AD), [b"0", b"No error", b"memory/20261120/1"]
        )
        self.assertEqual(
            self.run_("BLAH_JOB_STATUS", b"memory/20261120/1"),
            [
                b"0",
                b"No error",
                b"2",
                b'[ BatchJobId = "memory/20261120/1"; JobStatus = 2; WorkerNode = "here" ]',
            ],
        )
        self.assertEqual(self.run_("BLAH_JOB_CANCEL", b"memory/20261120/1"), [b"0", b"No error"])
        self.assertEqual(self.manager.states, {})
        self.assertEqual(self.run_("BLAH_PING", b"MEMORY"), [b"0", b"No error"])

    def test_fieldCounts(self) -> None:
        """
        A failure has as many fields as a success: the gridmanager dies of any
        other number (with the id: submit 4, status 5, the others 3).
        """
        self.manager.trouble = BatchError("The queue is closed.")
        expected = {
            "BLAH_JOB_SUBMIT": [b"N/A"],
            "BLAH_JOB_STATUS": [b"0", b"N/A"],
            "BLAH_JOB_CANCEL": [],
            "BLAH_PING": [],
        }
        for name, fields in expected.items():
            argument = {"BLAH_JOB_SUBMIT": AD, "BLAH_PING": b"memory"}.get(name, b"memory/1/2")
            result = self.run_(name, argument)
            self.assertEqual(result, [b"1", b"The queue is closed.", *fields])
        self.assertEqual(self.complaints, [])

    def test_notYet(self) -> None:
        """
        The commands that we know and lack fail as requests.
        """
        for name in ("BLAH_JOB_HOLD", "BLAH_JOB_RESUME"):
            request = self.requests[name]
            code, sentence = self.run_(name, *[b"memory/1/2"] * (request.parameters - 1))
            self.assertEqual(code, b"1")
            self.assertIn(b"not supported", sentence)

    def test_proxies(self) -> None:
        """
        A manager that cannot renew proxies says so; one that can is asked to.
        """
        code, sentence = self.run_("BLAH_JOB_REFRESH_PROXY", b"memory/1/2", b"/x")
        self.assertEqual(code, b"1")
        self.assertIn(b"memory", sentence)
        directlyProvides(self.manager, IProxyRenewer)
        self.assertEqual(
            self.run_("BLAH_JOB_REFRESH_PROXY", b"memory/1/2", b"/x"), [b"0", b"No error"]
        )
        self.assertEqual(self.manager.renewed, [("memory/1/2", b"/x")])

    def test_fault(self) -> None:
        """
        Whatever a plugin raises makes a result; the operator is told where,
        and nobody is told the exception's text, which may quote a job's data.
        """
        for trouble in (ValueError("hunter2"), SystemExit(3), KeyboardInterrupt()):
            self.manager.trouble = trouble
            code, sentence = self.run_("BLAH_PING", b"memory")
            self.assertEqual(code, b"1")
            self.assertIn(type(trouble).__name__.encode(), sentence)
            self.assertIn("_raise", self.complaints[-1])
            self.assertNotIn("hunter2", self.complaints[-1] + sentence.decode())

    def test_badJobId(self) -> None:
        """
        A plugin's job id that could not be used later is a fault.
        """
        for jobId in (None, 7, "other/1/2", "memory", "memory/" + "x" * limits.JOB_ID_LENGTH):
            self.manager.jobId = jobId
            self.assertEqual(self.run_("BLAH_JOB_SUBMIT", AD)[0], b"1")
            self.assertEqual(len(self.complaints), 1)
            self.complaints.clear()

    def test_badState(self) -> None:
        """
        A plugin's state that is none is a fault, and one that is too long to
        be sent is a failure.
        """
        self.manager.states["memory/1/2"] = 4
        self.assertEqual(self.run_("BLAH_JOB_STATUS", b"memory/1/2")[0], b"1")
        self.assertEqual(len(self.complaints), 1)
        self.manager.states["memory/1/2"] = JobState(
            Status.COMPLETED, {"ExitReason": "x" * limits.TOKEN_LENGTH}
        )
        self.assertEqual(self.run_("BLAH_JOB_STATUS", b"memory/1/2")[0], b"1")

    def test_errorInsteadOfState(self) -> None:
        """
        A manager can say of one job why it can say nothing.
        """
        self.manager.states["memory/1/2"] = BatchError("It is far away.")
        self.assertEqual(
            self.run_("BLAH_JOB_STATUS", b"memory/1/2"), [b"1", b"It is far away.", b"0", b"N/A"]
        )

    def test_unknown(self) -> None:
        """
        Ids and names that mean nothing get a sentence.
        """
        for name, argument in (
            ("BLAH_JOB_STATUS", b"memory/1/2"),
            ("BLAH_JOB_STATUS", b"nonsense"),
            ("BLAH_JOB_STATUS", b"\xff/\n"),
            ("BLAH_JOB_CANCEL", b""),
            ("BLAH_PING", b"slurm"),
            ("BLAH_JOB_SUBMIT", b'[gridtype="slurm"; Cmd="/x"; Iwd="/"]'),
            ("BLAH_JOB_SUBMIT", b"garbage"),
        ):
            code, sentence, *_ = self.run_(name, argument)
            self.assertEqual(code, b"1")
            self.assertTrue(sentence.endswith((b".", b"...")), sentence)
        self.assertEqual(self.complaints, [])

    def test_sentences(self) -> None:
        """
        A sentence comes out in one printable line of bounded length.
        """
        self.manager.trouble = BatchError("a\nb\t c\x1b\udcff" + "x" * 10_000)
        _, sentence = self.run_("BLAH_PING", b"memory")
        self.assertTrue(sentence.startswith(b"a b c??xx"))
        self.assertEqual(len(sentence), limits.SENTENCE_LENGTH)
