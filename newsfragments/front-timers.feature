The front follows the gridmanager's own timers, which the proxy reads in HTCondor's
configuration: `GRIDMANAGER_GAHP_CALL_TIMEOUT` and `GRIDMANAGER_GAHP_RESPONSE_TIMEOUT`. A GAHP
that hangs, and acknowledges nothing for 5 minutes over a live link, is ended and started again.
