# -*- test-case-name: tests.test_blah_jobstate -*-
"""
Tests of L{rvgahp.blah.jobstate}.
"""

from __future__ import annotations

import classad2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rvgahp.blah.jobstate import JobState, Status, formatAd

#: A loaded machine is no failure.
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class JobStateTests(SynchronousTestCase):
    """
    L{JobState} and L{formatAd}.
    """

    @unhurried
    @given(
        st.dictionaries(
            st.sampled_from(["ExitCode", "ExitReason", "ExitBySignal", "RemoteUserCpu"]),
            st.one_of(
                st.booleans(),
                st.integers(-(2**63) + 1, 2**63 - 1),
                st.floats(allow_nan=False, allow_infinity=False),
                st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            ),
        )
    )
    def test_readByHTCondor(self, attributes: dict[str, bool | int | float | str]) -> None:
        """
        HTCondor's library reads the values that were written.
        """
        text = formatAd(attributes).decode("ascii")
        self.assertTrue(text.isprintable())
        self.assertEqual(dict(classad2.ClassAd(text)), attributes)

    def test_ad(self) -> None:
        """
        A state's ad has the job's id and the number of the status.
        """
        state = JobState(Status.COMPLETED, {"ExitCode": 3})
        self.assertEqual(
            state.ad("fork/1/2"), b'[ BatchJobId = "fork/1/2"; JobStatus = 4; ExitCode = 3 ]'
        )

    def test_bytes(self) -> None:
        """
        Bytes that are no text are written as octal escapes; NUL, which no
        ClassAd can hold, as a question mark.
        """
        self.assertEqual(formatAd({"A": b'\xff"\\\n\0'}), b'[ A = "\\377\\"\\\\\\012?" ]')

    def test_wrongType(self) -> None:
        """
        What is no literal is an error, and not an ad that means something else.
        """
        self.assertRaises(TypeError, formatAd, {"A": [1]})
