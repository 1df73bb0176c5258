"""
Tests of L{rvgahp.gahpdialogue}, with scripted GAHPs in the client's place.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import gahpdialogue
from rvgahp.errors import ProtocolError, StartFailed
from rvgahp.gahpdialogue import Dialogue, Ended, GaveUp, findClient
from rvgahp.patience import Interrupted, TookTooLong
from tests.dialogues import DialogueTestCase
from tests.procfs import waitFor
from tests.programs import program
from tests.scriptedgahp import BANNER

#: The limit of a wait that is to end, on a machine that is busy.
_LONG = 30.0


class BannerTests(DialogueTestCase):
    """
    What comes first.
    """

    def test_greeting(self) -> None:
        """
        What a site says before the banner is skipped, as the gridmanager skips it.
        """
        self.assertEqual(self.dialogue("greets", banner=False).banner(), BANNER)

    def test_fragments(self) -> None:
        """
        It may come in pieces; an escaped blank is a blank.
        """
        dialogue = self.shell("printf '$Gahp a\\\\ b'; sleep 0.05; printf ' $\\r\\nS more\\n'")
        self.assertEqual(dialogue.banner(), "$Gahp a b $")

    def test_long(self) -> None:
        """
        One that the gridmanager has no room for is told.
        """
        dialogue = self.dialogue("long", banner=False)
        e = self.assertRaises(ProtocolError, dialogue.banner)
        self.assertIn("201 bytes, and the gridmanager takes 150", str(e))

    def test_flood(self) -> None:
        """
        Output without end, in lines or in one, is not read for ever.
        """
        for way, words in (("flood", "a line of more than"), ("lines", "no banner among them")):
            dialogue = self.dialogue(way, banner=False)
            self.assertIn(words, str(self.assertRaises(ProtocolError, dialogue.banner)))

    def test_silent(self) -> None:
        """
        One that says nothing is not waited for for ever.
        """
        self.patch(gahpdialogue, "BANNER_LIMIT", 0.1)
        e = self.assertRaises(TookTooLong, self.dialogue("mute", banner=False).banner)
        self.assertIn("the GAHP's banner did not come within 0.1 s", str(e))


class EndTests(DialogueTestCase):
    """
    GAHPs and clients that end.
    """

    def test_exit(self) -> None:
        """
        One that ends is told with its status and the last four lines that it said.
        """
        e = self.assertRaises(Ended, self.dialogue("exits", banner=False).banner)
        self.assertEqual(str(e), "the GAHP ended with status 3: two / three / four / no license")

    def test_atOnce(self) -> None:
        """
        So is one that ends while it is spoken to, and one that said nothing.
        """
        dialogue = self.dialogue("ends")
        for _ in range(2):
            e = self.assertRaises(Ended, dialogue.ask, "COMMANDS")
            self.assertEqual(str(e), "the GAHP ended with status 0: nothing on stderr")

    def test_gaveUp(self) -> None:
        """
        What the client itself says is told as it is.
        """
        dialogue = self.shell("echo rvgahp_client: x at site y: it is closed >&2; exit 255")
        e = self.assertRaises(GaveUp, dialogue.banner)
        self.assertEqual(str(e), "x at site y: it is closed")
        e = self.assertRaises(Ended, self.shell("echo something else >&2; exit 255").banner)
        self.assertNotIsInstance(e, GaveUp)

    def test_shutOut(self) -> None:
        """
        One that only closes its output is not waited for either.
        """
        self.patch(gahpdialogue, "_QUIT_LIMIT", 0.1)
        e = self.assertRaises(Ended, self.dialogue("shutOut", banner=False).banner)
        self.assertIn("closed its output", str(e))

    def test_stderr(self) -> None:
        """
        Much on stderr, or its end, holds nothing up, and the end of it is kept.
        """
        dialogue = self.shell(
            "yes word | head -c 200000 >&2; echo last >&2; exec 2>&-; echo '$x'; read line; exit 1"
        )
        self.assertEqual(dialogue.banner(), "$x")
        e = self.assertRaises(Ended, dialogue.ask, "COMMANDS")
        self.assertIn("word / last", str(e))

    def test_quit(self) -> None:
        """
        After QUIT its status is known.
        """
        self.assertEqual(self.dialogue("well").quit(), 0)

    def test_quitInVain(self) -> None:
        """
        One that answers and stays is not waited for for ever.
        """
        self.patch(gahpdialogue, "_QUIT_LIMIT", 0.1)
        dialogue = self.shell("echo '$x'; read line; echo S; sleep 1000")
        dialogue.banner()
        self.assertRaises(StartFailed, dialogue.quit)

    def test_close(self) -> None:
        """
        One that stays whatever it is told is killed, and nothing is left of it.
        """
        self.patch(gahpdialogue, "_EOF_LIMIT", 0.05)
        self.patch(gahpdialogue, "_TERM_LIMIT", 0.05)
        dialogue = self.shell("trap '' TERM; echo '$x'; while :; do sleep 0.1; done")
        dialogue.banner()
        dialogue.close()
        self.assertRaises(ProcessLookupError, os.kill, dialogue.pid, 0)

    def test_ctrlC(self) -> None:
        """
        The terminal's signals are not for the client: it has a session of its own.
        """
        dialogue = self.dialogue("well")
        self.assertEqual(os.getsid(dialogue.pid), dialogue.pid)
        os.killpg(dialogue.pid, signal.SIGKILL)
        self.assertRaises(Ended, dialogue.ask, "COMMANDS")


class TunnelTests(DialogueTestCase):
    """
    What the gridmanager would know of a tunnel.
    """

    def heard(self, said: str) -> tuple[int, str] | None:
        """
        @param said: what a client prints, for printf(1).
        @return: the tunnel that has been announced by then.
        """
        dialogue = self.shell(f"printf '{said}' >&2; echo '$x'; read line")
        dialogue.banner()
        return dialogue.tunnel

    def test_announced(self) -> None:
        """
        It is the first line that begins so and has a port, however much is said after it.
        """
        words = "for remote forward to 192.0.2.7:9618"
        expected = 4711, "192.0.2.7:9618"
        for said in (
            f"Allocated port 4711 {words}\\n",
            f"a login message\\nAllocated port 0 {words}\\nAllocated port 4711 {words}\\n",
            f"Allocated port 4711 {words}\\nAllocated port 4712 {words}\\n",
            f"Allocated port 4711 {words}\\n" + 9000 * "x",
        ):
            self.assertEqual(self.heard(said), expected, said[:200])
        for said in ("", f"not Allocated port 4711 {words}\\n", f"Allocated port 4711 {words}"):
            self.assertIsNone(self.heard(said), said)

    def test_environment(self) -> None:
        """
        The client has the environment that it is given.
        """
        environ = {**os.environ, "CONDOR_INHERIT": "here"}
        dialogue = Dialogue(["/bin/sh", "-c", 'echo "$ $CONDOR_INHERIT"'], self.patience, environ)
        self.addCleanup(dialogue.close)
        self.assertEqual(dialogue.banner(), "$ here")

    def test_complaint(self) -> None:
        """
        A line that has a word is found when it is whole, and not waited for for ever.
        """
        dialogue = self.shell(
            "printf 'a\\nrvgahp_client: one th' >&2; echo '$x'; read line; echo ing >&2; read line"
        )
        dialogue.banner()
        e = self.assertRaises(TookTooLong, dialogue.complaint, "one", 0.05)
        self.assertIn("the client's word on it", str(e))
        os.write(dialogue._stdin, b"\n")
        self.assertEqual(dialogue.complaint("one", _LONG), "one thing")
        os.write(dialogue._stdin, b"\n")
        self.assertRaises(Ended, dialogue.complaint, "other", _LONG)


class CommandTests(DialogueTestCase):
    """
    Commands and their results.
    """

    def test_ask(self) -> None:
        """
        A reply is its tokens, and bytes that are no text are shown as they are.
        """
        self.assertEqual(self.dialogue("well").ask("COMMANDS")[:2], ["S", "BLAH_JOB_CANCEL"])
        dialogue = self.shell("echo '$x'; read line; printf 'S a\\\\ b \\377\\n'; sleep 1000")
        dialogue.banner()
        self.assertEqual(dialogue.ask("X"), ["S", "a b", "\\xff"])

    def test_unfinished(self) -> None:
        """
        A line that ends in the middle of an escape is an error with a sentence.
        """
        dialogue = self.shell("echo '$x'; read line; printf 'S \\\\\\n'; sleep 1000")
        dialogue.banner()
        self.assertRaises(ProtocolError, dialogue.ask, "X")

    def test_result(self) -> None:
        """
        A result is found among others.
        """
        dialogue = self.dialogue("well")
        first, second = dialogue.newRequest(), dialogue.newRequest()
        dialogue.begin(first, "BLAH_PING", "x")
        dialogue.begin(second, "BLAH_JOB_CANCEL", "x")
        wait = self.patience.wait("it", _LONG)
        self.assertEqual(dialogue.collect(second, 2, wait), ["0", "No error"])
        self.assertEqual(dialogue.collect(first, 2, wait), ["0", "No error"])

    def test_refused(self) -> None:
        """
        A command that is refused is told with its answer.
        """
        e = self.assertRaises(StartFailed, self.ping, "refusedPing")
        self.assertIn("BLAH_PING was answered F Threads limit reached", str(e))

    def ping(self, way: str, limit: float = _LONG) -> list[str]:
        """
        @return: the result of a ping.
        """
        return self.dialogue(way).result("BLAH_PING", "x", fields=2, limit=limit)

    def test_fields(self) -> None:
        """
        A result over which the gridmanager would end itself is told.
        """
        e = self.assertRaises(StartFailed, self.ping, "shortPing")
        self.assertIn("the result of BLAH_PING has 1 fields in place of 2", str(e))

    def test_nonsense(self) -> None:
        """
        So is an answer to RESULTS that is none.
        """
        e = self.assertRaises(StartFailed, self.ping, "nonsense")
        self.assertIn("RESULTS was answered S many", str(e))

    def test_never(self) -> None:
        """
        A result that does not come is not waited for for ever.
        """
        e = self.assertRaises(TookTooLong, self.ping, "latePing", 0.2)
        self.assertIn("the result of BLAH_PING", str(e))

    def test_stuck(self) -> None:
        """
        After a reply that did not come nothing more is asked, and nothing waited for.
        """
        dialogue = self.dialogue("deaf")
        self.patch(gahpdialogue, "ANSWER_LIMIT", 0.2)
        self.assertRaises(TookTooLong, dialogue.ask, "COMMANDS")
        began = time.monotonic()
        e = self.assertRaises(StartFailed, dialogue.ask, "QUIT")
        self.assertLess(time.monotonic() - began, 0.2)
        self.assertIn("QUIT was not asked", str(e))

    def test_interrupted(self) -> None:
        """
        When we are told to end in the middle of any line, what was to come of it does not
        spoil what is asked afterwards.
        """
        dialogue = self.dialogue("well")
        dialogue.begin("77", "BLAH_PING", "x")
        for command in ("COMMANDS", "RESULTS", "COMMANDS"):
            os.write(self.waker, b"!")
            self.assertRaises(Interrupted, dialogue.ask, command)
            self.patience.recover()
            waitFor(partial(self.hasHeard, command), command)
            self.assertEqual(dialogue.ask("COMMANDS")[1], "BLAH_JOB_CANCEL")
        wait = self.patience.wait("it", _LONG)
        self.assertEqual(dialogue.collect("77", 2, wait), ["0", "No error"])


class FindClientTests(SynchronousTestCase):
    """
    Where the client is.
    """

    def test_beside(self) -> None:
        """
        It is beside the interpreter.
        """
        self.assertEqual(findClient(), program("rvgahp_client"))

    def test_path(self) -> None:
        """
        Else it is on the PATH; and if it is nowhere the sentence says where it was looked
        for.
        """
        client, elsewhere = program("rvgahp_client"), os.path.abspath(self.mktemp())
        os.mkdir(elsewhere)
        self.patch(sys, "executable", f"{elsewhere}/python")
        self.patch(os, "environ", {**os.environ, "PATH": os.path.dirname(client)})
        self.assertEqual(findClient(), client)
        os.environ["PATH"] = elsewhere
        e = self.assertRaises(StartFailed, findClient)
        self.assertIn(elsewhere, str(e))
