"""A day in minutes: every process on one settable clock, and a fault every ten simulated minutes.

`python -m tests.soak --hours 24 --minutes 20 --seed 7` ships the traffic of a small mesh, whose
truth is known, through a real broker, two collectors and two verifiers; what they say is held
against the truth at the end, and their memory, descriptors and threads against what they took at
the beginning. The product knows nothing of the clock: `program` puts it below the real command.
"""
