# -*- test-case-name: tests.test_limits -*-
"""
Every number of the protocol and of the daemons, with its unit and its reason.  Those of
the front are in L{rvgahp.frontlimits}, those of maps and lists in L{rvgahp.maplimits}, those
of tunnels in L{rvgahp.tunnellimits}, those of enrolment in L{rvgahp.enrolmentlimits}, those
against too much of anything in L{rvgahp.watchlimits}.

Layer 0: no imports.  I{Protocol} numbers are fixed by C{doc/protocol.rst};
both ends must agree on them.  I{Local} numbers are one end's own choice.
"""

# -- protocol ---------------------------------------------------------------

#: The versions that this code speaks with who asks for one: CE and client, of the proxy.
PROTOCOL_VERSIONS = (1,)

#: The version of preamble and channel handshake.  It is nobody's to choose, for the CE dials
#: without having heard of the client; doc/protocol.rst tells how another may come one day.
CHANNEL_VERSION = 1

#: First bytes of a data connection.  Not 0x16, with which TLS begins.
MAGIC = b"RVGAHP"

#: Bytes of a ticket: 128 random bits cannot be guessed in its lifetime.
TICKET_BYTES = 16

#: Bytes that the gate reads: magic, version (2), ticket.
PREAMBLE_BYTES = len(MAGIC) + 2 + TICKET_BYTES

#: Bytes of a security session's key: AES-256 and HKDF-SHA256 ask for 32.
KEY_BYTES = 32

#: The highest number of a session's key (two bytes); after it comes 1 again.  With the
#: shortest duration that makes sense, an hour, that is in five years.
LAST_KEY_NUMBER = 2**16 - 1

#: Seconds that a session's key is good for, at the most: the longest time that a setting
#: can have.
LONGEST_DURATION = 2**31 - 1

#: Bytes of a session id, at the most, in ASCII.
SESSION_ID_BYTES = 128

#: Bytes of one handshake message, at the most; a real one has under 400.
HANDSHAKE_BYTES = 1024

#: Stream bytes in one record, at the most.  Larger gains nothing: sealing
#: runs at memory speed from 64 KiB on.
RECORD_DATA_BYTES = 256 * 1024

#: Bytes that AES-GCM adds to a record.
TAG_BYTES = 16

#: Records under one channel's keys, at the most.  AES-GCM with counter nonces
#: allows far more; a channel that comes near is dropped and dialled again.
CHANNEL_RECORDS = 2**40

#: Payload bytes of one frame, at the most, so that a frame fits in a record.
FRAME_PAYLOAD_BYTES = RECORD_DATA_BYTES - 4

#: Bytes of a frame that is no data frame (exit status, failure), at the most.
CONTROL_FRAME_BYTES = 1024

#: Seconds of own silence after which a side sends a ping record.
PING_INTERVAL = 4.0

#: Seconds without an authenticated byte after which the peer is said to be
#: silent: three pings and a little.
SILENCE_LIMIT = 15.0

#: Bytes of one box on the control connection after Hello, keys and values.
#: 90 sessions of a C{Sessions} call need at most 60 KiB; a value has 64 at the most.
CONTROL_BOX_BYTES = 128 * 1024

#: The same before Hello is answered: nobody is known yet.
GREETING_BOX_BYTES = 16 * 1024

#: Characters of what one side says for people, at the most; the rest is cut off.
WORDS = 2000

#: Calls of a CE before its Hello is accepted, at the most.  It needs no more than those of
#: authentication and a few; who has more to say keeps the proxy busy and fills its log.
GREETING_CALLS = 32

#: Bytes of one message of a method of authentication, at the most: what fits into such a
#: box beside the names of methods.
AUTHENTICATION_BYTES = 12 * 1024

#: Names of methods that a CE may list.
AUTHENTICATION_METHODS = 16

#: C{AuthenticateMore} calls over one connection, at the most; Kerberos and AKEP2 take two
#: or three.
AUTHENTICATION_ROUNDS = 16

#: Bytes of one box on the proxy's UNIX socket.
LOCAL_BOX_BYTES = 16 * 1024

#: Sessions in one C{Sessions} call.
SESSIONS_PER_CALL = 90

# -- local: both -----------------------------------------------------------------

#: Seconds after which what is known of certificates and revocation lists is set up anew for
#: TLS, with the time of that moment: OpenSSL takes the time of a verification only once.
TLS_CONTEXT_AGE = 10.0

#: Seconds between two looks at the clock while a certificate's end is waited for: the clock
#: may be set meanwhile, and a timer of months is more than some reactors can take.
CERTIFICATE_LOOK = 60.0

