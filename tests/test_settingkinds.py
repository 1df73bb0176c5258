"""
Tests of L{rvgahp.settingkinds}.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import listkinds, settingkinds
from rvgahp.policy import Level
from rvgahp.settingkinds import Kind, amount, integer, path, seconds
from rvgahp.sinful import parseAddress
from tests.texts import oddTexts

MIB = 1 << 20
KINDS = [
    integer(-5, 70000),
    seconds(0.5, 60),
    seconds(1, 60, whole=True),
    amount(65536, 1 << 30),
    path(20),
    *(
        kind
        for kind in (*vars(settingkinds).values(), *vars(listkinds).values())
        if isinstance(kind, Kind)
    ),
]


class KindTests(SynchronousTestCase):
    """
    Each kind takes what it should and nothing else.
    """

    def assertTakes(self, kind: Kind, *pairs: tuple[str, Any]) -> None:
        """
        Each text means its value, of the very type.
        """
        for text, value in pairs:
            found = kind.parse(text)
            self.assertEqual(found, value, text)
            self.assertIs(type(found), type(value), text)

    def assertRefuses(self, kind: Kind, *texts: str) -> None:
        """
        Each text is a L{ValueError}.
        """
        for text in texts:
            try:
                value = kind.parse(text)
            except ValueError:
                continue
            self.fail(f"{text!r} was taken for {value!r}")

    def test_integer(self) -> None:
        """
        Whole numbers within the range, both ends included.
        """
        kind = integer(-5, 70000)
        self.assertTakes(kind, ("0", 0), ("-5", -5), ("70000", 70000), ("+7", 7), ("007", 7))
        self.assertRefuses(
            kind, "-6", "70001", "1.0", "1e3", "0x10", "1_0", "a", "9" * 5000, "\u0661"
        )
        self.assertEqual(kind.allowed, "a whole number from -5 to 70000")

    def test_seconds(self) -> None:
        """
        Numbers with fractions, unless whole ones are asked for.
        """
        self.assertTakes(seconds(0.5, 60), ("10", 10.0), ("0.5", 0.5), ("60", 60.0))
        self.assertRefuses(seconds(0.5, 60), "0.4", "60.1", "-1", "1.", ".5", "nan", "inf", "1s")
        self.assertTakes(seconds(1, 60, whole=True), ("10", 10))
        self.assertRefuses(seconds(1, 60, whole=True), "10.0", "0", "61")
        whole = seconds(1, 2**31 - 1, whole=True)
        self.assertEqual(whole.allowed, "a whole number of seconds from 1 to 2147483647")

    def test_amount(self) -> None:
        """
        Bytes with and without a unit; every unit is binary.
        """
        kind = amount(65536, 1 << 30)
        self.assertTakes(
            kind,
            ("65536", 65536), ("64K", 65536), ("64 KB", 65536), ("64kib", 65536),
            ("16 MiB", 16 * MIB), ("16M", 16 * MIB), ("1GiB", 1 << 30), ("65536 B", 65536),
        )  # fmt: skip
        self.assertRefuses(kind, "65535", "2G", "16 TiB", "1.5M", "-1", "M", "16 Mi", "0")
        self.assertIn("from 64 KiB to 1 GiB", kind.allowed)

    def test_path(self) -> None:
        """
        Absolute paths, counted in bytes, without control characters.
        """
        self.assertTakes(path(20), ("/run/x.sock", "/run/x.sock"), ("/a b", "/a b"))
        self.assertRefuses(path(20), "x", "./x", "~/x", "/a\nb", "/a\0", "/" + "a" * 20)
        self.assertRefuses(path(20), "/" + "\u00e9" * 10)

    def test_mode(self) -> None:
        """
        Octal digits of permission bits.
        """
        self.assertTakes(
            settingkinds.MODE, ("0600", 0o600), ("660", 0o660), ("0", 0), ("0777", 0o777)
        )
        self.assertRefuses(settingkinds.MODE, "1777", "0800", "rw", "-1", "0o600")

    def test_account(self) -> None:
        """
        An account is named as Linux would have it.
        """
        self.assertTakes(settingkinds.ACCOUNT, ("rvgahp", "rvgahp"), ("_condor-1.x", "_condor-1.x"))
        self.assertRefuses(settingkinds.ACCOUNT, "", "a b", "1st", "x" * 33, "root:")

    def test_host(self) -> None:
        """
        Names of the DNS and addresses, IPv6 ones with and without brackets.
        """
        self.assertTakes(
            settingkinds.HOST,
            ("example.com", "example.com"),
            ("example.com.", "example.com."),
            ("localhost", "localhost"),
            ("a_b.example", "a_b.example"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[::1]", "::1"),
        )
        self.assertRefuses(settingkinds.HOST, "a b", "a..b", ".", "-a.example", "a-.example")
        self.assertRefuses(
            settingkinds.HOST, "example.com:41000", "http://a", "b\u00fccher.example"
        )
        self.assertRefuses(settingkinds.HOST, "192.0.2.256", "1.2.3", "[192.0.2.7]")
        self.assertRefuses(settingkinds.HOST, "a" * 64, ".".join(["abcdefgh"] * 29))

    def test_hostAndPort(self) -> None:
        """
        A host and a port; an IPv6 address has brackets.
        """
        self.assertTakes(
            settingkinds.HOST_PORT,
            ("example.com:443", ("example.com", 443)),
            ("192.0.2.7:1", ("192.0.2.7", 1)),
            ("[::1]:65535", ("::1", 65535)),
        )
        self.assertRefuses(settingkinds.HOST_PORT, "example.com", ":1", "a:0", "a:65536", "a:b")
        self.assertRefuses(settingkinds.HOST_PORT, "::1:5", "[::1]", "[a]:1")

    def test_addressPort(self) -> None:
        """
        An address and a port, as the client reads it; no name, which it could not resolve.
        """
        taken = ("192.0.2.7:9618", "[2001:db8::7]:9618", "[::1]:65535")
        self.assertTakes(settingkinds.ADDRESS_PORT, *((text, text) for text in taken))
        self.assertTakes(settingkinds.ADDRESS_PORT, ("[2001:DB8:0::7]:1", "[2001:db8::7]:1"))
        for text in taken:
            self.assertEqual(parseAddress(text)[1], int(text.rpartition(":")[2]))
        self.assertRefuses(settingkinds.ADDRESS_PORT, "example.com:443", "192.0.2.7", "*:1", ":1")
        self.assertRefuses(settingkinds.ADDRESS_PORT, "192.0.2.7:0", "::1:5", "[192.0.2.7]:1")
        self.assertRefuses(settingkinds.ADDRESS_PORT, "[fe80::1%eth0]:9618", "192.0.2.7:65536")

    def test_loopbackPort(self) -> None:
        """
        A port alone is one of 127.0.0.1; an address that others reach is refused, and so is a
        name, which may come to lead elsewhere.
        """
        taken = ("9711", ("127.0.0.1", 9711)), ("127.1.2.3:0", ("127.1.2.3", 0))
        self.assertTakes(settingkinds.LOOPBACK_PORT, *taken)
        for refused in ("", ":9711", "65536", "0.0.0.0:9711", "192.0.2.7:1", "localhost:9711",
                        "[::1]:9711", "::1:9711", "127.0.0.1", "127.0.0.1:", "*:9711"):  # fmt: skip
            self.assertRefuses(settingkinds.LOOPBACK_PORT, refused)

    def test_address(self) -> None:
        """
        One address, or all of them.
        """
        self.assertTakes(settingkinds.ADDRESS, ("*", ""), ("127.0.0.1", "127.0.0.1"), ("::", "::"))
        self.assertRefuses(settingkinds.ADDRESS, "eth0", "localhost", "192.0.2.0/24")

    def test_networks(self) -> None:
        """
        Addresses and networks, by commas or blanks; a bit beyond the mask is
        no network.
        """
        self.assertTakes(
            listkinds.NETWORKS,
            ("192.0.2.7", (ip_network("192.0.2.7/32"),)),
            (
                "192.0.2.0/24, 198.51.100.0/255.255.255.0  2001:db8::/32",
                (
                    ip_network("192.0.2.0/24"),
                    ip_network("198.51.100.0/24"),
                    ip_network("2001:db8::/32"),
                ),
            ),
        )
        self.assertRefuses(
            listkinds.NETWORKS, "192.0.2.7/24", "192.0.2.*", "host", ",", "192.0.2.0/33"
        )
        self.assertEqual(listkinds.NETWORKS.unset, ())

    def test_names(self) -> None:
        """
        Sites and GAHPs by the rules for their names.
        """
        self.assertTakes(settingkinds.SITE, ("hpcc", "hpcc"))
        self.assertRefuses(settingkinds.SITE, "a b", "a/b")
        self.assertTakes(listkinds.GAHP_NAMES, ("a, b-c d", ("a", "b-c", "d")))
        self.assertRefuses(listkinds.GAHP_NAMES, "a b/c", ",")

    def test_command(self) -> None:
        """
        Command lines are parted as by a shell, and no more than parted.
        """
        self.assertTakes(
            settingkinds.COMMAND,
            ("/bin/cat", ["/bin/cat"]),
            ("/opt/my\\ gahp -x 'a b' \"c\"", ["/opt/my gahp", "-x", "a b", "c"]),
            ("/bin/x $HOME | y > z; w", ["/bin/x", "$HOME", "|", "y", ">", "z;", "w"]),
        )
        self.assertRefuses(settingkinds.COMMAND, "'/bin/cat", "''", "'' x", "/bin/cat\nx")

    def test_level(self) -> None:
        """
        Levels by L{Level.parse}.
        """
        self.assertTakes(settingkinds.LEVEL, ("preferred", Level.PREFERRED))
        self.assertRefuses(settingkinds.LEVEL, "maybe")

    def test_methods(self) -> None:
        """
        Methods in capitals and once each, unknown ones too.
        """
        self.assertTakes(listkinds.METHODS, ("aes, BLOWFISH AES", ("AES", "BLOWFISH")))
        self.assertRefuses(listkinds.METHODS, ",")

    @given(
        st.sampled_from(KINDS),
        st.one_of(oddTexts(1), st.text("0129.-+/:KMiB, ", min_size=1, max_size=12)),
    )
    def test_anyText(self, kind: Kind, text: str) -> None:
        """
        No text makes a kind fail in another way than by L{ValueError}.
        """
        try:
            kind.parse(text)
        except ValueError:
            pass
