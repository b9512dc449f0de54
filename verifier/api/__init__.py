"""The query API: what was settled, found, alerted and ingested, for auditors and programs.

`app` puts it together; `routes` has one file a subject, `queries` what they ask of the database;
`access` says who may. Nothing here judges: numbers come from where they were settled.
"""
