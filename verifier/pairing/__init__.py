"""The heart of mirrorproof: the lines of one episode and the policy in, the verdicts out.

Everything here is a pure function of its arguments. `episodes` cuts the lines of one key into
episodes; `requests` counts the live requests they show; `arrivals` tells copies from live
traffic at the mirror; `judge` puts them together; `statement` and `percentage` sum up.
"""
