"""
Tests of L{rvgahp.records}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.policy import Outcome
from rvgahp.records import ACK, DATA, LIMIT, PING, Opener, ReceiveBuffer, Sealer, encodeHeader

KEY = bytes(range(100, 132))

#: One record of each kind, as (kind, position, body).
RECORDS = [
    (DATA, 5, b"the quick brown fox"),
    (ACK, 2**40, LIMIT.pack(2**41)),
    (PING, 0, b""),
    (DATA, 2**64 - 1, b"x"),
]

PROTECTED = (Outcome.ENCRYPT, Outcome.INTEGRITY)

records = st.one_of(
    st.tuples(st.just(DATA), st.integers(0, 2**64 - 1), st.binary(min_size=1, max_size=80)),
    st.tuples(st.just(ACK), st.integers(0, 2**64 - 1), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(PING), st.just(0), st.just(b"")),
)


def sealed(sealer: Sealer, kind: int, position: int, body: bytes) -> bytes:
    """
    A record as it goes on the wire.
    """
    return b"".join(bytes(piece) for piece in sealer.seal(kind, position, body))


def opened(opener: Opener, data: bytes) -> list[tuple[int, int, bytes]]:
    """
    All whole records in C{data}.
    """
    return list(opener.read(memoryview(data)))


class RecordTests(SynchronousTestCase):
    """
    Tests of L{Sealer} and L{Opener} against each other.
    """

    def test_roundTrip(self) -> None:
        """
        In all outcomes what is sealed is what is opened, one after the other.
        """
        for outcome in Outcome:
            sealer, opener = Sealer(outcome, KEY), Opener(outcome, KEY)
            wire = b"".join(sealed(sealer, *record) for record in RECORDS)
            self.assertEqual(opened(opener, wire), RECORDS)
            self.assertEqual(opener.consumed, len(wire))

    def test_longest(self) -> None:
        """
        A record of the largest size is opened, from a memoryview as well.
        """
        body = bytes(range(256)) * (limits.RECORD_DATA_BYTES // 256)
        for outcome in Outcome:
            pieces = Sealer(outcome, KEY).seal(DATA, 0, memoryview(body))
            wire = b"".join(bytes(piece) for piece in pieces)
            self.assertEqual(opened(Opener(outcome, KEY), wire), [(DATA, 0, body)])

    def test_secrecy(self) -> None:
        """
        Only encryption hides the bytes; integrity alone leaves them readable.
        """
        body = b"plain words that can be read"
        for outcome in Outcome:
            wire = sealed(Sealer(outcome, KEY), DATA, 0, body)
            self.assertEqual(body in wire, outcome is not Outcome.ENCRYPT)

    def test_sameBytesDiffer(self) -> None:
        """
        The same record twice looks different: its number is in the nonce.
        """
        for outcome in PROTECTED:
            sealer = Sealer(outcome, KEY)
            first, second = (sealed(sealer, DATA, 0, b"again") for _ in range(2))
            self.assertNotEqual(first[-16:], second[-16:])

    def test_everyByteMatters(self) -> None:
        """
        With any bit of a record flipped it is refused when it has come, though nothing
        comes after it, and nothing of it is passed on.
        """
        for outcome in PROTECTED:
            for number in range(len(RECORDS)):
                sealer = Sealer(outcome, KEY)
                wires = [sealed(sealer, *record) for record in RECORDS]
                for index in range(len(wires[number])):
                    for bit in range(8):
                        altered = bytearray(wires[number])
                        altered[index] ^= 1 << bit
                        self._refused(outcome, wires[:number], bytes(altered))

    def _refused(self, outcome: Outcome, wires: list[bytes], altered: bytes) -> None:
        came = []
        with self.assertRaises(ProtocolError):
            for record in Opener(outcome, KEY).read(memoryview(b"".join((*wires, altered)))):
                came.append(record)
        self.assertEqual(came, RECORDS[: len(wires)])

    def test_alteredHeader(self) -> None:
        """
        A header with any bit flipped is refused before anything of the body has come,
        also where records are not protected.
        """
        for outcome in Outcome:
            header = sealed(Sealer(outcome, KEY), *RECORDS[0])[:16]
            for bit in range(len(header) * 8):
                altered = bytearray(header)
                altered[bit // 8] ^= 1 << bit % 8
                with self.assertRaisesRegex(ProtocolError, "was altered"):
                    opened(Opener(outcome, KEY), bytes(altered))

    def test_structureWithoutProtection(self) -> None:
        """
        Without protection an impossible type or length is refused all the same.
        """
        for kind, length in (
            (0, 1),
            (4, 1),
            (255, 1),
            (DATA, 0),
            (DATA, limits.RECORD_DATA_BYTES + 1),
        ):
            with self.assertRaises(ProtocolError):
                opened(Opener(Outcome.NONE, KEY), encodeHeader(kind, length, 0))

    def test_truncated(self) -> None:
        """
        A record is opened when its last byte is there, and not before.
        """
        for outcome in Outcome:
            sealer = Sealer(outcome, KEY)
            wire = sealed(sealer, *RECORDS[0]) + sealed(sealer, *RECORDS[1])
            first = len(sealed(Sealer(outcome, KEY), *RECORDS[0]))
            opener = Opener(outcome, KEY)
            for size in range(first):
                self.assertEqual(opened(opener, wire[:size]), [])
                self.assertEqual(opener.consumed, 0)
            self.assertEqual(opened(opener, wire[:-1]), RECORDS[:1])
            self.assertEqual(opener.consumed, first)
            self.assertEqual(opened(opener, wire[first:]), RECORDS[1:2])

    def test_reordered(self) -> None:
        """
        Two records in the wrong order are refused.
        """
        for outcome in PROTECTED:
            sealer = Sealer(outcome, KEY)
            first, second = (sealed(sealer, DATA, 0, b"same") for _ in range(2))
            with self.assertRaises(ProtocolError):
                opened(Opener(outcome, KEY), second + first)

    def test_replayed(self) -> None:
        """
        A record that comes twice is refused the second time.
        """
        for outcome in PROTECTED:
            wire = sealed(Sealer(outcome, KEY), DATA, 0, b"once")
            came = []
            with self.assertRaises(ProtocolError):
                for record in Opener(outcome, KEY).read(memoryview(wire + wire)):
                    came.append(record)
            self.assertEqual(came, [(DATA, 0, b"once")])

    def test_leftOut(self) -> None:
        """
        A record that is left out makes the next one invalid.
        """
        for outcome in PROTECTED:
            sealer = Sealer(outcome, KEY)
            sealed(sealer, DATA, 0, b"lost")
            with self.assertRaises(ProtocolError):
                opened(Opener(outcome, KEY), sealed(sealer, DATA, 4, b"found"))

    def test_otherKeyAndOutcome(self) -> None:
        """
        A record under another key, or protected otherwise than agreed, is refused.
        """
        for outcome in PROTECTED:
            for other in Outcome:
                wire = sealed(
                    Sealer(other, KEY if other is not outcome else bytes(32)), DATA, 0, KEY
                )
                with self.assertRaises(ProtocolError):
                    opened(Opener(outcome, KEY), wire)

    def test_oversize(self) -> None:
        """
        A length above 256 KiB and a tag, or below a tag, is refused by the header
        alone.
        """
        for outcome in PROTECTED:
            for length in (limits.RECORD_DATA_BYTES + 17, 0xFFFFFF, 15, 0):
                with self.assertRaisesRegex(ProtocolError, f"{length} bytes"):
                    opened(Opener(outcome, KEY), encodeHeader(DATA, length, 0))

    def test_emptyData(self) -> None:
        """
        A DATA record carries at least one byte.
        """
        for outcome in Outcome:
            with self.assertRaisesRegex(ProtocolError, "empty"):
                opened(Opener(outcome, KEY), sealed(Sealer(outcome, KEY), DATA, 0, b""))

    def test_lastRecord(self) -> None:
        """
        A channel that has had all its records seals no more.
        """
        self.patch(limits, "CHANNEL_RECORDS", 2)
        for outcome in Outcome:
            sealer = Sealer(outcome, KEY)
            sealer.seal(PING, 0)
            sealer.seal(PING, 0)
            with self.assertRaises(ProtocolError):
                sealer.seal(PING, 0)

    @given(st.binary(min_size=12, max_size=200))
    def test_garbage(self, garbage: bytes) -> None:
        """
        Nothing that was not sealed is opened.
        """
        for outcome in PROTECTED:
            try:
                self.assertEqual(opened(Opener(outcome, KEY), garbage), [])
            except ProtocolError:
                pass


class ReceiveBufferTests(SynchronousTestCase):
    """
    Tests of L{ReceiveBuffer}.
    """

    @given(
        st.sampled_from(Outcome),
        st.lists(records, max_size=12),
        st.lists(st.integers(1, 60), min_size=1, max_size=8),
    )
    def test_slices(
        self, outcome: Outcome, sent: list[tuple[int, int, bytes]], sizes: list[int]
    ) -> None:
        """
        However the bytes of a channel are sliced, the same records come out.
        """
        sealer, opener, buffer = Sealer(outcome, KEY), Opener(outcome, KEY), ReceiveBuffer()
        wire = b"".join(sealed(sealer, *record) for record in sent)
        came, turn = [], 0
        while wire:
            size = sizes[turn % len(sizes)]
            turn += 1
            part, wire = wire[:size], wire[size:]
            buffer.space()[: len(part)] = part
            buffer.filled(len(part))
            came += list(opener.read(buffer.view()))
            buffer.drop(opener.consumed)
        self.assertEqual(came, sent)
        self.assertEqual(len(buffer.view()), 0)

    def test_longestRecordInPieces(self) -> None:
        """
        The longest records fit, wherever in the memory they begin, and there is
        always room for a read.
        """
        sealer, opener = Sealer(Outcome.ENCRYPT, KEY), Opener(Outcome.ENCRYPT, KEY)
        buffer = ReceiveBuffer()
        body = bytes(limits.RECORD_DATA_BYTES)
        sizes = [1, len(body), 77_777, 1, len(body), len(body), 131_072, len(body)]
        wire = b"".join(sealed(sealer, DATA, 0, body[:size]) for size in sizes)
        came = []
        while wire:
            space = buffer.space()
            self.assertGreaterEqual(len(space), limits.READ_BYTES)
            part, wire = wire[: limits.READ_BYTES - 1], wire[limits.READ_BYTES - 1 :]
            space[: len(part)] = part
            buffer.filled(len(part))
            came += [len(record[2]) for record in opener.read(buffer.view())]
            buffer.drop(opener.consumed)
        self.assertEqual(came, sizes)

    @given(st.lists(st.tuples(st.integers(1, 393_000), st.integers(0, 393_000)), max_size=20))
    def test_keepsOrder(self, steps: list[tuple[int, int]]) -> None:
        """
        What is put in comes out in the same order, whatever is dropped when.
        """
        buffer, model = ReceiveBuffer(), b""
        for count, (put, drop) in enumerate(steps):
            if len(model) > 262_172:  # more than a record: its reader would have taken it
                buffer.drop(len(model))
                model = b""
            space = buffer.space()
            put = min(put, len(space))
            part = (count.to_bytes(4, "big") * (put // 4 + 1))[:put]
            space[:put] = part
            buffer.filled(put)
            model += part
            drop = min(drop, len(model))
            buffer.drop(drop)
            model = model[drop:]
            self.assertEqual(bytes(buffer.view()), model)
