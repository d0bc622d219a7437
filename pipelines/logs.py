"""Log lines: plain for people, JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import click

LOG_VARIABLE = "CONFERENCE_INSIGHTS_LOG"
"""`human` or `json`; if it is not set, a terminal gets plain lines and anything else JSON."""


def is_for_people(stream: TextIO) -> bool:
    style = os.environ.get(LOG_VARIABLE)
    return style == "human" if style else stream.isatty()


def visible(text: str) -> str:
    """The text with control characters, line breaks and marks of direction escaped, which text from
    elsewhere may have, and which a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say(line: str, title: str = "") -> None:
    """Print a line for people, behind a title of ours that may have colours."""
    click.echo(title + visible(line))


def json_line(level: str, message: str, **more: Any) -> str:
    """One JSON object; times in UTC."""
    fields = {"time": datetime.now(UTC), "level": level, "message": message} | more
    return json.dumps(fields, default=datetime.isoformat)


class PlainLines(logging.Formatter):
    """Each record on a line of its own; the lines of a traceback are set in."""

    def format(self, record: logging.LogRecord) -> str:
        more = self.formatException(record.exc_info).split("\n") if record.exc_info else []
        return "\n  ".join(map(visible, [record.getMessage(), *more]))


class JsonLines(logging.Formatter):
    """Each record as a JSON object on a line of its own, a traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        more = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return json_line(record.levelname, record.getMessage(), **more)


def start_logging() -> None:
    """Send the program's log and its libraries' warnings to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines() if is_for_people(sys.stderr) else JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("conference_insights").setLevel(logging.INFO)
