"""
Real processes: C{rvgahp doctor} beside a proxy and a CE that work, and before misconfigurations.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

from rvgahp.credentials import Credentials
from tests.enrolledcase import SITE, EnrolledTestCase
from tests.identities import ceCredentials, written
from tests.procfs import PATIENCE, waitFor
from tests.programs import Run, program, runProgram, speaker
from tests.wholecase import PlaygroundTestCase


class DoctorTests(PlaygroundTestCase):
    """
    One proxy and one CE, and further configurations in a directory of their own.
    """

    gahps = {"cat": "/bin/cat"}

    def setUp(self) -> None:
        super().setUp()
        self.sandbox = Path(self.playground.sandbox.directory)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(mode=0o700)

    def doctor(self, *words: str, **popen: Any) -> Run:
        """
        Run it.
        """
        return runProgram([program("rvgahp"), "doctor", *words], **popen)

    def stage(self, role: str, *lines: str) -> str:
        """
        @param lines: of settings, further ones.
        @return: a configuration file, beside which lie copies of the sandbox's credentials
            for this role, and an access file.
        """
        names = {"ce": ("ce.crt", "ce.key", "ca.crt"), "proxy": ("host.crt", "host.key", "ca.crt")}
        for name in names[role]:
            shutil.copy(self.sandbox / name, self.directory)
        (self.directory / "access").write_text("ALLOW START *\n")
        text = ["RVGAHP_ACCOUNT = root", "RVGAHP_ALLOW_ROOT = true"] if role == "ce" else []
        if role == "ce":
            text += ["RVGAHP_BROKER_HOST = 127.0.0.1"]
            text += [f"RVGAHP_BROKER_PORT = {self.playground.sandbox.port}"]
        else:
            text += ["RVGAHP_INTERFACE = 127.0.0.1", "UID_DOMAIN = localdomain"]
            text += [f"RVGAHP_SOCKET = {self.directory}/proxy.sock"]
        file = self.directory / "condor_config"
        file.write_text("".join(f"{line}\n" for line in [*text, *lines]))
        return str(file)

    def assertWrong(self, config: str, name: str, *words: str) -> None:
        """
        It is found, once, that something is wrong, with these words in the sentence or in the
        remedy; nothing else is but that no such daemon runs.
        """
        run = self.doctor("--config", config, "--json")
        self.assertEqual((run.status, run.errors), (1, ""), run)
        found = json.loads(run.output)
        bad = [one for one in found if one["level"] == "wrong"]
        self.assertEqual({one["name"] for one in bad} - {"daemon"}, {name}, bad)
        (one,) = (one for one in bad if one["name"] == name)
        self.assertTrue(one["remedy"], one)
        for word in words:
            self.assertIn(word, f"{one['sentence']} / {one['remedy']}")

    # -- all is well ----------------------------------------------------------

    def test_proxy(self) -> None:
        """
        Nothing is wrong with a proxy that works; that it was started with another file than
        the one that is looked at is to be seen.
        """
        number = self.playground.sandbox.port
        original = self.sandbox / "condor_config.rvgahp-proxy"
        file = self.sandbox / "condor_config.doctor"  # with the port that the kernel has chosen
        file.write_text(
            f"{original.read_text()}\nRVGAHP_PORT = {number}\n"
            f"RVGAHP_PUBLIC_ADDRESS = localhost:{number}\n"
        )
        run = self.doctor("--config", str(file))
        text = run.output.decode()
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.assertNotIn("WRONG", text)
        self.assertIn("ok       role: proxy: ", text)
        self.assertIn(f"ok       setting: RVGAHP_PORT = {number} ({file})\n", text)
        self.assertIn("ok       name: the certificate is for localhost (RVGAHP_PUBLIC", text)
        self.assertIn(f"our proxy listens on 127.0.0.1:{number}, and shows our cert", text)
        self.assertIn("ok       sites: 1 of 1 are connected: sandbox\n", text)
        self.assertIn(f"warning  daemon: it was started with --config {original}, and", text)
        self.assertTrue(text.splitlines()[-1].startswith("rvgahp-proxy: 0 wrong, "), text)

    def test_ce(self) -> None:
        """
        Nothing is wrong with a CE that works.  Nothing is changed: neither files, nor what
        runs, nor is its connection disturbed.
        """
        before = {path: os.stat(path).st_mtime_ns for path in self.sandbox.glob("*[!g]")}
        run = self.doctor("--config", str(self.sandbox / "condor_config.rvgahp-ce"))
        text = run.output.decode()
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.assertNotIn("WRONG", text)
        self.assertIn("ok       role: ce: ", text)
        self.assertIn("ok       proxy's TLS: 127.0.0.1:", text)
        self.assertIn("rvgahp_blahpd says $GahpVersion: ", text)
        self.assertIn("cat: /bin/cat runs, and says no version banner", text)
        self.assertIn("ok       connection: the proxy at 127.0.0.1:", text)
        after = {path: os.stat(path).st_mtime_ns for path in before}
        self.assertEqual(before, after)
        self.assertServes()

    def test_json(self) -> None:
        """
        For programs it is a list of objects.
        """
        config = str(self.sandbox / "condor_config.rvgahp-ce")
        run = self.doctor("--role", "ce", "--config", config, "--json")
        found = json.loads(run.output)
        self.assertEqual({tuple(one) for one in found}, {("name", "level", "sentence", "remedy")})
        self.assertEqual({one["level"] for one in found} - {"warning"}, {"ok"})

    def test_unheard(self) -> None:
        """
        Where nothing can be printed one line says so, and no traceback.
        """
        words = ("--config", str(self.sandbox / "condor_config.rvgahp-ce"))
        with open("/dev/full", "wb") as full:
            run = self.doctor(*words, stdout=full)
        self.assertEqual((run.status, run.errors), (1, "rvgahp: No space left on device\n"), run)
        command = f"exec {shlex.join([program('rvgahp'), 'doctor', *words])} >&-"
        run = runProgram(["sh", "-c", command])
        self.assertEqual((run.status, run.errors), (0, ""), run)

    def test_words(self) -> None:
        """
        A mistake in the words is status 2; so is that nothing is here, and nothing named.
        """
        self.assertEqual(self.doctor("--role", "broker").status, 2)
        self.assertEqual(self.doctor("--config", "").status, 2)

    # -- misconfigurations ----------------------------------------------------

    def test_openKey(self) -> None:
        """
        Others can read the key.
        """
        config = self.stage("ce")
        key = self.directory / "ce.key"
        key.chmod(0o644)
        self.assertWrong(config, "certificate", f"chmod 600 {key}")

    def credentials(self, given: Credentials) -> str:
        """
        @return: a CE's configuration with these.
        """
        config = self.stage("ce")
        written(given, self.directory)
        return config

    def test_expired(self) -> None:
        """
        The certificate has expired.  (It and its authority are the sandbox's no more.)
        """
        config = self.credentials(ceCredentials(expired=True))
        run = self.doctor("--config", config)
        self.assertEqual(run.status, 1, run)
        text = run.output.decode()
        self.assertIn(f"WRONG    certificate: The certificate {self.directory}/ce.crt has ex", text)
        self.assertIn("start rvgahp-ce, which has the proxy renew it", text)

    def test_wrongCA(self) -> None:
        """
        The authority is not that of the proxy.
        """
        config = self.credentials(ceCredentials())
        self.assertWrong(config, "proxy's TLS", "is not one that we know", "into RVGAHP_CAFILE")

    def test_otherName(self) -> None:
        """
        The proxy is dialled by a name that its certificate has not; the names that it has are
        told.
        """
        target = f"127.0.0.1:{self.playground.sandbox.port}"
        config = self.stage("ce", "RVGAHP_BROKER_HOST = other.x", f"RVGAHP_CONNECT_TO = {target}")
        words = ("is not for other.x (it is for localhost, 127.0.0.1)", "set RVGAHP_BROKER_HOST")
        self.assertWrong(config, "proxy's TLS", *words)

    def test_refused(self) -> None:
        """
        The proxy does not take our certificate, and we take its.
        """
        config = self.credentials(ceCredentials())
        shutil.copy(self.sandbox / "ca.crt", self.directory)
        self.assertWrong(config, "proxy's TLS", "it does not know the authority", "rvgahp join")

    def test_typo(self) -> None:
        """
        A setting is misspelt.
        """
        config = self.stage("ce", "RVGAHP_BROKER_PROT = 7")
        self.assertWrong(config, "settings", "RVGAHP_BROKER_PROT", "is RVGAHP_BROKER_PORT meant?")

    def test_portTaken(self) -> None:
        """
        Another program has the port.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)

        def talk() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-none\r\n")

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        self.addCleanup(listener.close)
        self.addCleanup(thread.join, PATIENCE)
        config = self.stage("proxy", f"RVGAHP_PORT = {listener.getsockname()[1]}")
        self.assertWrong(config, "port", "is taken by another program", "set RVGAHP_PORT")

    def test_nobodyListens(self) -> None:
        """
        Nobody listens at the proxy's address.
        """
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            config = self.stage("ce", f"RVGAHP_BROKER_PORT = {bound.getsockname()[1]}")
            words = ("nobody listens at the proxy's address", "whether rvgahp-proxy runs there")
            self.assertWrong(config, "proxy's port", *words)

    def test_openAccessFile(self) -> None:
        """
        Others can write the access file.
        """
        config = self.stage("ce")
        access = self.directory / "access"
        access.chmod(0o666)
        self.assertWrong(config, "access file", f"chmod go-w {access}")

    def test_brokenMap(self) -> None:
        """
        A line of the map file is wrong.
        """
        table = self.directory / "map"
        table.write_text("SSL\n")
        config = self.stage("proxy", "RVGAHP_PORT = 0", f"CERTIFICATE_MAPFILE = {table}")
        self.assertWrong(config, "map file", f"{table} is not used: line 1", "mend the line")

    def test_absentGAHP(self) -> None:
        """
        A GAHP's program is not there.
        """
        config = self.stage("ce", "RVGAHP_GAHP_NAMES = own", "RVGAHP_GAHP_OWN = /nonexistent/own")
        self.assertWrong(config, "GAHP", "/nonexistent/own", "is not there", "install it")

    def test_dyingGAHP(self) -> None:
        """
        A GAHP dies at once; another is good.
        """
        scripts = {"own": "#!/bin/sh\necho no licence >&2\nexit 3\n", "ft": speaker("ft")}
        for name, script in scripts.items():
            (self.directory / name).write_text(script)
            (self.directory / name).chmod(0o755)
        config = self.stage(
            "ce",
            f"FT_GAHP = {self.directory}/ft",
            "RVGAHP_GAHP_NAMES = own",
            f"RVGAHP_GAHP_OWN = {self.directory}/own",
        )
        self.assertWrong(
            config, "GAHP", "status 3 before its banner; it says 'no licence'", "start it"
        )

    def test_interrupted(self) -> None:
        """
        Whoever ends the doctor while a GAHP hangs ends that, too.
        """
        pids = self.directory / "pids"
        script = self.directory / "own"
        script.write_text(
            f"#!/bin/sh\nsleep 1000 &\necho $$ $! > {pids}.new\nmv {pids}.new {pids}\nwait\n"
        )
        script.chmod(0o755)
        names = "RVGAHP_GAHP_NAMES = own"
        config = self.stage("ce", names, f"RVGAHP_GAHP_OWN = {script}")
        words = [program("rvgahp"), "doctor", "--config", config]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as doctor:
            waitFor(pids.exists, "the GAHP's start")
            doctor.terminate()
            _, errors = doctor.communicate(timeout=PATIENCE)
        self.assertEqual(doctor.returncode, 1)
        self.assertEqual(errors, b"rvgahp: told to end while waiting for the banner of own\n")
        for pid in map(int, pids.read_text().split()):
            self.assertGone(pid)

    def test_unknownHost(self) -> None:
        """
        The proxy's host does not resolve.
        """
        config = self.stage("ce", "RVGAHP_BROKER_HOST = nowhere.invalid")
        words = ("nowhere.invalid (RVGAHP_BROKER_HOST) does not resolve", "mend RVGAHP_BROKER_HOST")
        self.assertWrong(config, "proxy's address", *words)


