"""Error texts of DuckDB, the operating system and Python that are matched: dlt keeps only the text
of an error, and DuckDB has the same class for many.

`tests/test_others_words.py` gets each of them from the library itself.
"""

from __future__ import annotations

import os
import re
from errno import (
    EACCES,
    EAGAIN,
    EDQUOT,
    EFBIG,
    EIO,
    ENOENT,
    ENOSPC,
    ENOTCONN,
    ENOTDIR,
    EPERM,
    EROFS,
    ESTALE,
)

# What only a disk says; and what is its fault only where DuckDB names the file, since others say so
# too, of what a killed run left.
_OF_DISKS = "|".join(map(os.strerror, (ENOSPC, EFBIG, EDQUOT, EIO, EROFS)))
_OF_FILES = "|".join(map(os.strerror, (EACCES, EPERM, ENOENT, ENOTDIR, ESTALE, ENOTCONN)))
DISK_FAULT = re.compile(f'{_OF_DISKS}|(?:file|directory) ".*": (?:{_OF_FILES})')
OUT_OF_MEMORY = re.compile("Out of Memory Error|failed to (pin|allocate)|could not allocate")
NO_THREAD = re.compile(f"can't start new thread|{os.strerror(EAGAIN)}")
LOG_FAULT = re.compile("WAL|Could not read enough bytes")
CORRUPT_FILE = "Corrupt database file"
DAMAGE = re.compile("Could not read enough bytes|[Cc]orrupt|[Cc]hecksum|been invalidated")
OF_OTHERS = re.compile("is of type|is not a view")
LOCK_HOLDER = re.compile(r"Conflicting lock is held in ((?P<program>.*?) \(PID (?P<pid>\d+)\))?")
LINE_OF_ERROR = re.compile(r"^LINE (\d+):", re.MULTILINE)
