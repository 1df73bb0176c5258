"""
Real processes: streams that go on when their channels break.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import threading
import time

from tests.procfs import PATIENCE, waitFor
from tests.wholecase import PlaygroundTestCase


class CutTests(PlaygroundTestCase):
    """
    A relay that cuts.
    """

    relayed = True
    gahps = {"cat": "/bin/cat"}

    def echoed(self, data: bytes, cut) -> None:
        client = self.playground.client("cat")
        assert client.stdin is not None and client.stdout is not None
        stdin, stdout = client.stdin, client.stdout
        digest = hashlib.sha256()
        count = [0]

        def read() -> None:
            while True:
                piece = os.read(stdout.fileno(), 1 << 18)
                if not piece:
                    return
                digest.update(piece)
                count[0] += len(piece)

        def write() -> None:
            stdin.write(data)
            stdin.close()

        threads = [threading.Thread(target=one) for one in (read, write)]
        for one in threads:
            one.start()
        cut(lambda: not threads[0].is_alive(), count)
        for one in threads:
            one.join(PATIENCE)
        status = client.wait(PATIENCE)
        errors = client.stderr.read()
        self.assertEqual((status, errors, count[0]), (0, b"", len(data)))
        self.assertEqual(digest.hexdigest(), hashlib.sha256(data).hexdigest())

    def test_cuts(self) -> None:
        """
        Bytes both ways arrive whole however often the channel is cut.
        """
        data = os.urandom(1 << 20) * 64
        cuts = [0]

        def cut(isOver, count) -> None:
            while not isOver():
                time.sleep(random.uniform(0.02, 0.1))
                live = [one for one in self.playground.relay.data() if one.isOpen]
                if live:
                    self.playground.relay.cut(live[-1], reset=random.random() < 0.5)
                    cuts[0] += 1

        began = time.monotonic()
        self.echoed(data, cut)
        print("cuts", cuts, time.monotonic() - began)
        self.assertGreater(cuts[0], 3)

    def test_proxyKilled(self) -> None:
        """
        The proxy is killed and restarted; a channel that is cut afterwards resumes.
        """
        client = self.playground.client("cat")
        def talk(word: bytes) -> None:
            client.stdin.write(word)
            client.stdin.flush()
            self.assertEqual(os.read(client.stdout.fileno(), 100), word)
        talk(b"one\n")
        os.kill(self.playground.proxyPid, signal.SIGKILL)
        self.playground.sandbox.proxy.process.wait()
        talk(b"two\n")
        self.playground.sandbox.proxy.process = None
        self.playground.sandbox.startProxy()
        self.playground.relay.target = ("127.0.0.1", self.playground.sandbox.port)
        talk(b"three\n")
        self.playground.awaitLog("proxy", "has claimed it", self.before("proxy"))
        live = [one for one in self.playground.relay.data() if one.isOpen]
        began = time.monotonic()
        self.playground.relay.cut(live[-1])
        talk(b"four\n")
        print("resumed in", time.monotonic() - began)
