"""Policies and pods from the cluster: watched at its API server, kept up with in the database.

`resources`, `pods` and `events` read objects, `board` folds lists and events into what there is,
`desired` says which policies follow from it; these are pure. `api_server` talks to the server,
`reflector` follows one kind there, `record` and `pod_lives` write, `watcher` joins them.
"""
