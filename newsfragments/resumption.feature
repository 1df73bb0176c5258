A connection that breaks ends nothing any more: GAHPs and file transfers stall and go on
where they were, without a byte lost or repeated. The proxy may be killed and restarted at any
time. A peer that is silent is noticed within 15 s; `condor_ft-gahp`, which would give up after
30 s, is stopped until its transfers can go on. `doc/reliability.rst` has what is promised.
