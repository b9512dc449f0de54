"""The verifier: rows of a database (or files) in, verdicts out, and the command line.

`pairing` judges, and is pure; `policies` says what is owed; `settle` runs it live over windows;
`check` runs it offline over files; `statistics` says what only many requests show, and is pure;
`demo` shows it on a mesh of real proxies.
"""
