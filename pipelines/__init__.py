"""Conference Insights: Twilio Conference Summaries in a DuckDB warehouse, kept complete."""
