"""
Tests of L{rvgahp.frontrules}: the table, and the page that has it in words.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import frontlimits, frontrules
from rvgahp.front import Front
from rvgahp.frontrules import (
    AGAIN,
    AT_ONCE,
    FAIL,
    LOCAL,
    NO_NEWS,
    OTHER_COMMAND,
    OTHER_REQUEST,
    PROMISE,
    RECALL,
    REFUSE,
    RULES,
    SITE,
    WAIT,
    Rule,
    Timers,
    hasFront,
    ruleFor,
)
from tests.frontworld import BATCH_COMMANDS, FILE_COMMANDS, Recorder

PAGE = Path(__file__).parent.parent / "doc" / "front.rst"

#: The page's words for what is done for the GAHP.
ACTIONS = {
    "waits": WAIT,
    "``E``": REFUSE,
    "promise": PROMISE,
    "known path": RECALL,
    "failure": FAIL,
    "no news": NO_NEWS,
    "next GAHP": AGAIN,
}

WHO = {"the front's": LOCAL, "the GAHP's": SITE, "``S``": AT_ONCE, "``S``, owed": AT_ONCE}


def pageRows() -> list[list[str]]:
    """
    @return: the cells of the page's table, row by row, without the heading.
    """
    table = PAGE.read_text().split(".. list-table::")[1].split("\nThe rows,")[0]
    rows = re.split(r"(?m)^   \* - ", table)[2:]
    return [[cell.strip() for cell in re.split(r"(?m)^     -", row)] for row in rows]


def rulesOf(cell: str) -> list[tuple[str, Rule]]:
    """
    @param cell: the first of a row.
    @return: the commands it names, and their rules.
    """
    if cell == "anything else":
        return [(cell, OTHER_COMMAND)]
    found = []
    for name in cell.split(", "):
        rule = OTHER_REQUEST if name.startswith("others") else RULES[name.encode()]
        found.append((name, rule))
    return found


class PageTests(SynchronousTestCase):
    """
    C{doc/front.rst} and the table.
    """

    def test_rows(self) -> None:
        """
        Each row of the page is what the table says, cell by cell.
        """
        seconds = Timers().seconds
        for cells in pageRows():
            first, who, notLive, limit, unsent, sent, over, tokens = cells
            for name, rule in rulesOf(first):
                self.assertEqual(rule.who, WHO[who], name)
                self.assertEqual(rule.isOwed, "owed" in who, name)
                if rule.who == LOCAL:
                    continue
                self.assertEqual(rule.notLive, ACTIONS[notLive], name)
                self.assertEqual(rule.unsent, ACTIONS[unsent], name)
                self.assertEqual(rule.sent, ACTIONS[sent], name)
                self.assertEqual(rule.over, ACTIONS[over], name)
                expected = f"{seconds[rule.limit]:.0f} s" if rule.limit else "none"
                self.assertEqual(limit, expected, name)
                if rule.who == AT_ONCE:
                    count = str(1 + len(rule.failure)) if rule.failure else "any"
                    self.assertEqual(tokens, count, name)

    def test_complete(self) -> None:
        """
        The page has each rule of the table once, and no other.
        """
        rows = [pair for cells in pageRows() for pair in rulesOf(cells[0])]
        named = [name.encode() for name, rule in rows if rule not in (OTHER_COMMAND, OTHER_REQUEST)]
        self.assertEqual(sorted(named), sorted(RULES))
        self.assertEqual(len(rows) - len(named), 2)

    def test_numbers(self) -> None:
        """
        The page's numbers are those of the limits.
        """
        text = " ".join(PAGE.read_text().split())
        for words in (
            f"at most {frontlimits.RESULTS_LINES} lines and {frontlimits.RESULTS_BYTES >> 20} MiB",
            f"{frontlimits.BANNER_NOISE_BYTES >> 10} KiB may come before",
            f"not ready in {frontlimits.GREETING:.0f} s",
            f"at most {frontlimits.WINDOW} are in",
            f"every {frontlimits.POLL:.0f} s",
            f"while {frontlimits.RESULTS_HELD_BYTES >> 20} MiB of them",
            f"or for {frontlimits.BUSY_RETRY:.0f} s",
            f"token of more than {frontlimits.TOKEN_BYTES:,} bytes",
            f"or if {frontlimits.RESULTS_HELD:,} results",
            f"and {frontlimits.LAST_RESULT:.0f} s longer",
            f"after {frontlimits.SITE_RETRY_FIRST:.0f} s, then after twice as long each time",
            f"up to {frontlimits.SITE_RETRY_LONGEST:.0f} s",
            f"{Timers().seconds['mute']:.0f} s by default",
        ):
            self.assertIn(words, text)


class TableTests(SynchronousTestCase):
    """
    What must hold of all rows.
    """

    def test_fields(self) -> None:
        """
        The tokens of a result are those that HTCondor's gahp-client.cpp asserts on.
        """
        counts = {
            b"BLAH_PING": 3,
            b"BLAH_JOB_SUBMIT": 4,
            b"BLAH_JOB_STATUS": 5,
            b"BLAH_JOB_CANCEL": 3,
            b"BLAH_JOB_REFRESH_PROXY": 3,
            b"DOWNLOAD_SANDBOX": 3,
            b"UPLOAD_SANDBOX": 2,
            b"DOWNLOAD_PROXY": 2,
            b"DESTROY_SANDBOX": 2,
        }
        for name, count in counts.items():
            for fields in range(1, 8):
                self.assertEqual(RULES[name].fits(fields), fields == count, name)
            self.assertEqual(len(RULES[name].failed(b"2", b"why")), count)
        self.assertEqual([OTHER_REQUEST.fits(one) for one in (1, 2, 9)], [False, True, True])

    def test_neverMadeUp(self) -> None:
        """
        A failure is one: never a success, a state, or a result code of -100 to -103; and
        NO_NEWS is the only other thing that is made up, for one command.
        """
        rules = [*RULES.values(), OTHER_REQUEST, OTHER_COMMAND]
        for rule in rules:
            if rule.who == AT_ONCE:
                fields = rule.failed(b"2", b"why")
                self.assertEqual((fields[0], b"why" in fields), (b"2", True))
                self.assertIn(fields[1], (b"1", b"why"))
        for action, names in (
            (NO_NEWS, [b"BLAH_JOB_STATUS"]),
            (PROMISE, [b"CREATE_CONDOR_SECURITY_SESSION"]),
            (RECALL, [b"GET_SANDBOX_PATH"]),
        ):
            used = [
                name
                for name, rule in RULES.items()
                if action in (rule.notLive, rule.unsent, rule.sent, rule.over)
            ]
            self.assertEqual(used, names)
        self.assertEqual(frontrules.NOTHING_NEW, (b"0", b"No error", b"0", b"NULL"))
        self.assertNotIn(FAIL, {rule.sent for rule in rules})

    def test_over(self) -> None:
        """
        At the GAHP's end every request that it had is answered for or goes to the next,
        which no request does whose repetition could do something twice.
        """
        again = {name for name, rule in RULES.items() if rule.over == AGAIN}
        self.assertEqual(
            again,
            {
                b"CONDOR_VERSION",
                b"CREATE_CONDOR_SECURITY_SESSION",
                b"GET_SANDBOX_PATH",
                b"BLAH_JOB_CANCEL",
                b"DESTROY_SANDBOX",
            },
        )
        for name, rule in [*RULES.items(), (b"", OTHER_COMMAND), (b"", OTHER_REQUEST)]:
            if rule.who == LOCAL:
                continue
            self.assertLessEqual(rule.isOwed, rule.over == AGAIN, name)
            allowed = {AGAIN, FAIL, NO_NEWS} if rule.who == AT_ONCE else {AGAIN, REFUSE}
            self.assertIn(rule.over, allowed, name)

    def test_actionsFit(self) -> None:
        """
        What is done for the GAHP is a reply where a reply is due and a result where a
        result is; and a command that has no limit has nothing to be done at it.
        """
        replies, results = {WAIT, REFUSE, PROMISE, RECALL}, {WAIT, FAIL, NO_NEWS}
        for name, rule in [*RULES.items(), (b"", OTHER_COMMAND), (b"", OTHER_REQUEST)]:
            allowed = results if rule.who == AT_ONCE else replies
            self.assertLessEqual({rule.notLive, rule.unsent, rule.sent}, allowed, name)
            if not rule.limit:
                self.assertEqual({rule.unsent, rule.sent}, {WAIT}, name)
            self.assertEqual(bool(rule.timer), rule.who == AT_ONCE, name)
            if rule.who == SITE:
                self.assertNotIn(WAIT, (rule.unsent, rule.sent), name)

    def test_silence(self) -> None:
        """
        No command without a request id is left unanswered for the gridmanager's 20 s, nor
        a request that is answered for the GAHP beyond the gridmanager's own timer.
        """
        seconds = Timers().seconds
        for rule in (*RULES.values(), OTHER_COMMAND):
            if rule.who == SITE:
                self.assertLess(seconds[rule.limit], frontlimits.GRIDMANAGER_RESPONSE_TIMEOUT)
            elif rule.limit:
                self.assertLess(seconds[rule.limit], seconds[rule.timer])

    def test_local(self) -> None:
        """
        The front has an answer of its own for just those commands whose rule says so.
        """
        front = Front("blahpd", Recorder(), lambda: 0.0)
        local = {name for name, rule in RULES.items() if rule.who == LOCAL}
        self.assertEqual(set(front._local), local)

    def test_listed(self) -> None:
        """
        What the two GAHPs list is in the table, but for the five of blahpd's
        administration and one that nobody knows.
        """
        listed = {*BATCH_COMMANDS.split(), *FILE_COMMANDS.split()}
        self.assertEqual(listed - set(RULES), {b"BLAH_SET_SUDO_OFF", b"BLAH_NEW"})


class TimersTests(SynchronousTestCase):
    """
    The gridmanager's timers.
    """

    def test_defaults(self) -> None:
        """
        The defaults give the round numbers of the page.
        """
        seconds = Timers().seconds
        names = ("status", "submit", "transfer", "reply", "other", "call", "transfers", "mute")
        self.assertEqual(
            [seconds[name] for name in names],
            [240.0, 270.0, 3500.0, 12.0, 15.0, 300.0, 3600.0, 300.0],
        )

    def test_any(self) -> None:
        """
        Whatever the settings are, each limit runs out before the gridmanager's own timer,
        of whose whole seconds one is not sure, and a GAHP has longer than that.
        """
        for call in (1, 2, 5, 30, 300, 28800, 2**31 - 1):
            for response in (2, 3, 5, 20, 600, 2**31 - 1):
                seconds = Timers(call, response).seconds
                self.assertTrue(0 < seconds["status"] < seconds["submit"] < seconds["call"])
                self.assertEqual(seconds["call"], call)
                self.assertTrue(0 < seconds["reply"] < seconds["other"] < response - 1)
                self.assertTrue(0 < seconds["transfer"] < seconds["transfers"])
                self.assertGreaterEqual(seconds["mute"], max(call, response))

    def test_none(self) -> None:
        """
        A gridmanager that waits for results as long as it takes is not answered before, but
        a GAHP that says nothing is not borne for ever.
        """
        seconds = Timers(call=0).seconds
        ever = float("inf")
        self.assertEqual([seconds[name] for name in ("status", "submit", "call")], [ever] * 3)
        self.assertEqual(seconds["mute"], 300)


class NameTests(SynchronousTestCase):
    """
    Which GAHPs and which commands.
    """

    def test_hasFront(self) -> None:
        """
        The front knows three names, exactly as they are.
        """
        for name in ("blahpd", "batch_gahp", "condor_ft-gahp"):
            self.assertTrue(hasFront(name))
        for name in ("", "BLAHPD", "/usr/bin/blahpd", "arc_gahp", "cat"):
            self.assertFalse(hasFront(name))

    def test_ruleFor(self) -> None:
        """
        A command that the table does not have has a request id if the GAHP lists it and a
        number follows.
        """
        offered = {b"NEW"}
        self.assertIs(ruleFor(b"NEW", b"2", offered), OTHER_REQUEST)
        self.assertIs(ruleFor(b"NEW", b"two", offered), OTHER_COMMAND)
        self.assertIs(ruleFor(b"NEW", b"", offered), OTHER_COMMAND)
        self.assertIs(ruleFor(b"NEWER", b"2", offered), OTHER_COMMAND)
        self.assertIs(ruleFor(b"BLAH_PING", b"", set()), RULES[b"BLAH_PING"])
