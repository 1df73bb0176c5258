``rvgahp reload``, and SIGHUP, have a daemon read all its files again.  Sessions that may not be
any more are ended with a sentence, all others go on; a broken file changes nothing.
