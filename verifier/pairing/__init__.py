"""The heart of mirrorproof: the lines of one episode and the policy in, the verdicts out.

Everything here is a pure function of its arguments. `episodes` cuts the lines of one key into
episodes; `requests` counts the live requests they show; `arrivals` tells copies from live
traffic at the mirror; `owed` says how many copies are owed; `judge` puts them together. `tally`
adds up, `doubt` and `context` decide what one episode cannot tell alone, `percentage` and
`statement` say what it all amounts to.
"""
