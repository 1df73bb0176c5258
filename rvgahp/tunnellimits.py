# -*- test-case-name: tests.test_limits -*-
"""
Every number of tunnels, with its unit and its reason.

Layer 0: no imports.
"""

#: Tunnels of one session at one time: a gridmanager has at most 50 transfers under way
#: (GRIDMANAGER_MAX_PENDING_REQUESTS), and fetches of proxies beside them.
TUNNELS = 64

#: Numbers of tunnels that have ended, remembered so that a late channel of one opens no
#: other.
ENDED_TUNNELS = 1024

#: The highest number of a stream: it has four bytes.
LAST_STREAM = 2**32 - 1

#: Tickets of one session at one time: three for each of its tunnels, and some for its
#: GAHP.
TICKETS_PER_SESSION = 3 * TUNNELS + 8

#: Seconds from a connection to the tunnel's port until its channel: less than the 20 s
#: for which condor_ft-gahp waits for an answer.  A probe of a tunnel waits longer, since
#: what is said then says more.
OPEN_TIMEOUT = 15.0
PROBE_TIMEOUT = 18.0

#: Seconds within which refusals of its connections for one reason are told by their
#: number: anyone with a login at the site can make as many as he likes.
REFUSALS_PERIOD = 1.0

#: Seconds that the end of a tunnel that has failed is waited to be told to the other.
END_TIMEOUT = 10.0

#: Bytes of the first message of a tunnel's connection.  HTCondor's has two strings of
#: some tens or hundreds of bytes and 31 more; one over 1023 its shared port refuses.
PEEK_BYTES = 2048

#: Seconds for that message.  A client writes it at once, and condor_ft-gahp gives a
#: transfer up after 30: one that is refused sooner has its reason in a log.
PEEK_TIMEOUT = 10.0
