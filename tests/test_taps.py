"""
Tests of L{rvgahp.tapoptions}, L{rvgahp.proxytap} and L{rvgahp.cetap}: command lines, and
what is made of them.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import io
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.application.service import IService, IServiceMaker
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.plugin import IPlugin, getPlugins
from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rvgahp import __version__, cetap, limits, proxytap
from rvgahp.access import Access
from rvgahp.accessrules import parse
from rvgahp.authentication import Authenticator
from rvgahp.canonicalnames import CanonicalNames
from rvgahp.ce import CE
from rvgahp.certificaterenewal import CertificateRenewal
from rvgahp.certificates import makeKey
from rvgahp.configuration import Configuration
from rvgahp.credentials import loadAuthority, makeCA, makeCECredentials, makeHostCredentials
from rvgahp.gahptable import GAHPTable
from rvgahp.keyexchange import pemOf
from rvgahp.policy import Level, Policy
from rvgahp.proxytap import ProxyService
from rvgahp.sandbox import STAYS_ROOT
from rvgahp.settings import settingsFrom
from rvgahp.sslmethod import SSLMethod
from rvgahp.tapoptions import CannotStart, DaemonOptions
from rvgahp.tls import clientOptions
from rvgahp.trust import Trust, loadTrust
from tests.identities import SITE, ceCredentials, proxyCredentials, written
from tests.localclient import LocalClient
from tests.openrules import allowingAll
from tests.pki import SiteCA
from tests.privatereactor import ReactorTestCase
from tests.resolver import Resolver
from tests.steppedloop import descriptorCount
from tests.tlspair import TWISTED_WARNINGS

HOST = "127.0.0.1"


@cache
def madeCredentials() -> str:
    """
    @return: a directory with credentials for both daemons, there until the end.
    """
    directory = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, directory)
    makeCA(directory)
    makeHostCredentials(directory, HOST)
    makeCECredentials(directory, SITE)
    return directory


class OptionsTests(SynchronousTestCase):
    """
    Command lines, with configuration files and credentials as they are in earnest.
    """

    suppress = TWISTED_WARNINGS

    if importlib.util.find_spec("htcondor2") is None:
        skip = "the htcondor package is not there for this Python"

    def setUp(self) -> None:
        """
        Begin with an environment without HTCondor's variables, and a home of its own.
        """
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        shutil.copytree(madeCredentials(), self.directory, dirs_exist_ok=True)
        clean = {n: v for n, v in os.environ.items() if "CONDOR" not in n.upper()}
        self.patch(os, "environ", {**clean, "HOME": str(self.directory)})
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limit)

    def config(self, *lines: str) -> str:
        """
        @return: the path of a configuration file beside the credentials.
        """
        path = self.directory / f"{self.id().rpartition('.')[2]}.conf"
        path.write_text("\n".join([*lines, "" if os.geteuid() else STAYS_ROOT]))
        return str(path)

    def parsed(self, options: Any, *words: str) -> Any:
        """
        @return: C{options} with the command line read.
        """
        options.parseOptions(list(words))
        return options

    def refused(self, options: DaemonOptions, *words: str) -> str:
        """
        @return: the sentence with which a command line is refused.
        """
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            e = self.assertRaises(CannotStart, options.parseOptions, list(words))
        self.assertIsInstance(e, SystemExit)
        self.assertEqual(e.code, 1)
        self.assertEqual(errors.getvalue(), f"rvgahp-{options.role}: {e.sentence}\n")
        self.assertNotIn("\n", e.sentence)
        return str(e.sentence)

    def proxy(self, *lines: str) -> str:
        """
        @return: why a proxy with this configuration does not start.
        """
        return self.refused(proxytap.Options(), f"--config={self.config(*lines)}")

    def ce(self, *lines: str) -> str:
        """
        @return: why a CE with this configuration does not start.
        """
        lines = ("RVGAHP_BROKER_HOST = 127.0.0.1", *lines)
        return self.refused(cetap.Options(), f"--config={self.config(*lines)}")

    def test_proxy(self) -> None:
        """
        The file's settings count, and the command line's go before them.
        """
        config = self.config("RVGAHP_PORT = 1", "RVGAHP_INTERFACE = 127.0.0.1")
        options = self.parsed(
            proxytap.Options(), "-c", config, "--port=2", "--socket", "/tmp/x.sock"
        )
        self.assertEqual(options.settings.get("RVGAHP_PORT"), 2)
        self.assertEqual(options.settings.get("RVGAHP_INTERFACE"), HOST)
        self.assertEqual(options.settings.get("RVGAHP_SOCKET"), "/tmp/x.sock")

    def test_ce(self) -> None:
        """
        The CE finds its file and its credentials at home, and its name in these.
        """
        home = self.directory / ".rvgahp"
        home.mkdir()
        for name in ("ce.crt", "ce.key", "ca.crt"):
            shutil.copy(self.directory / name, home / name)
        (home / "condor_config.rvgahp").write_text(
            f"RVGAHP_BROKER_HOST = proxy.example.org\n{'' if os.geteuid() else STAYS_ROOT}"
        )
        options = self.parsed(cetap.Options(), "--broker-port=42000")
        self.assertEqual([one.site for one in options.served], [SITE])
        self.assertEqual(options.settings.get("RVGAHP_BROKER_PORT"), 42000)
        self.assertEqual(options.gahps.names(), ["batch_gahp", "blahpd"])

    def test_relativePath(self) -> None:
        """
        A path is of the directory in which the command is given, as twistd leaves it.
        """
        config = self.config()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        options = self.parsed(
            proxytap.Options(), "--config", os.path.basename(config), "--socket=here.sock"
        )
        self.assertEqual(options.settings.get("RVGAHP_SOCKET"), str(Path.cwd() / "here.sock"))

    def test_version(self) -> None:
        """
        Both have a version.
        """
        for options in (proxytap.Options(), cetap.Options()):
            output = io.StringIO()
            self.patch(sys, "stdout", output)
            e = self.assertRaises(SystemExit, options.parseOptions, ["--version"])
            self.assertEqual((e.code, output.getvalue()), (0, f"rvgahp {__version__}\n"))

    def test_help(self) -> None:
        """
        Each option names the setting that it overrides.
        """
        for options in (proxytap.Options(), cetap.Options()):
            text = " ".join(options.getUsage(width=1000).split())
            for setting in options.overrides.values():
                self.assertIn(f"[{setting}]", text)

    def test_badWords(self) -> None:
        """
        Words that there are not are refused as twistd does, and values that cannot be in
        a sentence alone; it names them.
        """
        config = self.config()
        for word in ("--nonsense", "--port", "more", "--config="):
            e = self.assertRaises(UsageError, proxytap.Options().parseOptions, [word])
            self.assertIn(word.strip("-="), str(e))
        for words, said in (
            (["--port=much"], "RVGAHP_PORT"),
            (["--port=70000"], "RVGAHP_PORT"),
            (["--interface=no interface"], "RVGAHP_INTERFACE"),
            (["--socket=/" + "x" * 110], "RVGAHP_SOCKET"),
            (["--certificate=/no/such/file"], "/no/such/file"),
            ([f"--key={self.directory}/ca.key"], "ca.key"),
            ([f"--ca={config}"], config),
        ):
            self.assertIn(said, self.refused(proxytap.Options(), f"--config={config}", *words))

    def test_badFiles(self) -> None:
        """
        A file that is not there, is none, or has mistakes is named.
        """
        for path in ("/no/such/file", str(self.directory)):
            self.assertIn(path, self.refused(proxytap.Options(), f"--config={path}"))
        self.assertIn("RVGAHP_PROT", self.proxy("RVGAHP_PROT = 1"))
        self.assertIn("condor_config.rvgahp", self.refused(cetap.Options()))

    def test_noHost(self) -> None:
        """
        A CE needs to know its proxy.
        """
        sentence = self.refused(cetap.Options(), f"--config={self.config()}")
        self.assertIn("RVGAHP_BROKER_HOST", sentence)

    def test_journal(self) -> None:
        """
        Where the journal reads stderr, what is said there has its priority.
        """
        found = os.fstat(2)
        os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(CannotStart):
            cetap.Options().parseOptions([f"--config={self.config()}"])
        self.assertTrue(errors.getvalue().startswith("<2>rvgahp-ce: "), errors.getvalue())

    def test_log(self) -> None:
        """
        With a log that cannot be opened neither starts, and both say so in one line.
        """
        host = "RVGAHP_BROKER_HOST = 127.0.0.1"
        for tap in (proxytap, cetap):
            twistd = ServerOptions()
            twistd["logfile"] = str(self.directory / "none" / "log")
            options: Any = tap.Options()
            options.parent = twistd
            self.parsed(options, f"--config={self.config(host if tap is cetap else '')}")
            errors = io.StringIO()
            with contextlib.redirect_stderr(errors):
                e = self.assertRaises(CannotStart, options.openLog, MemoryReactorClock())
            self.assertIn("none/log cannot be opened: No such file", e.sentence)
            self.assertEqual(errors.getvalue(), f"rvgahp-{options.role}: {e.sentence}\n")

    def test_site(self) -> None:
        """
        A certificate of another site than the settings want is refused, and so is one of
        none.
        """
        sentence = self.ce("RVGAHP_SITE = elsewhere.example")
        self.assertIn("elsewhere.example", sentence)
        self.assertIn(SITE, sentence)
        sentence = self.ce(
            f"RVGAHP_CERTFILE = {self.directory}/host.crt",
            f"RVGAHP_KEYFILE = {self.directory}/host.key",
        )
        self.assertIn("not for TLS clients", sentence)

    def test_ownPKI(self) -> None:
        """
        A certificate without a site's name needs RVGAHP_SITE beside it; the file may be that
        of a proxy certificate, with its key in the middle.
        """
        user = SiteCA().issue("alice").proxy()
        mine = user.credentials()
        first, *rest = (one.public_bytes(Encoding.PEM) for one in user.chain)
        path = self.directory / "x509up"
        path.write_bytes(b"".join([first, mine.keyPEM, *rest]))
        path.chmod(0o600)
        files = [f"RVGAHP_CERTFILE = {path}", f"RVGAHP_KEYFILE = {path}"]
        self.assertIn("set RVGAHP_SITE", self.ce(*files))
        config = self.config("RVGAHP_BROKER_HOST = x", "RVGAHP_SITE = hpc", *files)
        made = self.parsed(cetap.Options(), f"--config={config}")
        self.assertEqual([one.site for one in made.served], ["hpc"])
        self.assertNotIn("PRIVATE", repr(made.served))
        options = clientOptions(made.served[0].credentials, "x", made.trust)
        self.assertIsNotNone(options.clientConnectionForTLS(None))

    def test_early(self) -> None:
        """
        A CE whose certificate is not valid yet starts, for the proxy can renew it, and its log
        says so; a proxy does not.
        """
        begin = datetime.now(timezone.utc) + timedelta(days=9)
        ours, key = loadAuthority(self.directory), makeKey()
        names = "RVGAHP_CERTFILE", "RVGAHP_KEYFILE"
        for made, start in (
            (ours.issueCE(key.public_key(), SITE, begin), None),
            (ours.issueHost(key.public_key(), HOST, (), begin), self.proxy),
        ):
            files = (made.public_bytes(Encoding.PEM), pemOf(key))
            lines = []
            for name, content in zip(names, files, strict=True):
                path = self.directory / f"early{name}"
                path.write_bytes(content)
                path.chmod(0o600)
                lines.append(f"{name} = {path}")
            if start is not None:
                self.assertIn("is this machine's clock right?", start(*lines))
                continue
            config = self.config("RVGAHP_BROKER_HOST = x", *lines)
            options = self.parsed(cetap.Options(), f"--config={config}")
            (note,) = (one for one in options.settings.notes if "clock" in one)
            self.assertIn("earlyRVGAHP_CERTFILE is not valid before", note)

    def test_authentication(self) -> None:
        """
        A method without a plugin is noted; where there is no other, neither daemon starts; nor
        with a map or a list that is none.
        """
        setting = "RVGAHP.SEC_DEFAULT_AUTHENTICATION_METHODS"
        for refused in (self.proxy, self.ce):
            self.assertIn("KERBEROS cannot be used", refused(f"{setting} = KERBEROS"))
            self.assertIn("/no/such", refused("RVGAHP_CRLFILE = /no/such"))
        self.assertIn("/no/such", self.proxy("CERTIFICATE_MAPFILE = /no/such"))
        self.assertIn("/no/such", self.proxy("RVGAHP_SITE_CAFILE = /no/such"))
        for options in (proxytap.Options(), cetap.Options()):
            config = self.config("RVGAHP_BROKER_HOST = x", f"{setting} = KERBEROS SSL")
            made = self.parsed(options, f"--config={config}")
            self.assertEqual([one.name for one in made.methods.methods], ["SSL"])
            (note,) = (one for one in made.settings.notes if "KERBEROS" in one)
            self.assertIn("there is no plugin for it", note)

    def test_plugins(self) -> None:
        """
        twistd finds both.
        """
        found = {maker.tapname: maker for maker in getPlugins(IServiceMaker) if maker.tapname}
        for name, module in (("rvgahp-proxy", proxytap), ("rvgahp-ce", cetap)):
            maker = found[name]
            verifyObject(IServiceMaker, maker)
            verifyObject(IPlugin, maker)
            self.assertIs(maker.options, module.Options)
            self.assertIs(maker.makeService, module.makeService)

    def test_onlyMakes(self) -> None:
        """
        A service that is made and not started has no descriptor, thread or file: twistd
        forks and changes its directory first.
        """
        import twisted.internet.reactor  # noqa: F401  # its descriptors are not ours

        config = self.config(
            "RVGAHP_BROKER_HOST = 127.0.0.1", f"RVGAHP_SOCKET = {self.directory}/made.sock"
        )
        proxy = self.parsed(proxytap.Options(), f"--config={config}")
        ce = self.parsed(cetap.Options(), f"--config={config}")
        before = descriptorCount(), threading.active_count(), sorted(os.listdir(self.directory))
        clocked: list[object] = []
        for module in (proxytap, cetap):
            self.patch(module, "useBootClock", clocked.append)
        for made in (proxytap.makeService(proxy), cetap.makeService(ce)):
            verifyObject(IService, made)
        after = descriptorCount(), threading.active_count(), sorted(os.listdir(self.directory))
        self.assertEqual(after, before)


class ReadyTests(SynchronousTestCase):
    """
    What a CE says of itself when it has been accepted.
    """

    def test_agreement(self) -> None:
        """
        What both sides' policies come to is said also where they exclude each other: then
        it is a warning.
        """
        required = Policy(Level.REQUIRED, Level.REQUIRED, ("AES",))
        never = Policy(Level.NEVER, Level.NEVER, ("AES",))
        self.assertEqual(cetap._agreement("R:R:AES", required), "encrypt (AES)")
        self.assertEqual(cetap._agreement("O:N:AES", never), "none")
        for theirs in ("R:R:AES", "nonsense"):
            with capturedLogs() as logs:
                self.assertIn("conflict", cetap._agreement(theirs, never))
            self.assertEqual([event["log_level"].name for event in logs], ["error"])


class ProxyServiceTests(ReactorTestCase):
    """
    The proxy's service, on a reactor of its own.
    """

    suppress = TWISTED_WARNINGS

    def setUp(self) -> None:
        """
        Begin with a directory for its socket.
        """
        super().setUp()
        self.reactor.installNameResolver(Resolver(answersAtOnce=True))
        self.patch(limits, "CLOSE_TIMEOUT", 0.1)
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "proxy.sock")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
        self.ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = os.path.join(self.directory, "ready")
        self.ready.bind(name)
        self.ready.settimeout(5)
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": name})

    def tearDown(self) -> None:
        """
        Nothing is left.
        """
        self.ready.close()
        self.until(lambda: not self.reactor.getDelayedCalls())
        super().tearDown()

    def make(self, **settings: str) -> ProxyService:
        """
        Make a service.
        """
        values = {
            "RVGAHP_INTERFACE": HOST,
            "RVGAHP_PORT": "0",
            "RVGAHP_SOCKET": self.path,
            "RVGAHP_SOCKET_MODE": "0640",
            "RVGAHP_STATE_DIR": os.path.join(self.directory, "enrolment"),
            **settings,
        }
        made = settingsFrom("proxy", Configuration(None, values))
        authenticator = Authenticator([SSLMethod()], CanonicalNames(None, "example.org"))
        service = ProxyService(
            self.reactor,
            made,
            proxyCredentials(HOST),
            loadTrust(made.get("RVGAHP_SITE_CAFILE"), None),
            authenticator,
            allowingAll(self.reactor),
            self.fail,  # nobody asks for a reload
        )
        verifyObject(IService, service)
        return service

    def start(self, **settings: str) -> tuple[ProxyService, int]:
        """
        @return: a running service, and its port.
        """
        service = self.make(**settings)
        service.privilegedStartService()
        service.startService()
        said = dict(line.split("=", 1) for line in self.ready.recv(4096).decode().splitlines())
        self.assertEqual(said["READY"], "1")
        self.assertIn(self.path, said["STATUS"])
        return service, int(said["X_RVGAHP_PORT"])

    def test_listens(self) -> None:
        """
        When it says that it is ready, both of its ports are there.
        """
        service, port = self.start()
        socket.create_connection((HOST, port)).close()
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o640)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)
        self.spend(0.02)
        service.stopService()
        self.assertFalse(os.path.exists(self.path))

    def test_siteSockets(self) -> None:
        """
        So are the further sockets, with the same mode, and whoever comes there is known to
        want that site; they go with the proxy.
        """
        further = {name: os.path.join(self.directory, name) for name in ("a@x", "b")}
        text = ", ".join(f"{site} = {path}" for site, path in further.items())
        with capturedLogs() as logs:
            service, _ = self.start(RVGAHP_SITE_SOCKETS=text)
        said = [(event.get("path"), event.get("site")) for event in logs]
        for site, path in further.items():
            self.assertIn((path, site), said)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                client = LocalClient(connection)
                client.request(site="c")
                self.until(client.read)
                (box,) = client.boxes
                self.assertIn(f"for site {site} alone", box[b"_error_description"].decode())
        self.until(lambda: not len(service._clients))
        service.stopService()
        for path in (self.path, *further.values()):
            self.assertFalse(os.path.exists(path))

    def assertCannotStart(self, *words: str, **settings: str) -> None:
        """
        It does not start; that is said where it was started, and in the log, and nothing
        is left open.
        """
        before = descriptorCount()
        errors = io.StringIO()
        self.patch(sys, "__stderr__", errors)
        service = self.make(**settings)
        with capturedLogs() as logs:
            e = self.assertRaises(CannotStart, service.privilegedStartService)
        self.assertIsInstance(e, SystemExit)
        self.assertEqual(e.code, 1)
        (line,) = errors.getvalue().splitlines()
        for word in ("rvgahp-proxy: ", *words):
            self.assertIn(word, line)
        levels = [event["log_level"].name for event in logs]
        self.assertEqual((levels.count("critical"), levels[-1]), (1, "critical"))
        self.assertEqual(descriptorCount(), before)
        service.stopService()

    def test_busyPort(self) -> None:
        """
        A busy port.
        """
        with socket.create_server((HOST, 0)) as busy:
            number = str(busy.getsockname()[1])
            self.assertCannotStart(number, "Address already in use", RVGAHP_PORT=number)

    def test_busySocket(self) -> None:
        """
        A busy UNIX socket, whose owner goes on.
        """
        with socket.socket(socket.AF_UNIX) as busy:
            busy.bind(self.path)
            busy.listen()
            self.assertCannotStart(self.path, "is a proxy running already?")
        self.assertTrue(os.path.exists(self.path))

    def test_noDirectory(self) -> None:
        """
        A directory that is not there.
        """
        path = os.path.join(self.directory, "no", "proxy.sock")
        self.assertCannotStart(path, "No such file", RVGAHP_SOCKET=path)

    def test_badSiteSocket(self) -> None:
        """
        A further socket that cannot be had; what was there already goes.
        """
        good, bad = (os.path.join(self.directory, *names) for names in (["good"], ["no", "b"]))
        text = f"a={good} b={bad}"
        self.assertCannotStart(bad, "No such file", RVGAHP_SITE_SOCKETS=text)
        for path in (self.path, good):
            self.assertFalse(os.path.exists(path))

    def test_authorityOfBoth(self) -> None:
        """
        An authority of our own that is also one of the sites' PKI.
        """
        path = os.path.join(self.directory, "authorities")
        Path(path).write_bytes(proxyCredentials(HOST).caPEM)
        self.assertCannotStart("leave it in the one only", RVGAHP_SITE_CAFILE=path)

    def test_replaced(self) -> None:
        """
        A socket that another process has put in place of ours stays when we go.
        """
        service, _ = self.start()
        os.unlink(self.path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            service.stopService()
            self.assertTrue(os.path.exists(self.path))

    def test_stop(self) -> None:
        """
        With a CE, a client, a channel that it does not take and one that waits, all of the
        proxy's goes when it stops; and the CE is not told that any client has gone.
        """
        service, port = self.start()
        values = {
            **written(ceCredentials(), Path(self.directory)),
            "RVGAHP_BROKER_HOST": HOST,
            "RVGAHP_BROKER_PORT": str(port),
            "RVGAHP_GAHP_NAMES": "cat",
            "RVGAHP_GAHP_CAT": "/bin/cat",
        }
        settings = settingsFrom("ce", Configuration(None, values))
        ready: list[object] = []
        ce = CE(
            self.reactor,
            settings,
            GAHPTable(settings, []),
            0,
            Access(self.reactor, parse("ALLOW START *", "/x/access", "ce")),
        )
        ce.serve(
            "",
            settings,
            SITE,
            CertificateRenewal(self.reactor, settings, ceCredentials(), Random(1)),
            Trust(()),
            [SSLMethod()],
            lambda served, control, answer: ready.append(answer),
        )
        ce.startService()
        self.until(lambda: ready)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path)
        client = LocalClient(connection)
        client.request(gahp="cat")
        self.until(client.read)
        self.until(client.read)  # a Channel, which is not acknowledged
        (record,) = service._proxy.sessions.values()
        kept, waiting = socket.socketpair()
        kept.settimeout(5)
        record.channelArrived(1, waiting)
        silent = socket.create_connection((HOST, port))
        self.spend(0.02)
        service.stopService()
        self.assertEqual(kept.recv(1), b"")
        self.assertEqual(len(ce.proxies[0].sessions), 1)
        self.until(lambda: ce.proxies[0]._control is None)
        self.until(lambda: client.read() or client.isOver)
        silent.settimeout(5)
        self.assertEqual(silent.recv(1), b"")
        self.assertEqual(
            [box[b"_command"] for box in client.boxes if b"_command" in box], [b"Channel"]
        )
        for end in (kept, silent):
            end.close()
        client.close()
        self.resultOf(ce.stopService())
