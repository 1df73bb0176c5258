"""
Real processes: one CE that serves two proxies, the second of which joins while it runs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket as socketmodule
from pathlib import Path

from rvgahp.daemonprocess import Daemon
from tests.enrolledcase import SITE, EnrolledTestCase
from tests.procfs import waitFor
from tests.programs import PROMPT, program, runProgram


class TwoProxiesTests(EnrolledTestCase):
    """
    A CE and two proxies, each with its own authority.
    """

    def addProxy(self) -> tuple[str, str]:
        """
        @return: one more proxy's socket, and what the site dials.
        """
        directory = self.directory / "other"
        directory.mkdir()
        socket = str(directory / "proxy.sock")
        config = directory / "condor_config"
        config.write_text(
            f"RVGAHP_PORT = 0\nRVGAHP_SOCKET = {socket}\nRVGAHP_STATE_DIR = {directory}/state\n"
            f"RVGAHP_PUBLIC_ADDRESS = localhost:41000\n"
        )
        proxy = Daemon(directory, "rvgahp-proxy", config)
        self.addCleanup(proxy.stop)
        proxy.start()
        return socket, f"127.0.0.1:{proxy.said['X_RVGAHP_PORT']}"

    def status(self) -> dict[str, dict[str, object]]:
        """
        @return: what the CE shows of its proxies, by the names that it has for them.
        """
        with socketmodule.socket(socketmodule.AF_UNIX) as connection:
            connection.settimeout(PROMPT)
            connection.connect(str(self.site / "rvgahp-ce.status"))
            connection.sendall(b"GET /v1/status HTTP/1.0\r\nHost: rvgahp\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        shown = json.loads(answer.partition(b"\r\n\r\n")[2])
        return {one["name"]: one for one in shown["proxies"]}

    def reload(self) -> None:
        """
        SIGHUP.
        """
        assert self.ce.process is not None
        self.ce.process.send_signal(signal.SIGHUP)

    def test_twoProxies(self) -> None:
        """
        A second proxy joins by one command and a reload, while a GAHP runs for the first; each
        has its own name and owner of the site there.  When the first is killed, what runs for the
        other goes on and more is started; the status tells which is away.
        """
        self.assertEqual(self.join(self.invite()).status, 0)
        self.configure()
        self.ce.start()
        first = self.client()
        self.echo(first, b"for the first")
        socket, target = self.addProxy()
        name = "cluster.other.example"
        run = self.rvgahp("invite", name, "--socket", socket)
        found = re.search(r"^    rvgahp join (\S+)$", run.output.decode(), re.MULTILINE)
        assert found is not None, run
        run = self.join(found[1], "--as", "second", "--connect-to", target)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.assertIn("rvgahp reload", run.output.decode())
        self.reload()
        waitFor(lambda: len(self.status()) == 2, "the second proxy", PROMPT)
        waitFor(lambda: self.status()["second"]["connected"], "the second's answer", PROMPT)
        other = self.client(socket, name)
        self.echo(other, b"for the second")
        self.echo(first, b"for the first, still")
        shown = self.status()
        self.assertEqual([one["site"] for one in shown.values()], [SITE, name])
        self.assertEqual([one["sessions"] for one in shown.values()], [1, 1])
        assert self.proxy.process is not None
        os.kill(self.proxy.process.pid, signal.SIGKILL)
        self.proxy.process.wait(PROMPT)
        waitFor(lambda: not self.status()[""]["connected"], "the loss of the first", PROMPT)
        self.echo(other, b"goes on")
        self.echo(first, b"so does this, by its own channel")
        words = [program("rvgahp_client"), "--socket", socket, name, "cat"]
        more = runProgram(words, b"and more\n")
        self.assertEqual((more.status, more.output), (0, b"and more\n"), more)
        self.assertTrue(self.status()["second"]["connected"])
        rules = Path(self.site / "access").read_text()
        self.assertRegex(rules, r"(?m)^ALLOW START \S+/localhost$")
