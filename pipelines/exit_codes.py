"""Exit codes, which tell a scheduler how the program ended."""

from __future__ import annotations

from errno import EIO

BUG, USAGE, STALE, UNSOUND, UNAVAILABLE, DISK, BUSY, REFUSED = 1, 2, 3, 65, 69, 74, 75, 77
GONE = 141
EXIT_CODES = """\b
Exit codes:
  0   done, also when there was nothing new
  1   a bug in this program
  2   wrong usage or configuration
  3   stale: the last good run is older than `status --max-age`, or Twilio is deleting unlisted data
  65  a check failed: the data is loaded; a published copy stays as it was; or `reconcile` found
      something missing or different
  69  the API gave no good answer, after all retries; or the database or the lake is out of reach
  74  the warehouse, the published copy, the lake or the disk cannot be used
  75  busy: another run or program holds the warehouse; or still pending at the timeout
  77  refused by Twilio: credentials, region, or Advanced Features not active; by the database,
      or by a bucket
  129, 130, 143  stopped by SIGHUP, SIGINT or SIGTERM; everything finished so far is kept
  141 the program or the terminal that the output went to has gone away
"""


def exit_code(error: Exception) -> int:
    """The exit code of an error: its class's `exit_code`, else DISK for an OSError, else BUG."""
    # EIO without a file name is a terminal that has gone away.
    if isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and error.errno == EIO and error.filename is None
    ):
        return GONE
    return getattr(error, "exit_code", DISK if isinstance(error, OSError) else BUG)
