"""
Tests of L{rvgahp.occupancy}.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.occupancy import Occupancy

#: What is done, to which entry, whose that is.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("set", "del", "pop", "popitem", "clear", "update", "setdefault")),
        st.sampled_from("abcdef"),
        st.lists(st.sampled_from("XYZ"), max_size=3),
    ),
    max_size=60,
)


class OccupancyTests(SynchronousTestCase):
    """
    Its counts.
    """

    @given(STEPS)
    def test_counts(self, steps: list[tuple[str, str, list[str]]]) -> None:
        """
        Whatever is done to it, its counts are those of its entries, and it is a dictionary.
        """
        table: Occupancy[list[str]] = Occupancy(lambda owners: owners)
        model: dict[str, list[str]] = {}
        for what, name, owners in steps:
            for one in (table, model):
                self._do(one, what, name, owners)
            self.assertEqual(dict(table), model)
            counts = Counter(owner for owners in model.values() for owner in owners)
            for owner in "XYZ":
                self.assertEqual(table.count(owner), counts[owner])
        self.assertEqual(len(table._counts), len({o for owners in model.values() for o in owners}))

    @staticmethod
    def _do(table: object, what: str, name: str, owners: list[str]) -> None:
        assert isinstance(table, dict | Occupancy)
        if what == "set":
            table[name] = owners
        elif what == "del" and name in table:
            del table[name]
        elif what == "pop":
            table.pop(name, None)
        elif what == "popitem" and table:
            table.pop(next(iter(table)))
        elif what == "clear":
            table.clear()
        elif what == "update":
            table.update({name: owners, "g": owners})
        elif what == "setdefault":
            table.setdefault(name, owners)

    def test_changed(self) -> None:
        """
        An entry is counted for whom it was when it came, whatever becomes of it.
        """
        table: Occupancy[list[str]] = Occupancy(lambda owners: owners)
        owners = ["X"]
        table["a"] = owners
        owners[0] = "Y"
        self.assertEqual((table.count("X"), table.count("Y")), (1, 0))
        del table["a"]
        self.assertEqual((table.count("X"), table.count("Y")), (0, 0))

    def test_missing(self) -> None:
        """
        What is not there cannot be removed, and nothing is counted wrong for it.
        """
        table: Occupancy[list[str]] = Occupancy(lambda owners: owners)
        table["a"] = ["X"]
        self.assertRaises(KeyError, table.__delitem__, "b")
        self.assertEqual(table.count("X"), 1)
