"""
Tests of L{rvgahp.cedarpeek}.
"""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.cedarpeek import Guard
from rvgahp.errors import ConfigurationError, NotAuthorized
from rvgahp.tunnellimits import PEEK_BYTES

ID = "gridmanager_12278_069a_1"

#: The first message of a condor_ft-gahp 25.14 that was told C{sock=ID}, as its
#: gridmanager's shared port got it: 111 bytes.
SEEN = bytes.fromhex(
    "010000006a 000000000000004b 677269646d616e616765725f31323237385f303639615f3100"
    "46545f47414850203c3132372e302e302e313a34353331373f61646472733d3132372e302e302e312d3435333137"
    "26616c6961733d766d3e00 000000000000001e 0000000000000000"
)

#: The start of what followed: DC_AUTHENTICATE.
FOLLOWING = bytes.fromhex("01000001c7 000000000000ea6a 0000000000000009") + b"Command = 61000\0"

unhurried = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def integer(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=value < 0)


def packet(body: bytes, end: int = 1) -> bytes:
    return bytes([end]) + len(body).to_bytes(4, "big") + body


def request(
    command: bytes = integer(75),
    target: bytes = ID.encode() + b"\0",
    name: bytes = b"FT_GAHP\0",
    deadline: bytes = integer(30),
    count: bytes = integer(0),
    rest: bytes = b"",
) -> bytes:
    """
    @return: the body of a request.
    """
    return command + target + name + deadline + count + rest


class Refused(Exception):
    """
    HTCondor's shared port drops the connection.
    """


class SharedPort:
    """
    HTCondor's own reading of the first message, slowly, one item after another, as
    C{DaemonCommandProtocol}, C{SharedPortServer::HandleConnectRequest}, C{Stream::get},
    C{ChainBuf} and C{ReliSock::RcvMsg::rcv_packet} do it, with all that they forgive.

    @ivar target: whom the connection is passed to.
    @ivar rest: what he gets.
    """

    def __init__(self, data: bytes) -> None:
        self._body, self.rest, command = b"", data, data[5:13]
        while True:
            header, self.rest = self.rest[:5], self.rest[5:]
            size = int.from_bytes(header[1:], "big", signed=True)
            if len(header) < 5 or header[0] > 10 or not 0 < size <= 1 << 20:
                raise Refused("header")
            if len(self.rest) < size:
                raise Refused("end of file")
            self._body, self.rest = self._body + self.rest[:size], self.rest[size:]
            if header[0]:
                break
        if int.from_bytes(command[4:], "big") != 75 or self._integer() != 75:
            raise Refused("command: it would go to the default daemon or to nobody")
        self.target, self.name = self._string(1024), self._string(1024)
        self.deadline, self.arguments = self._integer(), self._integer()
        if not 0 <= self.arguments <= 100:
            raise Refused("arguments")
        for _ in range(self.arguments):
            self._string(512)
        if self._body:
            raise Refused("untouched bytes")

    def _integer(self) -> int:
        item, self._body = self._body[:8], self._body[8:]
        if len(item) < 8:
            raise Refused("short")
        return int.from_bytes(item[4:], "big", signed=True)  # an int has 32 bits

    def _string(self, size: int) -> bytes:
        if self._body[:1] == b"\xad":
            self._body = self._body[1:]
            return b""
        item, nul, rest = self._body.partition(b"\0")
        if not nul or len(item) + 1 > size:
            raise Refused("string")
        self._body = rest
        return item


