"""What a sample of logs is: its shipper, its format, and what it lacks for verification."""
