"""
Tests of L{rvgahp.pagefeed}: time is a clock's, and browsers are doubles.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rvgahp import pagefeed, watchlimits
from rvgahp.lastday import LastDay
from rvgahp.pagefeed import Feed, Stream
from rvgahp.peercred import LocalUser
from rvgahp.viewer import Viewer
from tests import pagestage
from tests.pagestage import Stage

ROOT = LocalUser(0, "root", 1)
CAROL = LocalUser(7, "carol", 1)
ALICE = LocalUser(8, "alice", 1)
BOB = LocalUser(9, "bob", 1)


class BrowserDouble:
    """
    A request whose answer has no end, as twisted.web has it.

    @ivar heard: events.
    @ivar producer: what is to pause.
    """

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.producer: Any = None
        self._finished: list[Deferred[None]] = []

    def notifyFinish(self) -> Deferred[None]:
        self._finished.append(Deferred())
        return self._finished[-1]

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        assert verifyObject(IPushProducer, producer)
        self.producer = producer

    def write(self, data: bytes) -> None:
        if data.startswith(b"data: "):
            assert data.endswith(b"\n\n") and data.count(b"\n") == 2
            self.sizes.append(len(data))
            self.heard.append(json.loads(data[6:]))

    def gone(self) -> None:
        """
        Its connection has ended, in whichever way.
        """
        finished, self._finished = self._finished, []
        for one in finished:
            one.errback(ConnectionError("gone"))


class FeedTests(SynchronousTestCase):
    """
    Who is told what, and when.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.stage = Stage(3, 4)
        self.administrators = {"root", "carol"}
        self.ended: list[BrowserDouble] = []
        day = LastDay(self.stage.counts)
        self.feed = Feed(self.clock, self.stage.document, self.viewerOf, day, "b1")
        self.patch(watchlimits, "PAGE_SHARE", 0)

    def tearDown(self) -> None:
        self.feed.stop()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def viewerOf(self, user: LocalUser) -> Viewer:
        return Viewer(user, user.name in self.administrators)

    def look(self, user: LocalUser = ROOT) -> BrowserDouble:
        """
        @return: a browser that looks.
        """
        browser = BrowserDouble()

        def abort() -> None:
            self.ended.append(browser)
            self.clock.callLater(0, browser.gone)  # as a transport does

        self.feed.open(user, browser, abort)
        return browser

    def tick(self) -> None:
        """
        Let an interval go by.
        """
        self.clock.pump([watchlimits.PAGE_INTERVAL, *[0] * 20])

    def test_whole(self) -> None:
        """
        Who comes is told all there is, and which page it is, and then what is otherwise; that
        is something at each interval, if only the time.
        """
        browser = self.look()
        (first,) = browser.heard
        self.assertEqual((first["build"], first["next"]), ("b1", watchlimits.PAGE_INTERVAL))
        self.assertIn("hpc.example.edu", first["all"]["sites"])
        self.tick()
        self.assertEqual(set(browser.heard[1]) - {"attention"}, {"now", "next"})
        self.stage.parts["sites"][0]["draining"] = True
        self.tick()
        (name,) = browser.heard[2]["sites"]["put"]
        self.assertEqual(name, self.stage.parts["sites"][0]["site"])
        self.assertEqual(browser.heard[2]["sites"]["drop"], [])

    def test_once(self) -> None:
        """
        Twenty who see the same cost one look at an interval, and get the same bytes; when the
        last has gone there are no looks.
        """
        browsers = [self.look(ROOT if one % 2 else CAROL) for one in range(20)]
        self.assertEqual(self.stage.made, 1)
        for made in (2, 3):
            self.tick()
            self.assertEqual(self.stage.made, made)
        self.assertEqual({len(one.heard) for one in browsers}, {3})
        for one in browsers:
            one.gone()
        self.tick()
        self.assertEqual((self.feed.streams, self.stage.made), (0, 3))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_own(self) -> None:
        """
        Whoever does not see all is shown what he may see, and no plot, whoever else looks.
        """
        for name in ("alice", "bob"):
            self.stage.parts["sessions"].append(pagestage.session(len(name), 10**6, user=name))
        self.feed.start()
        both = [self.look(user) for user in (ALICE, ROOT, BOB)]
        for browser, user in ((both[0], "alice"), (both[2], "bob")):
            shown = browser.heard[0]["all"]
            self.assertEqual({one["user"] for one in shown["sessions"].values()}, {user})
            self.assertEqual((shown["sites"], shown["day"]), ({}, {}))
        self.assertEqual(len(both[1].heard[0]["all"]["day"]), 1)
        self.tick()
        self.assertEqual({len(one.heard) for one in both}, {2})

    def test_revoked(self) -> None:
        """
        Who may see less from now on is told nothing more, and may come again.
        """
        root, carol = self.look(ROOT), self.look(CAROL)
        self.administrators.remove("carol")
        self.clock.advance(watchlimits.PAGE_INTERVAL)
        self.assertEqual((self.ended, len(carol.heard), len(root.heard)), ([carol], 1, 2))
        self.clock.pump([0] * 5)
        self.assertEqual((self.ended, len(carol.heard), len(root.heard)), ([carol], 1, 2))
        again = self.look(CAROL)
        self.assertEqual(again.heard[0]["all"]["sites"], {})

    def test_slow(self) -> None:
        """
        To one who does not read nothing more is sent; when he goes on he hears how things are,
        once, and others do not wait for him.
        """
        slow, other = self.look(), self.look()
        slow.producer.pauseProducing()
        for number in range(5):
            self.stage.parts["sites"][0]["sessions"] = number + 10
            self.tick()
        self.assertEqual((len(slow.heard), len(other.heard)), (1, 6))
        slow.producer.resumeProducing()
        name = self.stage.parts["sites"][0]["site"]
        self.assertEqual(len(slow.heard), 2)
        self.assertEqual(slow.heard[1]["all"]["sites"][name]["sessions"], 14)
        self.tick()
        self.assertEqual((len(slow.heard), len(other.heard)), (3, 7))
        slow.producer.pauseProducing()
        slow.producer.resumeProducing()
        self.assertEqual(len(slow.heard), 3)

    def test_deaf(self) -> None:
        """
        One who never reads is dropped after a while, though others look on.
        """
        deaf, other = self.look(), self.look()
        deaf.producer.pauseProducing()
        self.clock.advance(watchlimits.PAGE_BLOCKED / 2)
        deaf.producer.pauseProducing()  # twice is as once
        self.clock.advance(watchlimits.PAGE_BLOCKED / 2)
        self.clock.advance(0)
        self.assertEqual(self.ended, [deaf])
        self.assertEqual(self.feed.streams, 1)
        self.assertNotIn(other, self.ended)

    def test_share(self) -> None:
        """
        The more the looks cost, the rarer they are, and browsers are told how rare.
        """
        self.patch(watchlimits, "PAGE_SHARE", 20)
        times = iter(range(0, 1000, 1))
        self.patch(pagefeed, "time", type("T", (), {"perf_counter": lambda: next(times)}))
        browser = self.look()
        self.tick()
        self.assertEqual(len(browser.heard), 2)
        self.clock.pump([30, *[0] * 5])
        self.assertEqual(len(browser.heard), 2)
        self.clock.pump([10, *[0] * 5])
        self.assertEqual(len(browser.heard), 3)
        self.assertGreaterEqual(browser.heard[2]["next"], 40)

    def test_bug(self) -> None:
        """
        A bug in a look is told in the log, and the next look is made all the same.
        """
        browser = self.look()
        sites = self.stage.parts.pop("sites")
        self.tick()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.stage.parts["sites"] = sites
        self.tick()
        self.assertEqual(len(browser.heard), 2)

    def test_pages(self) -> None:
        """
        However often somebody loads the page, there is one look at an interval; what nobody
        asks for is forgotten.
        """
        for _ in range(5):
            self.feed.viewFor(ROOT)
        self.assertEqual(self.stage.made, 1)
        self.clock.advance(watchlimits.PAGE_INTERVAL)
        self.feed.viewFor(ALICE)
        self.assertEqual(len(self.feed._views), 1)
        self.feed.viewFor(ROOT)
        self.assertEqual(self.stage.made, 3)

    def test_page(self) -> None:
        """
        A page that is loaded between two looks takes no change from those who are told of it.
        """
        browser = self.look()
        self.stage.parts["sites"][0]["draining"] = True
        self.clock.advance(watchlimits.PAGE_INTERVAL / 2)
        self.feed.viewFor(ROOT)
        self.clock.pump([watchlimits.PAGE_INTERVAL / 2, 0, 0])
        self.assertIn("sites", browser.heard[-1])

    def test_day(self) -> None:
        """
        What is counted is seen also while nobody looks.
        """
        self.feed.start()
        self.stage.counts.started("cat", 1.0)
        self.clock.advance(watchlimits.PAGE_DAY_INTERVAL)
        shown = self.look().heard[0]["all"]["day"]
        self.assertEqual([row["starts"] for row in shown.values()], [1])

    def test_stream(self) -> None:
        """
        A stream that has ended leaves no call behind.
        """
        browser = self.look()
        assert isinstance(browser.producer, Stream)
        browser.producer.pauseProducing()
        browser.gone()
        self.tick()
        self.assertEqual(self.clock.getDelayedCalls(), [])