class GoodTests(SynchronousTestCase):
    """
    What is let through.
    """

    def test_seen(self) -> None:
        """
        A real first message is let through unaltered, with what came behind it.
        """
        self.assertEqual(len(SEEN), 111)
        self.assertEqual(Guard(ID).received(SEEN), SEEN)
        self.assertEqual(Guard(ID).received(SEEN + FOLLOWING), SEEN + FOLLOWING)

    def test_byteByByte(self) -> None:
        """
        Fed one byte at a time, it is decided with its last byte, and not before.
        """
        guard = Guard(ID)
        for byte in SEEN[:-1]:
            self.assertIsNone(guard.received(bytes([byte])))
        self.assertEqual(guard.received(SEEN[-1:]), SEEN)

    def test_everyCut(self) -> None:
        """
        Wherever it is cut in two, all of it comes out, once it is whole.
        """
        whole = SEEN + FOLLOWING
        for cut in range(len(SEEN)):
            guard = Guard(ID)
            self.assertIsNone(guard.received(whole[:cut]), cut)
            self.assertEqual(guard.received(whole[cut:]), whole, cut)

    def test_released(self) -> None:
        """
        What has come out is not kept; what comes then would be another first message.
        """
        guard = Guard(ID)
        self.assertEqual(guard.received(SEEN + FOLLOWING), SEEN + FOLLOWING)
        self.assertEqual(guard.received(SEEN), SEEN)
        self.assertRaises(NotAuthorized, guard.received, FOLLOWING)

    def test_nothing(self) -> None:
        """
        No byte is no decision.
        """
        self.assertIsNone(Guard(ID).received(b""))

    def test_clients(self) -> None:
        """
        Every value that HTCondor's clients write for what does not matter is let through:
        any name, and any deadline, none included.
        """
        for name in (
            b"\0",
            b"FT_GAHP\0",
            b"\xe9 \xad <127.0.0.1:1?sock=other>\0",
            b"n" * 1023 + b"\0",
        ):
            for deadline in (30, 0, -1, 2**31 - 1, -(2**31)):
                good = packet(request(name=name, deadline=integer(deadline)))
                self.assertEqual(Guard(ID).received(good), good)
                self.assertEqual(SharedPort(good).target, ID.encode())

    def test_longest(self) -> None:
        """
        A message of just so many bytes as are looked at is let through; with one more
        it is refused.
        """
        for size, target in ((PEEK_BYTES, "i" * 1023), (PEEK_BYTES, "i" * 1000)):
            name = b"n" * (size - 5 - 8 - len(target) - 2 - 16)
            good = packet(request(target=target.encode() + b"\0", name=name + b"\0"))
            self.assertEqual(len(good), PEEK_BYTES)
            self.assertEqual(Guard(target).received(good), good)
            bad = packet(request(target=target.encode() + b"\0", name=name + b"n\0"))
            e = self.assertRaises(NotAuthorized, Guard(target).received, bad[:5])
            self.assertIn(f"more than {PEEK_BYTES} bytes", str(e))


