# -*- test-case-name: tests.test_blah_arguments -*-
"""
HTCondor's two syntaxes for a job's arguments and environment.  Pure.

V1 (attributes Args and Env) has no quoting at all.  In V2 (Arguments and
Environment) single quotes protect blanks, and inside them a doubled quote is
one quote; there is no other escape.  Facts from
C{src/condor_utils/condor_arglist.cpp} (C{split_args}, C{AppendArgsV1Raw_unix})
and C{src/condor_utils/env.cpp} (C{MergeFromV1Raw}, C{MergeFromV2Raw}).  Where
both are given HTCondor takes V2.  The ClassAd library has functions for this
that work only inside HTCondor's daemons, hence these.
"""

from __future__ import annotations

from rvgahp.blah.errors import BadSubmitAd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["environmentV1", "environmentV2", "splitV1", "splitV2"]

_BLANKS = b" \t\r\n"


def splitV1(text: bytes) -> list[bytes]:
    """
    @param text: the value of Args.
    @return: the words between the blanks.
    """
    # Not a bare split(): that takes form feeds and vertical tabs for blanks.
    return [word for word in text.translate(bytes.maketrans(b"\t\r\n", b"   ")).split(b" ") if word]


def splitV2(text: bytes) -> list[bytes]:
    """
    @param text: the value of Arguments, or of Environment.
    @return: the words, without their quotes; an empty pair of quotes is an
        empty word.
    @raise BadSubmitAd: a quote is never closed.
    """
    words: list[bytes] = []
    word = bytearray()
    inWord = False
    # Every other piece was between quotes; an empty piece between two of those
    # is the middle of a doubled quote.
    pieces = text.split(b"'")
    if len(pieces) % 2 == 0:
        raise BadSubmitAd("A single quote in Arguments or Environment is never closed.")
    for index, piece in enumerate(pieces):
        if index % 2 == 1:
            word += piece
            inWord = True
        elif not piece and 0 < index < len(pieces) - 1:
            word += b"'"
        else:
            for byte in piece:
                if byte not in _BLANKS:
                    word.append(byte)
                    inWord = True
                elif inWord:
                    words.append(bytes(word))
                    word.clear()
                    inWord = False
    return [*words, bytes(word)] if inWord else words


def environmentV1(text: bytes, delimiter: bytes) -> dict[bytes, bytes]:
    """
    @param text: the value of Env.
    @param delimiter: the value of EnvDelim; its first byte counts, C{;} if
        empty.  A newline always separates too.
    @return: values by variable name.
    @raise BadSubmitAd: an entry has no name or no equals sign.
    """
    entries = text.replace(b"\n", delimiter[:1] or b";").split(delimiter[:1] or b";")
    return _variables(entry.lstrip(_BLANKS) for entry in entries)


def environmentV2(text: bytes) -> dict[bytes, bytes]:
    """
    @param text: the value of Environment.
    @return: values by variable name.
    @raise BadSubmitAd: as L{splitV2} and L{environmentV1}.
    """
    return _variables(splitV2(text))


def _variables(entries: Iterable[bytes]) -> dict[bytes, bytes]:
    variables = {}
    for number, entry in enumerate(entries, 1):
        name, equals, value = entry.partition(b"=")
        if entry and not (name and equals):
            # The entry itself may be a secret that lost its name.
            raise BadSubmitAd(
                f"Entry {number} of the job's environment is not of the form NAME=value."
            )
        if entry:
            variables[name] = value
    return variables
