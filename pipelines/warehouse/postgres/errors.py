"""What a PostgreSQL server, or the way to it, can do to a run, as errors with exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines.exit_codes import BUSY, REFUSED, UNAVAILABLE
from pipelines.warehouse.warehouse import WarehouseError


class ServerUnavailableError(WarehouseError):
    """The server of the warehouse cannot be reached, or has gone away."""

    exit_code = UNAVAILABLE


class ServerRefusedError(WarehouseError):
    """The server does not let this role do what a run needs."""

    exit_code = REFUSED


class ServerBusyError(WarehouseError):
    """Another session was in the way; trying again later helps."""

    exit_code = BUSY


class RejectedError(WarehouseError):
    """A key, or what others have put on a table, does not admit a row."""


_BY_CODE: list[tuple[str, type[WarehouseError], str]] = [
    ("08|57P0|25P0|53300", ServerUnavailableError, "{name} is not available: {error}"),
    ("28", ServerRefusedError, "{name} refuses the role of the credentials: {error}"),
    ("3D000", ServerRefusedError, "{name} does not exist: {error}"),
    (
        "42501",
        ServerRefusedError,
        "The role may not do that in {name}, see Roles in pipelines/beyond_one_machine.md: {error}",
    ),
    (
        "25006",
        ServerRefusedError,
        "{name} cannot be written to: give the address of the primary, not of a standby ({error})",
    ),
    ("53100|58", WarehouseError, "The disk of {name} is full or broken: {error}"),
    (
        "53200",
        WarehouseError,
        "{name} has not enough memory, or no more room for locks: {error}. With very many accounts "
        "raise max_locks_per_transaction there",
    ),
    ("40|55|57014", ServerBusyError, "Another session of {name} was in the way: {error}"),
    (
        "53|54",
        WarehouseError,
        "{name} has a limit that is too low for what is loaded, as temp_file_limit may be: {error}",
    ),
    ("XX00[12]", WarehouseError, "{name} is damaged, restore a backup: {error}"),
    (
        "23|P0",
        RejectedError,
        "A key, constraint, trigger or function in {name} rejects what is loaded: {error}; drop "
        "what is not of conference-insights",
    ),
]
"""Beginnings of SQLSTATEs, what they mean, and what is said."""

# libpq has no SQLSTATE for a connection that was never made. What the server itself said begins
# with its word for FATAL, in its own language, and two spaces.
_SERVER_SAYS = re.compile(r"(?:failed|^): \S+:  (.*)", re.DOTALL)
_FOR_A_MOMENT = re.compile(r"starting up|shutting down|recovery|too many|connection slots")
_WRONG_CREDENTIALS = re.compile(r"no password supplied|does not support SSL|certificate|sslmode")


def explain(error: BaseException, name: str) -> WarehouseError | None:
    """The error for what the server, the network or the role has caused; None for any other.

    Args:
        error: of psycopg2, or one that it has caused.
        name: of the database, for the message.
    """
    for cause in _chain(error):
        if isinstance(cause, WarehouseError):
            return cause
        if type(cause).__module__.partition(".")[0] != "psycopg2":
            continue
        text = _one_line(cause)
        if code := getattr(cause, "pgcode", None):
            for codes, kind, sentence in _BY_CODE:
                if re.match(codes, code):
                    return kind(sentence.format(name=name, error=text))
        elif type(cause).__name__ in ("OperationalError", "InterfaceError"):
            return _of_connection(text, name)
    return None


def _of_connection(text: str, name: str) -> WarehouseError:
    said = _SERVER_SAYS.search(text)
    if (said and not _FOR_A_MOMENT.search(said[1])) or _WRONG_CREDENTIALS.search(text):
        return ServerRefusedError(f"{name} refuses the connection: {said[1] if said else text}")
    return ServerUnavailableError(f"{name} cannot be reached: {text}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one_line(error: BaseException) -> str:
    diagnosis = getattr(error, "diag", None)
    said: str | None = getattr(diagnosis, "message_primary", None)
    return said or "; ".join(line.strip(" \t?") for line in str(error).strip().splitlines())
