Files go through the proxy's port, too: `condor_ft-gahp`'s connections to the gridmanager are
carried in tunnels of their own. HTCondor's port need not be open to sites any more. At the
site only the GAHP's own account can use them, and on the submit host they lead to the
gridmanager that has started the client, and nowhere else. `RVGAHP_FORWARD_TO` names the
shared port where its address in `CONDOR_INHERIT` is of no use.
