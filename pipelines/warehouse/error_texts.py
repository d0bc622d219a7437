"""Error texts of DuckDB, the operating system and Python that are matched: dlt keeps only the text
of an error, and DuckDB has the same class for many.

`tests/test_others_words.py` gets each of them from the library itself.
"""

from __future__ import annotations

import os
import re
from errno import EAGAIN, EDQUOT, EFBIG, EIO, ENOSPC, EROFS

DISK_FAULT = re.compile("|".join(map(os.strerror, (ENOSPC, EFBIG, EDQUOT, EIO, EROFS))))
OUT_OF_MEMORY = re.compile("Out of Memory Error|failed to (pin|allocate)|could not allocate")
NO_THREAD = re.compile(f"can't start new thread|{os.strerror(EAGAIN)}")
LOG_FAULT = re.compile("WAL|Could not read enough bytes")
CORRUPT_FILE = "Corrupt database file"
DAMAGE = re.compile("Could not read enough bytes|[Cc]orrupt|[Cc]hecksum|been invalidated")
OF_OTHERS = re.compile("is of type|is not a view")
LOCK_HOLDER = re.compile(r"Conflicting lock is held in ((?P<program>.*?) \(PID (?P<pid>\d+)\))?")
LINE_OF_ERROR = re.compile(r"^LINE (\d+):", re.MULTILINE)
