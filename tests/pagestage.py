"""
A proxy that is none, for tests of the status page: whatever a document may say.

C{python -m tests.pagestage [SITES [SESSIONS [PORT]]]} serves its page to a browser.
"""

from __future__ import annotations

import random
import sys
import time
from typing import Any

from rvgahp import attention
from rvgahp.counts import Counts
from rvgahp.peercred import LocalUser
from rvgahp.viewer import Viewer

DAY = 86400

#: What a site, a user or a CE may try to be in a page.
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '"><svg onload="document.title=\'owned\'">',
    "'><b data-key=x>bold</b>",
    "&lt;i&gt;${host}{x}%s</td></tr></table>",
    "__proto__",
    "constructor",
    "a\u202egnp.exe\u2066\x1b[2J\0\ud800b",
)


class SettingsOfPage:
    """
    The settings that the page has.
    """

    def __init__(self, address: tuple[str, int] | None = ("127.0.0.1", 0)) -> None:
        self.values: dict[str, Any] = {
            "RVGAHP_PAGE_ADDRESS": address,
            "RVGAHP_ADMINISTRATORS": (),
            "RVGAHP_PAGE_READERS": (),
        }

    def get(self, name: str) -> Any:
        return self.values[name]


def site(name: str, now: int, **other: Any) -> dict[str, Any]:
    """
    @return: a site that is well, but for C{other}.
    """
    well = {
        "site": name,
        "connected": True,
        "since": now - 3 * DAY,
        "address": "192.0.2.7",
        "software": "rvgahp 0.1.0",
        "certificateExpires": now + 71 * DAY,
        "gahps": ["blahpd", "condor_ft-gahp"],
        "roundTrip": 0.021,
        "sessions": 1,
        "unclaimed": 0,
        "draining": False,
        "reason": "",
    }
    return {**well, **other}


def session(number: int, now: int, **other: Any) -> dict[str, Any]:
    """
    @return: a session that is well, but for C{other}.
    """
    well = {
        "session": f"submit:4711:1763:{number}:{number * 7919:016x}",
        "user": "alice",
        "owner": "alice@example.org",
        "site": "site0000.example.org",
        "gahp": "blahpd",
        "account": "",
        "since": now - 60 * (number % 500) - 90,
        "state": "running",
        "stalled": 0,
        "resumed": 0,
        "received": 1200 + number,
        "sent": 31000 * number,
        "tunnels": None,
        "clientPid": 1,
        "pid": 30000 + number,
    }
    return {**well, **other}


def end(number: int, now: int, **other: Any) -> dict[str, Any]:
    """
    @return: a session that has ended well, but for C{other}.
    """
    well = {
        "session": f"submit:4711:1763:9{number}:{number * 104729:016x}",
        "when": now - 100 * number - 40,
        "user": "bob",
        "owner": "bob@example.org",
        "site": "site0000.example.org",
        "gahp": "blahpd",
        "seconds": 512.0 + number,
        "by": "client",
        "reason": "",
        "received": 900,
        "sent": 10000 * number,
    }
    return {**well, **other}


def troubles(now: int) -> dict[str, Any]:
    """
    @return: a site that is gone, a slow one, one whose certificate ends and one that is drained,
        a stalled session, a user at his limit, and a GAHP that dies at once.
    """
    dying: dict[str, Any] = {"gahp": "condor_ft-gahp", "site": "cluster.example.edu", "by": "site"}
    dying |= {"seconds": 0.3, "received": 0, "sent": 0}
    return {
        "sites": [
            site("hpc.example.edu", now, connected=False, since=now - 740, sessions=3)
            | {"reason": "Connection lost", "gahps": [], "software": "", "roundTrip": None},
            site("far.example.au", now, roundTrip=1.26),
            site("old.example.org", now, certificateExpires=now + 3 * DAY + 4000),
            site("cluster.example.edu", now),
            site("quiet.example.org", now, draining=True),
        ],
        "sessions": [
            session(1, now, site="far.example.au", state="stalled", stalled=95, resumed=4),
            session(2, now, site="hpc.example.edu", state="site away", user="carol"),
            session(3, now, site="cluster.example.edu", gahp="condor_ft-gahp", tunnels=2),
        ],
        "ends": [end(number, now, **dying) for number in (2, 1, 0)],
        "limits": [
            {"limit": "RVGAHP_MAX_SESSIONS_PER_USER", "most": 500, "used": 500, "by": "alice"},
            {"limit": "RVGAHP_MAX_SESSIONS_PER_SITE", "most": 5000, "used": 12}
            | {"by": "site0000.example.org"},
        ],
    }


