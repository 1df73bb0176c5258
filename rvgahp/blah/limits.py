"""
Every number of the batch GAHP, its unit and its reason.
"""

from __future__ import annotations

#: Bytes.  blahpd's own limit for a line it reads (src/blahp/src/cmdbuffer.c).
LINE_LENGTH = 1024 * 1024

#: Requests at work at once.  blahpd's blah_max_threaded_cmds, and the
#: gridmanager's GRIDMANAGER_MAX_PENDING_REQUESTS: it never asks for more.
REQUESTS = 50

#: Results that nobody has fetched.  A client that asks and never says RESULTS
#: is refused new requests from here on, instead of filling our memory.
RESULTS = 2000

#: Bytes of one token of a result.  The gridmanager dies of a token over
#: 500 KiB (gahp-client.cpp, read_argv); no status ad comes near this.
TOKEN_LENGTH = 64 * 1024

#: Characters of a sentence in a result: it becomes a hold reason.
SENTENCE_LENGTH = 1000

#: Digits of a request id.  The gridmanager's stay below 990,000,000.
REQUEST_ID_DIGITS = 20

#: Bytes.  blahpd's limit for a job id (src/blahp/src/job_status.c).
JOB_ID_LENGTH = 256

#: Bytes of a submit ad that are not inside string literals.  The ClassAd
#: library overflows its stack, and so ends the process, on one expression of
#: about a million terms; the gridmanager's ads have a few kilobytes.
AD_SYNTAX_LENGTH = 64 * 1024

#: Seconds that changes (submits, cancels) have to finish in when stdin ends.
#: The CE closes our stdin well before it sends TERM and KILL.
LAST_CHANGES = 20.0

#: Seconds from TERM to KILL for a job that is cancelled.
KILL_GRACE = 10.0

#: Seconds that a cancel waits for the job's end before it says it failed.
#: Below the gridmanager's 300 s for a request.
CANCEL_WAIT = 60.0

#: Seconds that a submit waits for the supervisor at each of its two steps.  A
#: hung file system is the only reason to take so long.  Twice this is below
#: the gridmanager's 300 s, after which it would submit the job again.
LAUNCH_WAIT = 60.0

#: Seconds to wait for a process that was killed.
REAP_WAIT = 5.0

#: Seconds that the record of a finished job is kept: 7 days.
KEEP_FINISHED = 7 * 24 * 3600.0

#: Seconds between two searches for records to throw away.
PRUNE_INTERVAL = 3600.0

#: Bytes set aside for a job's last record before the job starts, so that its
#: end can be written on a full disk.
END_RECORD_LENGTH = 1024
