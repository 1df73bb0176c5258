The daemons' logs have levels, and each event of a session its session, site, user and GAHP as
fields: in systemd's journal (``journalctl RVGAHP_SESSION=...``), or in lines of JSON with
``RVGAHP_LOG_FORMAT``.  ``RVGAHP_LOG_LEVEL`` says how much is written, what is said again and again
is counted, and files are rotated by ``RVGAHP_MAX_LOG`` or by logrotate, without signals.
