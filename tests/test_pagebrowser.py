"""
The status page in a real browser, Chromium without a window: C{make browser}.  It takes half a
minute, and so is not among the others.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from rvgahp import watchlimits
from rvgahp.pagefeed import Feed
from rvgahp.pageport import PagePort
from rvgahp.peercred import LocalUser
from rvgahp.viewer import Viewer
from tests.pagestage import HOSTILE, SettingsOfPage, Stage, end, session, site
from tests.privatereactor import ReactorTestCase
from tests.procfs import PATIENCE
from tests.steppedloop import descriptorCount
from tests.test_pagetext import Page
from tests.webdriver import Browser, missing

T = TypeVar("T")

_LIVE = "document.getElementById('when').textContent.startsWith('live')"

#: Counts what is changed in the page's tables.
_WATCH = """
window.touched = new Set(); window.moved = 0; window.long = [];
new MutationObserver(records => { for (const one of records) {
  if (one.type === 'childList' && one.target.tagName === 'TBODY') window.moved++;
  const row = one.target.parentElement?.closest('tr') ?? one.target.closest?.('tr');
  if (row) window.touched.add(row.dataset.key);
} }).observe(document.querySelector('main'), {subtree: true, childList: true, characterData: true});
new PerformanceObserver(list => window.long.push(...list.getEntries().map(one => one.duration)))
  .observe({type: 'longtask', buffered: true});
