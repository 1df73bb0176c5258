One CE serves several proxies: ``rvgahp join --as NAME`` adds one to a CE that is there, and a reload
takes it up.  Each has its own certificate, connection and sessions; a rule of the access file can name the
host of the proxy that it believes.