class EnrolledTests(EnrolledTestCase):
    """
    A proxy that makes its own certificate, and a site that has joined.
    """

    def test_life(self) -> None:
        """
        Nothing is wrong; when the proxy has revoked the site its CE's doctor says so.
        """
        run = self.join(self.invite())
        self.assertEqual((run.status, run.errors), (0, ""), run)
        self.configure()
        self.ce.start()
        config = self.directory / "doctor"
        original = (self.directory / "condor_config").read_text()
        config.write_text(f"{original}\nRVGAHP_PORT = {self.target[1]}\n")
        for file, words in (
            (config, f"our proxy listens on 127.0.0.1:{self.target[1]}, and shows our certificate"),
            (self.site / "condor_config.rvgahp", "and is renewed by itself from"),
        ):
            run = self.rvgahp("doctor", "--config", str(file))
            self.assertEqual((run.status, run.errors), (0, ""), run.output.decode())
            self.assertIn(words, run.output.decode())
        run = self.rvgahp("revoke", SITE, "--socket", self.socket)
        self.assertEqual(run.status, 0, run)
        words = f"site {SITE} has been revoked"
        waitFor(lambda: words in self.ce.log.read_text(), "the CE to be refused", PATIENCE)
        run = self.rvgahp("doctor", "--config", str(self.site / "condor_config.rvgahp"))
        self.assertEqual(run.status, 1, run)
        self.assertRegex(run.output.decode(), f"WRONG    connection: there is none .*{words}")
