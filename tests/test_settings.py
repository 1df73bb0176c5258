"""
Tests of L{rvgahp.settings} and L{rvgahp.settingreader}.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.configuration import Configuration
from rvgahp.errors import ConfigurationError
from rvgahp.policy import Level, Policy
from rvgahp.settingreader import gahpSetting
from rvgahp.settings import Settings, load, settingsFrom
from rvgahp.settingtable import TABLE
from tests.condorfiles import ConfigurationTestCase
from tests.texts import oddTexts

FILE = "/etc/condor/condor_config"

FIRST_RVGAHPS_FILE = """\
LIBEXEC = /usr/libexec/condor
BOSCO_SANDBOX_DIR = $ENV(HOME)/.rvgahp
LOG = $ENV(HOME)/.rvgahp

GLITE_LOCATION = $(LIBEXEC)/glite
BATCH_GAHP = $(GLITE_LOCATION)/bin/batch_gahp

FT_GAHP_LOG = $(LOG)/FTGahpLog
FT_GAHP = /usr/sbin/condor_ft-gahp

RVGAHP_BROKER_HOST = example.com
RVGAHP_BROKER_PORT = 41000
"""


def proxy(overrides: dict[str, str] | None = None, /, **values: str) -> Settings:
    """
    A proxy's settings, from a file with these values.
    """
    return settingsFrom("proxy", Configuration(FILE, values), overrides)


def ce(overrides: dict[str, str] | None = None, /, **values: str) -> Settings:
    """
    A CE's settings, from a file with these values and the proxy's host.
    """
    values = {"RVGAHP_BROKER_HOST": "example.com", **values}
    return settingsFrom("ce", Configuration(FILE, values), overrides)


def only(name: str, value: str) -> dict[str, str]:
    """
    One of HTCondor's subsystem names, which is no keyword.
    """
    return {f"RVGAHP.{name}": value}


class LoadTests(ConfigurationTestCase):
    """
    From files, by HTCondor's reader.
    """

    def test_firstRvgahpsFile(self) -> None:
        """
        The file of the first rvgahp's users serves the CE as it is, where they
        have it.
        """
        path = self.write(FIRST_RVGAHPS_FILE, ".rvgahp/condor_config.rvgahp")
        settings = load("ce", None)
        self.assertEqual(settings.configFile, path)
        self.assertEqual(settings.notes, [])
        self.assertEqual(settings.gahpCommands, {})
        for name, value in (
            ("RVGAHP_BROKER_HOST", "example.com"),
            ("RVGAHP_BROKER_PORT", 41000),
            ("LIBEXEC", "/usr/libexec/condor"),
            ("GLITE_LOCATION", "/usr/libexec/condor/glite"),
            ("BATCH_GAHP", "/usr/libexec/condor/glite/bin/batch_gahp"),
            ("FT_GAHP", "/usr/sbin/condor_ft-gahp"),
            ("BLAHPD_LOCATION", None),
            ("RVGAHP_SITE", None),
            ("RVGAHP_CERTFILE", f"{self.home}/.rvgahp/ce.crt"),
            ("RVGAHP_KEYFILE", f"{self.home}/.rvgahp/ce.key"),
            ("RVGAHP_CAFILE", f"{self.home}/.rvgahp/ca.crt"),
        ):
            self.assertEqual(settings.get(name), value, name)

    def test_compiledIn(self) -> None:
        """
        HTCondor's compiled-in programs do not count as set.
        """
        settings = load("ce", self.write("RVGAHP_BROKER_HOST = example.com\n"))
        self.assertIsNone(settings.get("BATCH_GAHP"))
        self.assertIsNone(settings.get("FT_GAHP"))

    def test_noFileForTheCE(self) -> None:
        """
        Without its file the CE's start fails, and the sentence says how to make
        one.
        """
        e = self.assertRaises(ConfigurationError, load, "ce", None)
        self.assertIn(f"{self.home}/.rvgahp/condor_config.rvgahp", str(e))
        self.assertIn("RVGAHP_BROKER_HOST =", str(e))

    def test_CEIgnoresThePoolsFile(self) -> None:
        """
        The CE's own file is not replaced by C{CONDOR_CONFIG}.
        """
        self.environment["CONDOR_CONFIG"] = self.write("RVGAHP_BROKER_HOST = pool.example\n")
        path = self.write(FIRST_RVGAHPS_FILE, ".rvgahp/condor_config.rvgahp")
        settings = load("ce", None)
        self.assertEqual(settings.configFile, path)
        self.assertEqual(settings.get("RVGAHP_BROKER_HOST"), "example.com")

    def test_proxyWithoutFile(self) -> None:
        """
        The proxy runs on defaults where HTCondor has no configuration.
        """
        self.environment["CONDOR_CONFIG"] = "ONLY_ENV"
        settings = load("proxy", None)
        self.assertIsNone(settings.configFile)
        self.assertEqual(settings.get("RVGAHP_PORT"), 41000)
        self.assertEqual(settings.get("RVGAHP_KEYFILE"), "/etc/rvgahp/host.key")

    def test_proxyWithThePoolsFile(self) -> None:
        """
        The proxy reads what HTCondor finds itself; its credentials lie beside.
        """
        path = self.write(
            "RVGAHP_PORT = 7\nSEC_DEFAULT_ENCRYPTION = OPTIONAL\n"
            "GRIDMANAGER_GAHP_CALL_TIMEOUT = 2 * $(MINUTE)\n"
            "MINUTE = 60\n"
        )
        self.environment["CONDOR_CONFIG"] = path
        settings = load("proxy", None)
        self.assertEqual(settings.configFile, path)
        self.assertEqual(settings.get("RVGAHP_PORT"), 7)
        self.assertEqual(settings.get("GRIDMANAGER_GAHP_CALL_TIMEOUT"), 120)
        self.assertEqual(settings.get("GRIDMANAGER_GAHP_RESPONSE_TIMEOUT"), 20)
        self.assertEqual(settings.get("RVGAHP_CERTFILE"), f"{self.home}/host.crt")
        self.assertEqual(len(settings.notes), 1)

    def test_misspelt(self) -> None:
        """
        A misspelt name in a real file is named with the one that is meant.
        """
        path = self.write("RVGAHP_BROKER_HOTS = example.com\nRVGAHP_BROKER_HOST = example.com\n")
        e = self.assertRaises(ConfigurationError, load, "ce", path)
        self.assertIn("RVGAHP_BROKER_HOTS", str(e))
        self.assertIn("is RVGAHP_BROKER_HOST meant", str(e))
        self.assertIn(path, str(e))

    def test_environment(self) -> None:
        """
        The environment replaces what the file says, the command line both.
        """
        path = self.write("RVGAHP_PORT = 1\n")
        self.environment["_CONDOR_RVGAHP_PORT"] = "2"
        self.assertEqual(load("proxy", path).get("RVGAHP_PORT"), 2)
        self.assertEqual(load("proxy", path, {"RVGAHP_PORT": "3"}).get("RVGAHP_PORT"), 3)

    def test_sample(self) -> None:
        """
        The samples in C{contrib} are what their daemons take, with nothing to
        note.
        """
        contrib = os.path.join(os.path.dirname(os.path.dirname(__file__)), "contrib")
        for role in ("proxy", "ce"):
            path = os.path.join(os.path.abspath(contrib), f"condor_config.rvgahp-{role}")
            self.assertEqual(load(role, path).notes, [], role)


class DefaultTests(SynchronousTestCase):
    """
    What holds where nothing is set.
    """

    def test_values(self) -> None:
        """
        The defaults are those of the manual, of the right types.
        """
        settings = proxy()
        expected: dict[str, Any] = {
            "RVGAHP_PORT": 41000,
            "RVGAHP_INTERFACE": "",
            "RVGAHP_SOCKET": "/run/rvgahp/proxy.sock",
            "RVGAHP_SOCKET_MODE": 0o666,
            "RVGAHP_MAX_ARRIVALS": 1024,
            "RVGAHP_MAX_ARRIVALS_PER_ADDRESS": 256,
            "RVGAHP_REPLAY_LIMIT": 16 << 20,
            "RVGAHP_REPLAY_TOTAL": 256 << 20,
            "RVGAHP_START_TIMEOUT": 10.0,
            "GRIDMANAGER_GAHP_CALL_TIMEOUT": 300,
            "GRIDMANAGER_GAHP_RESPONSE_TIMEOUT": 20,
            "RVGAHP_STDIN_GRACE": 60.0,
            "RVGAHP_KILL_GRACE": 10.0,
            "SEC_DEFAULT_ENCRYPTION": Level.REQUIRED,
            "SEC_DEFAULT_INTEGRITY": Level.REQUIRED,
            "SEC_DEFAULT_CRYPTO_METHODS": ("AES",),
            "SEC_DEFAULT_SESSION_DURATION": 86400,
            "SEC_DEFAULT_SESSION_LEASE": 3000,
            "RVGAHP_CLEARTEXT_PEERS": (),
            "RVGAHP_CERTFILE": "/etc/condor/host.crt",
        }
        for name, value in expected.items():
            self.assertEqual(settings.get(name), value, name)
            self.assertIs(type(settings.get(name)), type(value), name)
        self.assertEqual(settings.policy, Policy(Level.REQUIRED, Level.REQUIRED, ("AES",)))
        self.assertEqual(settings.notes, [])

    def test_empty(self) -> None:
        """
        An empty value is none: the default holds, and what is required is
        missing.
        """
        self.assertEqual(proxy(RVGAHP_PORT="").get("RVGAHP_PORT"), 41000)
        e = self.assertRaises(ConfigurationError, ce, RVGAHP_BROKER_HOST="")
        self.assertIn(f"RVGAHP_BROKER_HOST is not set in {FILE}", str(e))

    def test_roles(self) -> None:
        """
        A daemon has its own settings only, but the other's may stand in its
        file, for one file may serve both.
        """
        settings = proxy(RVGAHP_BROKER_HOST="not even a host", RVGAHP_GAHP_NAMES="x")
        self.assertRaises(LookupError, settings.get, "RVGAHP_BROKER_HOST")
        self.assertRaises(LookupError, settings.get, "RVGAHP_PROT")
        self.assertEqual(settings.gahpCommands, {})


class RefusalTests(SynchronousTestCase):
    """
    Whatever is wrong is named.
    """

    def refusal(self, *arguments: Any, **values: str) -> str:
        """
        The sentence with which a CE's settings are refused.
        """
        e = self.assertRaises(ConfigurationError, ce, *arguments, **values)
        sentence = str(e)
        self.assertTrue(sentence.isprintable() and sentence.endswith((".", "?")), sentence)
        return sentence

    def test_badValue(self) -> None:
        """
        Setting, value, file and what is allowed are in the sentence.
        """
        self.assertEqual(
            self.refusal(RVGAHP_BROKER_PORT="0"),
            f"RVGAHP_BROKER_PORT = 0 in {FILE} is not possible: it must be a whole number from 1 "
            "to 65535.",
        )
        self.assertIn("SEC_DEFAULT_INTEGRITY = maybe", self.refusal(SEC_DEFAULT_INTEGRITY="maybe"))
        self.assertIn(
            "RVGAHP.SEC_DEFAULT_SESSION_LEASE = 0",
            self.refusal(**only("SEC_DEFAULT_SESSION_LEASE", "0")),
        )

    def test_gridmanagersTimers(self) -> None:
        """
        A time with which no gridmanager can work is refused, and that a result has no limit
        is none of these.
        """
        call, response = "GRIDMANAGER_GAHP_CALL_TIMEOUT", "GRIDMANAGER_GAHP_RESPONSE_TIMEOUT"
        for name, least in ((call, 0), (response, 2)):
            self.assertEqual(proxy({name: str(least)}).get(name), least)
            for text in (str(least - 1), "2147483648", "20.5", "soon"):
                e = self.assertRaises(ConfigurationError, proxy, **{name: text})
                self.assertIn(f"{name} = {text} in {FILE} is not possible", str(e))
                self.assertIn(f"whole number of seconds from {least} to 2147483647", str(e))

    def test_unprintable(self) -> None:
        """
        A value of several lines or of a megabyte is shown on one, cut short.
        """
        self.assertIn(r"= 'a\nb' in", self.refusal(RVGAHP_SITE="a\nb"))
        self.assertLess(len(self.refusal(RVGAHP_SITE="x" * 1000000)), 600)

    def test_unknown(self) -> None:
        """
        An unknown name of ours is named, with the nearest known one if there is
        a near one.
        """
        for name, meant in (
            ("RVGAHP_BROKER_PROT", "RVGAHP_BROKER_PORT"),
            ("RVGAHP_CERT_FILE", "RVGAHP_CERTFILE"),
            ("RVGAHP_BATCH_GAHP", "BATCH_GAHP"),
            ("RVGAHP_SEC_DEFAULT_ENCRYPTION", "SEC_DEFAULT_ENCRYPTION"),
            ("RVGAHP.SEC_DEFAULT_ENCRYPTOIN", "RVGAHP.SEC_DEFAULT_ENCRYPTION"),
            ("RVGAHP_GAHP_NAME", "RVGAHP_GAHP_NAMES"),
        ):
            self.assertIn(
                f"no setting {name} (in {FILE}): is {meant} meant?", self.refusal(**{name: "1"})
            )
        self.assertIn("RVGAHP_QQQ (in", self.refusal(RVGAHP_QQQ=""))
        self.assertNotIn("meant", self.refusal(RVGAHP_QQQ="1"))

    def test_suffixed(self) -> None:
        """
        HTCondor's other form for a subsystem is not looked at, and that is said.
        """
        configuration = Configuration(FILE, {}, ("SEC_DEFAULT_ENCRYPTION_RVGAHP",))
        e = self.assertRaises(ConfigurationError, settingsFrom, "proxy", configuration)
        self.assertIn("write RVGAHP.SEC_DEFAULT_ENCRYPTION instead", str(e))

    def test_nearlyOurs(self) -> None:
        """
        A name that may be anybody's but is nearly one of ours is noted; names
        that HTCondor itself knows are not.
        """
        others = (
            *("BATCH_GHAP", "FT_GAHP_LOG", "SEC_CLIENT_ENCRYPTION", "SEC_READ_INTEGRITY"),
            *("GRIDMANAGER_GAHP_CALL_TIMEOUT_CONDOR", "SEC_DEFAULT_AUTHENTICATION"),
            "SEC_DEFAULT_AUTHENTICATION_TIMEOUT",
        )
        settings = settingsFrom("proxy", Configuration(FILE, {}, others))
        self.assertEqual(len(settings.notes), 1)
        self.assertIn("BATCH_GHAP", settings.notes[0])
        self.assertIn("BATCH_GAHP is meant", settings.notes[0])

    def test_together(self) -> None:
        """
        A total below what one stream may take is refused.
        """
        sentence = self.refusal(RVGAHP_REPLAY_LIMIT="1 GiB")
        self.assertIn("RVGAHP_REPLAY_TOTAL (268435456 bytes)", sentence)
        self.assertIn("RVGAHP_REPLAY_LIMIT (1073741824 bytes)", sentence)

    def test_overrides(self) -> None:
        """
        The command line is held to the same rules, and blamed itself.
        """
        self.assertIn(
            "RVGAHP_BROKER_PORT = x on the command line", self.refusal({"RVGAHP_BROKER_PORT": "x"})
        )
        self.assertIn("RVGAHP_PORT (on the command line)", self.refusal({"RVGAHP_PORT": "1"}))
        self.assertIn("RVGAHP_QQQ (on the command line)", self.refusal({"RVGAHP_QQQ": "1"}))

    @given(
        st.dictionaries(
            st.sampled_from([row.name for row in TABLE]) | st.just("RVGAHP_GAHP_X"),
            oddTexts(longest=20) | st.text("0129 .,/-xX*:KM", max_size=8),
            max_size=4,
        ),
        st.booleans(),
    )
    def test_anyValues(self, values: dict[str, str], subsystem: bool) -> None:
        """
        Any values give settings or one printable sentence, nothing else.
        """
        prefix = "RVGAHP." if subsystem else ""
        try:
            ce(**{prefix + name: text.strip() for name, text in values.items()})
        except ConfigurationError as e:
            self.assertTrue(str(e).isprintable(), str(e))


class PrecedenceTests(SynchronousTestCase):
    """
    Which of several values counts.
    """

    def test_subsystem(self) -> None:
        """
        C{RVGAHP.NAME} counts before C{NAME}, for any setting.
        """
        settings = proxy(RVGAHP_PORT="1", **only("RVGAHP_PORT", "2"))
        self.assertEqual(settings.get("RVGAHP_PORT"), 2)
        self.assertEqual(proxy(**only("RVGAHP_PORT", "2")).get("RVGAHP_PORT"), 2)

    def test_commandLine(self) -> None:
        """
        The command line counts before both, in any case of the name, and a path
        there is made absolute.
        """
        settings = proxy({"rvgahp_port": "3", "RVGAHP_SOCKET": "x"}, **only("RVGAHP_PORT", "2"))
        self.assertEqual(settings.get("RVGAHP_PORT"), 3)
        self.assertEqual(settings.get("RVGAHP_SOCKET"), os.path.join(os.getcwd(), "x"))


class PoolTests(SynchronousTestCase):
    """
    A pool's security settings may raise our defaults and never lower them.
    """

    def test_levels(self) -> None:
        """
        REQUIRED is the highest level, so a pool's is never followed downward;
        that is noted, with the name that would decide.
        """
        for text in ("PREFERRED", "optional", "NO"):
            settings = proxy(SEC_DEFAULT_ENCRYPTION=text)
            self.assertIs(settings.policy.encryption, Level.REQUIRED)
            self.assertEqual(len(settings.notes), 1)
            self.assertIn(f"SEC_DEFAULT_ENCRYPTION = {text} in {FILE}", settings.notes[0])
            self.assertIn("RVGAHP.SEC_DEFAULT_ENCRYPTION decides", settings.notes[0])
        self.assertEqual(proxy(SEC_DEFAULT_INTEGRITY="Yes").notes, [])

    def test_levelsDecided(self) -> None:
        """
        C{RVGAHP.SEC_DEFAULT_*} decides, whatever the pool says, and so does the
        command line.
        """
        values = {**only("SEC_DEFAULT_ENCRYPTION", "never"), "SEC_DEFAULT_ENCRYPTION": "required"}
        settings = proxy(**values)
        self.assertIs(settings.policy.encryption, Level.NEVER)
        self.assertIs(settings.policy.integrity, Level.REQUIRED)
        self.assertEqual(settings.notes, [])
        settings = proxy({"SEC_DEFAULT_ENCRYPTION": "optional"}, **values)
        self.assertIs(settings.policy.encryption, Level.OPTIONAL)

    def test_times(self) -> None:
        """
        A pool may shorten a time; 0, which is no limit to HTCondor, and longer
        ones are not followed.
        """
        for name, default in (
            ("SEC_DEFAULT_SESSION_DURATION", 86400),
            ("SEC_DEFAULT_SESSION_LEASE", 3000),
        ):
            for text, value, notes in (
                ("60", 60, 0),
                (str(default), default, 0),
                (str(default + 1), default, 1),
                ("0", default, 1),
            ):
                settings = proxy(**{name: text})
                self.assertEqual(settings.get(name), value, (name, text))
                self.assertEqual(len(settings.notes), notes, (name, text))
            self.assertEqual(proxy(**only(name, "1000000")).get(name), 1000000)

    def test_methods(self) -> None:
        """
        Methods that we do not have are dropped and noted; with none left there
        is nothing to talk with.
        """
        settings = proxy(SEC_DEFAULT_CRYPTO_METHODS="BLOWFISH, aes 3DES")
        self.assertEqual(settings.policy.methods, ("AES",))
        self.assertEqual(len(settings.notes), 1)
        self.assertIn("BLOWFISH, 3DES", settings.notes[0])
        e = self.assertRaises(ConfigurationError, proxy, SEC_DEFAULT_CRYPTO_METHODS="BLOWFISH,3DES")
        self.assertIn("SEC_DEFAULT_CRYPTO_METHODS = BLOWFISH,3DES", str(e))
        self.assertIn("AES", str(e))

    def test_cleartextPeers(self) -> None:
        """
        Only peers in the list may go without protection, whatever clothes their
        addresses come in.
        """
        settings = proxy(RVGAHP_CLEARTEXT_PEERS="192.0.2.0/24, 2001:db8::1")
        for address, allowed in (
            ("192.0.2.200", True),
            ("::ffff:192.0.2.200", True),
            ("192.0.3.1", False),
            ("2001:db8::1", True),
            ("2001:db8::2", False),
            ("fe80::1%eth0", False),
        ):
            self.assertIs(settings.allowsCleartext(address), allowed, address)
        self.assertFalse(proxy().allowsCleartext("127.0.0.1"))


class GAHPTests(SynchronousTestCase):
    """
    Further GAHPs.
    """

    def test_commands(self) -> None:
        """
        Each listed name has its command line, by the setting that its name
        makes.
        """
        settings = ce(
            RVGAHP_GAHP_NAMES="arc-gahp, my.gahp+2 Echo",
            RVGAHP_GAHP_ARC_GAHP="/usr/sbin/arc -v",
            RVGAHP_GAHP_MY_GAHP_2="/bin/sh -c 'echo hi'",
            **only("RVGAHP_GAHP_ECHO", "/bin/cat"),
        )
        self.assertEqual(
            settings.gahpCommands,
            {
                "arc-gahp": ["/usr/sbin/arc", "-v"],
                "my.gahp+2": ["/bin/sh", "-c", "echo hi"],
                "Echo": ["/bin/cat"],
            },
        )
        self.assertEqual(gahpSetting("my.gahp+2"), "RVGAHP_GAHP_MY_GAHP_2")

    def test_refused(self) -> None:
        """
        A name without a command line, a command line without a name, two names
        for one setting, and names that are taken are refused.
        """
        for values, words in (
            ({"RVGAHP_GAHP_NAMES": "a"}, "RVGAHP_GAHP_A is not set"),
            ({"RVGAHP_GAHP_A": "/bin/a"}, "RVGAHP_GAHP_A (in"),
            (
                {"RVGAHP_GAHP_NAMES": "a-b a_b", "RVGAHP_GAHP_A_B": "/bin/a"},
                "lists a_b, but RVGAHP_GAHP_A_B is taken by a-b",
            ),
            ({"RVGAHP_GAHP_NAMES": "names"}, "RVGAHP_GAHP_NAMES is taken by the list itself"),
            ({"RVGAHP_GAHP_NAMES": "blahpd"}, "BATCH_GAHP"),
            ({"RVGAHP_GAHP_NAMES": "condor_ft-gahp"}, "FT_GAHP"),
            ({"RVGAHP_GAHP_NAMES": "a/b"}, "RVGAHP_GAHP_NAMES = a/b"),
            ({"RVGAHP_GAHP_NAMES": "a", "RVGAHP_GAHP_A": "'"}, "RVGAHP_GAHP_A = '"),
        ):
            e = self.assertRaises(ConfigurationError, ce, **values)
            self.assertIn(words, str(e))


class ProxiesTests(SynchronousTestCase):
    """
    Further proxies of a CE.
    """

    def test_own(self) -> None:
        """
        Each has what is its own, or the default, but never what is the first one's; all else is
        the same for all.
        """
        settings = ce(
            RVGAHP_BROKER_HOST="first",
            RVGAHP_BROKER_PORT="1",
            RVGAHP_SITE="here",
            RVGAHP_MAX_SESSIONS="7",
            RVGAHP_PROXY_NAMES="B c_1",
            RVGAHP_PROXY_B_BROKER_HOST="second",
            RVGAHP_PROXY_B_MAX_SESSIONS="5",
            **only("RVGAHP_PROXY_C_1_BROKER_HOST", "third"),
            RVGAHP_PROXY_C_1_CONNECT_TO="relay:7",
            RVGAHP_PROXY_C_1_CERTFILE="/c.crt",
            RVGAHP_UMASK="077",
        )
        names = ("BROKER_HOST", "BROKER_PORT", "SITE", "MAX_SESSIONS", "CONNECT_TO", "UMASK")
        found = {
            name: [own.get(f"RVGAHP_{what}") for what in names]
            for name, own in settings.ofProxies().items()
        }
        self.assertEqual(
            found,
            {
                "": ["first", 1, "here", 7, (), 0o77],
                "b": ["second", 41000, None, 5, (), 0o77],
                "c_1": ["third", 41000, None, 7, (("relay", 7),), 0o77],
            },
        )
        files = [own.get("RVGAHP_CERTFILE") for own in settings.ofProxies().values()]
        self.assertEqual(files[1], os.path.join(os.path.dirname(files[0]), "proxies/b/ce.crt"))
        self.assertEqual(files[2], "/c.crt")

    def test_onlyNamed(self) -> None:
        """
        The proxy without a name may be left out where there is another.
        """
        values = {"RVGAHP_PROXY_NAMES": "b", "RVGAHP_PROXY_B_BROKER_HOST": "second"}
        settings = settingsFrom("ce", Configuration(None, values))
        self.assertEqual(list(settings.ofProxies()), ["b"])

    def test_refused(self) -> None:
        """
        A name without a host, settings of no proxy, and names that cannot be are refused.
        """
        b = {"RVGAHP_PROXY_NAMES": "b", "RVGAHP_PROXY_B_BROKER_HOST": "h"}
        for values, words in (
            ({"RVGAHP_PROXY_NAMES": "b"}, "RVGAHP_PROXY_B_BROKER_HOST is not set"),
            ({"RVGAHP_PROXY_B_BROKER_HOST": "h"}, "belongs to no proxy"),
            ({**b, "RVGAHP_PROXY_B_BROKER_PORT": "0"}, "RVGAHP_PROXY_B_BROKER_PORT = 0"),
            ({**b, "RVGAHP_PROXY_B_UMASK": "0"}, "RVGAHP_PROXY_B_UMASK"),
            ({"RVGAHP_PROXY_NAMES": "b-c"}, "RVGAHP_PROXY_NAMES = b-c"),
            ({"RVGAHP_PROXY_NAMES": "../b"}, "RVGAHP_PROXY_NAMES = ../b"),
            ({"RVGAHP_PROXY_NAMES": "x" * 33}, "is not possible"),
        ):
            e = self.assertRaises(ConfigurationError, ce, **values)
            self.assertIn(words, str(e))

    def test_adopted(self) -> None:
        """
        A reload takes up proxies that have come and limits that have changed; a place that has
        changed, and a proxy that has gone, wait.
        """
        b = {"RVGAHP_PROXY_NAMES": "b", "RVGAHP_PROXY_B_BROKER_HOST": "h"}
        running = ce(**b)
        again = ce(
            **{**b, "RVGAHP_PROXY_NAMES": "b c"},
            RVGAHP_PROXY_B_BROKER_PORT="7",
            RVGAHP_PROXY_B_MAX_SESSIONS="5",
            RVGAHP_PROXY_C_BROKER_HOST="i",
        )
        changed, waiting = running.adopt(again)
        self.assertEqual(changed, ["RVGAHP_PROXY_NAMES", "RVGAHP_PROXY_B_MAX_SESSIONS"])
        self.assertEqual(waiting, ["RVGAHP_PROXY_B_BROKER_PORT"])
        found = running.ofProxies()
        self.assertEqual(found["b"].get("RVGAHP_MAX_SESSIONS"), 5)
        self.assertEqual(found["b"].get("RVGAHP_BROKER_PORT"), 41000)
        self.assertEqual(found["c"].get("RVGAHP_BROKER_HOST"), "i")
        _, waiting = running.adopt(ce())
        self.assertIn("RVGAHP_PROXY_B_BROKER_HOST", waiting)
        changed, _ = running.adopt(ce(**b, RVGAHP_MAX_SESSIONS="9"))
        self.assertIn("RVGAHP_MAX_SESSIONS", changed)
        self.assertEqual(running.ofProxies()["c"].get("RVGAHP_BROKER_HOST"), "i")


class AdoptionTests(SynchronousTestCase):
    """
    Settings that are read again while a daemon runs.
    """

    def test_adopted(self) -> None:
        """
        What may change is what the new ones say, the policy too; what may not stays, and both
        are told.
        """
        running = proxy(RVGAHP_PORT="41000", RVGAHP_STDIN_GRACE="7")
        again = proxy(
            RVGAHP_PORT="41001",
            RVGAHP_STDIN_GRACE="8",
            RVGAHP_MAX_SESSIONS_PER_USER="3",
            **only("SEC_DEFAULT_INTEGRITY", "OPTIONAL"),
        )
        changed, waiting = running.adopt(again)
        self.assertEqual(
            sorted(changed),
            ["RVGAHP_MAX_SESSIONS_PER_USER", "RVGAHP_STDIN_GRACE", "SEC_DEFAULT_INTEGRITY"],
        )
        self.assertEqual(waiting, ["RVGAHP_PORT"])
        self.assertEqual(running.get("RVGAHP_PORT"), 41000)
        self.assertEqual(running.get("RVGAHP_STDIN_GRACE"), 8)
        self.assertEqual(running.policy, again.policy)
        self.assertEqual(running.adopt(running), ([], []))

    def test_commands(self) -> None:
        """
        The command lines of further GAHPs stay, and that is told.
        """
        running = ce(RVGAHP_GAHP_NAMES="cat", RVGAHP_GAHP_CAT="/bin/cat")
        again = ce(RVGAHP_GAHP_NAMES="cat", RVGAHP_GAHP_CAT="/bin/tac")
        self.assertEqual(running.adopt(again), ([], ["RVGAHP_GAHP_..."]))
        self.assertEqual(running.gahpCommands, {"cat": ["/bin/cat"]})
