"""
C{doc/messages.rst} has each sentence that the programs say, word by word, and no other, and
how much each line of a daemon's log matters; fields of these are of one vocabulary.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import rvgahp
from rvgahp.logrecord import FIELDS, LEVELS

PACKAGE = Path(rvgahp.__file__).parent
PAGE = Path(__file__).parent.parent / "doc" / "messages.rst"

#: Where the page goes on with what HTCondor, twistd and ssh say.
OTHERS = "\nWords of others\n"

#: Modules whose texts are not messages, or have a page of their own.
ELSEWHERE = {
    "accesssample": "a file for others to change",
    "cecron": "lines for cron, of doc/systemd.rst",
    "cli": "the playground's words, and help",
    "commandparser": "help",
    "completioncli": "help",
    "credentialscli": "help, and doc/credentials.rst",
    "daemonprocess": "the playground's words",
    "metrics": "help of metrics, doc/metrics.rst",
    "onelinename": "types of attributes",
    "pagetext": "the status page, doc/page.rst",
    "demo": "the playground's words",
    "doctor": "findings, each with its remedy beside it; doc/doctor.rst",
    "doctoraccount": "the same",
    "doctorcase": "the same",
    "doctorcertificates": "the same",
    "doctorcli": "the same",
    "doctordaemon": "the same",
    "doctorfiles": "the same",
    "doctorgahps": "the same",
    "doctorlimit": "the same",
    "doctornet": "the same",
    "doctorprograms": "the same",
    "doctorremedies": "the same",
    "doctorsettings": "the same",
    "doctortls": "the same",
    "doctorway": "the same",
    "findings": "the same",
    "enrolmentcli": "help, and doc/enrolment.rst",
    "sandbox": "the playground's words",
    "screen": "how lines are painted",
    "securitytable": "the table of doc/settings.rst",
    "statuscli": "help, and doc/status.rst",
    "statustables": "tables, of doc/status.rst",
    "serviceunits": "a command",
    "settingkinds": "what is allowed, in the table of doc/settings.rst",
    "listkinds": "the same",
    "logtable": "the table of doc/settings.rst",
    "viewtable": "the same",
    "waytable": "the same",
    "settingtable": "the table of doc/settings.rst",
}

#: Parts of tables and comparisons, and what the trace shows when all is well.
NO_MESSAGES = """
    a GAHP's name
    the site of socket *
    # at: <Default>
    a list of SITE=PATH, each site and each path once, the path absolute and of at most * bytes
    alert internal error
    -----BEGIN X509 CRL-----
    SiteEntry | Invitation
    version too low
    wrong version number
    nothing was heard for the lease
    on the command line
    named on the command line
    _CONDOR_RVGAHP_SOCKET in the environment
    RVGAHP_SOCKET in condor_config
    * s after 1970
    encryption *, integrity *, methods *
    waiting for *, * s at the most
    No step failed; it took * s.
    Step * failed after * s.
    a connection from the site, in *
    a connection from the site, in *, by what listens there
    rvgahp_*_*_*
    http://*:*/
    * [*#*] *
    /proc/*/task/*/children
    for your account
"""

#: Calls whose texts are help.
HELP_CALLS = {"ArgumentParser", "Attribute", "Kind", "addParser", "add_argument", "add_parser"}
HELP_CALLS |= {"parameters"}

#: Names to which texts are given that are no messages.
HELP_NAMES = {"HELP", "_ABOUT", "_EPILOG", "_BOOTSTRAP", "_SCRIPT", "WITHHELD", "longdesc"}
HELP_NAMES |= {"BANNED", "SHARED", "_ACCESS_TEXT", "_CONFIG_TEXT", "_CONNECT_TEXTS", "_KEYS"}
HELP_NAMES |= {"_HARDENING", "_HEAD", "_ORDER", "_RELOAD", "_SERVICE", "_TITLES"}  # of a unit

#: Errors that only a mistake in the code raises.
MISTAKES = {"AttributeError", "LookupError", "TypeError"}

#: What a text begins with that is for programs: a ClassAd, a C{repr}.
FOR_PROGRAMS = ("[", "<")

#: A text of fewer words is a part of something, a name or a key.
FEWEST_WORDS = 3

#: What is in the log and not said by a call with its form: the level.
NO_CALLS = {
    "Connections and calls of others: …": "warn",  # of L{rvgahp.refusals.Warnings}
    "The log lacks … events: …": "error",  # of L{rvgahp.daemonlog.DaemonLog}
}

#: Modules with calls that pass on a form that they are given, and how many.
PASS_ON = {"access": 1, "refusals": 1, "siteauthentication": 1, "siteconnection": 1}

#: What makes loggers.
LOGGERS = ("Logger", "BoundLogger", "bound")

#: What is put into a line of the log and is for people alone.
FOR_PEOPLE = """
    about begin by changes count delay duration e end files gahps home host kind left more name
    names note other path peer place port seconds software there uid what who words
"""

GAP = "\N{HORIZONTAL ELLIPSIS}"


@cache
def modules() -> list[tuple[str, ast.Module]]:
    """
    @return: the names of the package's modules, and their source.
    """
    return [(path.stem, ast.parse(path.read_text())) for path in PACKAGE.glob("*.py")]


def template(node: ast.AST) -> str | None:
    """
    @return: a text as it is in the source, with L{GAP} for what is put in; L{None} if
        C{node} is no text.
    """
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bytes):
            return node.value.decode("ascii", "replace")
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join((template(part) or "") for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return GAP
    return None


def canonical(text: str) -> str:
    """
    @return: a sentence with one blank between words, and one L{GAP} for what is put in.
    """
    text = re.sub(r"\{\w*(:[^{}]*)?\}|%[ds]", GAP, text)
    return " ".join(re.sub(f"{GAP}+", GAP, text).split())


def calledName(node: ast.AST) -> str:
    """
    @return: the last name of what is called; empty if it is no call.
    """
    function = getattr(node, "func", None)
    return str(getattr(function, "attr", getattr(function, "id", "")))


def isHelp(node: ast.AST) -> bool:
    """
    @return: whether the texts in it are none that a program says.
    """
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # a docstring
    if isinstance(node, ast.Call):
        return calledName(node) in HELP_CALLS | MISTAKES
    if isinstance(node, ast.Assign):
        return any(getattr(target, "id", "") in HELP_NAMES for target in node.targets)
    return False


def texts(node: ast.AST, fewest: int = FEWEST_WORDS) -> Iterator[str]:
    """
    @return: the texts in a piece of source that have enough words for a message.
    """
    if isHelp(node):
        return
    text = template(node)
    if text is not None:
        text = canonical(text)
        if len(text.replace(GAP, " ").split()) >= fewest:
            yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from texts(child, fewest)


def said(fewest: int = FEWEST_WORDS) -> set[str]:
    """
    @return: the messages in the source.
    """
    found: set[str] = set()
    for name, tree in modules():
        if name not in ELSEWHERE:
            found.update(texts(tree, fewest))
    others = {line.strip().replace("*", GAP) for line in NO_MESSAGES.splitlines()} - {""}
    assert others <= found, others - found
    return {text for text in found - others if not text.startswith(FOR_PROGRAMS)}


def documented(page: str) -> dict[str, str]:
    """
    @return: the messages of a page, literals that have a line to themselves, and the level
        behind each of the log.
    @raise AssertionError: one is there twice.
    """
    found = re.findall(r"(?m)^``(.*)``(?: \((\w+)\))?$", page)
    assert len(found) == len(dict(found)), "a message is there twice"
    return dict(found)


def isLogger(node: ast.expr) -> bool:
    """
    @return: whether it is C{log}, C{self.log}, C{record._log} or C{Logger()}.
    """
    if isinstance(node, ast.Call):
        return calledName(node) == "Logger"
    return getattr(node, "attr", getattr(node, "id", "")) in ("log", "_log")


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """
    @return: the calls, assignments and imports of the package, with the names of modules.
    """
    kinds = (ast.Call, ast.Assign, ast.Import, ast.ImportFrom)
    return [
        (name, node)
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]


def logCalls() -> Iterator[tuple[str, ast.Call, str]]:
    """
    @return: the calls that say something in a log: module, call and level.
    """
    for module, node in nodes():
        if not isinstance(node, ast.Call):
            continue
        name = calledName(node)
        whose = getattr(node.func, "value", None)
        if whose is not None and isLogger(whose) and name in (*LEVELS, "failure"):
            yield module, node, "error" if name == "failure" else name
        elif name == "warn":
            yield module, node, name  # Warnings, or what ends there


def formOf(call: ast.Call) -> str | None:
    """
    @return: what a call says, as on the page; L{None} if it passes on what it is given.
    """
    text = template(call.args[0])
    return None if text is None else canonical(text)


def inTheLog() -> dict[str, str]:
    """
    @return: the level of each message of a daemon's log that has words of its own.
    @raise AssertionError: one has two.
    """
    found = dict(NO_CALLS)
    for _, call, level in logCalls():
        form = formOf(call)
        if form is not None and re.search("[A-Za-z]", form):
            assert found.setdefault(form, level) == level, f"{form}: two levels"
    return found


class PageTests(SynchronousTestCase):
    """
    The page and the source.
    """

    def setUp(self) -> None:
        self.page, _, self.others = PAGE.read_text().partition(OTHERS)

    def test_complete(self) -> None:
        """
        Whatever a program says is on the page.
        """
        missing = sorted((said() | set(inTheLog())) - set(documented(self.page)))
        self.assertEqual(missing, [], "\n".join(f"``{text}``" for text in missing))

    def test_nothingElse(self) -> None:
        """
        The page has no message that no program says, and each once.
        """
        found = documented(self.page)
        self.assertEqual(sorted(set(found) - said(fewest=1)), [])
        self.assertTrue(self.others)

    def test_levels(self) -> None:
        """
        Each message of a daemon's log has its level behind it, and no other has one.
        """
        found = {form: level for form, level in documented(self.page).items() if level}
        self.assertEqual(found, inTheLog())


class LogTests(SynchronousTestCase):
    """
    The calls that say something in a log.
    """

    def test_forms(self) -> None:
        """
        Each has its form in it, and is so found by this page's tests; only these pass one on.
        """
        passing = Counter(name for name, call, _ in logCalls() if formOf(call) is None)
        self.assertEqual(passing, PASS_ON)

    def test_noOther(self) -> None:
        """
        Nobody has a logger by another name, or another kind of one.
        """
        for name, node in nodes():
            if isinstance(node, ast.Assign) and calledName(node.value) in LOGGERS:
                self.assertTrue(isLogger(node.targets[0]), f"{name}:{node.lineno}")
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = {getattr(node, "module", "")} | {one.name for one in node.names}
                self.assertFalse(imported & {"logging", "twisted.python.log", "syslog"}, name)

    def test_fields(self) -> None:
        """
        What is put into a line has the same name everywhere: a field's, or one of those that
        are for people alone.
        """
        used = {one.arg for _, call, _ in logCalls() for one in call.keywords if one.arg}
        self.assertEqual(used - set(FIELDS), set(FOR_PEOPLE.split()))

    def test_sessions(self) -> None:
        """
        A line with a session in it has the session's id in its form.
        """
        for name, call, _ in logCalls():
            names = {one.arg for one in call.keywords}
            if "session" in names and "about" not in names:
                self.assertIn("ession {session}", template(call.args[0]) or "", name)


class SourceTests(SynchronousTestCase):
    """
    How messages are found in the source.
    """

    def test_texts(self) -> None:
        """
        A text is found wherever it stands, whatever is put into it; docstrings, help and
        short texts are not messages.
        """
        source = '''
def function(a, b):
    """
    This is no message.
    """
    parser.add_argument("--x", help="nor is this one")
    log.warn("it said {what}: {delay:.2f}", what=a)
    raise Error(f"cannot {a}{b} now, " "or" f" {a!r}" if a else "it was too late") from None
    write(b"heard for %d s\\n" % a, "two words")
'''
        expected = {"it said *: *", "cannot * now, or *", "it was too late", "heard for * s"}
        self.assertEqual({text.replace(GAP, "*") for text in texts(ast.parse(source))}, expected)
