"""Takes the events of incidents to people: an outbox in the database, and what empties it.

`outbox.enqueue` writes messages in the transaction that decides about the incident; `deliver`
sends them, at least once, from every process that verifies; `forms` says what receivers read.
"""
