# -*- test-case-name: tests.test_blah_registry -*-
"""
What a local resource manager is: the interface that a plugin provides.

A plugin is an object that provides L{ILocalResourceManager} and
C{twisted.plugin.IPlugin}, found in any C{twisted/plugins/*.py} on the Python
path; C{doc/blahpd.rst} has one in full.  May import the standard library and
zope.interface.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rvgahp.blah.errors import BatchError
    from rvgahp.blah.jobstate import JobState
    from rvgahp.blah.submitad import SubmitAd

__all__ = ["ILocalResourceManager", "IProxyRenewer"]


class ILocalResourceManager(Interface):
    """
    One way to run jobs at this site.

    The methods are called in threads, several at once, and may block; what
    takes longer than the gridmanager's 300 s is a failure to it.  Each may
    raise L{rvgahp.blah.errors.BatchError}, whose sentence becomes the result's
    error text; anything else that it raises is reported as a fault of the
    plugin.  Nothing may be written to stdout: it belongs to the dialogue.
    """

    name = Attribute(
        """
        The word that selects this manager, in lower case: the C{gridtype} of a
        submit ad, and what stands before the first slash of its job ids.
        @type name: L{str}
        """
    )

    def submit(job: SubmitAd) -> str:
        """
        Have a job run.

        @param job: what was asked for, read and checked.
        @return: the job's id: C{name/date/unique}, at most 256 characters,
            without blanks.  It must keep its meaning over a restart of the
            GAHP and of the host.
        @raise BatchError: the job was not submitted, and will not run.
        """

    def status(jobIds: Sequence[str]) -> Mapping[str, JobState | BatchError]:
        """
        Tell what jobs are doing.  Several ids at once, so that one query of
        the batch system can answer for many.

        @param jobIds: ids that L{submit} returned, or garbage.
        @return: by id the states, or the L{BatchError} that says why nothing
            can be said.  An id that is left out is an unknown job.
        @raise BatchError: nothing can be said about any of them.
        """

    def cancel(jobId: str) -> None:
        """
        End a job and see to it that its state is L{Status.REMOVED
        <rvgahp.blah.jobstate.Status>}; for one that is removed already, nothing.

        @param jobId: as for L{status}.
        @raise BatchError: the job is unknown, has finished, or cannot be ended.
        """

    def ping() -> None:
        """
        Look whether jobs could be submitted now.

        @raise BatchError: they could not; the gridmanager marks the site down.
        """


class IProxyRenewer(Interface):
    """
    A local resource manager that can renew the X.509 proxy of a job.  Whatever
    not every manager can do is an interface of its own, which a plugin
    provides beside L{ILocalResourceManager} or does not.
    """

    def renewProxy(jobId: str, path: bytes) -> None:
        """
        Give a job a new proxy.

        @param jobId: as for L{ILocalResourceManager.status}.
        @param path: the file with the new proxy.
        @raise BatchError: the job is unknown or the proxy cannot be renewed.
        """
