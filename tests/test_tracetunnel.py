"""
Tests of L{rvgahp.tracetunnel}: what each trouble is called.  The client is a shell script,
and what the proxy says is put into a real socket beforehand; L{tests.test_whole_trace} has
them all as they are.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import tracetunnel
from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.inquiry import Inquiry
from rvgahp.trace import Result, Trace
from rvgahp.tracetunnel import TunnelTrace
from rvgahp.tracewords import FORWARDED, NO_TUNNEL, REFUSED, REMEDIES, UNGUARDED
from tests.test_trace import Witness

#: A client that gets its environment's address announced, and answers one command.
_CLIENT = """
where=${CONDOR_INHERIT#*<}; where=${where%%\\?*}
echo "Allocated port 4711 for remote forward to $where" >&2
echo '$x'; read line; echo 'S COMMANDS'
"""


class TunnelTraceTests(SynchronousTestCase):
    """
    One step at a time.
    """

    def setUp(self) -> None:
        wake, self.waker = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, wake)
        self.addCleanup(os.close, self.waker)
        ours, self.proxy = socket.socketpair()
        self.addCleanup(self.proxy.close)
        self.witness = Witness()
        self.trace = Trace(wake, self.witness)
        self.inquiry = Inquiry(ours, self.trace.patience)
        self.addCleanup(self.inquiry.close)

    def start(self, script: str = f"{_CLIENT}read line") -> TunnelTrace:
        """
        @param script: the client.
        @return: a trace whose client runs.
        """
        tunnel = TunnelTrace(["/bin/sh", "-c", script], self.inquiry, self.trace)
        self.addCleanup(tunnel.close)
        return tunnel

    def started(self, script: str = f"{_CLIENT}read line") -> TunnelTrace:
        """
        @return: a trace whose GAHP has said what it is.
        """
        tunnel = self.start(script)
        self.assertGood(files=tunnel.start)
        return tunnel

    def says(self, answer: bytes = b"", problem: str = "") -> None:
        """
        The proxy says what became of the connection.
        """
        box = {b"_answer": b"1", b"answer": answer, b"problem": problem.encode()}
        self.proxy.sendall(encodeBox(box))

    def assertGood(self, **steps: Callable[[], object]) -> None:
        """
        Steps do not fail.
        """
        failed = self.trace.run(steps)
        self.assertIsNone(failed, failed and failed.reason)

    def assertFails(self, reason: str, remedy: str, **step: Callable[[], object]) -> Result:
        """
        A step fails, for this reason and with this remedy.
        """
        failed = self.trace.run(step)
        assert failed is not None
        self.assertIn(reason, failed.reason)
        self.assertEqual(failed.remedy, remedy)
        return failed

    # -- the GAHP -----------------------------------------------------------

    def test_started(self) -> None:
        """
        What is seen of the GAHP and of its port is told.
        """
        tunnel = self.started()
        self.assertGood(tunnel=tunnel.announced)
        facts = self.witness.results["files"].facts
        self.assertEqual((facts["banner"], facts["commands"]), ("$x", ["COMMANDS"]))
        facts = self.witness.results["tunnel"].facts
        host, port = tunnel._port.address
        self.assertEqual(facts, {"port": 4711, "target": f"{host}:{port}"})

    def test_notStarted(self) -> None:
        """
        What keeps the GAHP from starting is told in the client's words.
        """
        tunnel = self.start("echo 'rvgahp_client: it is closed' >&2; exit 255")
        self.assertFails("it is closed", REFUSED, files=tunnel.start)
        tunnel = self.start("echo gone >&2; exit 3")
        self.assertFails("status 3: gone", REMEDIES["files"], files=tunnel.start)
        tunnel = self.start("echo '$x'; read line; echo E")
        self.assertFails("COMMANDS was answered E", REMEDIES["files"], files=tunnel.start)

    def test_noTunnel(self) -> None:
        """
        Where no port was announced that is told, with what the client has said instead.
        """
        script = "echo 'it gets no tunnel: so' >&2; echo '$x'; read line; echo S; read line"
        tunnel = self.started(script)
        self.assertFails("(it gets no tunnel: so)", NO_TUNNEL, tunnel=tunnel.announced)

    # -- there and back -----------------------------------------------------

    def test_passed(self) -> None:
        """
        The proxy is asked for this client and the right request; only our own word is an
        answer.
        """
        tunnel = self.started()
        self.says(tunnel._port.word)
        self.assertGood(passage=tunnel.passed)
        self.assertRegex(
            self.witness.results["passage"].facts["answered"], "^a connection .*, in [0-9]+ ms$"
        )
        (question,) = BoxReader(10000).read(self.proxy.recv(10000))
        self.assertEqual(question[b"_command"], b"ProbeTunnel")
        self.assertEqual(question[b"process"], b"%d" % tunnel._dialogue.pid)
        self.assertEqual(question[b"request"], tunnel._port.request)

    def test_notPassed(self) -> None:
        """
        A connection that failed, that went nowhere, or had another answer is told as such.
        """
        tunnel = self.started()
        for answered, problem, reason in (
            (0, "no channel", "a connection from the site failed: no channel"),
            (1, "no channel", "the answer to a connection from the site got lost: no channel"),
            (0, "", "ended, and none has come here"),
        ):
            tunnel._port.answered = answered
            self.says(problem=problem)
            self.assertFails(reason, REMEDIES["passage"], passage=tunnel.passed)
        with socket.create_connection(tunnel._port.address):
            tunnel._port.look()
            self.says(tunnel._port.word + b"x")
            self.assertFails("got 33 bytes that were", REMEDIES["passage"], passage=tunnel.passed)

    def test_refused(self) -> None:
        """
        What the proxy refuses is told in its words.
        """
        tunnel = self.started()
        box = {b"_error": b"1", b"_error_code": b"Busy", b"_error_description": b"one at a time"}
        self.proxy.sendall(encodeBox(box))
        self.assertFails("one at a time", REMEDIES["passage"], passage=tunnel.passed)

    def test_silent(self) -> None:
        """
        A proxy that does not answer is not waited for for ever.
        """
        self.patch(tracetunnel, "_PROBE_LIMIT", 0.05)
        tunnel = self.started()
        self.assertFails(
            "the proxy's answer to ProbeTunnel", REMEDIES["passage"], passage=tunnel.passed
        )

    def test_forwarded(self) -> None:
        """
        Where connections go elsewhere, it is enough that what listens there closes them.
        """
        script = "echo 'Allocated port 4711 for remote forward to 192.0.2.7:9618' >&2; echo '$x'"
        tunnel = self.started(f"{script}; read line; echo S; read line")
        self.says()
        self.assertGood(tunnel=tunnel.announced, passage=tunnel.passed)
        self.assertIn("closed", self.witness.results["passage"].facts)
        self.says(problem="could not be reached")
        self.assertFails("could not be reached", FORWARDED, passage=tunnel.passed)

    # -- the guard ----------------------------------------------------------

    def test_unguarded(self) -> None:
        """
        A connection for another daemon that comes here, or is answered, is a failure.
        """
        tunnel = self.started()
        self.says(b"welcome")
        self.assertFails("0 came here, and 7 bytes went back", UNGUARDED, guard=tunnel.guarded)
        probe = tunnel._probe

        def probeAndConnect(request: bytes) -> dict[str, Any]:
            self.addCleanup(socket.create_connection(tunnel._port.address).close)
            return probe(request)

        self.patch(tunnel, "_probe", probeAndConnect)
        self.says()
        self.assertFails("1 came here, and 0 bytes", UNGUARDED, guard=tunnel.guarded)

    def test_notByTheClient(self) -> None:
        """
        That nothing comes is not enough: the client must have refused it.
        """
        self.patch(tracetunnel, "_WORD_LIMIT", 0.05)
        tunnel = self.started()
        self.says(problem="no channel")
        self.assertFails(
            "not because the client refused it: no channel", REMEDIES["guard"], guard=tunnel.guarded
        )
