"""
Tests of L{rvgahp.pagetext}, and that the page's script knows the same.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.pagerows import viewOf
from rvgahp.pagetext import _FORMS, _ORDERS, COLUMNS, FIRST, pageText
from rvgahp.pageweb import Assets
from tests import pagestage
from tests.pagestage import HOSTILE, ROOT, Stage

ASSETS = Assets()
TEMPLATE = ASSETS.content["page.html"].decode()
SCRIPT = ASSETS.content["page.js"].decode()


class Page(HTMLParser):
    """
    What a browser makes of a page.

    @ivar tags: those that begin something, with their attributes.
    @ivar cells: texts of cells, by the id of their table and the key of their row.
    """

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: dict[tuple[str, str], list[str]] = {}
        self._at = ("", "")
        self.words: list[str] = []
        self.feed(text.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "table":
            self._at = (str(found["id"]), "")
        if tag == "tr" and "data-key" in found:
            self._at = (self._at[0], str(found["data-key"]))
            self.cells[self._at] = []
        if tag == "td":
            self.cells[self._at].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._at = (self._at[0], "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.cells.get(self._at):
            self.cells[self._at][-1] += data


def pageOf(seen: dict[str, Any], most: int = FIRST) -> bytes:
    return pageText(TEMPLATE, viewOf(seen), seen["now"], "submit", "b1", most)


class PageTests(SynchronousTestCase):
    """
    What stands in the page.
    """

    def test_troubles(self) -> None:
        """
        Without any script each trouble stands there in words, the worst rows first.
        """
        seen = Stage().document(ROOT)
        page = Page(pageOf(seen))
        for sentence in seen["attention"]:
            self.assertIn(sentence, page.words)
        sites = [key for table, key in page.cells if table == "sites"]
        self.assertEqual(sites[0], "hpc.example.edu")
        self.assertEqual(
            set(sites[1:4]), {"far.example.au", "old.example.org", "quiet.example.org"}
        )
        cells = page.cells["sites", "far.example.au"]
        self.assertEqual(cells[:5], ["\u25b2\xa0slow", "far.example.au", "3 d", "1", "1260 ms"])
        self.assertIn("(7) submit: rvgahp", page.words)

    def test_hostile(self) -> None:
        """
        Whatever a site, a user or a CE is called and says, it is text: it makes no element and
        no attribute.
        """
        stage = Stage(1, 1)
        plain = Page(pageOf(stage.document(ROOT), 0))
        now = stage.document(ROOT)["now"]
        for evil in HOSTILE:
            stage.parts = {
                "sites": [
                    pagestage.site(evil, now, connected=False, reason=evil),
                    pagestage.site(evil + "2", now, gahps=[evil], software=evil, address=evil),
                ],
                "sessions": [
                    pagestage.session(1, now, user=evil, site=evil, gahp=evil),
                    pagestage.session(2, now, session=evil, account=evil, state=evil),
                ],
                "ends": [pagestage.end(1, now, user=evil, site=evil, by=evil, reason=evil)],
                "limits": [{"limit": evil, "most": 1, "used": 1, "by": evil}],
            }
            seen = {**stage.document(ROOT), "software": evil, "you": evil}
            page = Page(pageText(TEMPLATE, viewOf(seen), now, evil, "b1"))
            self.assertEqual({tag for tag, _ in page.tags} - {tag for tag, _ in plain.tags}, set())
            names = {name for _, found in page.tags for name in found}
            self.assertEqual(names - {name for _, found in plain.tags for name in found}, set())
            self.assertEqual(sum(tag == "script" for tag, _ in page.tags), 1)
            if evil.isprintable():
                self.assertEqual(page.cells["sites", evil][1], evil)

    def test_most(self) -> None:
        """
        A long table begins with what is worst, and all of it is there for whoever asks.
        """
        seen = Stage(200, 200).document(ROOT)
        few, all_ = Page(pageOf(seen)), Page(pageOf(seen, 0))
        for table, count in (("sites", 205), ("sessions", 203)):
            self.assertEqual(sum(name == table for name, _ in few.cells), FIRST)
            self.assertEqual(sum(name == table for name, _ in all_.cells), count)
            keys = [key for key in all_.cells if key[0] == table]
            self.assertEqual([key for key in few.cells if key[0] == table], keys[:FIRST])

    def test_counts(self) -> None:
        """
        Where not all troubles are said their number is.
        """
        seen = Stage(0, 0, isWell=True).document(ROOT)
        self.assertIn(b'<p id="well">', pageOf(seen))
        self.assertIn(b'<ul id="counts"></ul>', pageOf(seen))
        seen["sites"] = [
            pagestage.site(f"s{one}", seen["now"], connected=False) for one in range(1200)
        ]
        words = "".join(Page(pageOf(seen)).words)
        self.assertIn(b'<p id="well" hidden>', pageOf(seen))
        self.assertIn("1,200 away", words)
        self.assertIn("and 1,194 more, in the tables", words)

    def test_plot(self) -> None:
        """
        The plot is for those who see all.
        """
        seen = Stage().document(ROOT)
        self.assertIn(b'<section id="day-section" aria-labelledby="day-title">', pageOf(seen))
        text = pageOf({**seen, "administrator": False})
        self.assertIn(b'<section id="day-section" aria-labelledby="day-title" hidden>', text)


class FormTests(SynchronousTestCase):
    """
    How values are shown.
    """

    def test_forms(self) -> None:
        """
        Each form, and a dash for what is not known.
        """
        now = 100_000
        for form, value, shown in (
            ("text", "a", "a"),
            ("text", "", "-"),
            ("count", 1234, "1,234"),
            ("count", 0, "0"),
            ("bytes", 1 << 20, "1.0 MiB"),
            ("bytes", None, "-"),
            ("lived", 0.25, "0.2 s"),
            ("lived", 600.0, "10 min"),
            ("age", now - 45, "45 s"),
            ("ago", now - 45, "45 s ago"),
            ("left", now + 45, "45 s left"),
            ("left", now, "has ended"),
            ("ping", 0.0214, "21 ms"),
        ):
            self.assertEqual(_FORMS[form]({"x": value}, "x", now), shown)
        stalled = {"state": "STALLED", "stalledSince": now - 60}
        self.assertEqual(_FORMS["state"](stalled, "state", now), "STALLED 60 s")
        self.assertEqual(_FORMS["used"]({"used": 1, "most": 2}, "used", now), "1 of 2")

    def test_script(self) -> None:
        """
        The script has the same forms and orders, and it and the styles fetch nothing from
        elsewhere and never take a text for HTML.
        """
        forms = re.search(r"const FORMS = \{(.*?)\n\};", SCRIPT, re.DOTALL)
        orders = re.search(r"const ORDERS = \{(.*?)\n\};", SCRIPT, re.DOTALL)
        assert forms and orders
        self.assertEqual(set(re.findall(r"(?m)^  (\w+)[:,]", forms[1])), set(_FORMS))
        self.assertEqual(set(re.findall(r"(?m)^  (\w+):", orders[1])), set(_ORDERS))
        used = {column.form for columns in COLUMNS.values() for column in columns}
        self.assertEqual(used, set(_FORMS))
        for name, content in ASSETS.content.items():
            text = content.decode().replace("http://www.w3.org/2000/svg", "")
            for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(",
                         "://", "@import", " style=", " onclick", " onload", "<style"):  # fmt: skip
                self.assertNotIn(word, text, name)
