"""Policy files and the database: what they declare, kept up with while a process runs."""
