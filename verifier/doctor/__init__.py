"""Looks an installation over, from the brokers to the receivers of alerts, and changes nothing.

`judge` says what facts mean; the others find facts: `kafka`, `database`, `outside`; `run` has
them look at the same time, each for a bounded time.
"""
