"""
Sphinx: C{make doc}, C{make man}.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the extension beside this file

from rvgahp import __version__

project = "rvgahp"
author = "the rvgahp authors"
release = __version__
master_doc = "index"
extensions = ["directives"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Reverse GAHP for HTCondor", "page_width": "62rem"}
# Text is as it is typed: no dash is to come of an option's two hyphens.
smartquotes = False
highlight_language = "none"
nitpicky = True
man_make_section_directory = False
man_show_urls = False
man_pages = [
    ("man/rvgahp", "rvgahp", "reverse GAHP for HTCondor: the commands for people", "", 1),
    ("man/rvgahp_client", "rvgahp_client", "start a GAHP at a site, and be it", "", 1),
    ("man/rvgahp_blahpd", "rvgahp_blahpd", "a small batch GAHP", "", 1),
    ("man/rvgahp-proxy", "rvgahp-proxy", "the broker of reverse GAHP, on the submit host", "", 8),
    ("man/rvgahp-ce", "rvgahp-ce", "the site's end of reverse GAHP", "", 8),
    ("settings", "rvgahp_config", "settings of rvgahp's proxy and CE", "", 5),
]
