"""
Test cases of real processes.

Each class of tests has one sandbox, or shares that of the class before it where both
want the same.  It is started for the first test that needs it and stopped when another is
needed, or at the end.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from tests.playground import Playground
from tests.procfs import isAlive, waitFor
from tests.programs import PROMPT, Run
from tests.relay import Relay
from tests.shared import current, stopShared

#: What a log must never hold: the traces of a bug.
_BUGS = ("Traceback", "A bug in", "Unhandled")


class WholeTestCase(SynchronousTestCase):
    """
    What tests of real processes assert.
    """

    def assertGone(self, pid: int) -> None:
        """
        The process ends.
        """
        waitFor(lambda: not isAlive(pid), f"the end of process {pid}")

    def assertRefused(self, run: Run, *words: str) -> None:
        """
        A client ended as it does where it could not get a GAHP: status 255, nothing on
        stdout, one sentence on stderr, promptly.  Only a proxy, or just after its start a
        site, that is not there is waited for first.

        @param words: what the sentence must have.
        """
        isAbsent = "no proxy listens" in run.errors or "is not connected" in run.errors
        self.assertEqual(run.status, 255, run)
        self.assertEqual(run.output, b"", run)
        self.assertEqual(run.errors.count("\n"), 1, run)
        self.assertTrue(run.errors.startswith("rvgahp_client: "), run)
        for word in words:
            self.assertIn(word, run.errors)
        self.assertLess(run.seconds, PROMPT + isAbsent * limits.RESTART_GRACE)


class PlaygroundTestCase(WholeTestCase):
    """
    Tests that share a sandbox.

    @cvar gahps: command lines by name.
    @cvar proxySettings: further lines for the proxy's configuration file.
    @cvar ceSettings: further lines for the CE's.
    @cvar relayed: whether a relay lies between the CE and the proxy.
    """

    gahps: Mapping[str, str] = {}
    proxySettings = ""
    ceSettings = ""
    relayed = False

    def setUp(self) -> None:
        key = self._key()
        known = current.get(key)
        if known is None or known.sandbox.deadDaemon():
            stopShared()
            current[key] = self.makePlayground().start()
        self.playground = current[key]
        self.addCleanup(self._checkLogs)
        self.addCleanup(self.playground.endFurther)
        self.addCleanup(self.playground.endClients)
        self._logged = {daemon: len(self.playground.log(daemon)) for daemon in ("proxy", "ce")}

    def _key(self) -> object:
        """
        @return: what is equal for classes that can share a sandbox.
        """
        if type(self).makePlayground is not PlaygroundTestCase.makePlayground:
            return type(self)
        gahps = tuple(sorted(self.gahps.items()))
        return gahps, self.proxySettings, self.ceSettings, self.relayed

    def makePlayground(self) -> Playground:
        """
        @return: this class's, not started yet.
        """
        relay = Relay() if self.relayed else None
        return Playground(self.gahps, self.proxySettings, self.ceSettings, relay)

    def before(self, daemon: str) -> int:
        """
        @return: how long the daemon's log was at the beginning of the test.
        """
        return self._logged[daemon]

    def _checkLogs(self) -> None:
        """
        Nothing that a test does may show a bug in a daemon.
        """
        for daemon, start in self._logged.items():
            text = self.playground.log(daemon)[start:]
            for word in _BUGS:
                found = text.find(word)
                if found >= 0:
                    self.fail(f"in the log of the {daemon}: {text[max(0, found - 300) :][:2000]}")

    def assertServes(self, name: str = "cat") -> None:
        """
        The sandbox still works.
        """
        run = self.playground.run(name, b"does it still work?\n")
        self.assertEqual((run.status, run.output, run.errors), (0, b"does it still work?\n", ""))
