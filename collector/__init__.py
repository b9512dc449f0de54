"""The collector: access logs in, rows in a database out, each exactly once.

It also is the lower package: records, parsing, settings and the database foundation that the
verifier builds on. It never imports `verifier`.
"""
