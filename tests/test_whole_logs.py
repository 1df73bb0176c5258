"""
Real processes: what the logs of a proxy and a CE have of each session, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from rvgahp.logrecord import FIELDS, LEVELS
from rvgahp.sandbox import SITE
from tests.procfs import waitFor
from tests.programs import PROMPT, program, runProgram
from tests.wholecase import PlaygroundTestCase

#: What each line has; others are of L{FIELDS}.
ALWAYS = {"time", "level", "daemon", "message", "logger"}

#: What may be there besides.
SOMETIMES = {"form", "traceback"}

LOST = "Session {session}: stream {stream}: its channel was lost, and is dialled again: {reason}"


class LogTests(PlaygroundTestCase):
    """
    One proxy and one CE, between which connections can be cut.
    """

    gahps = {"cat": "/bin/cat"}
    proxySettings = "RVGAHP_LOG_FORMAT = JSON\n"
    ceSettings = "RVGAHP_LOG_FORMAT = JSON\n"
    relayed = True

    def lines(self, daemon: str, start: int | None = None) -> list[dict[str, Any]]:
        """
        @param start: after so many characters; else those of this test.
        @return: the lines of its log.
        """
        log = self.playground.log(daemon)[self.before(daemon) if start is None else start :]
        return [json.loads(line) for line in log.splitlines()]

    def awaitForm(self, daemon: str, form: str) -> dict[str, Any]:
        """
        @return: the first line of this test that has this form.
        """
        return waitFor(
            lambda: next((one for one in self.lines(daemon) if one.get("form") == form), {}),
            f"{form} in {daemon}'s log",
            PROMPT,
        )

    def started(self) -> subprocess.Popen[bytes]:
        """
        @return: a client whose GAHP answers.
        """
        client = self.playground.client("cat")
        self.talk(client)
        return client

    def talk(self, client: subprocess.Popen[bytes]) -> None:
        """
        Its GAHP answers.
        """
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"secret words\n")
        client.stdin.flush()
        self.assertEqual(client.stdout.readline(), b"secret words\n")

    def assertOfSession(self, atProxy: int, atCE: int) -> str:
        """
        All lines of this test are of one session, and say so in their texts and fields, with
        all else that is known of it.

        @param atProxy: how many lines there are at the least in the proxy's log.
        @param atCE: the same of the CE's.
        @return: the session's id.
        """
        (session,) = {one["session"] for one in self.lines("proxy")}
        for daemon, count in (("proxy", atProxy), ("ce", atCE)):
            lines = self.lines(daemon)
            self.assertGreaterEqual(len(lines), count, lines)
            for line in lines:
                self.assertIn(f"ession {session}", line["message"])
                known = [line.get(name) for name in ("session", "site", "gahp")]
                self.assertEqual(known, [session, SITE, line["gahp"]], line)
                self.assertTrue(line["owner"].startswith("root@") or os.geteuid(), line)
                self.assertIn("user" if daemon == "proxy" else "site", line)
        return str(session)

    def test_session(self) -> None:
        """
        From its start to its end, through the loss of a channel, both logs have nothing that
        is not of the session and does not say so; and none of its bytes.
        """
        self.playground.relay.forget()
        client = self.started()
        self.playground.relay.cut(self.playground.relay.awaitData(1))
        self.talk(client)
        self.awaitForm("ce", LOST)
        client.communicate(timeout=PROMPT)
        self.awaitForm("ce", "Session {session}: over: {reason}")
        self.awaitForm("proxy", "Session {session}: over ({by}): {reason}")
        self.assertOfSession(2, 4)
        for daemon in ("proxy", "ce"):
            self.assertNotIn("secret words", self.playground.log(daemon))

    def test_refused(self) -> None:
        """
        One that does not come to be, in both logs.
        """
        self.playground.run("nonesuch")
        self.awaitForm("proxy", "Session {session}: not started: {reason}")
        self.assertOfSession(2, 1)
        self.assertEqual({one["gahp"] for one in self.lines("ce")}, {"nonesuch"})

    def test_killed(self) -> None:
        """
        One that somebody ends: who, and why, in one line whatever his words.
        """
        client = self.started()
        session = self.lines("proxy")[0]["session"]
        where = str(self.playground.sandbox.directory / "proxy.status")
        words = ["kill", "--socket", where, session, "--reason", "why\nnot\x1b[2J"]
        self.assertEqual(runProgram([program("rvgahp"), *words]).status, 0)
        client.communicate(timeout=PROMPT)
        line = self.awaitForm("proxy", "Session {session}: {reason}")
        self.assertIn("(rvgahp kill): why not [2J", line["message"])
        self.awaitForm("ce", "Session {session}: over: {reason}")
        self.awaitForm("proxy", "Session {session}: over ({by}): {reason}")
        self.assertEqual(self.assertOfSession(3, 3), session)

    def test_schema(self) -> None:
        """
        From the daemons' starts on each line is an object with these names and types, and
        strangers who send rubbish add no other.
        """
        for rubbish in (
            b"\n{}\n\x1b[2J",
            b"\x16\x03\x01\x00\x05\n\n\n\n\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", self.playground.sandbox.port)) as one:
                one.sendall(rubbish)
                one.shutdown(socket.SHUT_WR)
                one.settimeout(PROMPT)
                one.recv(100)
        self.awaitForm("proxy", "Closed a connection from {address}: {what}")
        for daemon in ("proxy", "ce"):
            lines = self.lines(daemon, 0)
            self.assertGreater(len(lines), 3)
            for line in lines:
                self.assertLessEqual(ALWAYS, line.keys())
                self.assertLessEqual(line.keys(), ALWAYS | SOMETIMES | FIELDS.keys())
                self.assertEqual(line["daemon"], f"rvgahp-{daemon}")
                self.assertIn(line["level"], LEVELS)
                for name, value in line.items():
                    self.assertIs(type(value), FIELDS.get(name, str), name)

    def test_level(self) -> None:
        """
        After a reload with another level there is only what matters so much.
        """
        directory = Path(self.playground.sandbox.directory)
        config = directory / "condor_config.rvgahp-ce"
        before = config.read_text()
        self.addCleanup(self.awaitForm, "ce", "Read again: {changes}")
        self.addCleanup(self.hangUp)
        self.addCleanup(config.write_text, before)
        config.write_text(before + "RVGAHP_LOG_LEVEL = WARN\n")
        self.hangUp()
        waitFor(self.isQuiet, "a session without a line")

    def hangUp(self) -> None:
        """
        Have the CE read its files again.
        """
        os.kill(self.playground.cePid, signal.SIGHUP)

    def isQuiet(self) -> bool:
        """
        @return: whether a session leaves no line in the CE's log.
        """
        start = len(self.playground.log("ce"))
        self.assertServes()
        self.playground.awaitNoGAHP()
        return not self.lines("ce", start)
