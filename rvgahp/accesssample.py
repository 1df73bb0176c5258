# -*- test-case-name: tests.test_accessreader -*-
"""
The access file that a new CE has: a sample in which no line counts.  Layer 0: no imports.
"""

CE_SAMPLE = """\
# Who may start GAHPs at this site, and as whom the proxy vouches for him.  Nobody may
# before a line below has no # any more, or you have written one; then start rvgahp-ce again.
# The user's name is that of his account on the submit host, @ and the domain of that host's
# users (UID_DOMAIN), as the proxy's log has it.  doc/access.rst of rvgahp explains all.

# This user may start all GAHPs:
# ALLOW START alice@submit.example.org

# All users of that host may, but for one:
# ALLOW START *@submit.example.org
# DENY START mallory@submit.example.org

# These two may, if the proxy dials from this net, and only these GAHPs:
# ALLOW START gahp=blahpd,batch_gahp,condor_ft-gahp \\
#     alice@submit.example.org/192.0.2.0/24, bob@submit.example.org/192.0.2.0/24
"""