class BadTests(SynchronousTestCase):
    """
    What is refused.
    """

    def refusal(self, data: bytes, id: str = ID) -> str:
        """
        @return: the sentence with which C{data} is refused, whole and byte by byte.
        """
        said = str(self.assertRaises(NotAuthorized, Guard(id).received, data))
        guard = Guard(id)

        def drip() -> None:
            for byte in data:
                self.assertIsNone(guard.received(bytes([byte])))

        self.assertRaises(NotAuthorized, drip)
        self.assertIn(f"shared port id {id} only", said)
        self.assertTrue(said.isascii() and said.isprintable(), said)
        self.assertLess(len(said), 300)
        return said

    def test_otherIds(self) -> None:
        """
        Another id is refused and named, cut and without control characters.
        """
        for other, shown in {
            "self": "'self'",
            "collector": "'collector'",
            "": "''",
            ID[:-1]: f"'{ID[:-1]}'",
            ID + "x": f"'{ID}x'",
            ID.upper(): f"'{ID.upper()}'",
            "../" + ID: f"'../{ID}'",
            "\x1b[2J\n": r"'\x1b[2J\n'",
            "\xad": r"'\xad'",
            "\xe9": r"'\xe9'",
            "x" * 500: "'" + "x" * 79,
        }.items():
            data = packet(request(target=other.encode("latin-1") + b"\0"))
            self.assertTrue(self.refusal(data).endswith("this one asks for " + shown), other)

    def test_otherCommands(self) -> None:
        """
        Another command is refused, also one that a receiver of 32 bits takes for the same.
        """
        for command in (
            integer(0),
            integer(74),
            integer(76),
            integer(60010),
            integer(-75),
            integer(75 + 2**32),
            integer(75 + 2**63 - 2**64),
            (75).to_bytes(4, "big"),
            (75).to_bytes(8, "little"),
        ):
            self.assertIn("not SHARED_PORT_CONNECT", self.refusal(packet(request(command))))

    def test_noCEDAR(self) -> None:
        """
        What is not one packet of CEDAR is refused at the first byte: TLS, HTTP, and a
        packet that is not, or only in HTCondor's eyes, the last of its message.
        """
        for first in [0, *range(2, 256)]:
            e = self.assertRaises(NotAuthorized, Guard(ID).received, bytes([first]))
            self.assertIn("in one packet", str(e))
        body = request()
        self.refusal(packet(body[:8], 0) + packet(body[8:], 1))
        self.refusal(packet(body, 0) + packet(b"", 1))

    def test_sizes(self) -> None:
        """
        A message too long or too short for the id is refused as soon as that is known.
        """
        for header in ("01ff", "0100ff", "010000ff", "0180", "010000080000"):
            self.assertIn("more than 2048 bytes", self.refusal(bytes.fromhex(header)), header)
        good = len(request(name=b"\0"))
        for size in (0, 1, 8, good - 1, good + 1024):
            data = b"\1" + size.to_bytes(4, "big")
            self.assertIn("not the length", self.refusal(data), str(size))
        self.assertIsNone(Guard(ID).received(b"\1" + good.to_bytes(4, "big")))
        self.assertIsNone(Guard(ID).received(b"\1" + (good + 1023).to_bytes(4, "big")))

    def test_macHeader(self) -> None:
        """
        A header with a checksum, which HTCondor has once there is a key, is refused.
        """
        body = request()
        self.refusal(b"\1" + len(body).to_bytes(4, "big") + bytes(range(16)) + body)

    def test_names(self) -> None:
        """
        A client's name that ends early or late, not at all, is a null pointer or too long
        for HTCondor is refused.
        """
        for name in (b"FT\0GAHP\0", b"\0FT_GAHP\0", b"\xad", b"\xad\0", b"\xadname\0", b"FT_GAHP"):
            self.assertIn("client's name", self.refusal(packet(request(name=name))), repr(name))
        late = packet(request(name=b"FT_GAHPx"))[:-16]
        self.assertIn("client's name", self.refusal(late))
        for name in (b"", b"n" * 1024 + b"\0"):
            self.assertIn("not the length", self.refusal(packet(request(name=name))))

    def test_deadlines(self) -> None:
        """
        A deadline of more than 32 bits is refused with the first byte that tells.
        """
        for value in (2**31, -(2**31) - 1, 2**32 + 30, 2**63 - 1, -(2**63)):
            data = packet(request(deadline=integer(value)))
            self.assertIn("deadline", self.refusal(data), str(value))
        self.assertIn("deadline", self.refusal(packet(request(deadline=b"\1" + bytes(7)))[:-15]))

    def test_arguments(self) -> None:
        """
        Further arguments are refused, and so is anything else in the message.
        """
        for count, rest in ((1, b"x\0"), (1, b""), (101, b""), (-1, b""), (2**32, b"")):
            # So that the numbers lie where those of a good request do.
            data = packet(request(count=integer(count)))
            self.assertIn("further arguments", self.refusal(data))
            self.refusal(packet(request(count=integer(count), rest=rest)))
        for rest in (b"\0", b"x", bytes(8), bytes(1000)):
            self.refusal(packet(request(rest=rest)))

    def test_afterwards(self) -> None:
        """
        One that has refused goes on refusing, whatever comes then.
        """
        guard = Guard(ID)
        self.assertRaises(NotAuthorized, guard.received, b"GET / HTTP/1.1\r\n")
        self.assertRaises(NotAuthorized, guard.received, SEEN)
        self.assertRaises(NotAuthorized, guard.received, b"")

    def test_ids(self) -> None:
        """
        There is no guard for an id that no gridmanager has: none would be everybody's, and
        C{self} is the shared port daemon.
        """
        for id in ("", "self", "a/b", "../a", "..", "a b", "a\0", "\xe9", "a&b", "a" * 1024):
            e = self.assertRaises(ConfigurationError, Guard, id)
            self.assertTrue(str(e).isascii() and str(e).isprintable())
            self.assertLess(len(str(e)), 200)
        for id in (ID, "a", "selfish", "a.b-c_d", "a" * 1023):
            Guard(id)