class Stage:
    """
    A proxy's document, which moves like one.

    @ivar made: how often the document was made.
    @ivar parts: of the document: C{sites}, C{sessions}, C{ends}, C{limits}.
    """

    def __init__(self, sites: int = 6, sessions: int = 8, isWell: bool = False) -> None:
        now = int(time.time())
        self.since = now - 5 * 3600 - 1200
        self.made = 0
        self.counts = Counts()
        self.random = random.Random(7)
        self.parts: dict[str, list[dict[str, Any]]] = {
            "sites": [site(f"site{one:04}.example.org", now) for one in range(sites)],
            "sessions": [session(10 + one, now) for one in range(sessions)],
            "ends": [end(one, now) for one in range(20, 3, -1)],
            "limits": [],
        }
        for one in self.parts["sessions"]:
            number = self.random.randrange(max(1, sites))
            one["site"] = f"site{number:04}.example.org"
            one["user"] = self.random.choice(("alice", "bob", "carol", "dave"))
        for one in self.parts["sites"]:
            one["since"] = now - self.random.randrange(60, 30 * DAY)
            one["roundTrip"] = self.random.uniform(0.005, 0.2)
        if not isWell:
            for name, rows in troubles(now).items():
                self.parts[name] += rows
        self.parts["sites"].sort(key=lambda one: str(one["site"]))

    def document(self, viewer: Viewer) -> dict[str, Any]:
        """
        @return: what all see who see all; others see sessions of their own.
        """
        self.made += 1
        now = int(time.time())
        name = viewer.user.name
        isAll = viewer.isAdministrator
        seen: dict[str, Any] = {
            **{part: list(map(dict, rows)) for part, rows in self.parts.items()},
            "software": "rvgahp 0.1.0",
            "pid": 812,
            "since": self.since,
            "now": now,
            "you": name,
            "administrator": isAll,
            "draining": False,
            "certificateExpires": self.since + 90 * DAY,
        }
        if not isAll:
            for part in ("sessions", "ends"):
                seen[part] = [one for one in seen[part] if one["user"] == name]
            seen["sites"] = seen["limits"] = []
        return {**seen, "attention": attention.sentences(seen)}

    def move(self, part: float = 0.2) -> None:
        """
        Time goes on by an interval: so many of the sessions carry bytes, and pings differ.
        """
        for one in self.parts["sessions"]:
            if self.random.random() < part:
                one["sent"] += self.random.randrange(1 << 20)
                self.counts.carried["sent"] += 1 << 18
        for one in self.parts["sites"]:
            if self.random.random() < part and one["roundTrip"] is not None:
                one["roundTrip"] = one["roundTrip"] * self.random.uniform(0.9, 1.1)
        for one in self.parts["sessions"]:
            one["stalled"] += 2 if one["stalled"] else 0

    def fill(self, day: Any, hours: float = 5.3) -> None:
        """
        Let there have been a day.
        """
        day._pieces.clear()
        now = time.time()
        at = now - hours * 3600
        while at < now:
            for _ in range(self.random.randrange(12)):
                self.counts.started("blahpd", 0.1)
            burst = now - 8000 < at < now - 6500
            self.counts.failures["StartFailed"] += self.random.randrange(2) + 6 * burst
            self.counts.stalls += self.random.random() < 0.3
            self.counts.stalls += 25 * burst
            self.counts.carried["sent"] += int(self.random.uniform(0, 9e7))
            self.counts.carried["received"] += int(self.random.uniform(0, 2e7))
            day.look(at)
            at += 600


ROOT = Viewer(LocalUser(0, "root", 1), True)
ALICE = Viewer(LocalUser(4242, "alice", 2), False)


def main(sites: int = 6, sessions: int = 8, number: int = 9711) -> None:
    """
    Serve it, until the end.
    """
    from twisted.internet import reactor, task

    from rvgahp.pageport import PagePort

    stage = Stage(sites, sessions)
    settings: Any = SettingsOfPage(("127.0.0.1", number))
    port = PagePort(reactor, settings, stage.counts, stage.document)
    port.open()
    assert port._feed is not None
    stage.fill(port._feed._day)
    task.LoopingCall(stage.move).start(2.0)
    print(port.address, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
