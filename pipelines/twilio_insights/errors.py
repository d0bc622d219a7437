"""What can go wrong with the API; the message says what failed, where, and what to do next.

InsightsError               the API could not be read
├── RefusedError            Twilio refused the credentials or the feature (401, 403)
├── UnavailableError        no good answer within the retries (429, 5xx, network, deadline)
│   └── QueryTimeoutError   what was asked for takes Twilio too long: list less at once
└── BadAnswerError          an answer that cannot be used
    ├── UnforeseenError     something went wrong that nobody has thought of: a bug
    ├── InvalidQueryError   a list was asked for in a way that Twilio does not take (400)
    ├── TooLargeError       it is larger than what is read: list less at once
    ├── ExpiredTokenError   the page token is no longer valid: list again from the first page
    └── ForeignOriginError  it leads to another origin; nothing was sent there
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.exit_codes import BUG, REFUSED, UNAVAILABLE

RUN_AGAIN = "; run again later"
"""The end of a message, of what passes by itself."""


class InsightsError(Exception):
    """The Insights API could not be read."""

    exit_code = UNAVAILABLE


class RefusedError(InsightsError):
    """Twilio refused the request (401 or 403)."""

    exit_code = REFUSED

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnavailableError(InsightsError):
    """The API gave no good answer, however often it was asked."""

    def __init__(self, message: str, kind: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after

    @property
    def is_slowness(self) -> bool:
        """Whether what was asked for may have taken too long: less at once may succeed."""
        return self.kind in ("QueryTimeout", "504", "408", "ReadTimeout")


class QueryTimeoutError(UnavailableError):
    """Twilio's own query timed out (code 17008), each time: a shorter listing may succeed."""


class BadAnswerError(InsightsError):
    """The API answered with something that cannot be used."""


class InvalidQueryError(BadAnswerError):
    """Twilio does not take a parameter of a list (400)."""


class TooLargeError(BadAnswerError):
    """An answer of more bytes or values than are read: a shorter listing may succeed."""


class UnforeseenError(BadAnswerError):
    """A bug kept one thing from being read; everything else can be."""

    exit_code = BUG


@contextmanager
def naming(what: str | None) -> Iterator[None]:
    """Errors tell what was asked for."""
    try:
        yield
    except InsightsError as error:
        if what and what.lower() not in str(error).lower():
            error.args = (f"{what}: {error}",)
        raise


@contextmanager
def listing(what: str | None) -> Iterator[None]:
    """The same, and what to do about a page that is too large."""
    with naming(what):
        try:
            yield
        except TooLargeError as error:
            advice = "set a smaller SOURCES__TWILIO_INSIGHTS__PAGE_SIZE"
            raise TooLargeError(f"{error}; {advice}") from None


def as_insights_error(error: Exception, what: str) -> Exception:
    """An error that stops nothing else; as it is, if it comes from the machine."""
    if isinstance(error, InsightsError | MemoryError | OSError):
        return error
    unforeseen = UnforeseenError(f"{what} cannot be read: {type(error).__name__} {error}")
    unforeseen.__cause__ = error
    return unforeseen


class ExpiredTokenError(BadAnswerError):
    """The page token is no longer valid (code 21481)."""


class ForeignOriginError(BadAnswerError):
    """The answer leads to another origin than the configured one."""
