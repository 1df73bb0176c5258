# -*- test-case-name: tests.test_limits -*-
"""
Numbers of the daemons' logs, each with its unit and its reason: L{rvgahp.limits} has the
others.

Layer 0: no imports.
"""

#: Characters of one event: the longest sentence of a program has a tenth of it, and what
#: comes from a peer may have any length.
TEXT_CHARACTERS = 4000

#: Characters of one field, as in the audit log.
FIELD_CHARACTERS = 1000

#: Characters of a traceback, of which the end says most.  So an event without one, each
#: character escaped at worst by ten, is far below the 212,992 bytes that a datagram may have
#: (C{net.core.wmem_default}), and no journal needs a memfd.  One that is above that, with a
#: traceback and every field of such characters, is written as text.
TRACEBACK_CHARACTERS = 12000

#: How often one message is written within so many seconds before it is counted only: a site
#: that dials each second has a line for each of its first twenty tries.
REPEATS = 20
REPEATS_PERIOD = 60.0

#: Seconds after which the number is told at the latest, while it goes on: the period doubles
#: until then.
REPEATS_LONGEST_PERIOD = 600.0

#: Messages that are told apart.
REPEATS_KEYS = 1024

#: Events that are kept while who takes them is behind: one restart of a CE can have a line
#: for each of its sessions, and the queue of the journal's socket has room for 512 of
#: systemd's choice, or for the kernel's ten (C{net.unix.max_dgram_qlen}).
KEPT = 5000

#: Seconds after which these are tried again.
KEPT_FOR = 0.05

#: Bytes that a pipe with any room takes at once: C{PIPE_BUF}.
PIPE_BYTES = 4096
