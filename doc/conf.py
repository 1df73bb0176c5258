"""
Sphinx: C{make doc}.
"""

from rvgahp import __version__

project = "rvgahp"
author = "the rvgahp authors"
release = __version__
master_doc = "index"
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Reverse GAHP for HTCondor", "page_width": "62rem"}
nitpicky = True
