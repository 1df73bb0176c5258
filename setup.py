"""
The one thing that C{pyproject.toml} cannot say: C{twisted.plugins} is a package
that is not ours alone, and so has no C{__init__.py} and is not found by search.
"""

from setuptools import setup

setup(packages=["rvgahp", "rvgahp.blah", "twisted.plugins"])