# -- local: proxy -----------------------------------------------------------

#: Seconds that an arriving connection has for its first bytes.
ARRIVAL_TIMEOUT = 5.0

#: Seconds from a control connection's first byte to a good Hello.
GREETING_TIMEOUT = 10.0

#: Seconds for which a ticket opens the gate.
TICKET_LIFETIME = 10.0

#: Seconds that a channel waits for its client to take it.
HANDOVER_TIMEOUT = 5.0

#: Tickets given with each StartGAHP: the first dial and two more tries, for which nobody
#: has to be asked.
TICKETS_PER_START = 3

#: Seconds of a proxy's life in which a site that is not connected may be just about
#: to dial again.
YOUTH = 10.0

#: Share of what is left of a key's duration after which its renewal is tried.  Of a day
#: that leaves 6 hours in which a site that is not connected may come back, and the key
#: before the new one is over before the next; the tries that follow a failed one are at
#: 15/16, 63/64, 255/256 of the duration: always soon enough, and never many.
RENEWAL_SHARE = 3 / 4

#: Seconds before the end of a key's duration in which no failed renewal is tried again.
RENEWAL_LAST = 1.0

#: Connections of one local user to the proxy's socket at one time.  Each can
#: hold one descriptor in flight, and those count against the proxy.
LOCAL_CONNECTIONS_PER_USER = 2000

#: Descriptors that the proxy and the CE ask for (RLIMIT_NOFILE), if they may.
WANTED_DESCRIPTORS = 65536

#: Sessions of one site, at the most: each takes its CE three descriptors and more.
LISTED_SESSIONS = WANTED_DESCRIPTORS // 3

#: Accepts in one turn of the reactor, so that others have theirs.
ACCEPTS_PER_TURN = 64

#: The kernel's queue of connections not yet accepted.
LISTEN_BACKLOG = 1024

# -- local: control connection ----------------------------------------------

#: Seconds between pings on the control connection.
CONTROL_PING_INTERVAL = 5.0

#: Seconds for the answer to one; then the connection is dropped.
CONTROL_PING_TIMEOUT = 10.0

#: Bytes that wait for a peer who does not read; then the connection is dropped.  Ends of
#: 20,000 sessions have less.
CONTROL_UNSENT_BYTES = 8 * 1024 * 1024

#: Seconds within which an old CE connection must answer to keep its site.
TAKEOVER_PING_TIMEOUT = 2.0

#: Seconds for the answer to a call that waits for no process.
CALL_TIMEOUT = 10.0

#: Seconds for the start of a launcher that stays root; and for the ends of a CE's sessions
#: to be told when it has lost that.
LAUNCHER_TIMEOUT = 10.0

#: Seconds for a daemon to read its files again: each has limits of its own, and hosts' names
#: may have to be looked up.
RELOAD_TIMEOUT = 60.0

#: Seconds from an orderly close to a forced one (TLS waits for ever).
CLOSE_TIMEOUT = 2.0

#: Seconds: first and longest delay of the CE's redial, and its growth.
REDIAL_FIRST = 0.03
REDIAL_LONGEST = 30.0
REDIAL_FACTOR = 2.0

#: Seconds to dial one address of the proxy.
DIAL_TIMEOUT = 10.0

# -- local: channels and splices --------------------------------------------

#: Seconds for a channel's handshake, from dial or hand-over to confirmation.  The CE
#: dials before the client has its answer; with a hundred starts at once that can be
#: seconds.
HANDSHAKE_TIMEOUT = 15.0

#: Handshakes of one stream that the client has under way at one time: the CE's
#: TICKETS_PER_START, and one that it knows to be lost.
HANDSHAKES = 4

#: Seconds after a dial that has not become a channel, before another is begun beside
#: it: three of them fall into the life of a ticket.
SPARE_DIAL_DELAY = 3.0

#: Delivered bytes after which an acknowledgement is sent at once.
ACK_BYTES = 256 * 1024

#: Seconds that a smaller acknowledgement may wait for company.
ACK_DELAY = 0.2

#: Bytes that a peer is allowed more for each that comes fast: with 3 its allowance is
#: four times as large after a round trip.  TCP's slow start doubles, BBR's takes 2.9.
ALLOWANCE_GROWTH = 3

#: Bytes asked of one read of a socket or pipe: what one record and frame can carry.
READ_BYTES = FRAME_PAYLOAD_BYTES

#: Bytes that a descriptor may have waiting for the kernel before its channel
#: stops sealing more, so that an acknowledgement is never far back.
UNSENT_BYTES = 512 * 1024

