"""
Tests of L{rvgahp.inquiry}, with what a proxy may say put into a real socket beforehand.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from twisted.protocols.amp import Command
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import inquiry, localcommands
from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.errors import InternalError, NoSuchSite, ProtocolError, VersionMismatch
from rvgahp.inquiry import Inquiry, NoProxy
from rvgahp.patience import Interrupted, Patience, TookTooLong

_PROXY = {b"software": b"rvgahp 9", b"policy": b"R:R:AES", b"user": b"alice"}


class InquiryTests(SynchronousTestCase):
    """
    Questions and answers.
    """

    def setUp(self) -> None:
        wake, self.waker = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, wake)
        self.addCleanup(os.close, self.waker)
        ours, self.proxy = socket.socketpair()
        ours.setblocking(False)
        self.addCleanup(self.proxy.close)
        self.inquiry = Inquiry(ours, Patience(wake))
        self.addCleanup(self.inquiry.close)

    def ask(
        self,
        *answers: dict[bytes, bytes],
        command: type[Command] = localcommands.DescribeProxy,
        **arguments: str,
    ) -> dict[str, Any]:
        """
        @param answers: what the proxy says.
        """
        for box in answers:
            self.proxy.sendall(encodeBox(box))
        return self.inquiry.ask(command, **arguments)

    def test_answered(self) -> None:
        """
        The values of the answer are typed, and the question is the page's.
        """
        told = self.ask({**_PROXY, b"_answer": b"1"})
        self.assertEqual(told, {"software": "rvgahp 9", "policy": "R:R:AES", "user": "alice"})
        (question,) = BoxReader(10000).read(self.proxy.recv(10000))
        self.assertEqual(question, {b"_command": b"DescribeProxy", b"_ask": b"1"})

    def test_arguments(self) -> None:
        """
        Arguments travel; one connection serves many questions; what is no answer to them
        is passed over.
        """
        self.ask({**_PROXY, b"_answer": b"1"})
        self.proxy.recv(10000)
        refusal = {b"_error": b"1", b"_error_code": b"NoSuchSite", b"_error_description": b"no x"}
        question = {"command": localcommands.DescribeSite, "site": "x", "account": "", "gahp": "g"}
        e = self.assertRaises(NoSuchSite, self.ask, {b"_answer": b"7"}, refusal, **question)
        self.assertEqual(str(e), "no x")
        (sent,) = BoxReader(10000).read(self.proxy.recv(10000))
        self.assertEqual((sent[b"site"], sent[b"gahp"]), (b"x", b"g"))

    def test_beside(self) -> None:
        """
        While an answer is waited for, another is served, and for that command alone; the
        limit is the asker's.
        """
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        heard: list[bytes] = []
        proxy = self.proxy

        class Server:
            def descriptors(self) -> list[int]:
                return [ours.fileno()]

            def serve(self, ready: Sequence[int]) -> None:
                if ours.fileno() in ready:
                    heard.append(ours.recv(100))
                    proxy.sendall(encodeBox({**_PROXY, b"_answer": b"1"}))

        theirs.sendall(b"come")
        ask = self.inquiry.askBeside
        self.assertIn("user", ask(Server(), 5, localcommands.DescribeProxy))
        self.assertEqual(heard, [b"come"])
        theirs.sendall(b"nobody listens")
        self.ask({**_PROXY, b"_answer": b"1"})
        self.assertEqual(len(heard), 1)
        ours.recv(100)
        e = self.assertRaises(TookTooLong, ask, Server(), 0.05, localcommands.DescribeProxy)
        self.assertIn("within 0.05 s", str(e))

    def test_refusals(self) -> None:
        """
        Each refusal is told in its own words, an older proxy as what it is.
        """
        for code, kind, words in (
            (b"UNHANDLED", VersionMismatch, "does not know DescribeProxy"),
            (b"Unheard", InternalError, "what \ufffd"),
        ):
            box = {b"_error": b"1", b"_error_code": code, b"_error_description": b"what \xff"}
            self.assertIn(words, str(self.assertRaises(kind, self.ask, box)))

    def test_misunderstood(self) -> None:
        """
        An answer without its values is told, and so is what is no box.
        """
        e = self.assertRaises(ProtocolError, self.ask, {b"_answer": b"1"})
        self.assertIn("not understood", str(e))
        self.proxy.sendall(b"\0\0" * 100)
        self.assertRaises(ProtocolError, self.ask)

    def test_otherProgram(self) -> None:
        """
        What answers in another way, as C rvgahp does, is told to be another program.
        """
        self.proxy.sendall(b"ERROR: Unknown GAHP: \r\n")
        e = self.assertRaises(NoProxy, self.ask)
        self.assertIn("rvgahp_proxy of C rvgahp?", str(e))

    def test_notTaken(self) -> None:
        """
        A proxy that takes no more connections says why.
        """
        lost = {b"_command": b"SessionLost", b"session": b"", b"reason": b"too many"}
        e = self.assertRaises(ProtocolError, self.ask, lost)
        self.assertEqual(str(e), "too many")

    def test_gone(self) -> None:
        """
        A proxy that hangs up is told, whenever it does.
        """
        self.proxy.shutdown(socket.SHUT_WR)
        e = self.assertRaises(ProtocolError, self.ask)
        self.assertIn("closed the connection", str(e))
        self.proxy.close()
        e = self.assertRaises(ProtocolError, self.ask)
        self.assertIn("the proxy was lost", str(e))

    def test_silent(self) -> None:
        """
        A proxy that says nothing is not waited for for ever, nor longer than we want; what
        has never said anything may be another program.
        """
        self.patch(inquiry, "_FIRST_LIMIT", 0.05)
        e = self.assertRaises(NoProxy, self.ask)
        self.assertIn("the proxy's answer to DescribeProxy did not come within 0.05 s", str(e))
        self.ask({**_PROXY, b"_answer": b"1"})
        self.patch(inquiry, "_LIMIT", 0.05)
        e = self.assertRaises(TookTooLong, self.ask)
        self.assertIn("the proxy's answer to DescribeProxy", str(e))
        os.write(self.waker, b"!")
        self.assertRaises(Interrupted, self.ask)
