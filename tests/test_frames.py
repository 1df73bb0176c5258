"""
Tests of L{rvgahp.frames}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp import limits
from rvgahp.errors import ProtocolError
from rvgahp.frames import (
    END_STDERR,
    END_STDIN,
    END_STDOUT,
    EXIT,
    FAILED,
    FIRST_IGNORED,
    HEADER,
    STDERR,
    STDIN,
    STDOUT,
    STOP,
    Frame,
    FrameReader,
    decodeExit,
    encodeExit,
    encodeFrame,
)

DATA = (STDIN, STDOUT, STDERR)
ENDS = (END_STDIN, END_STDOUT, END_STDERR)

#: A dialogue with a frame of every kind, and some twice.
DIALOGUE = [
    (STDOUT, b"$GahpVersion: 1.8.0 $\r\n"),
    (STDIN, b""),
    (STDERR, b"a word of warning\n"),
    (FIRST_IGNORED, b"not known yet"),
    (STOP, b"\x0f"),
    (END_STDIN, b""),
    (FAILED, "kein Anschluß".encode()),
    (255, b""),
    (STDOUT, bytes(300)),
    (END_STDOUT, b""),
    (END_STDERR, b""),
    (EXIT, encodeExit(True, 15, "it was ended")),
]

frames = st.one_of(
    st.tuples(st.sampled_from(DATA), st.binary(max_size=60)),
    st.tuples(st.sampled_from(ENDS), st.just(b"")),
    st.tuples(st.just(EXIT), st.binary(max_size=9).map(lambda text: b"\0\7" + text)),
    st.tuples(st.just(STOP), st.binary(min_size=1, max_size=1)),
    st.tuples(st.just(FAILED), st.binary(max_size=20)),
    st.tuples(st.integers(FIRST_IGNORED, 255), st.binary(max_size=20)),
)


def joined(parts: list[Frame]) -> list[tuple[int, bytes]]:
    """
    Frames without regard to how data frames came apart: neighbours of one data kind
    are put together, and empty ones go.
    """
    result: list[tuple[int, bytes]] = []
    for part in parts:
        payload = bytes(part.payload)
        if part.kind not in DATA:
            result.append((part.kind, payload))
        elif result and result[-1][0] == part.kind:
            result[-1] = (part.kind, result[-1][1] + payload)
        elif payload:
            result.append((part.kind, payload))
    return result


def whole(sent: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """
    What L{joined} makes of frames that came whole.
    """
    return joined([Frame(kind, payload, 0) for kind, payload in sent])


class FrameReaderTests(SynchronousTestCase):
    """
    Tests of L{encodeFrame} and L{FrameReader} against each other.
    """

    def test_everyCut(self) -> None:
        """
        Cut in two at any place, the same frames come, at the same cost.
        """
        wire = b"".join(encodeFrame(*frame) for frame in DIALOGUE)
        for cut in range(len(wire) + 1):
            reader = FrameReader()
            came = reader.read(wire[:cut]) + reader.read(wire[cut:])
            self.assertEqual(joined(came), whole(DIALOGUE), f"cut at {cut}")
            self.assertEqual(sum(frame.cost for frame in came), len(wire))

    def test_everyTwoCuts(self) -> None:
        """
        Cut in three at any two places around the short frames, the same frames come.
        """
        sent = [(STDOUT, b"ab"), (EXIT, b"\0\1xyz"), (END_STDIN, b""), (STOP, b"\2"), (200, b"qq")]
        wire = b"".join(encodeFrame(*frame) for frame in sent)
        for first in range(len(wire) + 1):
            for second in range(first, len(wire) + 1):
                reader = FrameReader()
                came = reader.read(wire[:first])
                came += reader.read(wire[first:second])
                came += reader.read(wire[second:])
                self.assertEqual(joined(came), sent, f"cut at {first} and {second}")
                self.assertEqual(sum(frame.cost for frame in came), len(wire))

    @given(st.lists(frames, max_size=12), st.lists(st.integers(1, 30), min_size=1, max_size=8))
    def test_slices(self, sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
        """
        However the stream is sliced, the same frames come; and never is more charged
        than was read, nor less but for the beginning of a frame in hand.
        """
        wire = b"".join(encodeFrame(*frame) for frame in sent)
        reader, came, offset, turn = FrameReader(), [], 0, 0
        while offset < len(wire):
            part = wire[offset : offset + sizes[turn % len(sizes)]]
            turn += 1
            offset += len(part)
            came += reader.read(part)
            charged = sum(frame.cost for frame in came)
            self.assertLessEqual(charged, offset)
            self.assertLessEqual(offset - charged, HEADER.size + limits.CONTROL_FRAME_BYTES)
        self.assertEqual(joined(came), whole(sent))
        self.assertEqual(sum(frame.cost for frame in came), len(wire))

    def test_partsAtOnce(self) -> None:
        """
        A data frame is passed on in parts as they come, and is not waited for.
        """
        wire = encodeFrame(STDOUT, b"abcdef")
        reader = FrameReader()
        self.assertEqual(reader.read(wire[:4]), [])
        first = reader.read(wire[4:6])
        second = reader.read(wire[6:])
        self.assertEqual(
            [(bytes(f.payload), f.cost) for f in first + second], [(b"ab", 6), (b"cdef", 4)]
        )

    def test_dataIsNotCopied(self) -> None:
        """
        A payload is a view of what was read.
        """
        data = encodeFrame(STDOUT, bytes(1000))
        (frame,) = FrameReader().read(data)
        self.assertIsInstance(frame.payload, memoryview)
        assert isinstance(frame.payload, memoryview)
        self.assertIs(frame.payload.obj, data)

    def test_longest(self) -> None:
        """
        The longest frames of each sort are taken, and a byte more is refused by the
        header alone, and not sent either.
        """
        for kind, longest in (
            (STDOUT, limits.FRAME_PAYLOAD_BYTES),
            (FAILED, limits.CONTROL_FRAME_BYTES),
            (FIRST_IGNORED, limits.CONTROL_FRAME_BYTES),
        ):
            (frame,) = FrameReader().read(encodeFrame(kind, bytes(longest)))
            self.assertEqual(len(frame.payload), longest)
            with self.assertRaises(ProtocolError):
                encodeFrame(kind, bytes(longest + 1))
            with self.assertRaises(ProtocolError):
                FrameReader().read(HEADER.pack(kind << 24 | longest + 1))

    def test_unknownKinds(self) -> None:
        """
        Kinds that are not defined and not to be ignored are errors by their header.
        """
        known = {*DATA, *ENDS, EXIT, STOP, FAILED, *range(FIRST_IGNORED, 256)}
        for kind in range(256):
            if kind not in known:
                with self.assertRaises(ProtocolError):
                    FrameReader().read(HEADER.pack(kind << 24))

    def test_endWithPayload(self) -> None:
        """
        The end of a descriptor carries nothing.
        """
        for kind in ENDS:
            with self.assertRaises(ProtocolError):
                FrameReader().read(HEADER.pack(kind << 24 | 1))

    def test_malformedControlFrames(self) -> None:
        """
        An exit or stop frame of another form than the page's is an error when it is
        read, so that nobody has to look again.
        """
        for kind, payload in (
            (EXIT, b""),
            (EXIT, b"\0"),
            (EXIT, b"\2\0"),
            (STOP, b""),
            (STOP, b"\1\1"),
        ):
            with self.assertRaises(ProtocolError):
                FrameReader().read(HEADER.pack(kind << 24 | len(payload)) + payload)

    def test_nothingAfterAnError(self) -> None:
        """
        After a frame that is none, where the next one begins cannot be known.
        """
        reader = FrameReader()
        with self.assertRaises(ProtocolError):
            reader.read(HEADER.pack(77 << 24))
        with self.assertRaises(ProtocolError):
            reader.read(encodeFrame(STDOUT, b"fine"))

    @given(st.binary(max_size=60))
    def test_garbage(self, garbage: bytes) -> None:
        """
        Any bytes at all are frames, or an error of ours.
        """
        try:
            for frame in FrameReader().read(garbage):
                self.assertLessEqual(len(frame.payload), len(garbage))
        except ProtocolError:
            pass


class ExitTests(SynchronousTestCase):
    """
    Tests of L{encodeExit} and L{decodeExit}.
    """

    def test_roundTrip(self) -> None:
        """
        How it ended, the number and the sentence come back.
        """
        for ended in ((False, 0, ""), (False, 255, "so"), (True, 9, "ganz getötet")):
            self.assertEqual(decodeExit(encodeExit(*ended)), ended)

    def test_longSentence(self) -> None:
        """
        A sentence that is too long is cut, and the frame still fits.
        """
        payload = encodeExit(True, 9, "\N{EURO SIGN}" * 1000)
        encodeFrame(EXIT, payload)
        self.assertEqual(decodeExit(payload)[2][:300], "\N{EURO SIGN}" * 300)

    def test_badlyEncoded(self) -> None:
        """
        A sentence that is no UTF-8 is shown as well as may be.
        """
        self.assertEqual(decodeExit(b"\0\0ab\xff")[2], "ab\N{REPLACEMENT CHARACTER}")
