from rvgahp.blah.fork import Fork

fork = Fork()
