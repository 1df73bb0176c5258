"""
Tests of L{rvgahp.errors}.
"""

from __future__ import annotations

import inspect

from twisted.trial.unittest import SynchronousTestCase

from rvgahp import errors

ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception)
]


class ErrorsTests(SynchronousTestCase):
    """
    Tests of all errors at once.
    """

    def test_oneRoot(self) -> None:
        """
        Whoever catches L{errors.RvgahpError} catches all that is ours.
        """
        self.assertGreater(len(ALL), 10)
        for error in ALL:
            self.assertTrue(issubclass(error, errors.RvgahpError), error)

    def test_oneSentence(self) -> None:
        """
        Each is made of a sentence and shows that sentence, since AMP makes it so at
        the calling side.
        """
        for error in ALL:
            self.assertEqual(str(error("It went wrong.")), "It went wrong.")

    def test_toldToTheOperator(self) -> None:
        """
        Each says for itself what happened, and not just that it is an exception.
        """
        told = [inspect.getdoc(error) or "" for error in ALL]
        self.assertEqual(len(set(told)), len(told))
        for doc in told:
            self.assertGreater(len(doc), 20)
