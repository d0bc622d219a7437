"""Answers of a size that no account has cost little, and hold up nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.api import bounds, transport
from pipelines.twilio_insights.errors import BadAnswerError
from tests.conftest import Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)
JSON = httpx.Headers({"content-type": "application/json"})
LARGE = 1500
TOO_MANY: dict[str, dict[str, Any]] = {
    "tags": {"tags": [f"t{number}" for number in range(LARGE)]},
    "details": {"tag_info": {"low_mos": [{}] * LARGE}},
    "issues": {"detected_issues": {f"i{number}": 1 for number in range(LARGE)}},
    "unknown": {"voice_bots": [[0, 0]] * LARGE},
}


@pytest.fixture(autouse=True)
def _smaller_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test of what is beyond them is quick; processes have the real ones."""
    for name in ("MANY", "MAX_ELEMENTS", "MAX_VALUES"):
        monkeypatch.setattr(bounds, name, 1000)


def test_a_summary_with_too_many_values_is_kept_out_whole(loaded: Loaded) -> None:
    large = [summary(n, HOUR, **values) for n, values in enumerate(TOO_MANY.values())]
    for row in [*large, summary(9, HOUR, tags=["a,b]", '"}{,'])]:
        loaded.account.put(row)
    done = loaded.run()
    assert (done.rows_new, done.rows_rejected) == (1, len(large))
    kept = loaded.query("SELECT row, reason FROM conference_insights._rejected_rows")
    assert all(json.loads(row) in large for row, _ in kept)
    assert {reason for _, reason in kept} == {"more than 1000 values"}
    assert loaded.run().rows_rejected == 0


def test_one_that_grew_since_it_was_pending_stays_as_it_was(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__LOOKBACK", "1m")  # so that it is asked for by SID
    loaded.account.put(summary(1, HOUR, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, HOUR, **TOO_MANY["tags"]))
    done = loaded.run()
    assert (done.rows_refetched, done.rows_rejected) == (1, 1)
    assert loaded.query(
        "SELECT processing_state FROM conference_insights.conference_summaries"
    ) == [("in_progress",)]


OF_A_PAGE = (bounds, "MAX_PAGE_VALUES", 5000), (transport, "MAX_BODY_BYTES", 20_000)


@pytest.mark.parametrize("bound", OF_A_PAGE, ids=["values", "bytes"])
def test_a_range_of_which_a_page_is_too_large_is_listed_in_parts(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, bound: tuple[Any, str, int]
) -> None:
    monkeypatch.setattr(*bound)
    for number in range(10):
        values: dict[str, Any] = {"tag_info": {"low_mos": [{}] * 900}}
        loaded.account.put(summary(number, HOUR + number * HOUR / 100, **values))
    done = loaded.run()
    assert (done.rows_new, done.rows_rejected) == (10, 0)
    loaded.assert_exact()


@pytest.mark.thorough
@pytest.mark.parametrize("bound", OF_A_PAGE, ids=["values", "bytes"])
def test_of_a_burst_that_is_too_large_the_setting_is_named_and_all_of_it_kept(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, bound: tuple[Any, str, int]
) -> None:
    monkeypatch.setattr(*bound)
    for number in range(10):
        loaded.account.put(summary(number, HOUR, tag_info={"low_mos": [{}] * 900}))
    with pytest.raises(BadAnswerError, match="SOURCES__TWILIO_INSIGHTS__PAGE_SIZE"):
        loaded.run()
    assert len(loaded.server.requests) < 60
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "3")
    assert loaded.run().rows_rejected == 0
    loaded.assert_exact()


@pytest.mark.parametrize(
    "body",
    [b'{"conferences":[%b0],"meta":{}}', b'{"conferences":[],"meta":[%b0]}', b"[%b0]"],
    ids=["elements", "beside them", "no page"],
)
def test_a_page_of_anything_else_is_refused(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(InsightsServer, "list_page", lambda *_: body % (b"0," * LARGE))
    with pytest.raises(BadAnswerError):
        loaded.run()


@pytest.mark.thorough
def test_the_largest_of_them_takes_little_memory() -> None:
    program = """
        import httpx, resource, sys
        from pipelines.twilio_insights.api.decoding import PageDecoder
        from pipelines.twilio_insights.resources import CONFERENCES
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        body = b'{"conferences":[%b0],"meta":{}}' % (b"0," * (31 << 20))
        headers = httpx.Headers({"content-type": "application/json"})
        try:
            PageDecoder(CONFERENCES).decode(headers, body)
        except Exception as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    program = textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    said, kilobytes = done.stdout.splitlines()
    assert said == "The API sent more than 100000 elements in one page"
    assert int(kilobytes) < 400_000  # the body itself is here three times


@given(
    st.lists(
        st.recursive(
            st.none() | st.integers() | st.text('a,\\"[]{}:', max_size=6),
            lambda inner: st.lists(inner) | st.dictionaries(st.text('a,"]{', max_size=3), inner),
            max_leaves=8,
        )
    )
)
def test_the_elements_are_those_of_the_text(elements: list[Any]) -> None:
    text = json.dumps(elements).encode()
    assert [json.loads(part) for part in bounds.split(text) if isinstance(part, bytes)] == elements
