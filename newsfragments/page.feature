The proxy has a status page for browsers (``RVGAHP_PAGE_ADDRESS``, ``RVGAHP_PAGE_READERS``): what needs
attention, sites and sessions, live, and starts, stalls and bytes of the last day. It is on this host
alone, and shows each account what ``rvgahp status`` shows it.
