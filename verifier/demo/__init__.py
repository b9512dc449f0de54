"""`mirrorproof demo`: a mirrored mesh of real proxies on one machine, with faults, verified live.

Everything between the proxies and the verdicts is what runs in production; the truth beside it
comes from the applications alone.
"""
