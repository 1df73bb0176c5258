# -*- test-case-name: tests.test_limits -*-
"""
Every number of the front, with its unit and its reason: L{rvgahp.limits} has the others.

Layer 0: no imports.  All are the client's own choice.
"""

#: Seconds of the gridmanager's own timers: the defaults of GRIDMANAGER_GAHP_CALL_TIMEOUT and
#: GRIDMANAGER_GAHP_RESPONSE_TIMEOUT; and the one for file transfers, which no setting
#: changes (C{src/condor_gridmanager/infnbatchjob.cpp}, C{m_xfer_gahp}).
GRIDMANAGER_CALL_TIMEOUT = 300.0
GRIDMANAGER_TRANSFER_TIMEOUT = 3600.0
GRIDMANAGER_RESPONSE_TIMEOUT = 20.0

#: Times GRIDMANAGER_GAHP_RESPONSE_TIMEOUT that a GAHP may be silent at the least which owes a
#: line, where GRIDMANAGER_GAHP_CALL_TIMEOUT is shorter.  The gridmanager would have ended
#: itself after one.
SILENCE = 3

#: Requests at work in a GAHP at one time, at first: blahpd's blah_max_threaded_cmds,
#: and GRIDMANAGER_MAX_PENDING_REQUESTS.
WINDOW = 50

#: Commands sent whose first line of answer has not come.  A GAHP that leaves so many
#: is in trouble; the next ones wait here.
UNANSWERED = 200

#: Requests remembered that the site has still to answer, and nobody waits for.
FORGOTTEN = 1000

#: Seconds without an authenticated byte after which the front takes the link for dead:
#: before the gridmanager's 20 s for any reply, and after three pings.
LIVE = 12.0

#: Seconds after which the front looks whether the link is live again.
LIFE_POLL = 1.0

#: Seconds from the loss of a GAHP behind a front until another is asked for, at first
#: and at the most; each time it is twice as long.
SITE_RETRY_FIRST = 1.0
SITE_RETRY_LONGEST = 60.0

#: Seconds before a command that met C{Threads limit reached} goes again, if no result
#: tells sooner that there is room.
BUSY_RETRY = 5.0

#: Seconds between two looks for results that no C{R} told of: the gridmanager's own.
POLL = 60.0

#: Seconds for the GAHP's banner and greeting.  The gridmanager does nothing else
#: meanwhile, so it is what it would wait for any reply.
GREETING = 20.0

#: Seconds that a GAHP whose gridmanager has gone has for the result of a cancel that
#: it was given: blahpd drops its threads when its stdin ends.
LAST_RESULT = 30.0

#: Bytes before the banner: what a login script at the site may say.
BANNER_NOISE_BYTES = 64 * 1024

#: Bytes of a banner with its end: the gridmanager's buffer, backslashes not counted.
BANNER_BYTES = 150

#: Bytes of one token for the gridmanager, unescaped: with 512,000 it dies.
TOKEN_BYTES = 500 * 1024 - 1

#: Bytes of a line from a GAHP: four such tokens with every byte escaped.
SITE_LINE_BYTES = 4 * 1024 * 1024

#: Bytes of a line for a GAHP.  The longest ads are far shorter.
COMMAND_BYTES = 8 * 1024 * 1024

#: The same for blahpd, which exits when a line and its end do not fit in 1 MiB, or
#: when less than 1.5 KiB of that is left.
BLAHPD_COMMAND_BYTES = 1024 * 1024 - 2048

#: Lines and bytes of one answer to RESULTS.
RESULTS_LINES = 100
RESULTS_BYTES = 1024 * 1024

#: Bytes of results that wait for the gridmanager, above which the site is not asked
#: for more.
RESULTS_HELD_BYTES = 16 * 1024 * 1024

#: Results that wait for the gridmanager, above which it may not ask for more.  It never
#: has more than WINDOW requests under way.
RESULTS_HELD = 10_000

#: Digits of a request id.  The gridmanager's stay below 990,000,000.
REQUEST_ID_DIGITS = 20

#: Bytes of a job id that is told on stderr: blahpd's own limit.
JOB_ID_BYTES = 256

#: Sandbox paths remembered, and the bytes of one with its id.
SANDBOX_PATHS = 4096
SANDBOX_PATH_BYTES = 8192

#: Bytes counted for a command that is held, beside its line.
COMMAND_COST = 256
