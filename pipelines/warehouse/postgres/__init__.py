"""A warehouse in a PostgreSQL database."""

from pipelines.warehouse.postgres.server import PostgresServer

__all__ = ["PostgresServer"]
