"""`mirrorproof check`: files in, verdicts out, without a server. DESIGN section 7.

Two passes in bounded memory: `scan` parses the files in chunks on all cores and deals compact
records out by key; `reduce` takes one share of the keys at a time, cuts it into episodes and
judges them. Parsing and judging are the code of the live pipeline.
"""
