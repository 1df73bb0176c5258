"""
Golden byte vectors: C{vectors.json} holds C{doc/protocol.rst} and the code together.

They are made twice from the same fixed keys and words: by L{Page}, a second, small
implementation that was written from the page alone and shares nothing with the
package, and by the package itself.  Both must give what the file has.

After a change of the protocol, C{python -m tests.test_vectors --write} writes the
file anew from the page's side; it refuses while the package disagrees.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import zlib
from pathlib import Path
from struct import pack
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from twisted.protocols.amp import AmpBox, Command
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import commands, frames, handshake, localcommands, primitives, records
from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.channel import DialingChannel
from rvgahp.handshake import Answerer, Dialer
from rvgahp.handshakemessages import Dial, takeMessage
from rvgahp.policy import Outcome, Policy
from rvgahp.proxylink import ProxyLink
from rvgahp.session import SecuritySession
from tests.steppedloop import SteppedLoop

FILE = Path(__file__).with_name("vectors.json")

COMMENT = (
    "Golden byte vectors of protocol version 1 (doc/protocol.rst), all in hex."
    " Written by: python -m tests.test_vectors --write"
)

# -- what both begin with ---------------------------------------------------

SESSION = "submit.example.org:4711:1790000000:42"
KEY = bytes(range(32))
KEY_NUMBER = 3
TICKET = bytes(range(0xA0, 0xB0))
NONCE = bytes(range(0xC0, 0xE0))
CE_PRIVATE = hashlib.sha256(b"the CE's ephemeral key").digest()
CLIENT_PRIVATE = hashlib.sha256(b"the client's ephemeral key").digest()
STREAM, KIND, GENERATION = 0, 0, 5
CE_OFFSETS = (1000, 1000 + 16 * 1024 * 1024)  # received, limit: in the Dial
CLIENT_OFFSETS = (77, 77 + 16 * 1024 * 1024)  # in the Accept
REFUSAL = (1, "generation 5 has been before; größer muß sie sein")
POLICIES = {"encrypt": "R:R:AES", "integrity": "N:R:AES", "none": "N:N:AES"}

#: What is sent first in each direction: type, position, plain body.
CE_RECORDS = [
    (1, 77, bytes.fromhex("01000005") + b"S\r\nR\n"),
    (2, 1000, pack("!Q", 1000 + 16 * 1024 * 1024)),
    (3, 0, b""),
    (1, 86, b"\x11\0\0\0"),
]
CLIENT_RECORDS = [
    (1, 1000, bytes.fromhex("00000006") + b"QUIT\r\n"),
    (2, 77, pack("!Q", 77 + 16 * 1024 * 1024)),
    (3, 0, b""),
]

#: Frames: name, kind, payload.
FRAMES = [
    ("stdin", 0, b"COMMANDS\r\n"),
    ("stdout", 1, b"$GahpVersion: 1.8.0 $\r\n"),
    ("stderr", 2, b"a word of warning\n"),
    ("empty stdout", 1, b""),
    ("end of stdin", 16, b""),
    ("end of stdout", 17, b""),
    ("end of stderr", 18, b""),
    ("exit 3", 32, b"\0\x03"),
    ("exit by signal 9", 32, b"\1\x09" + "getötet".encode()),
    ("stop by SIGTERM", 33, b"\x0f"),
    ("failed", 34, "keine Verbindung möglich".encode()),
    ("ignored", 200, b"what may come one day"),
]

TAG = b"1"

#: Boxes: name, command, whether it is the answer, arguments.
BOXES: list[tuple[str, type[Command], bool, dict[str, Any]]] = [
    (
        "RequestGAHP",
        localcommands.RequestGAHP,
        False,
        {
            "versions": [1],
            "site": "site.example.edu",
            "gahp": "blahpd",
            "account": "jörg",
            "tunnel": False,
            "tunnelPort": 0,
        },
    ),
    (
        "answer to RequestGAHP",
        localcommands.RequestGAHP,
        True,
        {
            "version": 1,
            "session": SESSION,
            "key": KEY,
            "keyNumber": KEY_NUMBER,
            "serverPolicy": "R:R:AES",
            "clientPolicy": "P:P:AES",
            "outcome": "encrypt",
            "method": "AES",
            "duration": 86400,
            "lease": 3000,
            "window": 16 * 1024 * 1024,
            "total": 256 * 1024 * 1024,
            "startTimeout": 10,
            "stdinLimit": 64 * 1024 * 1024,
            "callTimeout": 300,
            "responseTimeout": 20,
            "site": "site.example.edu",
            "tunnelPort": 40123,
            "forwardTo": "192.0.2.7:9618",
        },
    ),
    (
        "StartGAHP",
        commands.StartGAHP,
        False,
        {
            "session": SESSION,
            "key": KEY,
            "keyNumber": KEY_NUMBER,
            "gahp": "condor_ft-gahp",
            "account": "",
            "tunnel": True,
            "tunnelPort": 40123,
            "owner": "alice@submit.example.org",
            "serverPolicy": "R:R:AES",
            "outcome": "encrypt",
            "method": "AES",
            "duration": 86400,
            "lease": 3000,
            "commands": ["gahp", "tunnel"],
            "tickets": [TICKET, bytes(16)],
        },
    ),
    ("answer to StartGAHP", commands.StartGAHP, True, {"tunnelPort": 40123}),
    ("DescribeProxy", localcommands.DescribeProxy, False, {}),
    (
        "answer to DescribeProxy",
        localcommands.DescribeProxy,
        True,
        {"software": "rvgahp 0.1.0", "policy": "R:R:AES", "user": "alice"},
    ),
    (
        "DescribeSite",
        localcommands.DescribeSite,
        False,
        {"site": "site.example.edu", "account": "jörg", "gahp": "blahpd"},
    ),
    (
        "answer to DescribeSite",
        localcommands.DescribeSite,
        True,
        {
            "site": "site.example.edu",
            "since": 1790000000,
            "address": "192.0.2.7",
            "software": "rvgahp 0.1.0",
            "identity": "site.example.edu@site.rvgahp",
            "authentication": "SSL",
            "issuer": "CN=rvgahp CA 0a1b2c3d",
            "expires": 1797776000,
            "gahps": ["batch_gahp", "blahpd"],
            "policy": "P:P:AES",
            "outcome": "encrypt",
            "method": "AES",
            "conflict": "",
        },
    ),
    (
        "Authenticate",
        commands.Authenticate,
        False,
        {"methods": ["SSL", "IDTOKENS"], "data": b""},
    ),
    (
        "answer to Authenticate",
        commands.Authenticate,
        True,
        {"method": "IDTOKENS", "data": b"\0\xff", "done": False},
    ),
    ("RenewCertificate", commands.RenewCertificate, False, {"request": b"\x30\x00"}),
    (
        "SessionEnded",
        commands.SessionEnded,
        False,
        {"session": SESSION, "reason": "", "received": 17, "sent": 2**40},
    ),
    (
        "SessionEnded of a GAHP that has crashed",
        commands.SessionEnded,
        False,
        {
            "session": SESSION,
            "reason": "",
            "received": 17,
            "sent": 2**40,
            "outcome": "crashed",
            "status": 127,
            "lived": 250,
        },
    ),
    ("OpenChannel", commands.OpenChannel, False, {"session": SESSION, "stream": 2**32 - 1}),
    ("answer to OpenChannel", commands.OpenChannel, True, {"ticket": TICKET}),
    ("Channel", localcommands.Channel, False, {"session": SESSION, "stream": 0}),
    ("answer to Channel", localcommands.Channel, True, {}),
    (
        "RenewKey",
        commands.RenewKey,
        False,
        {"session": SESSION, "key": KEY, "keyNumber": KEY_NUMBER, "duration": 86400},
    ),
    ("answer to RenewKey", commands.RenewKey, True, {}),
    (
        "Sessions",
        commands.Sessions,
        False,
        {
            "sessions": [
                {
                    "session": SESSION,
                    "claim": bytes(range(0x40, 0x60)),
                    "owner": "jörg@submit.example.org",
                    "gahp": "condor_ft-gahp",
                    "tunnel": True,
                    "keyNumber": KEY_NUMBER,
                    "left": 86000,
                    "outcome": "encrypt",
                    "method": "AES",
                    "account": "jörg",
                },
                {
                    "session": "submit.example.org:4711:1790000000:43",
                    "claim": bytes(32),
                    "owner": "alice@submit.example.org",
                    "gahp": "blahpd",
                    "tunnel": False,
                    "keyNumber": 65535,
                    "left": 0,
                    "outcome": "none",
                    "method": "",
                    "account": "",
                },
            ],
            "last": True,
        },
    ),
    ("Sessions of none", commands.Sessions, False, {"sessions": [], "last": True}),
    ("answer to Sessions", commands.Sessions, True, {"gone": [SESSION]}),
    (
        "Redial",
        commands.Redial,
        False,
        {"session": SESSION, "stream": 2**32 - 1, "generation": GENERATION},
    ),
    ("answer to Redial", commands.Redial, True, {}),
    ("Claim", localcommands.Claim, False, {"session": SESSION, "site": "site.example.edu"}),
    ("answer to Claim", localcommands.Claim, True, {"nonce": NONCE}),
    ("Prove", localcommands.Prove, False, {"session": SESSION, "proof": bytes(range(0x80, 0xA0))}),
    ("answer to Prove", localcommands.Prove, True, {}),
]


# -- the page ---------------------------------------------------------------


def x25519(private: bytes, point: bytes) -> bytes:
    """
    X25519 as RFC 7748, section 5, has it.
    """
    prime = 2**255 - 19
    scalar = int.from_bytes(private, "little") & ~7 & (2**254 - 1) | 2**254
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        wanted = scalar >> bit & 1
        if wanted != swapped:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swapped = wanted
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        x3, z3 = (da + cb) ** 2 % prime, u * (da - cb) ** 2 % prime
        x2, z2 = aa * bb % prime, (aa - bb) * (aa + 121665 * (aa - bb)) % prime
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, prime - 2, prime) % prime).to_bytes(32, "little")


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """
    HKDF-SHA256 as RFC 5869 has it.
    """
    key = hmac.digest(salt, secret, "sha256")
    result = block = b""
    while len(result) < length:
        block = hmac.digest(key, block + info + bytes((len(result) // 32 + 1,)), "sha256")
        result += block
    return result[:length]


def len8(data: bytes) -> bytes:
    """
    The page's I{len8}.
    """
    return pack("!B", len(data)) + data


def message(body: bytes) -> bytes:
    """
    A handshake message.
    """
    length = pack("!H", len(body))
    return length + pack("!I", zlib.crc32(length)) + body


def sha256(*parts: bytes) -> bytes:
    """
    SHA-256 of all.
    """
    return hashlib.sha256(b"".join(parts)).digest()


class Page:
    """
    The protocol as the page has it.
    """

    def vectors(self) -> dict[str, Any]:
        """
        All of them.
        """
        return {
            "subkeys": {name: self._subkey(name).hex() for name in ("proof", "traffic", "claim")},
            "preamble": (b"RVGAHP" + pack("!H", 1) + TICKET).hex(),
            "proof": hmac.digest(self._subkey("claim"), b"claim" + NONCE, "sha256").hex(),
            "outcomes": {
                outcome: self._channel(number, policy.encode())
                for number, (outcome, policy) in enumerate(reversed(POLICIES.items()))
            },
            "frames": {
                name: (pack("!B", kind) + pack("!I", len(payload))[1:] + payload).hex()
                for name, kind, payload in FRAMES
            },
            "boxes": {
                name: self._box(command.commandName, isAnswer, arguments)
                for name, command, isAnswer, arguments in BOXES
            },
        }

    def _subkey(self, name: str) -> bytes:
        return hkdf(KEY, b"rvgahp session", f"{name} {SESSION}".encode(), 32)

    def _channel(self, outcome: int, policy: bytes) -> dict[str, Any]:
        base = b"\x09" + bytes(31)
        ce, client = x25519(CE_PRIVATE, base), x25519(CLIENT_PRIVATE, base)
        dial = pack("!BH", 1, 1) + len8(SESSION.encode())
        dial += pack("!IBIH", STREAM, KIND, GENERATION, KEY_NUMBER) + len8(policy) + ce
        dial += pack("!QQ", *CE_OFFSETS)
        dial += hmac.digest(self._subkey("proof"), b"dial" + dial, "sha256")

        accept = pack("!B", 2) + len8(policy) + pack("!B", outcome)
        accept += len8(b"AES" if outcome else b"") + client + pack("!QQ", *CLIENT_OFFSETS)
        t1 = sha256(dial, accept)
        shared = x25519(CE_PRIVATE, client)
        keys = hkdf(shared, self._subkey("traffic"), b"channel " + t1, 128)
        accept += hmac.digest(keys[64:96], t1, "sha256")
        confirm = pack("!B", 3) + hmac.digest(keys[96:], sha256(dial, accept), "sha256")

        refusal = pack("!BB", 4, REFUSAL[0]) + len8(REFUSAL[1].encode())
        proven = b"refusal" + sha256(dial) + refusal
        refusal += hmac.digest(self._subkey("proof"), proven, "sha256")
        return {
            "dial": message(dial).hex(),
            "accept": message(accept).hex(),
            "confirm": message(confirm).hex(),
            "refusal": message(refusal).hex(),
            "records of the CE": self._records(outcome, keys[:32], CE_RECORDS),
            "records of the client": self._records(outcome, keys[32:64], CLIENT_RECORDS),
        }

    def _records(self, outcome: int, key: bytes, plain: list[tuple[int, int, bytes]]) -> list[str]:
        return [
            self._record(outcome, key, count, *record).hex() for count, record in enumerate(plain)
        ]

    @staticmethod
    def _record(
        outcome: int, key: bytes, count: int, kind: int, position: int, body: bytes
    ) -> bytes:
        length = len(body) + (16 if outcome else 0)
        header = pack("!B", kind) + pack("!I", length)[1:] + pack("!Q", position)
        header += pack("!I", zlib.crc32(header))
        if not outcome:
            return header + body
        cipher = Cipher(AES(key), GCM(bytes(4) + pack("!Q", count))).encryptor()
        if outcome == 1:
            cipher.authenticate_additional_data(header + body)
        else:
            cipher.authenticate_additional_data(header)
            body = cipher.update(body)
        cipher.finalize()
        return header + body + cipher.tag

    def _box(self, command: bytes, isAnswer: bool, arguments: dict[str, Any]) -> str:
        box = self._values(arguments)
        if isAnswer:
            box[b"_answer"] = TAG
        else:
            box[b"_command"], box[b"_ask"] = command, TAG
        return self._boxed(box).hex()

    def _values(self, arguments: dict[str, Any]) -> dict[bytes, bytes]:
        return {name.encode(): self._value(value) for name, value in arguments.items()}

    @staticmethod
    def _boxed(box: dict[bytes, bytes]) -> bytes:
        parts = [pack("!H", len(part)) + part for item in sorted(box.items()) for part in item]
        return b"".join((*parts, b"\0\0"))

    def _value(self, value: Any) -> bytes:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return b"".join(self._boxed(self._values(item)) for item in value)
        if isinstance(value, list):
            values = [self._value(item) for item in value]
            return b"".join(pack("!H", len(item)) + item for item in values)
        return value if isinstance(value, bytes) else str(value).encode()


# -- the package ------------------------------------------------------------


def privateKey(secret: bytes) -> X25519PrivateKey:
    """
    An ephemeral key that is not.
    """
    return X25519PrivateKey.from_private_bytes(secret)


def joinHex(pieces: list[Any]) -> str:
    """
    Pieces to be sent, in hex.
    """
    return b"".join(bytes(piece) for piece in pieces).hex()


def body(data: bytes) -> bytes:
    """
    A handshake message without its header.
    """
    found, taken = takeMessage(data)
    assert found is not None
    assert taken == len(data)
    return found


class Package:
    """
    The protocol as the package has it.
    """

    def vectors(self) -> dict[str, Any]:
        """
        All of them.
        """
        session = self._session("encrypt")
        return {
            "subkeys": {
                "proof": session.proofKey().hex(),
                "traffic": session.trafficKey().hex(),
                "claim": session.claimKey().hex(),
            },
            "preamble": self._preamble(),
            "proof": primitives.hmac(session.claimKey(), b"claim" + NONCE).hex(),
            "outcomes": {outcome: self._channel(outcome) for outcome in POLICIES},
            "frames": {
                name: frames.encodeFrame(kind, payload).hex() for name, kind, payload in FRAMES
            },
            "boxes": {
                name: self._box(command, isAnswer, arguments)
                for name, command, isAnswer, arguments in BOXES
            },
        }

    @staticmethod
    def _session(outcome: str) -> SecuritySession:
        policy = Policy.decode(POLICIES[outcome])
        return SecuritySession(SESSION, KEY, policy, policy, 86400, 3000, KEY_NUMBER)

    def _preamble(self) -> str:
        from rvgahp.budget import Budget
        from rvgahp.carrier import Carrier
        from rvgahp.stream import Stream
        from tests.channelends import User

        loop, user = SteppedLoop(), User()
        ours, theirs = socket.socketpair()
        carrier = Carrier(loop, Stream(1000, Budget(1000)), user)
        DialingChannel(loop, ours, carrier, self._session("encrypt"), 0, 0, 1, TICKET)
        preamble = theirs.recv(24)
        carrier.close()
        theirs.close()
        return preamble.hex()

    def _channel(self, outcome: str) -> dict[str, Any]:
        session = self._session(outcome)
        dialer = Dialer(
            session, STREAM, KIND, GENERATION, *CE_OFFSETS, private=privateKey(CE_PRIVATE)
        )
        dial = Dial(body(dialer.dial()))
        answerer = Answerer(session, dial, *CLIENT_OFFSETS, private=privateKey(CLIENT_PRIVATE))
        confirm, ce = dialer.answered(body(answerer.accept()))
        client = answerer.confirmed(body(confirm))
        return {
            "dial": dialer.dial().hex(),
            "accept": answerer.accept().hex(),
            "confirm": confirm.hex(),
            "refusal": handshake.refusal(session, dial, *REFUSAL).hex(),
            "records of the CE": self._records(ce, CE_RECORDS),
            "records of the client": self._records(client, CLIENT_RECORDS),
        }

    @staticmethod
    def _records(keys: handshake.ChannelKeys, plain: list[tuple[int, int, bytes]]) -> list[str]:
        sealer = records.Sealer(keys.outcome, keys.sending)
        return [joinHex(sealer.seal(*record)) for record in plain]

    @staticmethod
    def _box(command: type[Command], isAnswer: bool, arguments: dict[str, Any]) -> str:
        if isAnswer:
            box = command.makeResponse(dict(arguments), None)
            box[b"_answer"] = TAG
        else:
            box = command.makeArguments(dict(arguments), None)
            box[b"_command"], box[b"_ask"] = command.commandName, TAG
        made: str = box.serialize().hex()
        return made


def stored() -> dict[str, Any]:
    """
    What the file has, but for its comment.
    """
    vectors: dict[str, Any] = json.loads(FILE.read_text("ascii"))
    del vectors["comment"]
    return vectors


class VectorTests(SynchronousTestCase):
    """
    The file against both.
    """

    maxDiff = None

    def test_page(self) -> None:
        """
        A second implementation, written from the page, gives the vectors.
        """
        self.assertEqual(Page().vectors(), stored())

    def test_package(self) -> None:
        """
        The package gives the vectors.
        """
        self.assertEqual(Package().vectors(), stored())

    def test_x25519(self) -> None:
        """
        The second implementation's X25519 is that of RFC 7748, section 6.1.
        """
        base = b"\x09" + bytes(31)
        alice, bob, shared = (
            bytes.fromhex(text)
            for text in (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
            )
        )
        self.assertEqual(x25519(alice, x25519(bob, base)), shared)
        self.assertEqual(x25519(bob, x25519(alice, base)), shared)


class Unheard:
    """
    The user of a link on which nothing comes.
    """

    def nothing(self, *arguments: Any) -> None:
        raise AssertionError("something came")

    answered = refused = channelHanded = renewKey = sessionLost = linkLost = nothing


class ReadingTests(SynchronousTestCase):
    """
    The vectors as they would come from a peer.
    """

    def test_records(self) -> None:
        """
        The records of each direction are opened to what was sealed.
        """
        keys = self._keys
        for outcome in POLICIES:
            for name, plain in (
                ("records of the CE", CE_RECORDS),
                ("records of the client", CLIENT_RECORDS),
            ):
                wire = bytes.fromhex("".join(stored()["outcomes"][outcome][name]))
                opener = records.Opener(Outcome(outcome), keys(outcome, name))
                self.assertEqual(list(opener.read(memoryview(wire))), plain)

    def _keys(self, outcome: str, name: str) -> bytes:
        """
        The key under which the records of this name are received.
        """
        vectors = stored()["outcomes"][outcome]
        session = Package._session(outcome)
        if name == "records of the CE":
            dial = Dial(body(bytes.fromhex(vectors["dial"])))
            self.assertTrue(dial.verify(session))
            client = Answerer(session, dial, *CLIENT_OFFSETS, private=privateKey(CLIENT_PRIVATE))
            return client.confirmed(body(bytes.fromhex(vectors["confirm"]))).receiving
        ce = Dialer(session, STREAM, KIND, GENERATION, *CE_OFFSETS, private=privateKey(CE_PRIVATE))
        return ce.answered(body(bytes.fromhex(vectors["accept"])))[1].receiving

    def test_frames(self) -> None:
        """
        Every frame is read as what it was.
        """
        for name, kind, payload in FRAMES:
            (frame,) = frames.FrameReader().read(bytes.fromhex(stored()["frames"][name]))
            self.assertEqual((frame.kind, bytes(frame.payload)), (kind, payload))

    def test_boxes(self) -> None:
        """
        Every box is read as what it was by our reader, and its values by Twisted.
        """
        for name, command, isAnswer, arguments in BOXES:
            (box,) = BoxReader(16384).read(bytes.fromhex(stored()["boxes"][name]))
            parse = command.parseResponse if isAnswer else command.parseArguments
            read = parse(AmpBox(box), None)
            told = {name: value for name, value in read.items() if value is not None}
            self.assertEqual(told, arguments)
            self.assertEqual(AmpBox(BoxReader(16384).read(encodeBox(box))[0]), box)

    def test_requestOfTheClient(self) -> None:
        """
        The client, which has no Twisted, asks in the same words.
        """
        loop = SteppedLoop()
        ours, theirs = socket.socketpair()
        link = ProxyLink(loop, ours, Unheard())
        link.request("site.example.edu", "blahpd", "jörg")
        link.redial(SESSION, 2**32 - 1, GENERATION, lambda reason: None)
        asked = BoxReader(16384).read(theirs.recv(16384))
        link.close()
        theirs.close()
        self.assertEqual([box.pop(b"_ask") for box in asked], [b"1", b"2"])
        for name, box in zip(("RequestGAHP", "Redial"), asked, strict=True):
            (expected,) = BoxReader(16384).read(bytes.fromhex(stored()["boxes"][name]))
            del expected[b"_ask"]
            self.assertEqual(box, expected)


def main() -> None:
    """
    Write the file anew.
    """
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.test_vectors --write")
    vectors = Page().vectors()
    if vectors != Package().vectors():
        sys.exit("the package does not give what the page says; nothing was written")
    FILE.write_text(json.dumps({"comment": COMMENT, **vectors}, indent=1) + "\n", "ascii")


if __name__ == "__main__":
    main()
