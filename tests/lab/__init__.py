"""A lab of real Envoy proxies, in which each case that mirroring can meet is made and recorded.

`python -m tests.lab` records all scenarios anew into `tests/data/facts/`, with names some of them.
The truth beside the logs is what the applications and the callers counted.
"""
