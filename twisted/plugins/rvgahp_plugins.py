"""
The two daemons, for twistd.
"""

from twisted.application.service import ServiceMaker

proxy = ServiceMaker(
    "rvgahp-proxy",
    "rvgahp.proxytap",
    "Reverse GAHP: the broker on the submit host.",
    "rvgahp-proxy",
)
ce = ServiceMaker(
    "rvgahp-ce",
    "rvgahp.cetap",
    "Reverse GAHP: the daemon at the site that dials the broker.",
    "rvgahp-ce",
)