#: Bytes of a connected stream that its channel has not taken, before its source
#: is paused: more would only push what is at work out of the cache.
BACKLOG_BYTES = 1024 * 1024

#: Bytes of stderr held at each end; beyond, the oldest are dropped and counted.
STDERR_BYTES = 64 * 1024

#: Seconds after a GAHP's exit that its silent, still open output is waited
#: for: a child of its own may hold it open for ever.
OUTPUT_GRACE = 5.0

#: Seconds that a GAHP has to end by itself once its client is gone.
ORPHAN_GRACE = 2.0

#: Seconds that the client waits, after SIGTERM, for the GAHP's exit status.
CLIENT_END_TIMEOUT = 60.0

#: Seconds that the client, at its end, gives its own stderr to take the rest.
CLIENT_STDERR_GRACE = 1.0

#: Seconds from the last that the client says on stderr to its end.  The gridmanager reads
#: stderr, then stdout, and at the end of that looks no more at stderr: what is written
#: between the two and followed by the end is never read (C{Startup}, C{buffered_read}
#: in C{src/condor_gridmanager/gahp-client.cpp}; without this it lost 4 of 10).
LAST_WORDS = 0.05

#: Bytes of one write to a descriptor that may block: what poll(2) says a pipe
#: takes is this much (PIPE_BUF).
BLOCKING_WRITE_BYTES = 4096

#: Seconds for condor_config_val; it takes some hundredths.
CONFIG_VAL_TIMEOUT = 5.0

#: Seconds for the client's connection to the proxy's socket.
CONNECT_TIMEOUT = 2.0

#: Seconds that a proxy that is just restarting is waited for: by the client until it
#: listens again, and then by the proxy until the site is there again.  It takes less
#: than one, and the gridmanager spins meanwhile.
RESTART_GRACE = 2.0

#: Seconds after which the client looks again whether the proxy listens.
RESTART_POLL = 0.05

#: Seconds of the client's wait for the proxy's answer, in which the site starts the
#: GAHP; a little longer than RESTART_GRACE and the proxy's RVGAHP_START_TIMEOUT.
ANSWER_TIMEOUT = 13.0

#: Seconds that the client waits for the channel after that answer.
FIRST_CHANNEL_TIMEOUT = 10.0

#: Seconds after which the CE gives a GAHP's first channel up: in time to tell the client
#: why there is none.
FIRST_DIALS_TIMEOUT = 8.0

#: Seconds after the end of the client's stdin in which a GAHP must read some of
#: what waits for it, or write something.
UNREAD_STDIN_TIMEOUT = 60.0

# -- local: resumption ------------------------------------------------------

#: Seconds without a channel after which the client asks the CE to dial, at first: a CE
#: that has noticed by itself has dialled by then; and from then on.
REDIAL_ASK_FIRST = 0.25
REDIAL_ASK_AGAIN = 2.0

#: Seconds after the loss of the proxy until the client looks for it, at first and at the
#: most; each time it is twice as long.
RECLAIM_FIRST = 0.05
RECLAIM_LONGEST = 5.0

#: Seconds for which a proxy that is busy is waited for then: the client's streams wait, too.
RECLAIM_CONNECT = 0.02

#: Seconds until a session is claimed again of which the proxy knows nothing yet: its CE
#: is about to list it.  After YOUTH it is RECLAIM_LONGEST: with a thousand clients of sites
#: that are away a proxy would do nothing else.
RECLAIM_SOON = 0.25

#: Bytes of the question for a proof.
NONCE_BYTES = 32

#: Seconds for which the proxy's question for a proof is good.
CLAIM_LIFETIME = 10.0

#: Seconds without an authenticated byte in a tunnel after which its GAHP is stopped: three
#: pings, and less than the 20 s for which condor_ft-gahp waits.
PAUSE_AFTER = 12.0

#: Seconds between two looks for that.
PAUSE_POLL = 1.0

#: Seconds for which all tunnels have had a channel before it goes on: what was on its way
#: lies in its sockets by then.
PAUSE_END = 1.0

#: Seconds that a channel must have lived for its loss to count as the first: one that
#: breaks sooner, and has carried nothing, will do so again.
CHANNEL_LIVED = 5.0

#: Seconds between two words of the client on connections that were spoilt.
PROBLEM_PERIOD = 60.0

#: Seconds between two lines of the CE's log on the lost channels of one stream.
LOSSES_PERIOD = 1.0

#: Seconds that the CE keeps a session longer than the client: the client decides.
SITE_LEASE_MORE = 60
