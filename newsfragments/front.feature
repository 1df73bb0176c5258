What comes from a broken or hostile site no longer ends a user's gridmanager: for `blahpd`
and `condor_ft-gahp` the client is a GAHP server of its own. It passes on whole lines and
results that the gridmanager can take, answers in time whatever the network does, and has a
GAHP that ended started again.
