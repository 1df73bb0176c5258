"""
Tests of how the code is cut: who may import whom (C{doc/architecture.rst}).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import rvgahp
from tests.procfs import PATIENCE

PACKAGE = Path(rvgahp.__file__).parent
TESTS = Path(__file__).parent
PAGE = TESTS.parent / "doc" / "architecture.rst"

#: The modules of each layer, the lowest first.
LAYERS = (
    "errors limits maplimits tunnellimits names policy primitives session handshakemessages"
    " handshake records frames budget stream stderrqueue boxes gahplines front frontanswers"
    " frontbanner frontlimits frontoutput frontpaths frontqueue frontreplies frontresults"
    " frontrules frontsent frontsite cedarpeek phase mapsyntax mapregex mapfields mapfile"
    " addresspattern authorizationlist invitecode enrolmentlimits accesssyntax accessrules"
    " accesssample tokenbucket occupancy penalties watchlimits loglimits attention drains counts"
    " lastday pagerows waylimits negotiation wayout",
    "descriptor sink channel carrier poller proxysocket proxylink complaint clientwords"
    " sinful forward splice tcpconnect bootclock mapreader lookups"
    " accountnames filesafety race gatewayhandshake dialling",
    "commands localcommands igahp launcher settingkinds listkinds viewtable settingrow sitesockets"
    " securitytable settingtable settingreader settings configuration condorconfig condorraw"
    " certificates certificaterequests launcherchild launcherrules launcherpam"
    " launcherholder launchedprocess onelinename peerchain"
    " iauthentication waytable logtable",
    "control gate listener tickets peercred descriptorlimit tls tcpdial backoff notify"
    " processlauncher gahpenvironment gahpprocess gahptable gahpkinds accounts credentials"
    " files protection socketowner delayedcalls refusals reload keyexchange registry"
    " registryentries hostidentity separation accessreader peernames localnames access"
    " auditlog startlimits trust tlsreasons canonicalnames methodtable authentication"
    " sslmethod history viewer smallsite pagetext watchdog handedsockets waysettings gahpend"
    " logrecord logformats logrepeats logsinks appendedfile servedproxies",
    "proxy proxysession renewal claims sites siteconnection description local localrequests"
    " ce servedproxy gahprunner gahpsession gahpoutput way channeldialer cesessions cetunnels"
    " transferpause tunnelprobe client clientrun clientsession clientclaim clientface clientcopy"
    " clientfront clientlink clientstdio clienttunnels enrolment siteenrolment"
    " closedenrolment proxyenrolment certificaterenewal cegreeting sitearrival siteend"
    " proxyreload cereload proxyaccess introduction localclients startproblem watch"
    " sessionaudit ceaudit siteauthentication gahprequest sessionnews"
    " proxystatus cestatus proxystate proxyoperator statusweb statussocket"
    " metrics metricsport cecounts pagefeed pageweb pageport controldial",
    "tapoptions proxytap cetap daemonlog",
    "cli credentialscli mapcli sandbox daemonprocess demo screen patience inquiry"
    " gahpdialogue gahpjob trace tracewords tracejob traceport tracetunnel tracesteps"
    " tracecli enrolmentcli reloadcli join joinfiles accesscli statuscli statusclient statustables"
    " findings doctor doctoraccount doctorcase doctorcli doctorcertificates doctordaemon"
    " doctorfiles doctorgahps doctorlimit doctornet doctorprograms doctorremedies doctorsettings"
    " doctortls serviceunits commandparser completioncli cecli ceunit cecron"
    " joinroute joinfurther doctorway",
)

LAYER = {name: number for number, names in enumerate(LAYERS) for name in names.split()}

#: What the client may be made of.
CLIENT_LAYERS = (0, 1)

#: Packages that cost too much for the client, or that layers 0 and 1 do without.
HEAVY = ("twisted", "zope", "OpenSSL", "dataclasses", "argparse", "asyncio", "ssl", "subprocess")

#: Lines of one module, at the most.
LONGEST = 350

#: What rvgahp/blah/ shares with the rest, and who may use it: it is a program of its own.
SHARED_WITH_BLAH = {"errors", "gahplines"}
USERS_OF_BLAH = {"sandbox"}


def modules() -> dict[str, Path]:
    """
    @return: the modules of the package itself, by name.
    """
    return {path.stem: path for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def isTypeChecking(node: ast.AST) -> bool:
    """
    @return: whether it is a block for the type checker only.
    """
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def imports(path: Path) -> set[str]:
    """
    @return: the full names of what a module imports when it runs, wherever in it; of
        C{from a import b} both C{a} and C{a.b}.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        if isTypeChecking(node):
            assert isinstance(node, ast.If)
            children: list[ast.AST] = [*node.orelse]
        else:
            children = list(ast.iter_child_nodes(node))
        for child in children:
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def ours(path: Path) -> set[str]:
    """
    @return: the modules of the package, without its name, that a module imports.
    """
    names = {name.split(".")[1] for name in imports(path) if name.startswith("rvgahp.")}
    return names & (set(modules()) | {"blah"})


