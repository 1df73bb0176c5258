A CE that root has started asks PAM where `RVGAHP_PAM_SERVICE` is set: whether the account may be
used now (`pam_nologin`, `pam_access`, expiry), and for a session, so that a GAHP has the limits
of its account (`/etc/security/limits.conf`).  It is closed when the GAHP has ended.
