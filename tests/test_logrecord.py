"""
Tests of L{rvgahp.logrecord}: what becomes of an event of L{twisted.logger}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import loglimits
from rvgahp.logrecord import FIELDS, LEVELS, BoundLogger, LogRecord, recordOf


class Unspeakable(Exception):
    """
    Its own words fail.
    """

    def __str__(self) -> str:
        raise RuntimeError("no words")


def record(**event: Any) -> LogRecord:
    """
    @return: the record of an event of ours.
    """
    event = {name.replace("LOG", "log_"): value for name, value in event.items()}
    return recordOf({"log_namespace": "rvgahp.ce.CE", "log_level": LogLevel.info, **event})


def failure(error: Exception) -> Failure:
    """
    @return: one that was raised.
    """
    try:
        raise error
    except type(error):
        return Failure()


class TextTests(SynchronousTestCase):
    """
    The text can do no harm.
    """

    @given(st.text() | st.text(alphabet="\n\r\x1b\x00\x7f\x9b\u2028\u202e\ud800ab "))
    def test_oneLine(self, said: str) -> None:
        """
        Whatever a peer says is one line of what is printed, in the text and in the fields,
        and plain words are as they were.
        """
        made = record(LOGformat="Site {site}: {what}", site=said, what=said)
        self.assertTrue(made.text.isprintable())
        self.assertTrue(str(made.fields.get("site", "")).isprintable())
        made.text.encode("utf-8")
        if said.isprintable():
            self.assertEqual(made.text, f"Site {said}: {said}")

    def test_escaped(self) -> None:
        """
        What is not printed can be told from what is.
        """
        made = record(LOGformat="{what}", what="a\nError: b\x1b[2J\u202e\udc80 \N{SNOWMAN}")
        self.assertEqual(made.text, r"a\nError: b\x1b[2J\u202e\udc80 " + "\N{SNOWMAN}")

    def test_long(self) -> None:
        """
        A long text is cut, and so is a long field; both say how much was lost.
        """
        made = record(LOGformat="{reason}", reason="x" * 5000)
        self.assertEqual(made.text, "x" * loglimits.TEXT_CHARACTERS + "... (1000 characters more)")
        cut = "x" * loglimits.FIELD_CHARACTERS + "... (4000 characters more)"
        self.assertEqual(made.fields["reason"], cut)

    def test_braces(self) -> None:
        """
        Braces in what a peer says are no form.
        """
        made = record(LOGformat="{what}", what="{session} {0} {", session="s1")
        self.assertEqual(made.text, "{session} {0} {")

    def test_unformattable(self) -> None:
        """
        An event that cannot be formatted is told all the same.
        """
        self.assertIn("Unable to format", record(LOGformat="{nothing}").text)
        self.assertIn("format", record(LOGformat="{e}", e=Unspeakable()).text)


class FieldTests(SynchronousTestCase):
    """
    What programs find.
    """

    def test_vocabulary(self) -> None:
        """
        What is of the vocabulary and not empty is a field of its type; all else is not.
        """
        made = record(
            LOGformat="x", session="s1", site="", user=None, stream=7, sent=2**70, what="x", port=4
        )
        self.assertEqual(made.fields, {"session": "s1", "stream": 7, "sent": 2**53 - 1})

    def test_exception(self) -> None:
        """
        An error that is the reason is so by its words.
        """
        self.assertEqual(record(reason=ValueError("why\n")).fields, {"reason": r"why\n"})

    def test_form(self) -> None:
        """
        The form of ours is kept; others' fields may mean anything, and are not.
        """
        self.assertEqual(record(LOGformat="{site} is", site="a").form, "{site} is")
        other = recordOf({"log_namespace": "twisted.x", "log_format": "{site}", "site": "a"})
        self.assertEqual((other.form, other.fields, other.text), ("", {}, "a"))

    def test_types(self) -> None:
        """
        Each field is a text or a whole number.
        """
        self.assertLessEqual(set(FIELDS.values()), {str, int})


class LevelTests(SynchronousTestCase):
    """
    How much an event matters.
    """

    def of(self, namespace: str, level: LogLevel, **event: Any) -> str:
        """
        @return: its level.
        """
        made = recordOf({"log_namespace": namespace, "log_level": level, **event})
        self.assertIn(made.level, LEVELS)
        return made.level

    def test_ours(self) -> None:
        """
        Ours is what it says, but a bug is an error.
        """
        for level in LogLevel.iterconstants():
            self.assertEqual(self.of("rvgahp.ce.CE", level), level.name)
        bug = {"log_failure": failure(ValueError())}
        self.assertEqual(self.of("rvgahp.ce.CE", LogLevel.critical, **bug), "error")

    def test_others(self) -> None:
        """
        What libraries say of their life is for developers, and what they call critical ends
        nothing; twistd's beginning and end, and what is printed, are for all.
        """
        self.assertEqual(self.of("twisted.web.server", LogLevel.info), "debug")
        self.assertEqual(self.of("twisted.internet.defer", LogLevel.critical), "error")
        self.assertEqual(self.of("twisted.web.server", LogLevel.warn), "warn")
        self.assertEqual(
            self.of("twisted.scripts._twistd_unix.UnixAppLogger", LogLevel.info), "info"
        )
        self.assertEqual(self.of("stdout", LogLevel.info), "info")
        self.assertEqual(recordOf({}).level, "debug")


class TracebackTests(SynchronousTestCase):
    """
    Bugs.
    """

    def test_lines(self) -> None:
        """
        A traceback is beside the text, line by line, and none has anything in it that a
        terminal would obey.
        """
        made = record(LOGformat="A bug", LOGfailure=failure(ValueError("\x1b[2J\nhere")))
        self.assertEqual(made.text, "A bug")
        self.assertIn(r"builtins.ValueError: \x1b[2J", made.traceback)
        self.assertTrue(all(line.isprintable() for line in made.traceback))

    def test_long(self) -> None:
        """
        Of a long one there is the end.
        """
        made = record(LOGformat="A bug", LOGfailure=failure(ValueError("x\n" * 50000 + "end")))
        self.assertEqual((made.traceback[0], made.traceback[-1]), ("...", "end"))
        self.assertLess(sum(map(len, made.traceback)), loglimits.TRACEBACK_CHARACTERS + 10)

    def test_unspeakable(self) -> None:
        """
        An error without words costs no line.
        """
        made = record(LOGformat="A bug", LOGfailure=failure(Unspeakable()))
        self.assertTrue(made.traceback)


class KeyTests(SynchronousTestCase):
    """
    Which events say the same.
    """

    def test_same(self) -> None:
        """
        Those of one form with the same in it, whatever times they name.
        """
        form = "{host}: again in {delay:.2f} s"
        one = record(LOGformat=form, host="a", delay=1.0)
        self.assertEqual(one.key, record(LOGformat=form, host="a", delay=2.0).key)
        self.assertNotEqual(one.key, record(LOGformat=form, host="b", delay=1.0).key)
        self.assertNotEqual(one.key, record(LOGformat="{host}", host="a", delay=1.0).key)

    def test_bugs(self) -> None:
        """
        Two bugs are not the same because they come of the same call.
        """
        one = record(LOGformat="A bug", LOGfailure=failure(ValueError("a")))
        self.assertNotEqual(
            one.key, record(LOGformat="A bug", LOGfailure=failure(KeyError("a"))).key
        )
        hash(one.key)


class BoundLoggerTests(SynchronousTestCase):
    """
    Tests of L{BoundLogger}.
    """

    def test_bound(self) -> None:
        """
        Each event has the fields, and speaks in the name of whose logger it was.
        """
        log = BoundLogger(Logger("rvgahp.x"), session="s1", site="a")
        with capturedLogs() as events:
            log.info("Session {session}: {reason}", reason="why")
            log.failure("A bug", failure(ValueError()), site="b")
        self.flushLoggedErrors(ValueError)
        self.assertEqual([one["session"] for one in events], ["s1", "s1"])
        self.assertEqual([one["site"] for one in events], ["a", "b"])
        self.assertEqual(recordOf(events[0]).text, "Session s1: why")
        self.assertEqual({one["log_namespace"] for one in events}, {"rvgahp.x"})
