"""What `show` cannot show ends with a sentence that says what to do."""

from __future__ import annotations

import pytest

from tests.conftest import Command, Loaded, sid
from tests.shown_conference import RED, WAREHOUSE, change, copy_of
from tests.shown_conference import copied as copied
from tests.shown_conference import known as known


@pytest.mark.parametrize("wrong", ["", "CF1", "CA" + "0" * 32, "CF" + "g" * 32, f"{sid(1)}\n", RED])
def test_what_is_no_sid_is_a_usage_error(wrong: str, command: Command) -> None:
    done = command("show", wrong)
    assert done.returncode == 2
    assert "CF and 32 hex digits, as in CF0123456789abcdef0123456789abcdef" in done.stderr
    assert RED not in done.stderr


def test_one_conference_at_a_time(command: Command) -> None:
    assert command("show").returncode == command("show", sid(1), sid(2)).returncode == 2


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_an_unknown_conference_leads_to_a_backfill(
    option: tuple[str, ...], known: Loaded, command: Command
) -> None:
    done = command("show", sid(9), *option, **{WAREHOUSE: str(known.path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"Error: {sid(9)} is not in " in done.stderr
    assert f"`conference-insights backfill --conference {sid(9)}`" in done.stderr


def test_without_a_copy_it_ends_as_the_report_does(loaded: Loaded, command: Command) -> None:
    done, also = command("show", sid(1)), command("report")
    assert done.returncode == also.returncode == 74
    assert done.stderr == also.stderr
    assert "Nothing is published at " in done.stderr


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE VIEW analytics.mine AS SELECT 1", "mine is no table"),
        ("DROP TABLE analytics.conferences", "conferences does not exist"),
    ],
)
def test_a_copy_that_no_run_made_is_refused(
    statement: str, words: str, copied: Loaded, command: Command
) -> None:
    change(copy_of(copied), statement)
    done = command("show", sid(1))
    assert (done.returncode, done.stdout) == (74, "")
    assert words in done.stderr
    assert "run `conference-insights publish`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
