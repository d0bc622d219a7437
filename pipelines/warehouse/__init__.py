"""The warehouse, a file or a PostgreSQL server: locks, views, checks, copies and the lake."""
