"""The verifier: rows of a database (or files) in, verdicts out, and the command line.

`pairing` judges, and is pure; `policies` says what is owed; `settle` runs it live over windows;
`check` runs it offline over files; `statistics` says what only many requests show, and is pure.
`incidents` decides what people are told, `alerts` delivers it; `api` answers programs, `page` shows
it; `policy_files` follows files that change, `cluster` what a cluster declares; `demo` shows all of
it on a mesh of real proxies.
`doctor` looks an installation over.
"""
