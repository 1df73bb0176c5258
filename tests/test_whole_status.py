"""
Real processes: C{rvgahp status}, C{list}, C{kill}, C{drain} and C{resume} at a proxy and a CE.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from rvgahp.errors import StartFailed
from tests.procfs import waitFor
from tests.programs import PROMPT, Run, program, runProgram
from tests.wholecase import PlaygroundTestCase

#: The account of somebody else.
NOBODY = pwd.getpwnam("nobody").pw_uid


class StatusTests(PlaygroundTestCase):
    """
    One proxy and one CE.
    """

    gahps = {"cat": "/bin/cat", "dying": "/bin/sh -c 'read line; echo $line; nonesuch'"}
    proxySettings = "RVGAHP_SOCKET_MODE = 0666\nRVGAHP_PAGE_ADDRESS = 0\n"

    def setUp(self) -> None:
        super().setUp()
        directory = Path(self.playground.sandbox.directory)
        self.sockets = {
            "proxy": str(directory / "proxy.status"),
            "ce": str(directory / "rvgahp-ce.status"),
        }

    def run_(self, daemon: str, *words: str, **popen: Any) -> Run:
        """
        Run C{rvgahp} with these words.
        """
        line = [program("rvgahp"), words[0], "--socket", self.sockets[daemon], *words[1:]]
        return runProgram(line, **popen)

    def said(self, daemon: str, *words: str) -> str:
        """
        @return: what it prints; it ends well.
        """
        run = self.run_(daemon, *words)
        self.assertEqual((run.status, run.errors), (0, ""), run)
        return run.output.decode()

    def seen(self, daemon: str) -> dict[str, Any]:
        """
        @return: what is shown to programs.
        """
        seen: dict[str, Any] = json.loads(self.said(daemon, "status", "--json"))
        return seen

    def askAsNobody(
        self, daemon: str, method: str, path: str, body: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """
        @return: the status and the answer that nobody's process gets.
        """
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(PROMPT)
            os.seteuid(NOBODY)
            try:
                connection.connect(self.sockets[daemon])
            finally:
                os.seteuid(0)
            asking = HTTPConnection("localhost")
            asking.sock = connection
            asking.request(method, path, json.dumps(body or {}))
            answer = asking.getresponse()
            return answer.status, json.loads(answer.read())

    def started(self, gahp: str = "cat") -> subprocess.Popen[bytes]:
        """
        @return: a client whose GAHP has said a line.
        """
        client = self.playground.client(gahp)
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"line\n")
        client.stdin.flush()
        self.assertEqual(client.stdout.readline(), b"line\n")
        return client

    def test_session(self) -> None:
        """
        Both show a session that runs, with its processes and bytes, to people and to programs;
        the proxy knows the bytes with the next ping.
        """
        client = self.started()
        atProxy = waitFor(
            lambda: [one for one in self.seen("proxy")["sessions"] if one["received"] == 5],
            "the CE's news of a session",
        )[0]
        (atCE,) = self.seen("ce")["sessions"]
        self.assertEqual(atProxy["session"], atCE["session"])
        self.assertEqual((atProxy["state"], atCE["state"]), ("running", "running"))
        self.assertEqual((atProxy["sent"], atCE["sent"]), (5, 5))
        self.assertEqual(atProxy["pid"], atCE["pid"])
        self.assertEqual(atProxy["clientPid"], client.pid)
        shown = {"session", "owner", "gahp", "account", "since", "state", "stalled", "resumed"}
        shown |= {"received", "sent", "tunnels", "tunnelsReceived", "tunnelsSent", "pid"}
        self.assertEqual(set(atCE), shown | {"proxy"})  # and no key
        self.assertEqual(set(atProxy), shown | {"user", "site", "clientPid"})
        self.assertEqual(Path(f"/proc/{atCE['pid']}/comm").read_text(), "cat\n")
        for daemon in ("proxy", "ce"):
            name = atCE["session"].split(":", 3)[-1]
            self.assertIn(name, self.said(daemon, "status"))
            self.assertIn(name, self.said(daemon, "list"))
            self.assertIn("connected", self.said(daemon, "status"))

    def test_killed(self) -> None:
        """
        A session is ended at the proxy or at the CE, by the end of its name; its client says by
        whom and why.
        """
        for daemon, words in (("proxy", "ended by root"), ("ce", "ended by root at the site")):
            client = self.started()
            (session,) = self.seen("ce")["sessions"]
            end = session["session"][-16:]
            said = self.said(daemon, "kill", end, "--reason", "too long")
            self.assertEqual(said, f"session {session['session']} is ended at site sandbox\n")
            _, errors = client.communicate(timeout=PROMPT)
            self.assertIn(f"{words} (rvgahp kill): too long", errors.decode())
            self.assertNotEqual(client.returncode, 0)
            self.assertGone(session["pid"])
        run = self.run_("proxy", "kill", "")
        self.assertIn("too short", run.errors)
        run = self.run_("proxy", "drain", "nonesuch")
        self.assertIn("site nonesuch is not known here", run.errors)
        run = self.run_("proxy", "kill", "nonesuch")
        self.assertEqual((run.status, run.output), (1, b""))
        self.assertIn("you have no session nonesuch", run.errors)

    def test_drained(self) -> None:
        """
        While proxy or CE is drained nothing new is started, with a sentence for the user, and
        what runs goes on; afterwards all is as before.
        """
        client = self.started()
        for daemon, words in (
            ("proxy", "the proxy's administrator drains all sites"),
            ("ce", "the site's administrator drains all sites"),
        ):
            self.assertIn("draining: all", self.said(daemon, "drain"))
            self.assertRefused(self.playground.run("cat"), words)
            self.assertIn("it is drained (rvgahp resume)", self.said(daemon, "status"))
            self.assertIn("resumed: all", self.said(daemon, "resume"))
            self.assertEqual(self.playground.run("cat", b"x").output, b"x")
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"still\n")
        client.stdin.flush()
        self.assertEqual(client.stdout.readline(), b"still\n")

    def test_gone(self) -> None:
        """
        A site whose CE has been stopped for good is the first that needs attention, as is the
        proxy to a CE.
        """
        daemon = self.playground.addCE("other")
        daemon.start()
        waitFor(lambda: len(self.seen("proxy")["sites"]) == 2, "another site")
        own = self.sockets["ce"]
        self.sockets["ce"] = str(daemon.directory / "rvgahp-ce.status")
        self.assertIn("of site other", self.said("ce", "status"))
        daemon.stop()
        attention = waitFor(lambda: self.seen("proxy")["attention"], "a word on the site")
        self.assertTrue(attention[0].startswith("Site other is away for"), attention)
        self.assertIn("AWAY", self.said("proxy", "status"))
        run = self.run_("ce", "status")
        self.assertEqual(run.status, 1)
        self.assertIn("no daemon answers on", run.errors)
        self.sockets["ce"] = own

    def test_dying(self) -> None:
        """
        Of a GAHP that answers and crashes, again and again, it is said how it ends.
        """
        for _ in range(3):
            client = self.started("dying")
            self.assertEqual(client.wait(PROMPT), 127)
        attention = waitFor(lambda: self.seen("proxy")["attention"], "a word on the GAHP")
        self.assertIn("dying at site sandbox has died 3 times within 10 s", attention[0])
        self.assertIn("it exited with status 127 (a program in it was not found)", attention[0])

    def test_metrics(self) -> None:
        """
        A CE that is to have metrics has them from its start, or does not start and says why.
        """
        with socket.create_server(("127.0.0.1", 0)) as busy:
            where = f"127.0.0.1:{busy.getsockname()[1]}"
            daemon = self.playground.addCE("busy", settings=f"RVGAHP_METRICS_ADDRESS = {where}\n")
            e = self.assertRaises(StartFailed, daemon.start)
        self.assertIn("Address already in use", str(e))
        self.assertIn("RVGAHP_METRICS_ADDRESS", str(e))

    def test_others(self) -> None:
        """
        Another user sees and ends nothing of ours, and drains nothing.
        """
        if os.getuid() != 0:
            raise SkipTest("only root can be several users")
        self.playground.sandbox.directory.chmod(0o711)
        self.started()
        (session,) = self.seen("ce")["sessions"]
        for daemon in ("proxy", "ce"):
            status, seen = self.askAsNobody(daemon, "GET", "/v1/status")
            self.assertEqual((status, seen["you"], seen["administrator"]), (200, "nobody", False))
            self.assertEqual(seen["sessions"], [])
            for path, body, status, words in (
                ("/v1/kill", {"session": session["session"]}, 404, "you have no session"),
                ("/v1/drain", {}, 403, "nobody may not drain"),
                ("/v1/resume", {}, 403, "nobody may not resume"),
            ):
                found, answer = self.askAsNobody(daemon, "POST", path, body)
                self.assertEqual(found, status, answer)
                self.assertIn(words, answer["error"])
        self.assertEqual(len(self.seen("ce")["sessions"]), 1)

    def askPage(self, path: str, uid: int) -> tuple[int, str]:
        """
        @return: the status page's answer to a process of this account.
        """
        said = self.playground.awaitLog("proxy", "The status page is on")
        port = said.rstrip().rstrip("/").rpartition(":")[2]
        os.seteuid(uid)
        try:
            connection = socket.create_connection(("127.0.0.1", int(port)), PROMPT)
        finally:
            os.seteuid(0)
        with closing(connection):
            asking = HTTPConnection("localhost")
            asking.sock = connection
            asking.request("GET", path)
            answer = asking.getresponse()
            return answer.status, answer.read().decode()

    def test_page(self) -> None:
        """
        The status page shows root what there is, nobody nothing of it, and a process without an
        account is refused: who they are is said by the kernel.
        """
        if os.getuid() != 0:
            raise SkipTest("only root can be several users")
        self.started()
        (session,) = self.seen("ce")["sessions"]
        status, page = self.askPage("/", 0)
        self.assertEqual(status, 200)
        self.assertIn(f'<tr data-key="{session["session"]}"', page)
        self.assertIn('<tr data-key="sandbox"', page)
        status, page = self.askPage("/", NOBODY)
        self.assertEqual(status, 200)
        self.assertIn("what nobody may see", page)
        self.assertNotIn(session["session"], page)
        self.assertEqual(self.askPage("/page.js", NOBODY)[0], 200)
        status, page = self.askPage("/", 54321)
        self.assertEqual((status, "uid 54321 has no account" in page), (403, True))

    def test_watched(self) -> None:
        """
        C{--watch} shows it again and again, until it is interrupted.
        """
        line = [program("rvgahp"), "list", "--socket", self.sockets["proxy"], "--watch", "0.1"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert watching.stdout is not None
            for _ in range(3):
                self.assertEqual(watching.stdout.readline(), b"No sessions.\n")
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=PROMPT)
        self.assertEqual(errors, b"")

    def test_output(self) -> None:
        """
        Who reads may go when he has seen enough; a full disk is a sentence.
        """
        line = [program("rvgahp"), "list", "--socket", self.sockets["proxy"], "--watch", "0.1"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert watching.stdout is not None and watching.stderr is not None
            watching.stdout.readline()
            watching.stdout.close()
            self.assertEqual(watching.stderr.read(), b"")
        with (
            open("/dev/full", "wb") as full,
            subprocess.Popen(line[:-2], stdout=full, stderr=subprocess.PIPE) as printing,
        ):
            _, errors = printing.communicate(timeout=PROMPT)
        self.assertIn(b"it cannot be printed: No space left on device", errors)
        self.assertNotIn(b"Traceback", errors)

    def test_words(self) -> None:
        """
        What makes no sense is refused with a sentence.
        """
        for words, problem in (
            (("list", "--watch", "0"), "'0' is no time"),
            (("list", "--watch", "x"), "'x' is no time"),
            (("status", "--socket", "/no/such"), "no daemon answers on /no/such"),
            (("status", "--socket", self.playground.sandbox.socket), "no daemon"),
        ):
            run = runProgram([program("rvgahp"), *words])
            self.assertNotEqual(run.status, 0)
            self.assertIn(problem, run.errors)
            self.assertNotIn("Traceback", run.errors)

    def test_found(self) -> None:
        """
        Without C{--socket} it is the proxy's that clients would find, else that of a CE, else
        there is a sentence with the places.
        """
        environment = {**os.environ, "_CONDOR_RVGAHP_SOCKET": self.playground.sandbox.socket}
        run = runProgram([program("rvgahp"), "status"], env=environment)
        self.assertIn(b"rvgahp-proxy (rvgahp", run.output, run)
        home = Path(tempfile.mkdtemp(prefix="rvgahp-"))  # a socket's path must be short
        self.addCleanup(shutil.rmtree, home)
        (home / ".rvgahp").mkdir()
        environment |= {"_CONDOR_RVGAHP_SOCKET": "/no/such/proxy.sock", "HOME": str(home)}
        run = runProgram([program("rvgahp"), "status"], env=environment)
        self.assertIn("neither /no/such/proxy.status, ", run.errors)
        (home / ".rvgahp" / "rvgahp-ce.status").symlink_to(self.sockets["ce"])
        run = runProgram([program("rvgahp"), "status"], env=environment)
        self.assertIn(b"rvgahp-ce of site sandbox", run.output, run)
