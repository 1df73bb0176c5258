"""
Real processes: a CE and a proxy that has a good certificate and means ill.
"""

from __future__ import annotations

import subprocess

from rvgahp.boxes import encodeBox
from rvgahp.daemonprocess import Daemon
from tests.byhand import HandProxy, ProxySide, overlongBox
from tests.procfs import residentBytes, waitFor
from tests.programs import PROMPT
from tests.test_whole_boxes import GROWTH, OVERLONG, SECRET, SENSELESS, BoxTestCase, malformed


class CETests(BoxTestCase):
    """
    A CE, from a proxy that has a good certificate.
    """

    def setUp(self) -> None:
        super().setUp()
        self.proxy = HandProxy(self.playground.sandbox.directory)
        self.addCleanup(self.proxy.close)
        settings = f"RVGAHP_CONNECT_TO = 127.0.0.1:{self.proxy.port}\n"
        self.ce = self.playground.addCE("victim", {"cat": "/bin/cat"}, settings)
        self._launch(self.ce)

    def _launch(self, daemon: Daemon) -> None:
        daemon.process = subprocess.Popen(
            daemon.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _accept(self, greets: bool) -> ProxySide:
        """
        @return: the CE's next connection, Hello and all if C{greets}.
        """
        boxes = self.proxy.accept()
        self.addCleanup(boxes.close)
        if greets:
            boxes.greetCE()
        return boxes

    def _log(self) -> str:
        return self.ce.log.read_text()

    def test_hostileProxy(self) -> None:
        """
        Overlong boxes, no boxes, senseless boxes, before and after Hello, and starts that
        cannot be: the CE refuses or dials again, its memory does not grow, its log shows
        no bug and no secret, and it still starts GAHPs.
        """
        self._accept(False).close()
        assert self.ce.process is not None
        memory = residentBytes(self.ce.process.pid)
        for greets in (False, True):
            boxes = self._accept(greets)
            self.push(boxes, overlongBox(OVERLONG))
            self.assertTrue(boxes.ends())
        waitFor(lambda: self._log().count("A box of more than") >= 2, "words of both", PROMPT)
        for data in (*list(malformed())[:5], *map(encodeBox, SENSELESS)):
            boxes = self._accept(True)
            self.push(boxes, data)
            boxes.close()
        boxes = self._accept(True)
        for arguments in (
            {"key": SECRET},
            {"key": SECRET * 2000},
            {"session": b"\xff\xfe"},
            {"session": b"s" * 200},
            {"session": "\u017f".encode()},
            {"keyNumber": b"x"},
            {"serverPolicy": b"N:N:"},
            {"serverPolicy": b"nonsense"},
            {"outcome": b"none"},
            {"gahp": b"../../bin/sh"},
            {"duration": b"9" * 5000},
            {"tunnel": SECRET},
            {"owner": b"\x1b[1m\n", "gahp": b"nonesuch"},
        ):
            refusal = boxes.startGAHP(**arguments)
            self.assertIn(b"_error", refusal, arguments)
            self.assertNotIn(SECRET, refusal[b"_error_description"])
        self.assertIn(b"_answer", boxes.startGAHP(session=b"by-hand:0"))
        self.assertIn(b"_answer", boxes.ask(b"EndSession", session=b"by-hand:0", reason=b""))
        self.assertIn(b"_answer", boxes.ask(b"EndSession", session=b"nonesuch", reason=b""))
        self.assertLess(residentBytes(self.ce.process.pid) - memory, GROWTH)
        log = self._log()
        self.assertNotIn(SECRET.decode(), log)
        for word in ("Traceback", "A bug in", "Unhandled"):
            self.assertNotIn(word, log)
