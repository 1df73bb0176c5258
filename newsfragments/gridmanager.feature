`rvgahp_client` serves as REMOTE_GAHP with every form of words that users have in
`grid_resource`: `[USER@]HOST[:PORT]`, all options of HTCondor's `remote_gahp`, and C
rvgahp's `PATH`, for which the proxy can listen on further sockets (`RVGAHP_SITE_SOCKETS`).
The user part asks for an account at the site. The restart of a proxy is not noticed.
