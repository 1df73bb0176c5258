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
