"""
Tests of L{rvgahp.sinful}.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import rvgahp
from rvgahp.errors import ConfigurationError
from rvgahp.sinful import Sinful, parseAddress, parseInherit
from tests.procfs import PATIENCE

#: As a gridmanager behind a shared port has it.
USUAL = "<192.0.2.7:9618?addrs=192.0.2.7-9618&alias=vm&noUDP&sock=gridmanager_12278_069a_1>"

#: Where the package is.
ROOT = Path(rvgahp.__file__).parent.parent

#: What must not be in a log.
SECRET = "0123456789abcdef"


class SinfulTests(SynchronousTestCase):
    """
    The form of an address, as HTCondor's own parser takes it.
    """

    def assertParsed(self, text: str, host: str, port: int, sharedPortId: str = "") -> None:
        found = Sinful(text)
        self.assertEqual(
            (found.host, found.port, found.sharedPortId), (host, port, sharedPortId), text
        )

    def test_usual(self) -> None:
        """
        What gridmanagers have is read: with a shared port, without, with IPv6, and with
        the port 0 of a shared port daemon that was not up.
        """
        self.assertParsed(USUAL, "192.0.2.7", 9618, "gridmanager_12278_069a_1")
        self.assertParsed("<127.0.0.1:45317?addrs=127.0.0.1-45317&alias=vm>", "127.0.0.1", 45317)
        self.assertParsed("<[2001:db8::7]:9618?noUDP&sock=g_1>", "2001:db8::7", 9618, "g_1")
        self.assertParsed("<192.0.2.7:0?sock=g_1>", "192.0.2.7", 0, "g_1")

    def test_rare(self) -> None:
        """
        What HTCondor takes beside that means the same here: no port, no parameters, a
        name, an empty host, empty parameters, leading zeros.
        """
        self.assertParsed("<192.0.2.7>", "192.0.2.7", 0)
        self.assertParsed("<192.0.2.7:>", "192.0.2.7", 0)
        self.assertParsed("<192.0.2.7:009618?>", "192.0.2.7", 9618)
        self.assertParsed("<submit.example.edu:9618>", "submit.example.edu", 9618)
        self.assertParsed("<[::1]?sock=a>", "::1", 0, "a")
        self.assertParsed("<:1?&;noUDP;&>", "", 1)

    def test_parameters(self) -> None:
        """
        Parameters are parted by & and ;, are decoded, name and value, and the last of
        a name counts; names are told apart by case.
        """
        self.assertParsed("<h:1?sock=a&sock=b;alias=c>", "h", 1, "b")
        self.assertParsed("<h:1?a=%26sock%3Dx;%73oc%6b=%61%2Db%5F>", "h", 1, "a-b_")
        self.assertParsed("<h:1?Sock=a&sock_=b&asock=c>", "h", 1)
        self.assertParsed("<h:1?sock=a=b>", "h", 1, "a=b")

    def test_malformed(self) -> None:
        """
        Whatever HTCondor does not take is refused, and so are a port that is none, and an
        empty id, which would look like none.
        """
        for text, reason in {
            "": "within < and >",
            "192.0.2.7:9618": "within < and >",
            "<192.0.2.7:9618": "within < and >",
            "<192.0.2.7:9618> ": "within < and >",
            "<192.0.2.7:9618>>": "within < and >",
            "<192.0.2.7:9618?a>b>": "within < and >",
            "<[::1:9618>": "bracket",
            "<[::1]9618>": "bracket",
            "<h:port>": "port",
            "<h:-1>": "port",
            "<h:+1>": "port",
            "<h:1_0>": "port",
            "<h:\u0661>": "port",
            "<h:65536>": "port",
            "<h:" + "9" * 5000 + ">": "port",
            "<fe80::1:9618>": "port",
            "<h:1?=a>": "without a name",
            "<h:1?a%4>": "hexadecimal",
            "<h:1?sock=%4&1>": "hexadecimal",
            "<h:1?sock=a%>": "hexadecimal",
            "<h:1?a=%+1>": "hexadecimal",
            "<h:1?a=% 1>": "hexadecimal",
            "<h:1?sock>": "empty parameter sock",
            "<h:1?sock=>": "empty parameter sock",
            "<h:1?sock=a&sock=>": "empty parameter sock",
        }.items():
            e = self.assertRaises(ConfigurationError, Sinful, text)
            self.assertIn(reason, str(e), text)

    @given(st.text(alphabet="<>[]:?&;=%sock019afé\udc80", max_size=40))
    def test_rubbish(self, text: str) -> None:
        """
        Whatever the text, there is an address or a sentence.
        """
        try:
            found = Sinful(f"<{text}>")
        except ConfigurationError:
            return
        self.assertTrue(0 <= found.port <= 65535)
        found.isDialable()

    def test_dialable(self) -> None:
        """
        An address with a port can be dialled; a name, an old way of writing addresses,
        nothing, or the port 0 cannot.
        """
        for text in ("<192.0.2.7:9618>", "<[2001:db8::7]:1?sock=a>", "<[::ffff:192.0.2.7]:1>"):
            self.assertTrue(Sinful(text).isDialable(), text)
        for text in (
            "<192.0.2.7:0?sock=a>",
            "<192.0.2.7>",
            "<submit.example.edu:9618>",
            "<:9618>",
            "<127.1:9618>",
            "<0x7f000001:9618>",
            "<[fe80::1%25lo]:9618>",
            "<192.0.2.7\0:9618>",
            "<\udc80:9618>",
        ):
            self.assertFalse(Sinful(text).isDialable(), text)


class InheritTests(SynchronousTestCase):
    """
    The variable.
    """

    def test_usual(self) -> None:
        """
        The second word of what a gridmanager sets is its address.
        """
        found = parseInherit(f"12278 {USUAL} 0 0")
        self.assertEqual((found.host, found.port), ("192.0.2.7", 9618))
        self.assertEqual(found.sharedPortId, "gridmanager_12278_069a_1")
        self.assertEqual(parseInherit("1 <h:2>").host, "h")

    def test_bad(self) -> None:
        """
        A variable that HTCondor did not set, and one of a daemon that did not know its
        own address, are refused with the variable's name and nothing of its value.
        """
        for text in (
            "",
            "12278",
            f"{SECRET}",
            f" 12278 {USUAL}",
            f"{USUAL} 12278",
            f"12278  0 0 {SECRET}",
            f"12278 0 0 1 {SECRET}",
            f"12278 {SECRET}",
            f"12278 <{SECRET}:{SECRET}> 0",
            f"12278 <h:1?sock={SECRET}%> 0",
            f"-1 {USUAL}",
        ):
            e = self.assertRaises(ConfigurationError, parseInherit, text)
            self.assertIn("CONDOR_INHERIT does not ", str(e), text)
            for hidden in (SECRET, "12278", "192.0.2.7"):
                self.assertNotIn(hidden, str(e))


class AddressTests(SynchronousTestCase):
    """
    A setting.
    """

    def test_good(self) -> None:
        """
        An IPv4 address as it is, and an IPv6 one in brackets, with a port.
        """
        self.assertEqual(parseAddress("1.2.3.4:9618"), ("1.2.3.4", 9618))
        self.assertEqual(parseAddress("[::1]:1"), ("::1", 1))
        self.assertEqual(parseAddress("[2001:db8::7]:65535"), ("2001:db8::7", 65535))

    def test_bad(self) -> None:
        """
        Anything else is refused with the value, cut, and what is expected.
        """
        for text in (
            "",
            "9618",
            ":9618",
            "1.2.3.4",
            "1.2.3.4:",
            "1.2.3.4:0",
            "1.2.3.4:65536",
            "1.2.3.4:10000009618",
            "1.2.3.4:" + "0" * 30,
            "1.2.3.4: 1",
            "1.2.3.4:+1",
            "1.2.3.4:\u0661",
            "[1.2.3.4]:9618",
            "::1:9618",
            "[::1]",
            "[::1:9618",
            "::1]:9618",
            "[]:9618",
            "[[::1]]:9618",
            "1.2.3:9618",
            "localhost:9618",
            "1.2.3.4:9618/",
            "x" * 5000 + ":1",
        ):
            e = self.assertRaises(ConfigurationError, parseAddress, text)
            self.assertIn(repr(text[:80]), str(e))
            self.assertIn("[2001:db8::7]:9618", str(e))
            self.assertLess(len(str(e)), 250)


class CostTests(SynchronousTestCase):
    """
    What it costs the client.
    """

    def test_imports(self) -> None:
        """
        It loads neither C{re} nor C{ipaddress}.
        """
        script = (
            "import socket, sys, rvgahp\n"
            "before = set(sys.modules)\n"
            "import rvgahp.sinful\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        words = [sys.executable, "-S", "-c", script]
        loaded = subprocess.check_output(words, timeout=PATIENCE, cwd=ROOT)
        self.assertLessEqual(
            set(loaded.decode().split()), {"__future__", "rvgahp.errors", "rvgahp.sinful"}
        )
