``rvgahp doctor``, on the submit host and at a site, looks at settings and where they come from,
versions, clock, names, ports, certificates and their dates, permissions, GAHPs, the batch system and
the daemon; each line is ok, a warning or wrong, and has what to do. ``--json`` and the exit status
are for programs (``doc/doctor.rst``).
