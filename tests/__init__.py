"""Tests against real HTTP on loopback and real DuckDB files."""
