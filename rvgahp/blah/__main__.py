"""
C{python -m rvgahp.blah}: the same program as C{rvgahp_blahpd}.
"""

from __future__ import annotations

import sys

from rvgahp.blah.main import main

if __name__ == "__main__":
    sys.exit(main())
