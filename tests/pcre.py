"""
PCRE2 itself, where the machine has it.
"""

from __future__ import annotations

import ctypes
import ctypes.util

_CASELESS, _UNGREEDY = 0x8, 0x40000

#: What PCRE2 returns where nothing matches, and where it has taken too many steps.
_NO_MATCH, _MATCH_LIMIT = -1, -47


class GaveUp(Exception):
    """
    PCRE2 has taken too many steps.  HTCondor takes it for no match.
    """


def library() -> ctypes.CDLL | None:
    """
    @return: the library for bytes.
    """
    name = ctypes.util.find_library("pcre2-8")
    if name is None:
        return None
    found = ctypes.CDLL(name)
    found.pcre2_compile_8.restype = ctypes.c_void_p
    found.pcre2_match_data_create_from_pattern_8.restype = ctypes.c_void_p
    found.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
    return found


class PCRE:
    """
    A pattern, used as HTCondor does.
    """

    def __init__(self, found: ctypes.CDLL, text: bytes, ignoreCase: bool, ungreedy: bool) -> None:
        """
        @raise ValueError: PCRE refuses it.
        """
        self._library = found
        number, offset = ctypes.c_int(), ctypes.c_size_t()
        options = _CASELESS * ignoreCase | _UNGREEDY * ungreedy
        code = found.pcre2_compile_8(
            text, len(text), options, ctypes.byref(number), ctypes.byref(offset), None
        )
        if not code:
            raise ValueError(f"error {number.value} at {offset.value}")
        self._code = ctypes.c_void_p(code)
        self._data = ctypes.c_void_p(found.pcre2_match_data_create_from_pattern_8(self._code, None))

    def search(self, subject: bytes) -> list[bytes] | None:
        """
        @return: the groups that HTCondor takes; one that is unset has no text.
        @raise GaveUp: it would take too long.
        """
        count = self._library.pcre2_match_8(
            self._code, subject, ctypes.c_size_t(len(subject)), 0, 0, self._data, None
        )
        if count == _MATCH_LIMIT:
            raise GaveUp
        if count == _NO_MATCH:
            return None
        assert count > 0, count
        ends = self._library.pcre2_get_ovector_pointer_8(self._data)
        pairs = [(ends[2 * number], ends[2 * number + 1]) for number in range(count)]
        return [subject[start:end] if start <= len(subject) else b"" for start, end in pairs]

    def close(self) -> None:
        self._library.pcre2_match_data_free_8(self._data)
        self._library.pcre2_code_free_8(self._code)
