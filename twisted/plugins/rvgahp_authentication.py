"""
The methods of authentication that come with rvgahp; see L{rvgahp.iauthentication}.
"""

from rvgahp.sslmethod import SSLMethod

sslMethod = SSLMethod()
