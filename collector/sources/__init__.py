"""Where records come from: Kafka, or files."""
