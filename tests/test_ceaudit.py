"""
Tests of L{rvgahp.ceaudit} and of the limits of a CE: real TLS and real GAHPs, on a reactor of
the test's own.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from rvgahp import commands
from rvgahp.cestatus import CEStatus
from rvgahp.configuration import Configuration
from rvgahp.errors import Busy, RvgahpError, StartFailed, UnknownGAHP
from rvgahp.gahpsession import STOPPED
from rvgahp.metrics import registryOf
from rvgahp.settings import settingsFrom
from tests.identities import SITE
from tests.proxydouble import HOST, ProxyDouble
from tests.test_ce import ACCESS_FILE, START, CETestCase

ALICE = START["owner"]
BOB = "bob@submit.example.org"


class LimitTests(CETestCase):
    """
    How many GAHPs there can be.
    """

    def setUp(self) -> None:
        super().setUp()
        broken = Path(self.mktemp())
        broken.write_text("#!/no/such/interpreter\n")
        broken.chmod(0o755)
        self.settings = {
            "RVGAHP_MAX_SESSIONS_PER_OWNER": "2",
            "RVGAHP_MAX_SESSIONS": "3",
            "RVGAHP_GAHP_NAMES": "cat, none, broken",
            "RVGAHP_GAHP_BROKEN": str(broken.absolute()),
        }

    def ask(self, proxy: ProxyDouble, session: str, **changes: Any) -> Any:
        """
        @return: what the CE answers to StartGAHP, or the error.
        """
        arguments = {**START, "session": session, **changes}
        return self.called(proxy.call(commands.StartGAHP, **arguments))

    def test_limits(self) -> None:
        """
        One owner has as many as he may, and all together, too; refusals say so; what has
        ended, or has never been started, does not count.
        """
        proxy = self.accepted()
        for number in range(5):
            self.assertIsInstance(self.ask(proxy, f"n{number}", gahp="broken"), StartFailed)
            self.assertIsInstance(self.ask(proxy, f"n{number}", gahp="nonesuch"), UnknownGAHP)
        for name in ("s1", "s2"):
            self.assertEqual(self.ask(proxy, name), {"tunnelPort": 0})
        error = self.ask(proxy, "s3")
        self.assertIsInstance(error, Busy)
        self.assertIn(f"{ALICE} has 2 GAHPs at site {SITE}", str(error))
        self.assertEqual(self.ask(proxy, "s4", owner=BOB), {"tunnelPort": 0})
        error = self.ask(proxy, "s5", owner=BOB)
        self.assertIsInstance(error, Busy)
        self.assertIn(f"site {SITE} runs 3 GAHPs", str(error))
        self.called(proxy.call(commands.EndSession, session="s1", reason="enough"))
        assert self.ce is not None
        ce = self.ce
        self.until(lambda: "s1" not in ce.proxies[0].sessions)
        self.assertEqual(self.ask(proxy, "s6"), {"tunnelPort": 0})

    def test_random(self) -> None:
        """
        Whatever is started, fails, and ends, in whatever order: the counts are those of what
        runs, and a start is refused just where that is too much.
        """
        seed = Random().randrange(2**32)
        print(f"\nseed {seed}")
        random = Random(seed)
        proxy = self.accepted()
        assert self.ce is not None
        sessions = self.ce.proxies[0].sessions
        for number in range(60):
            owner = random.choice((ALICE, BOB))
            step = random.choice(("start", "start", "fail", "end", "break"))
            counts = Counter(session.request.owner for session in sessions.values())
            if step in ("start", "fail"):
                isFull = counts[owner] >= 2 or len(sessions) >= 3
                gahp = "cat" if step == "start" else "broken"
                answer = self.ask(proxy, f"s{number}", owner=owner, gahp=gahp)
                self.assertEqual(isinstance(answer, Busy), isFull, f"step {number}: {answer}")
                self.assertEqual(isinstance(answer, RvgahpError), isFull or step == "fail")
            elif sessions:
                name = random.choice(list(sessions))
                if step == "end":
                    self.called(proxy.call(commands.EndSession, session=name, reason="enough"))
                else:
                    sessions[name].kill()
                self.until(lambda: name not in sessions)  # noqa: B023  # called at once
            counts = Counter(session.request.owner for session in sessions.values())
            for one in (ALICE, BOB):
                self.assertEqual(sessions.count(one), counts[one])


class AuditTests(CETestCase):
    """
    What is recorded.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.settings = {"RVGAHP_AUDIT_LOG": str(self.path.absolute())}

    def lines(self) -> list[dict[str, Any]]:
        """
        @return: what the audit log has, without what differs each time.
        """
        lines = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        for line in lines:
            del line["time"]
            if "seconds" in line:
                self.assertLess(0, line.pop("seconds"))
            if "pid" in line:
                self.assertNotIn(line.pop("pid"), (0, os.getpid()))
        return lines

    def known(self) -> dict[str, Any]:
        """
        @return: what each line has.
        """
        place = f"{HOST}:{self.port.number}"
        return {"who": ALICE, "site": SITE, "proxy": place, "gahp": "cat", "session": "s1"}

    def test_client(self) -> None:
        """
        A start, and an end because the client is gone.
        """
        proxy = self.accepted()
        self.called(proxy.call(commands.StartGAHP, **START))
        self.called(proxy.call(commands.EndSession, session="s1", reason="its client is gone"))
        self.until(lambda: proxy.ended)
        first, last = self.lines()
        known = {**self.known(), "rule": f"{ACCESS_FILE}:1: ALLOW START *"}
        self.assertEqual(first, {"event": "start", "decision": "allowed", **known})
        end = {"by": "client", "reason": "its client is gone", "received": 0, "sent": 0}
        end |= {"status": "exited with status 0", "outcome": "killed"}
        self.assertEqual(last, {"event": "end", **end, **known})
        self.assertEqual(proxy.carried, {"s1": (0, 0)})

    def test_refused(self) -> None:
        """
        Starts that are refused, and such as fail; they have no end.
        """
        proxy = self.accepted()
        for gahp in ("nonesuch", "none"):
            self.called(proxy.call(commands.StartGAHP, **{**START, "gahp": gahp}))
        known = {**self.known(), "event": "refused", "decision": "refused", "action": "start"}
        for line, gahp in zip(self.lines(), ("nonesuch", "none"), strict=True):
            self.assertTrue(line.pop("reason"))
            self.assertEqual(line, {**known, "gahp": gahp})

    def test_counted(self) -> None:
        """
        What is recorded is counted, too, for Prometheus: starts and how long they took,
        refusals by the error, ends and outcomes, dials of the proxy.
        """
        proxy = self.accepted()
        self.called(proxy.call(commands.StartGAHP, **START))
        self.called(proxy.call(commands.StartGAHP, **{**START, "gahp": "nonesuch"}))
        self.called(proxy.call(commands.EndSession, session="s1", reason="its client is gone"))
        self.until(lambda: proxy.ended)
        assert self.ce is not None
        settings = settingsFrom("ce", Configuration(None, {"RVGAHP_BROKER_HOST": "h"}))
        status = CEStatus(self.reactor, settings, self.ce)
        samples = {
            (one.name, *one.labels.values()): one.value
            for family in registryOf(self.ce.runner.counts, status.whole).collect()
            for one in family.samples
        }
        where = f"{self.ce.proxies[0].state.host}:{self.ce.proxies[0].state.port}"
        for value, *name in (
            (1, "rvgahp_starts_total", "cat"),
            (1, "rvgahp_start_seconds_count"),
            (1, "rvgahp_start_failures_total", "UnknownGAHP"),
            (1, "rvgahp_session_ends_total", "client"),
            (1, "rvgahp_gahp_ends_total", "killed"),
            (0, "rvgahp_gahp_ends_total", "crashed"),
            (1, "rvgahp_proxy_dials_total"),
            (1, "rvgahp_proxy_up", where),
            (0, "rvgahp_replay_kept_bytes"),
        ):
            self.assertEqual(samples[tuple(name)], value, name)

    def test_denied(self) -> None:
        """
        So is one that a rule denies.
        """
        self.rules = f"DENY START {ALICE}\nALLOW START *"
        self.called(self.accepted().call(commands.StartGAHP, **START))
        (line,) = self.lines()
        self.assertIn(f"{ACCESS_FILE}:1 denies it", line.pop("reason"))
        known = {**self.known(), "event": "refused", "decision": "refused", "action": "start"}
        self.assertEqual(line, known)

    def test_stopped(self) -> None:
        """
        A CE that is stopped records the end of what runs.
        """
        proxy = self.accepted()
        self.called(proxy.call(commands.StartGAHP, **START))
        self.stop()
        end = self.lines()[-1]
        self.assertEqual((end["event"], end["by"], end["reason"]), ("end", "site", STOPPED))

    def test_secrets(self) -> None:
        """
        No key and no ticket is in it.
        """
        proxy = self.accepted()
        self.called(proxy.call(commands.StartGAHP, **START))
        self.stop()
        data = self.path.read_bytes()
        for secret in (START["key"], *START["tickets"]):
            for form in (secret, secret.hex().encode(), repr(secret)[2:-1].encode()):
                self.assertNotIn(form, data)
