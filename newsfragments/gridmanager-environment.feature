An installation of `condor_remote_cluster` works at a site with one setting,
`RVGAHP_BOSCO_DIR`. GAHPs start in a known environment, from which what belongs to the CE
is withheld, and with the umask `RVGAHP_UMASK`; none outlives a launcher that was killed,
and the client says why it ended. What keeps a GAHP from starting is said in the CE's log
at its start.
