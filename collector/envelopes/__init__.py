"""From a record, as a shipper wrote it, to the lines in it and who wrote them."""
