"""
Tests of L{rvgahp.waysettings}, and of the kinds of settings that it reads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError
from rvgahp.negotiation import Connect
from rvgahp.settings import Settings, settingsFrom
from rvgahp.wayout import Target
from rvgahp.waysettings import gatewayVariable, wayOutOf

TARGET = Target("h", 1, "h")


def settingsOf(**values: str) -> Settings:
    """
    @return: a CE's.
    """
    values = {"RVGAHP_BROKER_HOST": "proxy.example.org", **values}
    return settingsFrom("ce", Configuration(None, values))


class WayTests(SynchronousTestCase):
    """
    From settings to a way.
    """

    def setUp(self) -> None:
        """
        Make a place for a file.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(mode=0o700)
        self.file = directory / "login"

    def write(self, content: bytes, mode: int = 0o600) -> dict[str, str]:
        """
        @return: the settings that name a file of that content.
        """
        self.file.unlink(missing_ok=True)
        self.file.write_bytes(content)
        self.file.chmod(mode)
        return {
            "RVGAHP_CONNECT_THROUGH": "http://squid.example.edu:3128/",
            "RVGAHP_CONNECT_THROUGH_CREDENTIALS": str(self.file),
        }

    def refused(self, **values: str) -> str:
        """
        @return: why there is no such way.
        """
        return str(self.assertRaises(ConfigurationError, lambda: wayOutOf(settingsOf(**values))))

    def test_places(self) -> None:
        """
        The proxy's own place, or those that are listed, each once.
        """
        self.assertEqual(list(wayOutOf(settingsOf()).places), [("proxy.example.org", 41000)])
        way = wayOutOf(settingsOf(RVGAHP_CONNECT_TO="a.example:443, [::1]:9619 a.example:443"))
        self.assertEqual(list(way.places), [("a.example", 443), ("::1", 9619)])
        self.assertIsNone(way.gateway)
        for wrong in ("a.example", "a:0", ",", " ".join(f"h:{number}" for number in range(1, 10))):
            self.assertIn("RVGAHP_CONNECT_TO", self.refused(RVGAHP_CONNECT_TO=wrong))

    def test_gateway(self) -> None:
        """
        Its kinds, however their names are written; nothing else is one.
        """
        for url, name in (
            ("http://squid.example.edu:3128", "HTTP proxy squid.example.edu:3128"),
            ("SOCKS5h://[::1]:1080/", "SOCKS server [::1]:1080"),
        ):
            gateway = wayOutOf(settingsOf(RVGAHP_CONNECT_THROUGH=url)).gateway
            assert gateway is not None
            self.assertIn(name, gateway.name)
        for wrong in ("squid:3128", "https://squid:3128", "http://squid", "http://squid:1/x", "x"):
            said = self.refused(RVGAHP_CONNECT_THROUGH=wrong)
            self.assertIn(
                f"RVGAHP_CONNECT_THROUGH = {wrong} in the environment is not possible", said
            )

    def test_userInURL(self) -> None:
        """
        A password is not taken where everybody may read it, and is not repeated.
        """
        for wrong in (
            "http://alice:se/c@ret@squid:3128",
            "alice:se/c@ret@squid:3128",
            "socks5://alice:secret@[::1]:1080",
            "HTTPS://alice:secret@squid:1",
        ):
            said = self.refused(RVGAHP_CONNECT_THROUGH=wrong)
            self.assertIn("RVGAHP_CONNECT_THROUGH_CREDENTIALS", said)
            self.assertIn("...@", said)
            for part in ("alice", "ret", "se/c"):
                self.assertNotIn(part, said.replace("credentials", ""))

    def test_login(self) -> None:
        """
        One line with user and password; the password may have anything in it.
        """
        for content in (b"alice:s:e cret", b"alice:s:e cret\n", b"alice:s:e cret\r\n"):
            gateway: Any = wayOutOf(settingsOf(**self.write(content))).gateway
            sent = Connect("h", 1, (b"alice", b"s:e cret")).begin()
            self.assertEqual(gateway.negotiation(TARGET).begin(), sent)

    def test_badLogin(self) -> None:
        """
        Anything else in the file is refused without its words.
        """
        long = b"x" * 256
        for content in (
            b"",
            b"secret",
            b":secret",
            b"alice:",
            b"alice:sec\nret\n",
            b"alice:" + long,
            long + b":secret",
            b"alice:sec\x00ret",
            b"a:" + long * 99,
        ):
            said = self.refused(**self.write(content))
            self.assertIn("must have one line, USER:PASSWORD", said)
            self.assertNotIn("sec", said)

    def test_file(self) -> None:
        """
        The file must be its owner's alone, in a directory of which that is true, and a file.
        """
        given = self.write(b"alice:secret", 0o640)
        self.assertIn(f"chmod 600 {self.file}", self.refused(**given))
        self.file.chmod(0o600)
        self.file.parent.chmod(0o777)
        self.assertIn("can be written by others", self.refused(**given))
        self.file.parent.chmod(0o700)
        self.file.unlink()
        self.assertIn("cannot be read: No such file", self.refused(**given))
        os.mkfifo(self.file, 0o600)
        self.assertIn("is no regular file", self.refused(**given))

    def test_cleartext(self) -> None:
        """
        Nothing is sent in the clear through a gateway, whose address tells nothing.
        """
        given = {"RVGAHP_CLEARTEXT_PEERS": "10.0.0.0/8"}
        self.assertTrue(settingsOf(**given).allowsCleartext("10.0.0.1"))
        given["RVGAHP_CONNECT_THROUGH"] = "http://10.0.0.1:3128"
        self.assertFalse(settingsOf(**given).allowsCleartext("10.0.0.1"))

    def test_variable(self) -> None:
        """
        What others find a gateway by is known and not obeyed.
        """
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"):
            self.patch(os, "environ", {name: "http://alice:secret@squid:3128"})
            self.assertEqual(gatewayVariable(), name)
            self.assertIsNone(wayOutOf(settingsOf()).gateway)
        self.patch(os, "environ", {"HTTP_PROXY": ""})
        self.assertEqual(gatewayVariable(), "")