class DifferenceTests(SynchronousTestCase):
    """
    There are no bytes that the guard takes for one thing and HTCondor for another.
    """

    def decide(self, portions: list[bytes]) -> str:
        """
        Feed portions until there is a decision.
        """
        guard = Guard(ID)
        try:
            for count, portion in enumerate(portions, 1):
                passed = guard.received(portion)
                if passed is not None:
                    self.assertEqual(passed, b"".join(portions[:count]))
                    return "passed"
        except NotAuthorized:
            return "refused"
        return "waiting"

    def check(self, data: bytes) -> bool:
        """
        Feed C{data} to both.

        @return: whether it was let through.
        """
        try:
            passed = Guard(ID).received(data)
        except NotAuthorized:
            return False
        if passed is None:
            self.assertRaises(Refused, SharedPort, data)  # it waits for more
            return False
        read = SharedPort(passed)
        self.assertEqual(passed, data)
        self.assertEqual((read.target, read.arguments), (ID.encode(), 0))
        self.assertEqual(data[: 5 + int.from_bytes(data[1:5], "big")] + read.rest, data)
        self.assertEqual(
            data[: len(data) - len(read.rest)],
            packet(request(name=read.name + b"\0", deadline=integer(read.deadline))),
        )
        return True

    def test_reference(self) -> None:
        """
        HTCondor's reading, as it is modelled here, takes what it was seen to take, and
        what makes a guard necessary.
        """
        read = SharedPort(SEEN + FOLLOWING)
        self.assertEqual((read.target, read.deadline, read.rest), (ID.encode(), 30, FOLLOWING))
        body = request(command=integer(75 + 2**32), target=b"self\0", name=b"\xad")
        cut = packet(body[:9], 0) + packet(body[9:], 10)
        self.assertEqual(SharedPort(cut).target, b"self")
        self.assertFalse(self.check(cut))

    def test_oneByte(self) -> None:
        """
        Every change of any one byte is refused, or means the same.
        """
        passed = sum(
            self.check(SEEN[:place] + bytes([value]) + SEEN[place + 1 :] + FOLLOWING)
            for place in range(len(SEEN))
            for value in range(256)
            if value != SEEN[place]
        )
        # Any byte of the name but NUL, its first not 0xAD either; 31 bits of the deadline.
        name, deadline = SEEN.index(b"\0", 13) + 1, len(SEEN) - 16
        self.assertEqual(passed, (deadline - 1 - name) * 254 - 1 + 127 + 3 * 255)

    @unhurried
    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        """
        Several changes at once, bytes put in or left out: refused, or the same.
        """
        mutated = bytearray(SEEN + FOLLOWING)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(SEEN)))
            until = place + data.draw(st.integers(0, 3))
            mutated[place:until] = data.draw(st.binary(max_size=3))
        self.check(bytes(mutated))

    @unhurried
    @given(
        st.sampled_from([integer(75), integer(75 + 2**32), integer(76)]),
        st.sampled_from([ID.encode() + b"\0", b"self\0", b"\xad", b""]),
        st.sampled_from([b"FT_GAHP\0", b"\0", b"\xad", b"\xad\0", b"a\0b\0", b"x" * 1024 + b"\0"]),
        st.sampled_from([integer(30), integer(-1), integer(2**32), integer(-(2**40))]),
        st.sampled_from([integer(0), integer(2**32), integer(1), b""]),
        st.sampled_from([b"", b"\0", b"x\0", bytes(8)]),
        st.lists(st.tuples(st.integers(0, 80), st.integers(0, 11)), max_size=3),
        st.integers(0, 11),
    )
    @example(integer(75), ID.encode() + b"\0", b"\0", integer(30), integer(0), b"", [], 1)
    def test_parts(
        self,
        command: bytes,
        target: bytes,
        name: bytes,
        deadline: bytes,
        count: bytes,
        rest: bytes,
        cuts: list[tuple[int, int]],
        end: int,
    ) -> None:
        """
        Messages of hostile items, cut into packets with every kind of end.
        """
        body = request(command, target, name, deadline, count, rest)
        wire = b""
        for size, kind in cuts:
            wire += packet(body[:size], kind)
            body = body[size:]
        self.check(wire + packet(body, end) + FOLLOWING)

    @unhurried
    @given(st.binary(min_size=1, max_size=300), st.lists(st.integers(1, 300), max_size=6))
    def test_portions(self, rubbish: bytes, cuts: list[int]) -> None:
        """
        In whatever portions bytes come, the decision is the same.
        """
        for data in (SEEN + rubbish, SEEN[:20] + rubbish, rubbish):
            ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
            portions = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
            self.assertEqual(self.decide(portions), self.decide([data]))
