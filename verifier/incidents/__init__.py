"""Incidents: open drifts of one kind on one policy, from settled windows to what people are told.

Pure: `event` (what is told), `kinds`, `decide` (when to tell), `causes` (why it may be). The rest
reads and writes inside the settling transaction, so that an incident commits with its verdicts.
"""
