A CE, ``rvgahp join`` and ``rvgahp doctor`` dial through the site's HTTP proxy or SOCKS server
(``RVGAHP_CONNECT_THROUGH``, ``rvgahp join --connect-through``).  ``RVGAHP_CONNECT_TO`` may list several
places, and an address that does not answer no longer holds up the one that does.
