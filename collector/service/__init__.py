"""The collector as a process: reads on, writes, keeps what it owns, and says how it is.

`app` puts it together, `ingest` is its loop. `ownership` claims partitions, `pending` writes their
batches, `lag` compares with the brokers; `careful` gets past what kills it, `maintenance` keeps the
database in order, `health` and `watchdog` tell others when it hangs.
"""
