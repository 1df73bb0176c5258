Units for systemd are in ``contrib/systemd``: the proxy with sockets that outlive its restart, a
watchdog and hardening, and the CE, for root and for users. ``rvgahp ce install`` puts the CE's in
place, or prints lines for cron that bring it back where there is no systemd or daemons are killed.
