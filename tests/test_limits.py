"""
Tests of L{rvgahp.limits}: numbers that must fit one another.
"""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits, limits
from rvgahp.budget import ASSURED_BYTES
from rvgahp.frames import STDOUT, encodeFrame
from rvgahp.policy import MAX_ENCODED
from rvgahp.settingtable import TABLE

#: Calls that wait for the end of a program.
_WAITS = (".communicate", "subprocess.run", "subprocess.check_output")


class LimitsTests(SynchronousTestCase):
    """
    Tests of the numbers.
    """

    def test_authentication(self) -> None:
        """
        The longest Authenticate fits in a box of before Hello.
        """
        names = limits.AUTHENTICATION_METHODS * (2 + 32)
        keys = sum(4 + len(key) for key in ("_command", "_ask", "methods", "data"))
        longest = limits.AUTHENTICATION_BYTES + names + keys + len("Authenticate") + 20
        self.assertLessEqual(longest, limits.GREETING_BOX_BYTES)

    def test_preamble(self) -> None:
        """
        The preamble has the 24 bytes of the page, and does not look like TLS.
        """
        self.assertEqual(limits.PREAMBLE_BYTES, 24)
        self.assertNotEqual(limits.MAGIC[0], 0x16)

    def test_frameFitsRecord(self) -> None:
        """
        The longest frame is just one record.
        """
        frame = encodeFrame(STDOUT, bytes(limits.FRAME_PAYLOAD_BYTES))
        self.assertEqual(len(frame), limits.RECORD_DATA_BYTES)
        self.assertLess(limits.RECORD_DATA_BYTES + limits.TAG_BYTES, 1 << 24)

    def test_longestHandshakeMessage(self) -> None:
        """
        A Dial with the longest names is a legal message.
        """
        longest = 1 + 2 + 1 + limits.SESSION_ID_BYTES + 11 + 1 + MAX_ENCODED + 32 + 16 + 32
        self.assertLessEqual(longest, limits.HANDSHAKE_BYTES)

    def test_silence(self) -> None:
        """
        A peer that pings in time is not called silent, even if two pings are late.
        """
        self.assertGreater(limits.SILENCE_LIMIT, 3 * limits.PING_INTERVAL)

    def test_acknowledgedBeforeBlocked(self) -> None:
        """
        A sender that has only the assured bytes gets acknowledgements well before it
        has used them up, and what waits in a channel does not put them off that far.
        """
        self.assertLessEqual(4 * limits.ACK_BYTES, ASSURED_BYTES)
        self.assertLess(limits.UNSENT_BYTES + limits.RECORD_DATA_BYTES, ASSURED_BYTES)

    def test_tickets(self) -> None:
        """
        A connection that waits for its client does not outlive its ticket.
        """
        self.assertLessEqual(limits.HANDOVER_TIMEOUT, limits.TICKET_LIFETIME)

    def test_answer(self) -> None:
        """
        A client that was waited for, and whose site then says nothing, hears the proxy's
        word on it, and not only that there was none.
        """
        (row,) = [row for row in TABLE if row.name == "RVGAHP_START_TIMEOUT"]
        longest = limits.RESTART_GRACE + row.kind.parse(row.default)
        self.assertGreater(limits.ANSWER_TIMEOUT, longest)

    def test_gridmanagersTimers(self) -> None:
        """
        What the front takes for the gridmanager's defaults is what the proxy takes for them.
        """
        for name, seconds in (
            ("GRIDMANAGER_GAHP_CALL_TIMEOUT", frontlimits.GRIDMANAGER_CALL_TIMEOUT),
            ("GRIDMANAGER_GAHP_RESPONSE_TIMEOUT", frontlimits.GRIDMANAGER_RESPONSE_TIMEOUT),
        ):
            (row,) = [row for row in TABLE if row.name == name]
            self.assertEqual(row.kind.parse(row.default), seconds)

    def test_renewal(self) -> None:
        """
        Two keys are enough at any time: the one before a new one is over before the next
        comes.  A channel that waits while a key is renewed is handed over while its
        handshake has time.
        """
        self.assertGreaterEqual(2 * limits.RENEWAL_SHARE, 1)
        self.assertLess(limits.RENEWAL_SHARE, 1)
        self.assertLess(limits.CALL_TIMEOUT, limits.HANDSHAKE_TIMEOUT)

    def test_readFitsFrame(self) -> None:
        """
        What one read brings fits in one frame.
        """
        self.assertLessEqual(limits.READ_BYTES, limits.FRAME_PAYLOAD_BYTES)
        self.assertLessEqual(limits.STDERR_BYTES + 100, limits.FRAME_PAYLOAD_BYTES)


class WaitTests(SynchronousTestCase):
    """
    The tests' own waits.
    """

    def test_limited(self) -> None:
        """
        Every wait of a test for a program's output has a limit.
        """
        endless = []
        for path in Path(__file__).parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and ast.unparse(node.func).endswith(_WAITS)
                    and "timeout" not in [keyword.arg for keyword in node.keywords]
                ):
                    endless.append(f"{path.name}:{node.lineno}")
        self.assertEqual(endless, [])
