# -*- test-case-name: tests.test_limits -*-
"""
Every number of maps and authorization lists, with its unit and its reason.

Layer 0: no imports.
"""

#: Bytes of one map file, and of one with all that it includes; lines of the latter.
FILE_BYTES = 4 * 1024 * 1024
TOTAL_BYTES = 16 * 1024 * 1024
TOTAL_LINES = 200_000

#: Bytes of a principal.  A certificate's subject has some hundreds, with VOMS attributes
#: some more.
PRINCIPAL_BYTES = 4096

#: Bytes of a canonical name without the domain that is added: HTCondor cuts off what is
#: beyond (C{src/condor_io/authentication.cpp}, C{split_canonical_name}).
CANONICAL_NAME_BYTES = 255

#: Bytes of a map file's pattern; depth of its groups; steps of its program.
PATTERN_BYTES = 4096
PATTERN_DEPTH = 40
PATTERN_STEPS = 2000

#: Steps of all patterns in one lookup: about a third of a second.
LOOKUP_STEPS = 1_000_000

#: Characters of an authorization list.
AUTHORIZATION_LIST_LENGTH = 1024 * 1024

#: Bytes of an access file, rules in it, and names of hosts in these whose addresses are looked
#: up.  All rules are asked at each start: with as many as fit, some milliseconds.
ACCESS_FILE_BYTES = 256 * 1024
ACCESS_RULES = 2000
ACCESS_HOSTS = 200

#: Bytes of a canonical name with its domain, as it travels: of an owner 90 go into one call.
SUBJECT_BYTES = 255

#: Seconds for all names of hosts in an access file: a resolver that does not answer is asked
#: for 5 s and then once more.
FILE_LOOKUP_TIMEOUT = 12.0

#: Seconds for the names of a peer: less than a site has to start a GAHP.
PEER_LOOKUP_TIMEOUT = 5.0

#: Names that a peer's address may have: each is looked up, too.
PEER_NAMES = 16

#: Peers whose names are known; seconds for which they are, and for which it is known that
#: they could not be had; peers that are being looked up at once.
PEERS_KNOWN = 1000
PEER_NAMES_LIFETIME = 300.0
PEER_FAILURE_LIFETIME = 30.0
PEERS_PENDING = 100
