# -*- test-case-name: tests.test_limits -*-
"""
The numbers of a site's way out: of the addresses under which a proxy is dialled, and of HTTP
proxies and SOCKS servers in between.  C{doc/ways.rst}.

Layer 0: no imports.
"""

#: Seconds after which the next address is dialled beside one that has not answered: RFC 8305,
#: section 5, recommends it.
NEXT_ADDRESS_DELAY = 0.25

#: The same for the next place that a gateway is asked for: it has a connection of its own to
#: make first.
NEXT_PLACE_DELAY = 1.0

#: Seconds for the addresses of a name.
LOOKUP_TIMEOUT = 5.0

#: Seconds for which nobody looks the same name up again beside a look-up that has not ended:
#: longer than three servers that do not answer take (resolv.conf(5)).  One for which there is no
#: descriptor ends without a word to us.
LOOKUP_LOST = 60.0

#: Addresses of one name that are dialled, at the most.
ADDRESSES_PER_NAME = 8

#: Places that RVGAHP_CONNECT_TO may list.
PLACES = 8

#: Further proxies that a CE may have.
PROXIES = 32

#: Bytes of a gateway's answers, at the most, and of one look at them.
GATEWAY_BYTES = 16 * 1024

#: Characters of a gateway's own words that are repeated.
GATEWAY_WORDS = 80

#: Bytes of a user's name or password, at the most: what RFC 1929 has room for.
CREDENTIAL_BYTES = 255

#: Channels that end one after the other before their first answer, with none between that does
#: better, after which it is said that something on the way may let through TLS alone.
UNANSWERED_CHANNELS = 3
