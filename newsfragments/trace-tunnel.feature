`rvgahp trace` tries the tunnel of a site's `condor_ft-gahp`, too: a connection from the site
that comes to the submit host and is answered, and one for another daemon, which must be
refused. `--json` has the four new steps `files`, `tunnel`, `passage` and `guard`.
