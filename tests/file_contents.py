"""What is in the files of a folder, also in those that are compressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of all files; of compressed ones what is in them."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield str(file.relative_to(folder)), file.read_bytes()
            if file.suffix == ".parquet":
                yield f"{file.name}, unpacked", repr(pq.ParquetFile(file).read()).encode()
