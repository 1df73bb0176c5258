"""
Tests of L{rvgahp.handedsockets}, with sockets that a program really inherits.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.errors import ConfigurationError
from rvgahp.handedsockets import refuseBackground, takeSockets
from tests.handing import listening, startWith, withoutSystemd
from tests.procfs import PATIENCE

#: Takes what it is given, and tells what that was.
_PROGRAM = """
import json, os, sys
from rvgahp.errors import ConfigurationError
from rvgahp.handedsockets import takeSockets
try:
    taken = takeSockets(os.environ)
except ConfigurationError as e:
    said = str(e)
else:
    said = {
        name: [one.fileno(), one.family.name, one.getsockname(), one.get_inheritable()]
        for name, one in taken.items()
    }
print(json.dumps([said, [name for name in os.environ if name.startswith("LISTEN_")]]))
"""


class TakeTests(SynchronousTestCase):
    """
    What is taken, and what is refused.
    """

    def setUp(self) -> None:
        """
        Make a directory for sockets.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def take(self, *sockets: tuple[str, int]) -> Any:
        """
        @return: what a program has taken, or its sentence.
        """
        environ = {**withoutSystemd(), "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-c", _PROGRAM]
        process = startWith(sockets, words, environ, stdout=subprocess.PIPE)
        output, _ = process.communicate(timeout=PATIENCE)
        said, left = json.loads(output)
        self.assertEqual(left, [])
        return said

    def make(self, address: Any, family: int = socket.AF_UNIX) -> socket.socket:
        """
        @param address: for a UNIX socket a name.
        @return: a socket that listens.
        """
        if family == socket.AF_UNIX:
            address = os.path.join(self.directory, address)
        made = listening(address, family)
        self.addCleanup(made.close)
        return made

    def test_all(self) -> None:
        """
        Each is known by its name, in whatever order they come, and is not passed on.
        """
        port = self.make(("127.0.0.1", 0), socket.AF_INET)
        clients, status = self.make("c"), self.make("s")
        taken = self.take(
            ("status", status.fileno()), ("port", port.fileno()), ("clients", clients.fileno())
        )
        expected = {
            "status": [3, "AF_UNIX", status.getsockname(), False],
            "port": [4, "AF_INET", list(port.getsockname()), False],
            "clients": [5, "AF_UNIX", clients.getsockname(), False],
        }
        self.assertEqual(taken, expected)

    def test_none(self) -> None:
        """
        Some of them may be missing, and all.
        """
        self.assertEqual(self.take(), {})
        self.assertEqual(list(self.take(("status", self.make("s").fileno()))), ["status"])

    def test_six(self) -> None:
        """
        The port may be one of IPv6.
        """
        try:
            port = self.make(("::1", 0), socket.AF_INET6)
        except OSError as e:
            self.skipTest(f"no IPv6 here: {e}")
        self.assertEqual(self.take(("port", port.fileno()))["port"][1], "AF_INET6")

    def test_names(self) -> None:
        """
        A name that there is not, none at all, and one that comes twice are refused.
        """
        one, other = self.make("a").fileno(), self.make("b").fileno()
        for name in ("", "unknown", "rvgahp-proxy.socket"):
            self.assertIn(f"Descriptor 3 was handed over as {name!a}", self.take((name, one)))
        self.assertIn("Two sockets", self.take(("clients", one), ("clients", other)))

    def test_wrong(self) -> None:
        """
        What is not what its name says is refused.
        """
        tcp = self.make(("127.0.0.1", 0), socket.AF_INET)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        idle = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        abstract = listening(f"\0rvgahp-test-{os.getpid()}")
        for one in (datagrams, idle, abstract):
            self.addCleanup(one.close)
        with open(os.devnull) as file:
            for name, fd, said in (
                ("port", self.make("u").fileno(), "is not of TCP"),
                ("clients", tcp.fileno(), "is no UNIX socket"),
                ("status", tcp.fileno(), "is no UNIX socket"),
                ("port", datagrams.fileno(), "is not for streams"),
                ("port", idle.fileno(), "does not listen"),
                ("clients", abstract.fileno(), "has no path"),
                ("port", file.fileno(), "is no socket"),
            ):
                sentence = self.take((name, fd))
                self.assertIn(f"Descriptor 3, handed over as {name}, {said}", sentence)


class VariableTests(SynchronousTestCase):
    """
    What the variables may say.
    """

    def test_another(self) -> None:
        """
        Variables that are for another process are removed, and that is all.
        """
        for pid in ("1", "", "x"):
            environ = {"LISTEN_PID": pid, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "A": "b"}
            self.assertEqual(takeSockets(environ), {})
            self.assertEqual(environ, {"A": "b"})

    def test_number(self) -> None:
        """
        A number that is none is refused.
        """
        for number in ("", "-1", "x", "65", "9" * 5000):
            environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": number}
            e = self.assertRaises(ConfigurationError, takeSockets, environ)
            self.assertIn("LISTEN_FDS is ", str(e))
            self.assertEqual(environ, {})

    def test_background(self) -> None:
        """
        With sockets twistd has to stay in the foreground; without, it may do as it likes.
        """
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        refuseBackground(environ, True)
        e = self.assertRaises(ConfigurationError, refuseBackground, environ, False)
        self.assertIn("--nodaemon", str(e))
        refuseBackground({**environ, "LISTEN_PID": "1"}, False)
        refuseBackground({**environ, "LISTEN_FDS": "0"}, False)
        refuseBackground({}, False)
