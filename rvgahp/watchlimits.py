# -*- test-case-name: tests.test_limits -*-
"""
Numbers against too much of anything, each with its unit and its reason: L{rvgahp.limits} has
the others.

Layer 0: no imports.
"""

#: Seconds within which lines that strangers cause are told by their number: what is worth
#: knowing of a flood is that it is there.
WARNINGS_PERIOD = 10.0

#: Seconds for which the proxy waits, after it has told a site to end a session, to be told
#: that it is over, and how much it carried: a GAHP has 2 s to end by itself, and after
#: SIGTERM as many as RVGAHP_KILL_GRACE of the site says, by default 10.
AUDIT_END_TIMEOUT = 20.0

#: Accounts that have just started GAHPs, of which it is known how many.
STARTING_USERS = 4096

#: Times the starts of a second that may come at once.
STARTS_BURST = 10

#: Boxes of one local user that are obeyed in one turn of the reactor, over all of his
#: connections, and those of one control connection: about a millisecond.
CALLS_PER_TURN = 16

#: Sessions of which a CE tells in one answer to a ping: 200 bytes each, and a value of a box has
#: 64 KiB.
NEWS = 200

#: Sites that have gone, and sessions that have ended, which a proxy remembers for people.
REMEMBERED_SITES = 1000
REMEMBERED_ENDS = 500

#: Seconds after which a site that has gone, and is not one that was enrolled here, is forgotten:
#: of its end nobody tells the proxy.  Longer than holidays.
SITE_REMEMBERED = 21 * 86400.0

#: Of the local HTTP interface: connections of one user, seconds that one may last, bytes of a
#: request's body, and requests of one user in a second, in the long run, and at once: with
#: thousands of sessions and hundreds of sites an answer takes 20 ms.
STATUS_CONNECTIONS = 16
STATUS_TIMEOUT = 30.0
STATUS_BODY_BYTES = 16 * 1024
STATUS_RATE = 10.0
STATUS_BURST = 60.0

#: GAHPs that are counted by name: a user with a CE of his own can have any number of names, and
#: each stays in the metrics, at the proxy and wherever they are kept.
COUNTED_GAHPS = 100

#: Connections to the port of the metrics.
METRICS_CONNECTIONS = 32

#: The status page: connections in all, of which each browser that looks keeps one; of one account
#: that does not see all; and streams of events in all, each of which holds one event at the most,
#: half a megabyte with a thousand sites and sessions.
PAGE_CONNECTIONS = 256
PAGE_CONNECTIONS_PER_USER = 16
PAGE_STREAMS = 128

#: Seconds between two events, at least; and this many times as long as what they had taken the
#: proxy, so that it spends a twentieth of its time for the page, however many look.
PAGE_INTERVAL = 2.0
PAGE_SHARE = 20

#: Bytes that the kernel holds for who does not read the page, of which it takes the double: by
#: itself it would hold megabytes, which is a minute of events that are old when they are read.
PAGE_SEND_BYTES = 128 * 1024

#: Seconds that a stream may wait for its reader to take what he was sent.
PAGE_BLOCKED = 60.0

#: Seconds between two looks at the counters, for the plot of the last day.
PAGE_DAY_INTERVAL = 10.0

#: TLS handshakes begun in one turn: each takes half a millisecond or more.
HANDSHAKES_PER_TURN = 8

#: Bytes asked of one read of the UNIX socket: most boxes are smaller, and what is not obeyed
#: yet is kept.
LOCAL_READ_BYTES = 4096

#: Invitations and revocations of one user in a second, in the long run, and at once: each waits
#: for the disk, and all others wait with it.  He can have 100 open invitations.
ENROLMENTS_RATE = 1.0
ENROLMENTS_BURST = 120.0

#: Of what systemd is told: seconds until it is tried again where the socket is full, seconds
#: after which that is given up, and datagrams that wait at the most.  The queue of the socket is
#: all services' together, and systemd reads it as soon as it does anything; what is said last
#: counts.
NOTIFY_RETRY = 0.25
NOTIFY_TIMEOUT = 300.0
NOTIFICATIONS = 16
