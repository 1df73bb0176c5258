"""
Tests of L{rvgahp.proxysocket}.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
import threading
import time
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits, proxysocket
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.proxysocket import ProxyAbsent, condorConfigVal, connect, findSocket, listenerUid
from tests.steppedloop import descriptorCount

#: An account that is neither root nor, one may hope, the one the tests run under.
NOBODY = 65534


class ProxySocketTestCase(SynchronousTestCase):
    """
    A directory, and an environment that nothing has been said in.
    """

    def setUp(self) -> None:
        self.before = descriptorCount()
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        self._saved = dict(os.environ)
        for name in ("_CONDOR_RVGAHP_SOCKET", "_CONDOR_RVGAHP_ACCOUNT"):
            os.environ.pop(name, None)
        os.environ["PATH"] = self.directory
        self.patch(proxysocket, "DEFAULT_SOCKET", self.path("default"))

    def tearDown(self) -> None:
        os.environ.clear()
        os.environ.update(self._saved)
        self.assertEqual(descriptorCount(), self.before)

    def path(self, name: str) -> str:
        """
        A path in the directory.
        """
        return os.path.join(self.directory, name)

    def tool(self, script: str) -> None:
        """
        Put a C{condor_config_val} on the PATH.
        """
        path = self.path("condor_config_val")
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)


class CondorConfigValTests(ProxySocketTestCase):
    """
    Tests of L{condorConfigVal}, with a tool of the test's own.
    """

    def test_found(self) -> None:
        """
        The value is what the tool prints, without its line end; it gets the setting's
        name and our environment.
        """
        os.environ["_CONDOR_TEST"] = "here"
        self.tool('echo "$#:$1:$_CONDOR_TEST"')
        self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "1:RVGAHP_SOCKET:here")

    def test_notSet(self) -> None:
        """
        A setting that is not set has no value, whatever the tool says about it.
        """
        self.tool("echo Not defined: $1; exit 1")
        self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "")

    def test_notThere(self) -> None:
        """
        Without the tool no setting has a value.
        """
        self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "")

    def test_fails(self) -> None:
        """
        A tool that dies, or cannot be executed, gives no value.
        """
        self.tool("echo /nonsense; kill -9 $$")
        self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "")
        os.chmod(self.path("condor_config_val"), 0o644)
        self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "")
        with open(self.path("condor_config_val"), "wb") as file:
            file.write(b"\x7fELF nonsense")
        os.chmod(self.path("condor_config_val"), 0o755)
        self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "")

    def test_hangs(self) -> None:
        """
        A tool that does not answer, or answers and stays, is not waited for for ever.
        """
        self.patch(limits, "CONFIG_VAL_TIMEOUT", 0.2)
        for script in ("exec sleep 1000", "echo value; exec >&-; exec sleep 1000"):
            self.tool(f"PATH=/usr/bin:/bin; {script}")
            began = time.monotonic()
            self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "")
            self.assertLess(time.monotonic() - began, 10)

    def test_quiet(self) -> None:
        """
        It neither reads our stdin nor writes to our stderr, and holds nothing of ours.
        """
        self.tool("cat; echo trouble >&2; echo value")
        read, write = os.pipe()
        saved = os.dup(2)
        os.dup2(write, 2)
        try:
            self.assertEqual(condorConfigVal("RVGAHP_SOCKET"), "value")
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(write)
        self.assertEqual(os.read(read, 100), b"")
        os.close(read)

    def test_longAndBadlyEncoded(self) -> None:
        """
        Much output is read to its end, and bytes that are no UTF-8 are no error.
        """
        self.tool("/bin/head -c 200000 /dev/zero | /usr/bin/tr '\\0' '\\377'")
        self.assertEqual(condorConfigVal("X"), "\N{REPLACEMENT CHARACTER}" * 200_000)


class FindSocketTests(ProxySocketTestCase):
    """
    Tests of L{findSocket}.
    """

    def test_order(self) -> None:
        """
        The option goes before the environment, that before the usual path, that before
        the setting; and each is asked only if those before it say nothing.
        """
        self.tool("echo /from/setting; echo asked >> " + self.path("asked"))
        self.assertEqual(findSocket(None), "/from/setting")
        self.assertTrue(os.path.exists(self.path("asked")))
        os.unlink(self.path("asked"))
        with open(self.path("default"), "w"):
            pass
        self.assertEqual(findSocket(None), self.path("default"))
        os.environ["_CONDOR_RVGAHP_SOCKET"] = "/from/environment"
        self.assertEqual(findSocket(None), "/from/environment")
        self.assertEqual(findSocket("/from/option"), "/from/option")
        self.assertFalse(os.path.exists(self.path("asked")))

    def test_nowhere(self) -> None:
        """
        If nothing tells, it is the usual path, where nobody listens yet; the sentence says
        what could tell.
        """
        self.tool("exit 1")
        self.assertEqual(findSocket(None), self.path("default"))
        with self.assertRaises(ProxyAbsent) as caught:
            connect(findSocket(None))
        for word in (self.path("default"), "--rvgahp-socket", "_CONDOR_RVGAHP_SOCKET", " RVGAHP_"):
            self.assertIn(word, str(caught.exception))

    def test_empty(self) -> None:
        """
        An empty option or variable is as none.
        """
        self.tool("echo /from/setting")
        os.environ["_CONDOR_RVGAHP_SOCKET"] = ""
        self.assertEqual(findSocket(""), "/from/setting")

    def test_tooLong(self) -> None:
        """
        A path that no UNIX socket can have is refused, by its bytes, and the longest
        that one can have is not.
        """
        self.assertEqual(findSocket("/" + "x" * 106), "/" + "x" * 106)
        for path in ("/" + "x" * 107, "/" + "ß" * 54):
            with self.assertRaisesRegex(ConfigurationError, "longer than the 107 bytes"):
                findSocket(path)


class ConnectTests(ProxySocketTestCase):
    """
    Tests of L{connect}.
    """

    def listen(
        self, path: str, uid: int = -1, backlog: int = 5, kind: int = socket.SOCK_STREAM
    ) -> socket.socket:
        """
        Listen as another user, if we may.
        """
        listener = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(listener.close)
        listener.bind(path)
        if kind != socket.SOCK_STREAM:
            return listener
        if uid < 0:
            listener.listen(backlog)
            return listener
        if os.getuid() != 0:
            listener.close()
            raise SkipTest("only root can listen as another user")
        os.seteuid(uid)
        try:
            listener.listen(backlog)
        finally:
            os.seteuid(0)
        return listener

    def setUp(self) -> None:
        """
        Begin with no account known.
        """
        super().setUp()
        self.known: set[int] = set()
        self.patch(proxysocket, "_known", self.known)

    def tearDown(self) -> None:
        self.doCleanups()
        super().tearDown()

    def test_ourselves(self) -> None:
        """
        A proxy of our own account is one, and the connection does not block.
        """
        listener = self.listen(self.path("s"))
        connection = connect(self.path("s"))
        self.assertFalse(connection.getblocking())
        self.assertEqual(listenerUid(connection), os.getuid())
        accepted, _ = listener.accept()
        accepted.send(b"hello")
        self.assertEqual(connection.recv(10), b"hello")
        accepted.close()
        connection.close()

    def test_nobodyListens(self) -> None:
        """
        Where nothing is, or something else, or nobody listens any more, a sentence
        says so and names the path.
        """
        with open(self.path("file"), "w"):
            pass
        self.listen(self.path("stale")).close()
        for name in ("nothing", "file", "stale", "nothing/at/all"):
            with self.assertRaises(ProxyAbsent) as caught:
                connect(self.path(name))
            self.assertIn(self.path(name), str(caught.exception))
            self.assertNotIn("Errno", str(caught.exception))

    def test_neverListens(self) -> None:
        """
        What no restart of the proxy would mend is told apart.
        """
        self.listen(self.path("datagrams"), kind=socket.SOCK_DGRAM)
        for name in ("datagrams", "datagrams/s"):
            with self.assertRaises(ConfigurationError) as caught:
                connect(self.path(name))
            self.assertNotIsInstance(caught.exception, ProxyAbsent)
            self.assertIn(self.path(name), str(caught.exception))

    def test_shutOut(self) -> None:
        """
        A proxy that runs and does not let us in is not taken for one that does not run,
        whether it is its socket or the directory that is closed.
        """
        if os.getuid() != 0:
            raise SkipTest("another account is needed")
        self.addCleanup(os.seteuid, 0)
        for closed, mode in ((self.path("listens"), 0o600), (self.directory, 0o700)):
            with socket.socket(socket.AF_UNIX) as port:
                port.bind(self.path("listens"))
                port.listen()
                os.chmod(closed, mode)
                os.seteuid(NOBODY)
                e = self.assertRaises(ConfigurationError, connect, self.path("listens"))
                os.seteuid(0)
                os.unlink(self.path("listens"))
            self.assertNotIsInstance(e, ProxyAbsent)
            self.assertNotIn("no proxy", str(e))
            for words in (self.path("listens"), pwd.getpwuid(NOBODY).pw_name, "administrator"):
                self.assertIn(words, str(e))

    def test_squatter(self) -> None:
        """
        If another user listens there, he is named, and not a byte is said to him.
        """
        listener = self.listen(self.path("s"), NOBODY)
        with self.assertRaises(NotAuthorized) as caught:
            connect(self.path("s"))
        self.assertIn(self.path("s"), str(caught.exception))
        self.assertIn(pwd.getpwuid(NOBODY).pw_name, str(caught.exception))
        accepted, _ = listener.accept()
        self.assertEqual(accepted.recv(100), b"")
        accepted.close()

    def test_squatterWithoutAccount(self) -> None:
        """
        A user that has no account here is named by his number.
        """
        self.listen(self.path("s"), 3_999_999)
        with self.assertRaisesRegex(NotAuthorized, "uid 3999999"):
            connect(self.path("s"))

    def test_accountOfTheProxy(self) -> None:
        """
        The proxy's own account may listen: the usual one, or the one that the
        environment or the setting names.
        """
        name = pwd.getpwuid(NOBODY).pw_name
        self.listen(self.path("s"), NOBODY)
        with self.assertRaises(NotAuthorized):
            connect(self.path("s"))
        self.tool(f'[ "$1" = RVGAHP_ACCOUNT ] && echo {name}')
        connect(self.path("s")).close()
        self.tool("exit 1")
        connect(self.path("s")).close()  # it is not asked again
        self.known.clear()
        with self.assertRaises(NotAuthorized):
            connect(self.path("s"))
        self.assertEqual(self.known, set())
        os.environ["_CONDOR_RVGAHP_ACCOUNT"] = name
        connect(self.path("s")).close()
        del os.environ["_CONDOR_RVGAHP_ACCOUNT"]
        self.known.clear()
        self.patch(proxysocket, "DEFAULT_ACCOUNT", name)
        connect(self.path("s")).close()

    def test_root(self) -> None:
        """
        Root may always listen.
        """
        self.listen(self.path("s"), 0)
        self.patch(os, "getuid", lambda: NOBODY)
        connect(self.path("s")).close()

    def test_busyProxy(self) -> None:
        """
        A proxy that has no time to accept for a while is waited for.
        """
        listener, waiting = self._full()
        listener.settimeout(5)
        results: list[socket.socket] = []
        thread = threading.Thread(target=lambda: results.append(connect(self.path("s"))))
        thread.start()
        time.sleep(0.05)
        accepted = [listener.accept()[0] for _ in range(len(waiting) + 1)]
        thread.join(5)
        self.assertEqual(len(results), 1)
        for connection in (*accepted, *waiting, *results):
            connection.close()

    def test_stuckProxy(self) -> None:
        """
        But not for ever.
        """
        self.patch(limits, "CONNECT_TIMEOUT", 0.05)
        _, waiting = self._full()
        with self.assertRaisesRegex(ConfigurationError, "no proxy"):
            connect(self.path("s"))
        for connection in waiting:
            connection.close()

    def _full(self) -> tuple[socket.socket, list[socket.socket]]:
        """
        A listener whose queue is full, and what is in it.
        """
        listener = self.listen(self.path("s"), backlog=0)
        waiting = []
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            waiting.append(connection)
            try:
                connection.connect(self.path("s"))
            except BlockingIOError:
                waiting.pop().close()
                return listener, waiting