"""

#: Measures what an event costs: the script, and what the browser makes of it.
_TIMES = """
const take = window.formerTake ??= source.onmessage;
window.times = [];
source.onmessage = event => {
  const began = performance.now();
  take(event);
  const middle = performance.now();
  document.body.offsetHeight;
  window.times.push([middle - began, performance.now() - middle, event.data.length]);
};
"""

_CELLS = "[...document.querySelectorAll('#sites td')]"

#: Of all rows their tables, keys and cells.
_SHOWN = """return [...document.querySelectorAll('tbody tr')].map(row => [
  row.closest('table').id, row.dataset.key, [...row.cells].map(cell => cell.textContent)])"""

#: What is otherwise a second later.
_TIME = re.compile(r"\d+ (s|min|h|d)\b")

_TAGS = "return [...document.querySelectorAll('main *')].map(e => e.tagName)"


class BrowserTestCase(ReactorTestCase):
    """
    A page of a proxy that is none, and a browser.
    """

    if not os.environ.get("RVGAHP_BROWSER"):
        skip = "it takes half a minute; make browser"
    elif missing():
        skip = missing()

    timeout = 300

    def setUp(self) -> None:
        super().setUp()
        count = descriptorCount()
        self.reactor.listenTCP(0, Factory(), interface="127.0.0.1").stopListening()
        self.turn()
        self.before += descriptorCount() - count
        self.patch(watchlimits, "PAGE_INTERVAL", 0.2)
        self.patch(watchlimits, "PAGE_SHARE", 0)
        self.user = LocalUser(0, "root", 0)
        self.stage = Stage()
        self.readers: list[threading.Thread] = []
        self.address = ("127.0.0.1", 0)
        self.port = self.open()
        self.url = self.port.address
        self.address = ("127.0.0.1", int(self.url.rstrip("/").split(":")[-1]))
        self.browser = self.inThread(Browser)

    def tearDown(self) -> None:
        self.inThread(self.browser.close)
        self.port.close()
        self.until(lambda: set(self.reactor.getReaders()) <= set(self._own))
        self.until(lambda: not any(one.is_alive() for one in self.readers))
        super().tearDown()

    def open(self) -> PagePort:
        """
        @return: the port, listening.
        """
        settings: Any = SettingsOfPage(self.address)
        port = PagePort(
            self.reactor,
            settings,
            self.stage.counts,
            self._document,
            lambda _: self.user,
        )
        port.open()
        assert port._feed is not None
        port._feed._pause = watchlimits.PAGE_INTERVAL
        self.stage.fill(port._feed._day)
        return port

    def _document(self, viewer: Viewer) -> dict[str, Any]:
        return self.stage.document(viewer)

    def inThread(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """
        @return: what a call gives that waits, while the reactor turns.
        """
        found: list[Any] = []

        def work() -> None:
            try:
                found.append((call(*arguments, **named), None))
            except BaseException as e:
                found.append((None, e))

        thread = threading.Thread(target=work)
        thread.start()
        self.until(lambda: found, 4 * PATIENCE)
        thread.join()
        result, problem = found[0]
        if problem is not None:
            raise problem
        given: T = result
        return given

    def run_(self, script: str, *arguments: Any) -> Any:
        return self.inThread(self.browser.run, script, *arguments)

    def wait(self, script: str, seconds: float = PATIENCE) -> Any:
        return self.inThread(self.browser.wait, script, seconds)

    def load(self) -> None:
        """
        Have the page, alive.
        """
        self.inThread(self.browser.go, self.url)
        self.wait(_LIVE)

    def texts(self, selector: str) -> list[str]:
        """
        @return: the texts of elements that are to be seen.
        """
        found: list[str] = self.run_(
            "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText)",
            selector,
        )
        return found

    def complaints(self) -> list[str]:
        found: list[str] = self.inThread(self.browser.complaints)
        return found


class ShownTests(BrowserTestCase):
    """
    What is to be seen.
    """

    def test_agrees(self) -> None:
        """
        The script shows what the proxy had sent as HTML, cell by cell, and what it does is
        allowed by the page's own policy.
        """
        with self.inThread(urllib.request.urlopen, self.url, timeout=PATIENCE) as answer:
            sent = Page(self.inThread(answer.read)).cells
        self.load()
        shown = self.run_(_SHOWN)
        self.assertEqual(len(shown), len(sent))
        for table, key, cells in shown:
            self.assertEqual([_TIME.sub("T", one) for one in cells],
                             [_TIME.sub("T", one) for one in sent[table, key]])  # fmt: skip
        self.assertEqual(
            self.texts("#sites tr:nth-child(1) td")[:2], ["\u2716\xa0AWAY", "hpc.example.edu"]
        )
        self.assertEqual(len(self.texts("#plots figure svg")), 3)
        self.assertEqual(self.complaints(), [])

    def test_hostile(self) -> None:
        """
        Whatever sites, users and CEs are called and say, no script runs, no element comes to
        be, and the page shows their words.
        """
        now = int(time.time())
        self.load()
        before = set(self.run_(_TAGS))
        parts = self.stage.parts
        for evil in HOSTILE:
            parts["sites"] += [site(evil, now, connected=False, reason=evil)]
            parts["sites"] += [site(evil + "2", now, software=evil, gahps=[evil], address=evil)]
            parts["sessions"] += [session(5, now, session=evil, user=evil, site=evil, state=evil)]
            parts["ends"] += [end(1, now, session=evil, user=evil, by=evil, reason=evil)]
            parts["limits"] += [{"limit": evil, "most": 1, "used": 1, "by": evil}]
        for again in (False, True):
            if again:
                self.load()
            for evil in HOSTILE[:-1]:
                self.wait(f"{_CELLS}.some(cell => cell.textContent === {json.dumps(evil)})")
            tags = set(self.run_(_TAGS))
            self.assertEqual(tags - before, set())
            self.assertNotIn("owned", self.run_("return document.title"))
            self.assertEqual(self.run_("return ({}).level"), None)
        self.assertEqual(self.complaints(), [])

    def test_policy(self) -> None:
        """
        Were there a mistake, the browser would not run what it lets in: neither an inline
        script nor a text that is taken for HTML.
        """
        self.load()
        self.run_("""
            const script = document.createElement('script');
            try { script.textContent = 'document.title = "owned"'; } catch (e) {}
            document.body.append(script);""")
        self.assertEqual(
            self.run_(
                "try { document.body.innerHTML = '<b>x</b>'; return 'done' }"
                " catch (e) { return e.name }"
            ),
            "TypeError",
        )
        self.assertNotEqual(self.run_("return document.title"), "owned")

    def test_own(self) -> None:
        """
        Somebody who does not see all has a page of his own.
        """
        self.user = LocalUser(4242, "alice", 0)
        self.load()
        self.assertEqual(set(self.texts("#sessions td:nth-child(2)")), {"alice"})
        self.assertIn("what alice may see", self.texts("#about")[0])
        self.assertTrue(self.run_("return document.getElementById('day-section').hidden"))

    def test_phone(self) -> None:
        """
        On a phone nothing stands out at the side, and all columns are to be had.
        """
        self.inThread(self.browser.look, 390, 844)
        self.load()
        width = "return document.documentElement.scrollWidth"
        self.assertEqual(self.run_(width), 390)
        shown = (
            "return [...document.querySelectorAll('#sites th')].filter(c => c.offsetWidth).length"
        )
        few = self.run_(shown)
        self.run_("document.getElementById('wide').click()")
        self.assertGreater(self.run_(shown), few)
        self.assertEqual(self.run_(width), 390)

    def test_filter(self) -> None:
        """
        A word finds sites and sessions, of long tables the rest is shown on demand, and keys
        read the plot.
        """
        self.stage = Stage(200, 200)
        self.load()
        self.assertEqual(len(self.texts("#sites tbody tr")), 50)
        self.assertEqual(self.texts("#sites-more"), ["Show all 205"])
        self.run_("document.getElementById('sites-more').click()")
        self.assertEqual(len(self.texts("#sites tbody tr")), 205)
        self.run_("const f = document.getElementById('filter'); f.value = 'SITE0123';"
                  " f.dispatchEvent(new Event('input'))")  # fmt: skip
        self.assertEqual(self.texts("#sites td:nth-child(2)"), ["site0123.example.org"])
        self.assertTrue(self.texts("#sites-tally")[0].startswith("1 of 205"))
        self.run_(
            "document.querySelector('svg').dispatchEvent("
            "new KeyboardEvent('keydown', {key: 'ArrowLeft'}))"
        )
        self.assertRegex(
            self.texts("figcaption span")[0], r"^\d\d:\d\d\u2013\d\d:\d\d: \u2191 \d+ started"
        )


class LifeTests(BrowserTestCase):
    """
    What becomes of it with time.
    """

    def test_live(self) -> None:
        """
        What is otherwise is shown at once, and nothing else is touched; a row that becomes the
        worst goes to the top.
        """
        self.load()
        self.run_(_WATCH)
        (one,) = [one for one in self.stage.parts["sites"] if one["site"] == "site0003.example.org"]
        one["address"] = "192.0.2.99"
        self.wait("document.getElementById('sites').textContent.includes('192.0.2.99')")
        touched = set(self.run_("return [...window.touched]"))
        stalled = self.stage.parts["sessions"][-3]["session"]
        aging = {"hpc.example.edu", stalled}
        self.assertIn("site0003.example.org", touched)
        sites = {key for key in touched if key.startswith("site0")}
        self.assertEqual(sites - aging, {"site0003.example.org"})
        one["connected"], one["reason"] = False, "Connection lost"
        self.wait(
            "document.querySelectorAll('#sites tr')[2].dataset.key === 'site0003.example.org'"
        )
        self.stage.parts["sites"].remove(one)
        self.wait("!document.getElementById('sites').textContent.includes('site0003')")

    def test_restart(self) -> None:
        """
        While the proxy is gone the page says so, and since when, and lets nothing seem fresh;
        when it is back, so is the page, with what is so now.
        """
        self.load()
        self.port.close()
        self.wait("!document.getElementById('gone').hidden", 5)
        (said,) = self.texts("#gone")
        self.assertRegex(said, r"^\u2716 The proxy has not answered since \d\d:\d\d:\d\d\. ")
        self.assertTrue(self.run_("return document.body.classList.contains('stale')"))
        self.assertTrue(self.run_("return document.title.startsWith('(?) ')"))
        before = self.texts("td")
        self.assertTrue(any(one.endswith(" s ago") for one in before))
        self.spend(2.5)
        self.assertEqual(self.texts("td"), before)
        self.stage.parts["sites"] = [site("new.example", int(time.time()))]
        self.port = self.open()
        self.wait("document.getElementById('gone').hidden", 20)
        self.assertEqual(self.texts("#sites td:nth-child(2)"), ["new.example"])

    def test_hangs(self) -> None:
        """
        A proxy that says nothing any more, though its connection is there, is gone, too.
        """
        self.load()
        assert self.port._feed is not None
        self.port._feed._call.cancel()
        self.wait("!document.getElementById('gone').hidden", 20)

    def test_refused(self) -> None:
        """
        A page that is refused comes back when it is not any more.
        """
        self.load()
        self.patch(watchlimits, "PAGE_STREAMS", 0)
        assert self.port._door is not None
        self.port._door.close()
        self.wait("!document.getElementById('gone').hidden", 20)
        self.spend(4)
        self.patch(watchlimits, "PAGE_STREAMS", 9)
        self.wait("document.getElementById('gone').hidden", 20)

    def test_newPage(self) -> None:
        """
        After the proxy's upgrade the browser loads the new page.
        """
        self.load()
        self.run_("window.isOld = true")
        self.run_("document.documentElement.dataset.build = 'old'")
        assert self.port._door is not None
        self.port._door.close()
        self.wait("!window.isOld", 20)

    def test_many(self) -> None:
        """
        With 1,000 sites and 1,000 sessions and twenty who look an update costs the proxy one
        look, and the browser a moment, be all rows shown or not; the numbers are printed.
        """
        self.stage = Stage(1000, 1000)
        self.patch(watchlimits, "PAGE_INTERVAL", 1.0)
        feed = self.port._feed
        assert feed is not None
        feed._pause = 1.0
        tell, spent = feed._tell, []

        def timed(view: Any) -> None:
            began = time.perf_counter()
            tell(view)
            spent.append(time.perf_counter() - began)

        self.patch(feed, "_tell", timed)
        for _ in range(19):
            self._another()
        self.load()
        paint = self.run_(
            "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        )
        print(f"\nfirst paint after {paint:.0f} ms")
        self.run_(_WATCH)
        self._measure("50 rows of a table", feed, spent)
        for table in ("sites", "sessions"):
            self.run_(f"document.getElementById('{table}-more').click()")
        self.assertEqual(len(self.texts("#sites tbody tr")), 1005)
        self.run_("window.moved = 0")
        self._measure("all rows", feed, spent)
        self.assertLess(self.run_("return window.moved"), 6)

    def _measure(self, what: str, feed: Feed, spent: list[float]) -> None:
        """
        Print what ten updates cost, in which a fifth of all is otherwise.
        """
        self.run_(_TIMES)
        made = self.stage.made
        spent.clear()
        moving = LoopingCall(self.stage.move)
        moving.clock = self.reactor
        moving.start(1.0)
        self.until(lambda: len(spent) >= 10, 60)
        moving.stop()
        self.assertEqual(feed.streams, 20)
        self.assertLessEqual(self.stage.made - made, len(spent) + 2)
        times = self.run_("return window.times")
        script, layout, sizes = (sorted(column) for column in zip(*times, strict=True))
        middle = len(times) // 2
        print(
            f"{what}: browser {script[middle]:.1f} ms and {layout[middle]:.1f} ms for its layout"
            f" ({script[-1]:.1f} and {layout[-1]:.1f} at the most), {sizes[middle]} bytes; proxy"
            f" {sorted(spent)[len(spent) // 2] * 1000:.1f} ms for 20 viewers"
        )
        self.assertLess(script[middle], 200)

    def _another(self) -> None:
        """
        One more looks, and reads what he is told.
        """

        def read() -> None:
            with socket.create_connection(self.address) as connection:
                connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                try:
                    while connection.recv(1 << 20):
                        pass
                except ConnectionResetError:
                    pass  # the proxy has stopped

        reading = threading.Thread(target=read)
        reading.start()
        self.readers.append(reading)
