"""
Tests of rvgahp; C{make test} runs them all.
"""
