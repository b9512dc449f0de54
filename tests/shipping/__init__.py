"""Ships recorded traffic badly, and compares what is said of it with the truth.

`python -m tests.shipping` prints the table of MEASURED.md. A recording's lines go as Fluent Bit
records, with heartbeats of their nodes, through a broker in memory, the real collector, a
database and the real verifier, on a clock that is turned by hand; and as files through `check`.
"""
