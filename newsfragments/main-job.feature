A GAHP at a site is started through `rvgahp_client`, the proxy (`twistd rvgahp-proxy`) and
the CE (`twistd rvgahp-ce`), over connections that the site dials: its stdin, stdout,
stderr and exit status come through whole, encrypted from end to end, with keys that are
renewed before their duration ends. `rvgahp demo` runs a real job through all three;
`rvgahp sandbox` gives a playground; `rvgahp credentials` makes keys and certificates;
`rvgahp_blahpd` is a batch GAHP that needs nothing but Python.
