A CE that root has started runs GAHPs as many accounts: the one that ``grid_resource`` names, or
that of the site's map file.  The CE itself becomes ``RVGAHP_ACCOUNT``; only its launcher stays
root, and judges each start by itself.  A CE in which everything is to run as root, as it did,
needs ``RVGAHP_ACCOUNT = root`` and ``RVGAHP_ALLOW_ROOT = true``.
