"""From a line, as the proxy wrote it, to the fields of an access log."""
