"""
Tests of L{rvgahp.servedproxies}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.attention import sentences
from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError, CredentialError
from rvgahp.servedproxies import readServed
from rvgahp.settings import Settings, settingsFrom
from tests.identities import SITE, ceCredentials, written


class ServedTests(SynchronousTestCase):
    """
    Which proxies are served.
    """

    def setUp(self) -> None:
        """
        Two proxies, with good credentials each.
        """
        self.values = {"RVGAHP_PROXY_NAMES": "b"}
        for prefix, host in (("RVGAHP_", "one"), ("RVGAHP_PROXY_B_", "two")):
            self.values[f"{prefix}BROKER_HOST"] = host
            directory = Path(self.mktemp()).absolute()
            directory.mkdir()
            for name, path in written(ceCredentials(), directory).items():
                self.values[prefix + name.removeprefix("RVGAHP_")] = path

    def settings(self, **values: str) -> Settings:
        """
        @return: those, and these.
        """
        return settingsFrom("ce", Configuration(None, {**self.values, **values}))

    def test_served(self) -> None:
        """
        Each has its name, its place and the name of the site in its certificate.
        """
        served, unusable = readServed(self.settings())
        self.assertEqual([one.name for one in served], ["", "b"])
        self.assertEqual([one.place for one in served], ["one:41000", "two:41000"])
        self.assertEqual([one.site for one in served], [SITE, SITE])
        self.assertEqual(unusable, [])

    def test_unusable(self) -> None:
        """
        One whose credentials cannot be used is done without, and the status says why; where none
        can be used, that is refused.
        """
        settings = self.settings(RVGAHP_PROXY_B_CERTFILE="/no/such/file")
        served, (broken,) = readServed(settings)
        self.assertEqual([one.name for one in served], [""])
        self.assertIn("/no/such/file", broken.problem)
        shown = {"now": int(broken.since), "proxies": [broken.document()]}
        (sentence,) = sentences(shown)
        self.assertIn("The proxy two port 41000 is away", sentence)
        self.assertIn("/no/such/file", sentence)
        settings = self.settings(
            RVGAHP_PROXY_B_CERTFILE="/no/such/file", RVGAHP_CERTFILE="/none/either"
        )
        e = self.assertRaises(CredentialError, readServed, settings)
        self.assertIn("/none/either", str(e))

    def test_otherSite(self) -> None:
        """
        One whose certificate is of another site than its setting says is done without, too.
        """
        served, (broken,) = readServed(self.settings(RVGAHP_PROXY_B_SITE="else"))
        self.assertEqual([one.name for one in served], [""])
        self.assertIn("RVGAHP_SITE is else", broken.problem)

    def test_same(self) -> None:
        """
        Two that are one, for the same site, would push each other out for ever: refused.  For
        two sites they are two.
        """
        same = {"RVGAHP_PROXY_B_BROKER_HOST": "ONE"}
        e = self.assertRaises(ConfigurationError, readServed, self.settings(**same))
        self.assertIn("RVGAHP_BROKER_HOST and b: both are at one port 41000", str(e))
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        files = written(ceCredentials("other.example"), directory)
        own = {f"RVGAHP_PROXY_B_{n.removeprefix('RVGAHP_')}": path for n, path in files.items()}
        served, _ = readServed(self.settings(**same, **own))
        self.assertEqual([one.site for one in served], [SITE, "other.example"])
