"""What only DuckDB needs: the file, its lock, the views, the audit. Nothing here knows Twilio."""
