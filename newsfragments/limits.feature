Nobody can take what others need: limits of GAHPs for each user, site and owner, and of starts
in a second; addresses from which too much fails are refused for some minutes; floods of
connections, of calls to the proxy's socket and of log lines are bounded. `RVGAHP_AUDIT_LOG`
has a line of JSON for each decision and each session's end.
