"""Copies Arrow rows into a table of PostgreSQL as CSV, about as quick as the server can take them,
piece by piece, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow.csv import WriteOptions, write_csv

# Every value in quotation marks: what has none is NULL, and an empty text is not.
_AS_CSV = WriteOptions(include_header=False, quoting_style="all_valid")


class _Csv:
    """Rows as CSV, read piece by piece. PostgreSQL has no NUL in a text."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._text = BytesIO()
        self.has_nul = False

    def read(self, size: int) -> bytes:
        while not (piece := self._text.read(size)):
            if (batch := next(self._batches, None)) is None:
                return b""
            with BytesIO() as written:
                write_csv(batch, written, _AS_CSV)
                text = written.getvalue()
            if b"\0" in text:
                self.has_nul, text = True, text.replace(b"\0", "\ufffd".encode())
            self._text = BytesIO(text)
        return piece


def copy_into(
    connection: Any, table: str, columns: Sequence[str], batches: Iterator[pa.RecordBatch]
) -> bool:
    """Insert rows, with U+FFFD for each U+0000 in a text. Return whether there was one.

    Args:
        connection: of psycopg2.
        table: its name with the schema.
        columns: of the batches, in their order.
        batches: the rows.

    Raises:
        psycopg2.Error: the server refuses them.
    """
    names = ", ".join(f'"{column}"' for column in columns)
    copy = f"COPY {table} ({names}) FROM STDIN (FORMAT csv)"
    with connection.cursor() as cursor:
        cursor.copy_expert(copy, csv := _Csv(batches), 1 << 16)
    return csv.has_nul
