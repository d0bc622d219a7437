"""The dlt source by itself: what it loads, with which keys and types, in any dlt pipeline."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.lifecycle import RETENTION
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account, iso
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights import TwilioInsightsConfiguration, twilio_insights
from pipelines.twilio_insights.codec import digest
from pipelines.twilio_insights.extract.flatten import flatten
from pipelines.twilio_insights.resources import CONFERENCES, RESOURCES
from pipelines.twilio_insights.settings import SECTION, Settings
from pipelines.twilio_insights.source import without_lists
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.postgres import PostgresServer
from tests import expected
from tests.conftest import NOW, ROOT, Loaded, sid, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SAMPLES = json.loads((ROOT / "tests/samples/conferences.json").read_text())


def official_rows() -> list[dict[str, Any]]:
    """Each sample as a conference of its own: several samples use the same made-up SIDs."""
    rows = []
    for sample in SAMPLES.values():
        rows += sample.get("conferences", [sample])
    return [row | {"conference_sid": sid(number)} for number, row in enumerate(rows)]


@pytest.mark.usefixtures("tables_only")
def test_the_official_samples_load_field_by_field(loaded: Loaded) -> None:
    rows = official_rows()
    assert len(rows) == 8
    for row in rows:
        loaded.account.put(row | {"create_time": iso(NOW - HOUR)})
    loaded.run()
    loaded.assert_exact()
    listed = [row for row in loaded.account.rows() if row["conference_sid"] == sid(3)]
    columns = ", ".join(column.name for column in CONFERENCES.columns)
    with duckdb.connect(loaded.path) as connection:
        answer = connection.execute(
            f"SELECT {columns} FROM conference_insights.conference_summaries "
            f"WHERE conference_sid = '{sid(3)}'"
        )
        stored = dict(zip([d[0] for d in answer.description], answer.fetchone() or (), strict=True))
    for name, value in stored.items():
        if name.endswith("_time"):
            assert (
                iso(value.astimezone() if value.tzinfo else value.replace(tzinfo=NOW.tzinfo))
                == (listed[0][name])
            )
        else:
            assert (json.loads(value) if name == "links" else value) == listed[0].get(name)


def test_the_contents_page_is_what_the_code_does() -> None:
    """The tables in the docstring of the source, against the resources that it yields."""
    rows = [re.split(" {2,}", line.strip()) for line in str(twilio_insights.__doc__).splitlines()]
    start = rows.index(["resource", "listed by", "lookback", "final", "asked again"])
    assert rows[start + 1 : rows.index([""], start)] == [
        [
            one.name,
            one.parent.key if one.parent else one.created,
            "none" if one.parent else Settings.lookback,
            ", ".join(one.final_states),
            f"until final, for {RETENTION.days} days",
        ]
        for one in RESOURCES.values()
    ]
    start = rows.index(["table", "key", "written"])
    config = TwilioInsightsConfiguration(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN)
    found = []
    for name, resource in twilio_insights(config).selected_resources.items():
        hints: Any = resource.compute_table_schema()
        key = [column for column, hint in hints["columns"].items() if hint.get("primary_key")]
        whole = ", whole record" * ("x-merge-destination-scope" in hints)
        found.append([name, ", ".join(key), hints["write_disposition"] + whole])
    assert rows[start + 1 : rows.index([""], start)] == found


def test_all_properties_of_the_samples_have_a_place() -> None:
    places = {column.name for column in CONFERENCES.columns}
    places |= {field.name for field in CONFERENCES.children}
    assert all(row.keys() <= places and len(row) == 23 for row in official_rows())


@pytest.fixture
def pipeline(server: InsightsServer, tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "somebody_elses",
        destination=dlt.destinations.duckdb(str(tmp_path / "theirs.duckdb")),
        dataset_name="calls",
        pipelines_dir=str(tmp_path / "pipelines"),
    )


def test_it_loads_into_any_dlt_pipeline(
    pipeline: dlt.Pipeline, account: Account, tmp_path: Path
) -> None:
    for number in range(30):
        account.put(summary(number, number * 20 * HOUR + HOUR))
    account.put(summary(50, 10 * DAY, "in_progress"))
    for hours in (0, 1, 24):
        account.now += hours * HOUR
        pipeline.run(twilio_insights())
        account.put(summary(50, 10 * DAY))
        account.put(summary(100 + hours, -hours * HOUR))
    pipeline.run(twilio_insights())
    with duckdb.connect(tmp_path / "theirs.duckdb") as connection:
        assert expected.of_database(DuckDb(connection), "calls") == expected.of_api(account.rows())


@pytest.mark.thorough
def test_it_loads_into_postgresql_by_dlt_alone(
    account: Account, server: InsightsServer, database: str, tmp_path: Path
) -> None:
    pipeline = dlt.pipeline(
        "somebody_elses",
        destination=dlt.destinations.postgres(database),
        dataset_name="calls",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    for number in range(10):
        account.put(summary(number, number * 60 * HOUR + HOUR, "in_progress"))
    for _ in range(2):
        pipeline.run(twilio_insights())
        for number in range(10):
            account.put(summary(number, number * 60 * HOUR + HOUR))
        account.now += HOUR
    with PostgresServer(database).read() as connection:
        assert expected.of_database(connection, "calls") == expected.of_api(account.rows())


def test_a_list_is_spread_where_an_engine_takes_none(tmp_path: Path) -> None:
    sql = "SELECT %s || x FROM (VALUES ('a'), ('b'), ('c')) AS t(x) WHERE x IN (SELECT unnest(%s))"
    for found, wanted in ((["c", "a"], [("no a",), ("no c",)]), ([], [])):
        text, arguments = without_lists(sql, ("no ", found))
        assert "unnest" not in text
        with duckdb.connect() as connection:
            rows = connection.execute(text.replace("%s", "?"), arguments).fetchall()
        assert sorted(rows) == wanted


def test_alone_a_failure_loads_nothing_and_is_raised(
    pipeline: dlt.Pipeline, account: Account, server: InsightsServer
) -> None:
    account.put(summary(1, HOUR))
    account.logins.clear()
    with pytest.raises(PipelineStepFailed, match="Advanced Features"):
        pipeline.run(twilio_insights())
    assert not pipeline.has_pending_data


def test_settings_can_be_handed_in(pipeline: dlt.Pipeline, server: InsightsServer) -> None:
    settings = TwilioInsightsConfiguration(
        account_sid="AC" + "d" * 32, auth_token="wrong", base_url=server.url
    )
    with pytest.raises(PipelineStepFailed, match="refused"):
        pipeline.run(twilio_insights(settings))


OUTER = ("", "sources.", "twilio_insights.", "somebody_elses.", "somebody_elses.sources.")
OTHERS = {
    "account_sid": "AC" + "e" * 32,
    "auth_token": "the-token-of-another-system",
    "api_key_sid": "SK" + "e" * 32,
    "api_key_secret": "the-key-of-another-system",
    "base_url": "http://127.0.0.1:9",
    "page_size": "auto",
    "max_concurrency": "true",
    "lookback": "7h",
}


def write_toml(file: Path, settings: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    Container()[PluggableRunContext].reload_providers()


@pytest.mark.parametrize("level", OUTER)
@pytest.mark.parametrize("medium", ["environment", "secrets.toml"])
def test_outer_settings_do_not_count(
    pipeline: dlt.Pipeline,
    server: InsightsServer,
    medium: str,
    level: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {"sources.twilio_insights.lookback": "3h", "sources.twilio_insights.page_size": 7}
    others = {f"{level}{name}": value for name, value in OTHERS.items()}
    if medium == "environment":  # which is asked before the files that have the own ones
        for name, value in others.items():
            monkeypatch.setenv(name.replace(".", "__").upper(), value)
        write_toml(Path(".dlt/config.toml"), own)
    else:
        write_toml(Path(".dlt/secrets.toml"), others)
        write_toml(Path(".dlt/config.toml"), own)
    found = resolved()
    assert (found.account_sid, found.auth_token) == (ACCOUNT_SID, AUTH_TOKEN)
    assert (found.api_key_sid, found.api_key_secret) == (None, None)
    assert (found.base_url, found.lookback, found.page_size) == (server.url, "3h", 7)
    assert found.max_concurrency == 4
    with pipeline.managed_state():  # the pipeline is active, so its name is a section too
        assert resolved() == found
    twilio_insights()


def resolved() -> TwilioInsightsConfiguration:
    """As the source gets it from dlt."""
    return resolve_configuration(TwilioInsightsConfiguration(), sections=SECTION)


@pytest.mark.parametrize("medium", ["environment", "secrets.toml"])
def test_its_own_section_counts(
    pipeline: dlt.Pipeline, medium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OTHERS | {"page_size": "7", "max_concurrency": "2", "retry_budget": "1s"}
    monkeypatch.delenv("SOURCES__TWILIO_INSIGHTS__BASE_URL")
    if medium == "environment":
        for name, value in own.items():
            monkeypatch.setenv(f"SOURCES__TWILIO_INSIGHTS__{name.upper()}", f" {value}\n")
    else:
        section = {f"sources.twilio_insights.{name}": value for name, value in own.items()}
        write_toml(Path(".dlt/secrets.toml"), section)
    found = resolved()
    assert {name: str(getattr(found, name)) for name in own} == own
    assert (found.page_size, found.request_deadline) == (7, "60s")
    with pytest.raises(PipelineStepFailed):  # there is nobody at that base_url
        pipeline.run(twilio_insights())


@pytest.mark.parametrize("value", ["auto", "1.5"])
def test_a_number_of_its_own_that_is_none_is_named(
    server: InsightsServer, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", value)
    with pytest.raises(Exception, match=r"page_size: write a whole number"):
        twilio_insights()


def test_a_token_in_config_toml_is_not_sent(
    server: InsightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    write_toml(Path(".dlt/config.toml"), {"sources.twilio_insights.auth_token": AUTH_TOKEN})
    with pytest.raises(Exception, match=r"secrets\.toml"):
        twilio_insights()


def test_settings_that_are_handed_in_count_as_they_are(
    server: InsightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (OTHERS | {"page_size": "7"}).items():
        monkeypatch.setenv(f"SOURCES__TWILIO_INSIGHTS__{name.upper()}", value)
        monkeypatch.setenv(name.upper(), value)
    mine = TwilioInsightsConfiguration(
        account_sid="AC" + "d" * 32, auth_token="mine", base_url=server.url, page_size=3
    )
    assert resolve_configuration(mine, sections=SECTION) is mine
    assert (mine.account_sid, mine.auth_token, mine.page_size) == ("AC" + "d" * 32, "mine", 3)
    assert (mine.api_key_sid, mine.base_url, mine.lookback) == (None, server.url, "48h")
    given: list[Any] = []
    monkeypatch.setattr(TwilioInsightsConfiguration, "check", lambda self: given.append(self))
    twilio_insights(mine)
    assert given[0] is mine


@pytest.mark.thorough
def test_tables_have_the_keys_types_and_nulls_they_declare(loaded: Loaded) -> None:
    loaded.run()
    types = {"text": "VARCHAR", "bigint": "BIGINT", "bool": "BOOLEAN", "timestamp": "TIMESTAMP"}
    types |= {"json": "VARCHAR", "double": "DOUBLE"}
    for table in TABLES:
        found = loaded.query(f"DESCRIBE conference_insights.{table.name}")
        assert [(name, kind, null == "YES") for name, kind, null, *_ in found] == [
            (column.name, types[column.type], column.nullable) for column in table.columns
        ]


ODD: list[tuple[str, Any, str, Any, Any]] = [
    # field, value as received, column, value stored, kept in extra_fields
    ("duration_seconds", 7.5, "duration_seconds", None, 7.5),
    ("duration_seconds", 7.0, "duration_seconds", 7, None),
    ("duration_seconds", "7", "duration_seconds", None, "7"),
    ("duration_seconds", True, "duration_seconds", None, True),
    ("duration_seconds", 2**31, "duration_seconds", 2**31, None),
    ("duration_seconds", 2**31 + 1, "duration_seconds", None, 2**31 + 1),
    ("duration_seconds", -(2**63), "duration_seconds", None, -(2**63)),
    ("duration_seconds", 2**63, "duration_seconds", None, 2**63),
    ("status", 5, "status", None, 5),
    ("status", "hold_music", "status", "hold_music", None),
    ("recording_enabled", "yes", "recording_enabled", None, "yes"),
    ("recording_enabled", 1, "recording_enabled", None, 1),
    ("start_time", "2026-11-20T10:00:00.25Z", "start_time", "2026-11-20 10:00:00.25", None),
    ("start_time", "2026-11-20T12:00:00+02:00", "start_time", "2026-11-20 10:00:00", None),
    ("start_time", "yesterday", "start_time", None, "yesterday"),
    ("start_time", 12345, "start_time", None, 12345),
    ("start_time", "9999-12-31T23:59:59-23:00", "start_time", None, "9999-12-31T23:59:59-23:00"),
    ("friendly_name", "a\u0000b", "friendly_name", "a\u0000b", None),
    ("friendly_name", "x" * 5_000_000, "friendly_name", "x" * 5_000_000, None),
    ("links", [1], "links", "[1]", None),
    ("tags", "low_mos", "status", "completed", "low_mos"),
    ("tags", {"a": 1}, "status", "completed", {"a": 1}),
    ("tags", [5, "low_mos"], "status", "completed", [5]),
    ("tags", 0, "status", "completed", 0),
    ("tag_info", "text", "status", "completed", "text"),
    ("detected_issues", [3], "status", "completed", [3]),
    ("detected_issues", {"a": 1.5, "b": 2}, "status", "completed", {"a": 1.5}),
    ("detected_issues", {"a": 2**63 - 1}, "status", "completed", {"a": 2**63 - 1}),
    ("brand_new", {"deep": [None]}, "status", "completed", {"deep": [None]}),
]


@pytest.mark.parametrize(
    ("field", "value", "column", "stored", "kept"), ODD, ids=lambda value: str(value)[:20]
)
def test_what_does_not_fit_is_kept_beside_what_does(
    field: str, value: Any, column: str, stored: Any, kept: Any
) -> None:
    rows = [summary(1, HOUR), summary(2, HOUR, **{field: value}), summary(3, HOUR)]
    tables = flatten(CONFERENCES, rows, [*map(digest, rows)], [NOW] * len(rows))
    root = tables["conference_summaries"]
    assert root["conference_sid"].to_pylist() == [sid(1), sid(2), sid(3)]
    found = root[column].to_pylist()[1]
    assert (str(found).rstrip("0").rstrip(":0") if column == "start_time" and found else found) == (
        stored.rstrip("0").rstrip(":0") if column == "start_time" and stored else stored
    )
    extra = root["extra_fields"].to_pylist()
    assert extra[0] is extra[2] is None
    assert (extra[1] and json.loads(extra[1])) == (None if kept is None else {field: kept})


TAG_INFOS: list[tuple[Any, list[tuple[Any, ...]]]] = [
    ({"a": {"reason": "r"}}, [("a", 0, None, "r", None, None)]),
    ({"a": {"severity": "high", "x": 1}}, [("a", 0, "high", None, None, '{"x":1}')]),
    ({"a": {"severity": 3}}, [("a", 0, None, None, None, '{"severity":3}')]),
    (
        {"a": [{"participant_identity": "p", "participant_sids": ["CP1"]}, {"reason": "q"}]},
        [
            ("a", 0, None, None, "p", '{"participant_sids":["CP1"]}'),
            ("a", 1, None, "q", None, None),
        ],
    ),
    ({"a": None, "b": [], "c": {}}, [(tag, 0, None, None, None, None) for tag in "abc"]),
    ({"a": "text", "b": [1]}, [("a", 0, None, None, None, '"text"'), ("b", 0, *[None] * 3, "1")]),
]


@pytest.mark.parametrize(("tag_info", "rows"), TAG_INFOS, ids=lambda value: str(value)[:20])
def test_every_shape_of_tag_info_becomes_rows(tag_info: Any, rows: list[Any]) -> None:
    row = summary(1, HOUR, tag_info=tag_info)
    table = flatten(CONFERENCES, [row], [digest(row)], [NOW])["conference_tag_info"]
    names = ("tag", "item_index", "severity", "reason", "participant_identity", "details")
    assert [tuple(r[name] for name in names) for r in table.to_pylist()] == rows
    assert table["_tombstone"].to_pylist() == [None] * len(rows)


def test_a_conference_without_children_gets_tombstones() -> None:
    row = summary(1, HOUR, tags=[], tag_info=None, detected_issues={})
    tables = flatten(CONFERENCES, [row], [digest(row)], [NOW])
    for name in ("conference_tags", "conference_tag_info", "conference_detected_issues"):
        assert tables[name]["_tombstone"].to_pylist() == [True]


def test_the_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    row = summary(1, HOUR)
    assert digest(dict(reversed(row.items()))) == digest(row)
    assert digest(row | {"tags": []}) != digest(row | {"tags": None})


@pytest.mark.usefixtures("tables_only")
def test_elements_that_are_no_conference_are_kept_whole_once(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))
    odd = [None, 5, [1], {"friendly_name": "no sid"}, {"conference_sid": "CF1"}]
    real = InsightsServer.list_page

    def with_odd(server: InsightsServer, query: dict[str, str]) -> bytes:
        page = json.loads(real(server, query))
        page["conferences"] += odd
        return json.dumps(page).encode()

    monkeypatch.setattr(InsightsServer, "list_page", with_odd)
    done = loaded.run()
    assert done.rows_rejected == 5
    loaded.assert_exact()
    rejected = loaded.query("SELECT row, reason, run_id FROM conference_insights._rejected_rows")
    assert sorted(row for row, *_ in rejected) == sorted(
        json.dumps(row, separators=(",", ":")) for row in odd
    )
    assert {run_id for *_, run_id in rejected} == {done.run_id}
    assert loaded.run().rows_rejected == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TWILIO_ACCOUNT_SID": ""}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_ACCOUNT_SID": "AC..."}, "not AC and 32"),
        ({"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN"),
        ({"SOURCES__TWILIO_INSIGHTS__REQUEST_DEADLINE": "0s"}, "request_deadline"),
        ({"SOURCES__TWILIO_INSIGHTS__CREATED_AFTER": "yesterday"}, "created_after: not a time"),
        ({"TWILIO_API_KEY": "SK1"}, "Half an API key"),
        ({"SOURCES__TWILIO_INSIGHTS__LOOKBACK": "2 days"}, "lookback: not a duration"),
        ({"SOURCES__TWILIO_INSIGHTS__PAGE_SIZE": "1001"}, "page_size"),
        ({"SOURCES__TWILIO_INSIGHTS__MAX_CONCURRENCY": "0"}, "max_concurrency"),
        ({"SOURCES__TWILIO_INSIGHTS__BASE_URL": "http://insights.twilio.com"}, "base_url"),
        ({"SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://a:b@twilio.com"}, "base_url"),
        ({"SOURCES__TWILIO_INSIGHTS__BASE_URL": "ftp://127.0.0.1"}, "base_url"),
        ({"SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://:secret@twilio.com"}, "write https"),
        ({"SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://twilio.com/insights"}, "base_url"),
        ({"SOURCES__TWILIO_INSIGHTS__LOOKBACK": "999999999d"}, "longer than a year"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_named(
    server: InsightsServer,
    environment: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Exception, match=message):
        twilio_insights()


def test_it_can_be_imported_without_side_effects(command: Callable[..., Any]) -> None:
    import subprocess
    import sys

    program = (
        "import threading, os; before = threading.active_count(), sorted(os.listdir('.')); "
        "import pipelines.twilio_insights; "
        "assert (threading.active_count(), sorted(os.listdir('.'))) == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
