"""What the routes ask of the database: plain selects, keyset pages, no judgement."""
