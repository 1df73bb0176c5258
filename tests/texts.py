"""
Texts for property tests.
"""

from __future__ import annotations

import string

from hypothesis import strategies as st

__all__ = ["oddTexts"]

ODD = string.printable + "\0\x1b\x7f\xa0\u00e9\u0130\u0661\u202e\u2028\ufeff\U0001f600"
"""Printable ASCII, and characters of the sorts that parsers stumble over.
Listed, because hypothesis takes seconds to learn all of Unicode."""


def oddTexts(smallest: int = 0, longest: int = 40) -> st.SearchStrategy[str]:
    """
    Texts of any of these characters.
    """
    return st.text(ODD, min_size=smallest, max_size=longest)
