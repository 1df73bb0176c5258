# -*- test-case-name: tests.test_limits -*-
"""
The numbers of enrolment and of the renewal of certificates, each with its unit and its
reason.

Layer 0: no imports.  All are one end's own choice.
"""

#: Seconds for which the code of an invitation works: time enough to copy it into a window at
#: the site and to install what is missing there.
INVITATION_LIFETIME = 3600

#: Invitations of one user that have not been used, at one time.
OPEN_INVITATIONS = 100

#: Certificates of one site that are good at one time, at the most: the last that were asked
#: for, of which some answers may have been lost, and the one that the CE has.
SITE_SERIALS = 64

#: Seconds between two renewals of one site's certificate: each is written to the disk.
CERTIFICATE_PAUSE = 1.0

#: Seconds between two looks whether a certificate's time has come: clocks are set, and
#: machines sleep.  While a proxy shows one that is not valid by a clock that has been put
#: right, no site can come.
CERTIFICATE_POLL = 60.0

#: Seconds until a failed renewal of a certificate is tried again, at first and at the most;
#: each time it is twice as long, and never more than a part of the certificate's life.
CERTIFICATE_RETRY_FIRST = 5.0
CERTIFICATE_RETRY_LONGEST = 3600.0
CERTIFICATE_RETRY_PARTS = 24

#: Characters of the name of a site that is enrolled: it is that of a file, of which the kernel
#: takes 255, and to which ".json", a dot and 16 digits are added while it is written.
SITE_NAME = 233
