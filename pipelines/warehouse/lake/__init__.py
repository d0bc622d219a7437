"""The lake: the tables as Delta, for Spark and all else that reads Delta or Parquet."""
