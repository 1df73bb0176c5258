``rvgahp reload``, and SIGHUP, have a daemon read all its files again.  Sessions that may not be
any more are ended with a sentence, all others go on; a broken file changes nothing.
``rvgahp reload --ce`` waits for the end of a CE's, and so does ``systemctl reload rvgahp-ce``, which
fails when a file is broken.
