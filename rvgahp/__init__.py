"""
Reverse GAHP: HTCondor's gridmanager reaches a site that cannot be dialled.

The package is flat and layered; C{tests/test_layers.py} holds the table of
which module may import which, and C{doc/architecture.rst} explains it.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
