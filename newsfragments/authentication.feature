The proxy has a plugin interface for the methods by which a CE proves who it is
(`SEC_DEFAULT_AUTHENTICATION_METHODS`). Sites can use certificates of their own PKI, RFC 3820 proxy
certificates included (`RVGAHP_SITE_CAFILE`, `CERTIFICATE_MAPFILE`), and revocation lists are heeded
on both sides (`RVGAHP_CRLFILE`).
