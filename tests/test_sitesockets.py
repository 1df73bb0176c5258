"""
Tests of L{rvgahp.sitesockets}, and of the setting that it is for.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError
from rvgahp.settings import settingsFrom
from rvgahp.sitesockets import siteSockets


class SiteSocketsTests(SynchronousTestCase):
    """
    Tests of L{siteSockets}.
    """

    def test_allowed(self) -> None:
        """
        Pairs parted by commas, blanks or both, with blanks around C{=} or without.
        """
        kind = siteSockets(107)
        for text, sockets in {
            "a=/p": {"a": "/p"},
            "a = /p": {"a": "/p"},
            "a=/p, b=/q": {"a": "/p", "b": "/q"},
            "a=/p b =/q ,c= /r,": {"a": "/p", "b": "/q", "c": "/r"},
            "alice@login.example.edu=/tmp/alice.rvgahp.sock": {
                "alice@login.example.edu": "/tmp/alice.rvgahp.sock"
            },
            "a=//tmp/../p/": {"a": "/p"},
            "a=/x=y": {"a": "/x=y"},
            "a=/" + "x" * 106: {"a": "/" + "x" * 106},
        }.items():
            self.assertEqual(kind.parse(text), sockets)

    def test_refused(self) -> None:
        """
        A site or a path twice, however it is written, a path that is relative, missing or
        too long, and a name that no site can have.
        """
        kind = siteSockets(107)
        for text in (
            ",",
            "a",
            "/p",
            "a=",
            "=/p",
            "a=p",
            "a=/p a=/q",
            "a=/p a=/p",
            "a=/p b=/p",
            "a=/p b=//x/../p",
            "a=/p b",
            "a b=/p",
            "a=/p=/q, =",
            "-a=/p",
            "a=/" + "x" * 107,
            "a=/\x07",
        ):
            self.assertRaises(ValueError, kind.parse, text)

    @given(st.text("a=/, .b@", max_size=20))
    def test_anyText(self, text: str) -> None:
        """
        Any text gives absolute paths, each once, or is refused.
        """
        try:
            sockets = siteSockets(107).parse(text)
        except ValueError:
            return
        self.assertTrue(sockets)
        self.assertEqual(len(set(sockets.values())), len(sockets))
        for path in sockets.values():
            self.assertRegex(path, "^/([^/]|$)")


class SettingTests(SynchronousTestCase):
    """
    C{RVGAHP_SITE_SOCKETS}.
    """

    def sockets(self, text: str, main: str = "/run/rvgahp/proxy.sock") -> dict[str, str]:
        """
        @return: the value of the setting.
        """
        values = {"RVGAHP_SITE_SOCKETS": text, "RVGAHP_SOCKET": main}
        settings = settingsFrom("proxy", Configuration(None, values))
        sockets: dict[str, str] = settings.get("RVGAHP_SITE_SOCKETS")
        return sockets

    def test_value(self) -> None:
        """
        It has the paths by site, and none where it is not set.
        """
        self.assertEqual(self.sockets("a=/p"), {"a": "/p"})
        settings = settingsFrom("proxy", Configuration(None, {}))
        self.assertEqual(settings.get("RVGAHP_SITE_SOCKETS"), {})

    def test_sentences(self) -> None:
        """
        A mistake is named with the setting and what is allowed.
        """
        for text, main, words in (
            ("a=/p a=/q", "/s", ("a=/p a=/q", "each site and each path once")),
            ("a=p", "/s", ("absolute",)),
            ("a=/p b=/s", "//s", ("site b", "/s", "RVGAHP_SOCKET", "another")),
        ):
            e = self.assertRaises(ConfigurationError, self.sockets, text, main)
            for word in ("RVGAHP_SITE_SOCKETS", *words):
                self.assertIn(word, str(e))
