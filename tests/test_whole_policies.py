"""
Real processes: the security policies of proxy and site, seen by an eavesdropper who can
also alter.
"""

from __future__ import annotations

import subprocess

from tests.playground import Playground
from tests.procfs import PATIENCE
from tests.relay import Connection, Relay
from tests.wholecase import WholeTestCase

_MARKER = b"a marker that can be found "
_NEVER = "RVGAHP.SEC_DEFAULT_ENCRYPTION = NEVER\n"
_NEITHER = f"{_NEVER}RVGAHP.SEC_DEFAULT_INTEGRITY = NEVER\n"
_OPTIONAL = "RVGAHP.SEC_DEFAULT_ENCRYPTION = OPTIONAL\nRVGAHP.SEC_DEFAULT_INTEGRITY = OPTIONAL\n"
_PEERS = "RVGAHP_CLEARTEXT_PEERS = 127.0.0.0/8\n"


class PolicyTests(WholeTestCase):
    """
    Each with a proxy and a CE of its own.
    """

    def _start(self, proxySettings: str, ceSettings: str) -> Playground:
        relay = Relay()
        gahps = {"cat": "/bin/cat"}
        ceSettings += "FT_GAHP = /bin/true\n"
        self.playground = Playground(gahps, proxySettings, ceSettings, relay)
        self.playground.start()
        self.addCleanup(self.playground.stop)
        return self.playground

    def _carried(self) -> bytes:
        """
        @return: all that went over the wire during a session that carried the marker
            there and back.
        """
        run = self.playground.run("cat", _MARKER * 1000)
        self.assertEqual((run.status, run.output, run.errors), (0, _MARKER * 1000, ""))
        return b"".join(
            bytes(way.kept)
            for connection in self.playground.relay.all()
            for way in (connection.toProxy, connection.toCE)
        )

    def _alter(self, offset: int) -> subprocess.Popen[bytes]:
        """
        Alter one byte of the marker's way back.

        @return: the client.
        """

        first = len(self.playground.relay.data())

        def arrived(connection: Connection) -> None:
            if connection.isData and connection.number == first:
                connection.toProxy.flips = {offset: 1}

        self.playground.relay.arrived = arrived
        client = self.playground.client("cat")
        assert client.stdin is not None
        client.stdin.write(_MARKER * 1000)
        client.stdin.flush()
        return client

    def assertConflict(self, name: str, *words: str) -> None:
        """
        A start is refused for the sake of a policy.
        """
        self.assertRefused(self.playground.run(name), *words)

    def assertStarts(self, name: str) -> None:
        """
        A start is not refused.
        """
        run = self.playground.run(name)
        self.assertEqual((run.status, run.errors), (0, ""))

    def test_encrypt(self) -> None:
        """
        By default nothing that a GAHP or its client says can be read on the way; a plain
        setting of the pool cannot lower that.
        """
        self._start("SEC_DEFAULT_ENCRYPTION = NEVER\n", "SEC_DEFAULT_INTEGRITY = OPTIONAL\n")
        self.assertNotIn(_MARKER, self._carried())
        self.assertStarts("condor_ft-gahp")
        for daemon in ("proxy", "ce"):
            self.assertIn("setting for the whole pool may raise it", self.playground.log(daemon))

    def test_integrity(self) -> None:
        """
        With integrity alone all can be read on the way, and what is altered is noticed, said,
        and sent again; C{condor_ft-gahp} is refused.
        """
        self._start(_NEVER, _NEVER)
        carried = self._carried()
        self.assertEqual(carried.count(_MARKER * 1000), 2)
        client = self._alter(5000)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, output), (0, _MARKER * 1000))
        self.assertIn(b"failed its integrity check", errors)
        self.assertConflict(
            "condor_ft-gahp", "only started where channels are encrypted", "'integrity'"
        )

    def test_none(self) -> None:
        """
        With neither, all can be read, and altered unnoticed; C{condor_ft-gahp} is refused.
        """
        self._start(_NEITHER + _PEERS, _NEITHER + _PEERS)
        self.assertEqual(self._carried().count(_MARKER * 1000), 2)
        client = self._alter(5000)
        output, errors = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, errors), (0, b""))
        self.assertEqual(len(output), len(_MARKER) * 1000)
        different = [a for a, b in zip(output, _MARKER * 1000, strict=True) if a != b]
        self.assertEqual(len(different), 1)
        self.assertConflict("condor_ft-gahp", "only started where channels are encrypted")

    def test_noneOfProxyOnly(self) -> None:
        """
        Nothing is unprotected where only the proxy's settings name the site's address.
        """
        self._start(_NEITHER + _PEERS, _NEITHER)
        self.assertConflict("cat", "RVGAHP_CLEARTEXT_PEERS of the site does not name 127.0.0.1")

    def test_noneOfSiteOnly(self) -> None:
        """
        Nor where only the site's settings name the proxy's address.
        """
        self._start(_NEITHER + "RVGAHP_CLEARTEXT_PEERS = 192.0.2.1\n", _NEITHER + _PEERS)
        self.assertConflict("cat", "RVGAHP_CLEARTEXT_PEERS of the proxy does not name 127.0.0.1")

    def test_conflict(self) -> None:
        """
        One requires what the other never allows: said to the client, in the words of the
        settings.
        """
        self._start("", _NEVER)
        self.assertConflict("cat", "SEC_DEFAULT_ENCRYPTION exclude each other", "NEVER")
        self.playground.awaitLog("ce", "No GAHP can be started: The two sides' SEC_DEFAULT_ENC")

    def test_raised(self) -> None:
        """
        OPTIONAL on both sides is nothing; PREFERRED on one raises it.
        """
        self._start(_OPTIONAL.replace("OPTIONAL", "PREFERRED"), _OPTIONAL)
        self.assertNotIn(_MARKER, self._carried())
        self.assertStarts("condor_ft-gahp")
