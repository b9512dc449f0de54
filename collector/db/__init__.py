"""The database of the product: engine, tables, migrations and the collector's writes."""
