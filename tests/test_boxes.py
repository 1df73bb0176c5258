"""
Tests of L{rvgahp.boxes}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.amp import AmpBox, parseString
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.boxes import BoxReader, encodeBox
from rvgahp.errors import ProtocolError

Box = dict[bytes, bytes]

boxes = st.dictionaries(
    st.binary(min_size=1, max_size=255), st.binary(max_size=300), min_size=1, max_size=6
)


def readInSlices(reader: BoxReader, data: bytes, sizes: list[int]) -> list[Box]:
    """
    Feed a reader slice by slice, with the sizes again and again.
    """
    came, turn = [], 0
    while data:
        size = sizes[turn % len(sizes)]
        turn += 1
        came += reader.read(data[:size])
        data = data[size:]
    return came


class BoxTests(SynchronousTestCase):
    """
    Tests of L{encodeBox} and L{BoxReader}.
    """

    @given(st.lists(boxes, max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=9))
    def test_slices(self, sent: list[Box], sizes: list[int]) -> None:
        """
        However the bytes are sliced, the same boxes come out.
        """
        wire = b"".join(encodeBox(box) for box in sent)
        self.assertEqual(readInSlices(BoxReader(10_000), wire, sizes), sent)

    @given(boxes)
    def test_twistedReads(self, box: Box) -> None:
        """
        Twisted's own AMP reads what we write, and we read what it writes.
        """
        self.assertEqual([dict(other) for other in parseString(encodeBox(box))], [box])
        self.assertEqual(BoxReader(10_000).read(AmpBox(box).serialize()), [box])

    def test_everyByteApart(self) -> None:
        """
        A box is there with its last byte, and what follows it is not lost.
        """
        box = {b"_ask": b"1", b"_command": b"Ping", b"empty": b""}
        wire = encodeBox(box)
        reader = BoxReader(1000)
        for _ in range(3):
            for index in range(len(wire) - 1):
                self.assertEqual(reader.read(wire[index : index + 1]), [])
            self.assertEqual(reader.read(wire[-1:] + wire), [box, box])

    def test_sameLimitInAllSlices(self) -> None:
        """
        A box of just the longest size is taken and one of a byte more is not, however
        it is sliced.
        """
        box = {b"key": bytes(91)}
        wire = encodeBox(box)
        self.assertEqual(len(wire), 100)
        for size in range(1, 101):
            self.assertEqual(readInSlices(BoxReader(100), wire, [size]), [box])
            with self.assertRaises(ProtocolError):
                readInSlices(BoxReader(99), wire, [size])

    def test_limitIsForEachBox(self) -> None:
        """
        Many boxes in one read may be longer together than one may be.
        """
        box = {b"key": bytes(91)}
        self.assertEqual(BoxReader(100).read(encodeBox(box) * 50), [box] * 50)

    def test_limitCanGrow(self) -> None:
        """
        The limit may be changed between boxes.
        """
        box = {b"key": bytes(91)}
        reader = BoxReader(100)
        reader.read(encodeBox(box))
        reader.longest = 1000
        larger = {b"key": bytes(500)}
        self.assertEqual(reader.read(encodeBox(larger)), [larger])

    def test_endlessBox(self) -> None:
        """
        One who never ends a box is refused when it is too large, and not later.
        """
        reader = BoxReader(1000)
        field = encodeBox({b"key": bytes(50)})[:-2]
        taken = 0
        with self.assertRaises(ProtocolError):
            while taken < 2000:
                reader.read(field)
                taken += len(field)
        self.assertLess(taken, 1000)

    def test_overlongKey(self) -> None:
        """
        A key of more than 255 bytes is refused by its length alone, as that of a
        TLS record or of an HTTP request would be.
        """
        for begin in (b"\x01\x00", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"\xff\xff"):
            with self.assertRaises(ProtocolError):
                BoxReader(16384).read(begin)

    def test_emptyBox(self) -> None:
        """
        A box without a key is refused.
        """
        with self.assertRaises(ProtocolError):
            BoxReader(100).read(b"\0\0")

    def test_impossibleToEncode(self) -> None:
        """
        Keys and values of impossible lengths are refused, not cut.
        """
        impossible: list[Box] = [{b"": b"x"}, {b"k" * 256: b""}, {b"k": bytes(0x10000)}]
        for box in impossible:
            with self.assertRaises(ProtocolError):
                encodeBox(box)
        longest = {b"k" * 255: bytes(0xFFFF)}
        self.assertEqual(BoxReader(70_000).read(encodeBox(longest)), [longest])

    def test_manySmallFields(self) -> None:
        """
        A large box in small slices costs no more than its size: the fields that are
        there already are not read again.
        """
        reader = BoxReader(131_072)
        wire = encodeBox({b"%d" % number: bytes(4) for number in range(10_000)})
        fields = 0
        original = reader._field

        def count(start: int, longest: int = 0xFFFF) -> bytes | None:
            nonlocal fields
            fields += 1
            return original(start, longest)

        self.patch(reader, "_field", count)
        readInSlices(reader, wire, [7])
        self.assertLess(fields, 60_000)
