"""Settles windows of event time: reads observations, writes verdicts with their evidence.

One tick is one transaction (`tick`): it reads how far the collector is (`watermark`), finds what
late lines touched (`late`), judges the windows that are due (`span`: ordinary keys set-wise in
SQL by `simple`, the others by the pure function through `judging`), and writes windows and
findings (`record`). Restarted anywhere, it writes the same.
"""
