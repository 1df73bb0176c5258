There is a Debian package (``make deb``), and the client in one file for submit hosts without a
virtual environment (``make rvgahp_client.pyz``).
