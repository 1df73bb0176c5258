"""
C{doc/messages.rst} has each sentence that the programs say, word by word, and no other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import rvgahp

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
    /proc/*/task/*/children
    for your account
"""

#: Calls whose texts are help.
HELP_CALLS = {"ArgumentParser", "Attribute", "Kind", "addParser", "add_argument", "add_parser"}
HELP_CALLS |= {"parameters"}

#: Names to which texts are given that are no messages.
HELP_NAMES = {"HELP", "_ABOUT", "_EPILOG", "_BOOTSTRAP", "_SCRIPT", "WITHHELD", "longdesc"}
HELP_NAMES |= {"BANNED", "SHARED", "_ACCESS_TEXT", "_CONFIG_TEXT", "_CONNECT_TEXTS", "_KEYS"}
HELP_NAMES |= {"_HARDENING", "_HEAD", "_ORDER", "_SERVICE", "_TITLES"}  # of a unit

#: Errors that only a mistake in the code raises.
MISTAKES = {"AttributeError", "LookupError", "TypeError"}

#: What a text begins with that is for programs: a ClassAd, a C{repr}.
FOR_PROGRAMS = ("[", "<")

#: A text of fewer words is a part of something, a name or a key.
FEWEST_WORDS = 3

GAP = "\N{HORIZONTAL ELLIPSIS}"


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


def calledName(node: ast.Call) -> str:
    function = node.func
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
    for path in PACKAGE.glob("*.py"):
        if path.stem not in ELSEWHERE:
            found.update(texts(ast.parse(path.read_text()), fewest))
    others = {line.strip().replace("*", GAP) for line in NO_MESSAGES.splitlines()} - {""}
    assert others <= found, others - found
    return {text for text in found - others if not text.startswith(FOR_PROGRAMS)}


def documented(page: str) -> list[str]:
    """
    @return: the messages of a page: literals that have a line to themselves.
    """
    return re.findall("(?m)^``(.*)``$", page)


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
        missing = sorted(said() - set(documented(self.page)))
        self.assertEqual(missing, [], "\n".join(f"``{text}``" for text in missing))

    def test_nothingElse(self) -> None:
        """
        The page has no message that no program says, and each once.
        """
        found = documented(self.page)
        self.assertEqual(sorted(set(found) - said(fewest=1)), [])
        self.assertEqual(len(found), len(set(found)))
        self.assertTrue(self.others)


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
