"""
The gridmanager double without processes: a pure object, with bytes in and out and a clock.

It is as strict as the real one and judges as it would: where the real one would end, stand
still, take the site for down, or hold a job, it raises one of L{tests.gridmanagerlines}'
errors, which names the reason.  It never takes anything from C{rvgahp}.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.gridmanagerdialogue import Dialogue, Wire
from tests.gridmanagerjobs import Job
from tests.gridmanagerlines import GridmanagerError, Times
from tests.gridmanagerloop import Loop, Steps
from tests.gridmanagerqueue import HELD
from tests.gridmanagerrequests import PENDING, Caller, Requests
from tests.gridmanagerresource import Resource

DEFAULT_TIMES = Times()


class Brain(Loop):
    """
    One gridmanager with one resource.  Feed its dialogues (L{Dialogue.received} and so on), then
    L{wake} it; do that again at its L{deadline} at the latest.

    @ivar batch: the dialogue with C{blahpd}.
    @ivar transfers: that with C{condor_ft-gahp}; C{None} where the GAHP is a local one.
    @ivar resource: the site.
    @ivar jobs: all there ever were.
    """

    def __init__(
        self,
        launch: Callable[[Dialogue], Wire],
        now: Callable[[], float],
        times: Times = DEFAULT_TIMES,
        tolerate: tuple[type[GridmanagerError], ...] = (),
        isRemote: bool = True,
        batchType: bytes = b"fork",
    ) -> None:
        """
        @param launch: starts the GAHP of a dialogue.
        @param tolerate: what is kept in C{troubles} and survived where the real one does.
        """
        super().__init__(now, times, tolerate)
        self.batch = Requests(self, "blahpd", launch)
        self.transfers = Requests(self, "condor_ft-gahp", launch) if isRemote else None
        self.resource = Resource(self, self.batch, self.transfers, batchType)
        self.jobs: list[Job] = []

    def addJob(
        self,
        submitAd: Callable[[bytes], bytes] | None = None,
        transferAd: Callable[[int], bytes] | None = None,
        gridJobId: tuple[bytes, bytes] = (b"", b""),
    ) -> Job:
        """
        @param submitAd: see L{Job}; by default something short.
        @param transferAd: likewise.
        @param gridJobId: what an earlier gridmanager has left of the job: its sandbox's id,
            its id at the site.
        """
        job = Job(
            self.resource,
            f"{len(self.jobs) + 1}.0",
            submitAd or self._submitAd,
            transferAd or self._transferAd,
            gridJobId,
        )
        self.jobs.append(job)
        return job

    def ask(self, dialogue: Dialogue, *words: bytes) -> list[list[bytes]]:
        """
        Have something asked that the real one never asks: VERSION, QUIT, nonsense.

        @return: where the tokens of the reply will be.
        """
        replies: list[list[bytes]] = []

        def work() -> Steps[None]:
            replies.append((yield from dialogue.ask(*words)))

        self.setTimer(object(), 0, work)
        return replies

    def request(
        self, dialogue: Requests, count: int, *words: bytes, timeout: float | None = None
    ) -> list[list[bytes] | int]:
        """
        Make a request of any kind, as long as the GAHP lists it.

        @param count: the fields that its result must have, the id among them.
        @param timeout: if not that of the batch GAHP's requests.
        @return: where the result will be, or the code for none.
        """
        results: list[list[bytes] | int] = []

        def look() -> None:
            self.setTimer(work, 0, work)

        def work() -> Steps[None]:
            result = yield from caller.call(words[0], count, *words[1:])
            if result != PENDING:
                results.append(result)

        caller = Caller(dialogue, self.times.call if timeout is None else timeout, look)
        look()
        return results

    @property
    def isIdle(self) -> bool:
        """
        Whether all jobs are done, or held, and the site has been pinged.
        """
        return self.resource.isKnown and all(job.isDone for job in self.jobs)

    @property
    def held(self) -> list[Job]:
        """
        The jobs on hold.
        """
        return [job for job in self.jobs if job.status == HELD]

    def _submitAd(self, path: bytes) -> bytes:
        return b'[gridtype="%s";Cmd="/bin/true";Iwd="%s"]' % (self.resource.batchType, path)

    def _transferAd(self, port: int) -> bytes:
        return b'[TransferSocket="<127.0.0.1:%d>";TransferKey="1#2"]' % port
