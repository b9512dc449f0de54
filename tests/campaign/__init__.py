"""The kill campaign: collectors are killed with -9 again and again, and nothing may be lost.

`make campaign KILLS=200 LINES=1000000` kills real `mirrorproof collect` processes while real lines
are produced, on SQLite and on PostgreSQL. The oracle (`oracle`, `ledger`, `store`) shares no code
with the product: it compares what the broker acknowledged with the database, by plain SQL.
"""