class LayerTests(SynchronousTestCase):
    """
    The table and the code.
    """

    def test_complete(self) -> None:
        """
        Each module has its layer, and each name in the table is a module.
        """
        self.assertEqual(set(LAYER), set(modules()))
        self.assertEqual(sum(len(names.split()) for names in LAYERS), len(LAYER))

    def test_page(self) -> None:
        """
        doc/architecture.rst has the same table.
        """
        table = PAGE.read_text().split("=====  ====")[2]
        rows = re.split(r"(?m)^(\d)      ", table)[1:]
        known = set(modules())
        for number, names in enumerate(LAYERS):
            self.assertEqual(rows[2 * number], str(number))
            quoted = " ".join(re.findall("``([^`]*)``", rows[2 * number + 1]))
            self.assertEqual(set(quoted.split()) & known, set(names.split()), f"layer {number}")

    def test_downwards(self) -> None:
        """
        A module imports only from its own layer and those below.
        """
        for name, path in modules().items():
            for other in ours(path) - {"blah"}:
                self.assertLessEqual(LAYER[other], LAYER[name], f"{name} imports {other}")

    def test_client(self) -> None:
        """
        The client's modules import layers 0 and 1 and each other.
        """
        allowed = {name for name in LAYER if LAYER[name] in CLIENT_LAYERS}
        clients = {name for name in LAYERS[4].split() if name.startswith("client")}
        allowed |= clients
        for name in clients:
            self.assertLessEqual(ours(modules()[name]), allowed, name)

    def test_lowLayers(self) -> None:
        """
        Nothing that the client could load imports what is heavy.
        """
        reached, left = set(), {"client", "clientsession", "clientcopy", "clientfront"}
        while left:
            name = left.pop()
            reached.add(name)
            for imported in imports(modules()[name]):
                self.assertNotIn(imported.split(".")[0], HEAVY, name)
            left |= ours(modules()[name]) - reached
        self.assertLessEqual({"handshake", "poller", "proxylink"}, reached)

    def test_pureLayer(self) -> None:
        """
        Layer 0 does no I/O and has no clock.
        """
        banned = {"socket", "select", "selectors", "subprocess", "time", "twisted", "signal"}
        for name, layer in LAYER.items():
            if layer == 0:
                found = {imported.split(".")[0] for imported in imports(modules()[name])}
                self.assertEqual(found & banned, set(), name)

    def test_blah(self) -> None:
        """
        The batch GAHP is a program of its own: it shares two modules with the rest, and
        only the sandbox knows of it.
        """
        for path in (PACKAGE / "blah").glob("*.py"):
            self.assertLessEqual(ours(path) - {"blah"}, SHARED_WITH_BLAH, path.name)
        users = {name for name, path in modules().items() if "blah" in ours(path)}
        self.assertLessEqual(users, USERS_OF_BLAH)

    def test_reactor(self) -> None:
        """
        The global reactor is imported in two functions, and nowhere else.
        """
        found = [name for name, path in modules().items() if self._namesReactor(path)]
        self.assertEqual(sorted(found), ["cetap", "proxytap"])
        for name in found:
            top = ast.parse(modules()[name].read_text()).body
            names = [
                alias.name
                for node in top
                if isinstance(node, ast.ImportFrom | ast.Import)
                for alias in node.names
            ]
            self.assertNotIn("reactor", names, name)

    @staticmethod
    def _namesReactor(path: Path) -> bool:
        return "twisted.internet.reactor" in imports(path)


class ModuleTests(SynchronousTestCase):
    """
    What each module begins with, and how long it is.
    """

    def test_testCaseNames(self) -> None:
        """
        The first line of each module names its tests, and they are there.
        """
        for name, path in modules().items():
            first = path.read_text().split("\n", 1)[0]
            match = re.fullmatch(r"# -\*- test-case-name: tests\.(\w+) -\*-", first)
            assert match is not None, f"{name} begins with {first!r}"
            self.assertTrue((TESTS / f"{match[1]}.py").exists(), f"{name}: {match[1]}")

    def test_docstrings(self) -> None:
        """
        Each module says what it is, and in which layer.
        """
        for name, path in modules().items():
            docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
            self.assertEqual(
                re.findall(r"Layer\s+(\d)", docstring), [str(LAYER[name])], f"{name}: {docstring}"
            )

    def test_sizes(self) -> None:
        """
        No module is longer than a reader can hold.
        """
        for path in [*modules().values(), *(PACKAGE / "blah").glob("*.py")]:
            lines = path.read_text().count("\n")
            self.assertLessEqual(lines, LONGEST, path.name)


class RunningTests(SynchronousTestCase):
    """
    What a real interpreter has loaded.
    """

    def loaded(self, code: str) -> set[str]:
        """
        @return: the names of the modules that are there after C{code}, without the
            submodules.
        """
        # -S: what site-packages' own .pth files load is not ours.
        words = [sys.executable, "-I", "-S", "-c"]
        path = "\n".join(sys.path)
        code = (
            f"import sys; sys.path[:] = {path!r}.split(chr(10))\n{code}\n"
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        )
        output = subprocess.run(
            [*words, code], capture_output=True, check=True, text=True, timeout=PATIENCE
        )
        return set(output.stdout.split())

    def test_client(self) -> None:
        """
        The client with all that it ever loads has neither Twisted nor what else is slow;
        and no cryptography before it has asked.
        """
        first = self.loaded("import rvgahp.client")
        self.assertEqual(first & {*HEAVY, "cryptography", "re", "typing"}, set())
        last = self.loaded(
            "import rvgahp.client, rvgahp.clientcopy, rvgahp.clientfront, rvgahp.clientsession"
        )
        self.assertIn("cryptography", last)
        self.assertEqual(last & set(HEAVY), set())

    def test_plugins(self) -> None:
        """
        C{twistd --help} costs no import of the daemons: their plugin names them only.
        """
        loaded = self.loaded(
            "from twisted.plugins import rvgahp_plugins\n"
            "assert rvgahp_plugins.proxy.tapname == 'rvgahp-proxy'\n"
            "assert rvgahp_plugins.ce.tapname == 'rvgahp-ce'"
        )
        self.assertNotIn("rvgahp", loaded)
        self.assertNotIn("OpenSSL", loaded)
