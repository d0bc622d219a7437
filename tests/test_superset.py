"""The Superset dashboard: its files fit the copy, and a real Superset shows what SQL says."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
import yaml

from pipelines.run.post_load import publish_now
from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_account
from tests.conftest import NOW, ROOT, Loaded, environment, loaded_once, summary
from tests.given_participants import People, bad
from tests.test_publish import copy_of

BUNDLE = ROOT / "sql/superset"
PINS = ROOT / "tests/superset_constraints.txt"
EMPTY_DAY = datetime(2026, 11, 15, tzinfo=UTC)
Params = dict[str, Any]


def read(folder: str) -> dict[str, dict[str, Any]]:
    """What the bundle has of a kind, by the name of its file."""
    paths = (BUNDLE / folder).rglob("*.yaml")
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in paths}


def documented_commands() -> list[str]:
    """The commands of the section on Superset, in their order."""
    page = (ROOT / "sql/connect.md").read_text("utf-8")
    section = page.split("\n## Apache Superset\n")[1].split("\n## ")[0]
    return "".join(re.findall(r"^    (.*\n)", section, re.M)).replace("\\\n", "").splitlines()


def columns_of(params: Params, suffix: str = "") -> list[str]:
    """The columns that a chart asks for; what comes second in a chart made of two has `_b`."""
    found = [params["x_axis"]] if "x_axis" in params else []
    for key in (f"groupby{suffix}", "groupbyColumns", "groupbyRows", "all_columns"):
        value = params.get(key, [])
        found += [value] if isinstance(value, str) else value
    return found


def metrics_of(params: Params, suffix: str = "") -> list[str]:
    one = [params["metric"]] if "metric" in params else []
    return [*one, *params.get(f"metrics{suffix}", [])]


def orders_of(params: Params) -> list[tuple[str, bool]]:
    return [tuple(json.loads(order)) for order in params.get("order_by_cols", [])]


def names(of: dict[str, Any], kind: str) -> set[str]:
    return {each[f"{kind}_name"] for each in of[f"{kind}s"]}


@pytest.mark.thorough
def test_datasets_are_the_tables_of_a_copy_without_personal_data(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    loaded.server.account = busy_account(NOW, days=2, per_day=20)
    loaded.run()
    with duckdb.connect(copy_of(loaded), read_only=True) as copy:
        for name, dataset in read("datasets").items():
            assert dataset["table_name"] == name
            about = copy.execute("SELECT comment FROM duckdb_tables() WHERE table_name = ?", [name])
            assert about.fetchall() == [(dataset["description"],)]
            columns = copy.execute(
                "SELECT column_name, data_type, comment FROM duckdb_columns() "
                "WHERE table_name = ? ORDER BY column_index",
                [name],
            )
            assert columns.fetchall() == [
                (column["column_name"], column["type"], column["description"])
                for column in dataset["columns"]
                if "expression" not in column
            ], name
            for formula in (*dataset["columns"], *dataset["metrics"]):
                if "expression" in formula:
                    copy.execute(f"SELECT {formula['expression']} FROM analytics.{name}").fetchall()


def test_charts_use_what_their_datasets_have() -> None:
    datasets = {dataset["uuid"]: dataset for dataset in read("datasets").values()}
    used = set()
    for name, chart in read("charts").items():
        dataset, params = datasets[chart["dataset_uuid"]], chart["params"]
        columns, metrics = names(dataset, "column"), names(dataset, "metric")
        filters = [*params.get("adhoc_filters", []), *params.get("adhoc_filters_b", [])]
        asked = {*columns_of(params), *columns_of(params, "_b"), *(f["subject"] for f in filters)}
        ordered = {column for column, _ in orders_of(params)}
        assert asked | ordered <= columns, name
        # Superset takes what a metric has the name of for the metric, and then groups.
        assert not ordered & metrics, name
        assert {*metrics_of(params), *metrics_of(params, "_b")} <= metrics, name
        assert params.get("timeseries_limit_metric") in {None, *metrics}, name
        assert set(params.get("column_config", {})) <= columns | metrics, name
        used.add(dataset["uuid"])
    assert used == set(datasets)


def test_the_dashboard_has_every_chart_and_filters_those_with_the_column() -> None:
    datasets = {dataset["uuid"]: dataset for dataset in read("datasets").values()}
    charts = {chart["uuid"]: chart for chart in read("charts").values()}
    (dashboard,) = read("dashboards").values()
    parts = [part for part in dashboard["position"].values() if isinstance(part, dict)]
    shown = {p["meta"]["chartId"]: p["meta"]["uuid"] for p in parts if p["type"] == "CHART"}
    assert sorted(shown.values()) == sorted(charts)
    filters = {f["name"]: f for f in dashboard["metadata"]["native_filter_configuration"]}
    assert {target["datasetUuid"] for target in filters["Account"]["targets"]} <= set(datasets)
    days = {"created_date", "running_date"}
    for name, possible in {"Days": days, "Account": {"account_name"}}.items():
        assert filters[name]["scope"]["excluded"] == [
            number
            for number, uuid in shown.items()
            if not possible & names(datasets[charts[uuid]["dataset_uuid"]], "column")
        ]


def test_every_part_of_the_dashboard_is_in_one_tab() -> None:
    (dashboard,) = read("dashboards").values()
    parts = {name: part for name, part in dashboard["position"].items() if isinstance(part, dict)}

    def inside(name: str) -> Iterator[str]:
        yield name
        for child in parts[name].get("children", []):
            yield from inside(child)

    assert sorted([*inside("ROOT_ID"), "GRID_ID", "HEADER_ID"]) == sorted(parts)
    assert [part["id"] for part in parts.values()] == list(parts)
    datasets = {dataset["uuid"]: name for name, dataset in read("datasets").items()}
    sources = {chart["uuid"]: datasets[chart["dataset_uuid"]] for chart in read("charts").values()}
    for tab in parts["TABS-1"]["children"]:
        charts = (part for name in inside(tab) if (part := parts[name])["type"] == "CHART")
        about = {sources[part["meta"]["uuid"]].startswith("participant") for part in charts}
        assert about == {parts[tab]["meta"]["text"] == "Participants"}


def test_the_documented_pins_are_those_that_are_tried() -> None:
    (pip,) = (command for command in documented_commands() if command.startswith("pip install"))
    lines = PINS.read_text("utf-8").splitlines()
    assert shlex.split(pip)[2:] == [line for line in lines if not line.startswith("#")]


@dataclass
class Superset:
    """A server with the dashboard, asked as its own pages ask it."""

    api: httpx.Client
    loaded: Loaded

    def charts(self) -> dict[str, Params]:
        """What it has stored of the dashboard's charts, by title."""
        stored = self.api.get("dashboard/conference-insights/charts").json()["result"]
        return {chart["slice_name"]: chart["form_data"] for chart in stored}

    def rows(self, params: Params) -> Counter[Any]:
        """The data of a chart; of one made of two, both."""
        number, kind = params["datasource"].split("__")
        suffixes = ("", "_b") if "metrics_b" in params else ("",)
        body = {
            "datasource": {"id": int(number), "type": kind},
            "queries": [query(params, suffix) for suffix in suffixes],
        }
        answer = self.api.post("chart/data", json=body)
        assert answer.status_code == 200, answer.text
        return counted(row.values() for part in answer.json()["result"] for row in part["data"])

    def ask(self, sql: str) -> httpx.Response:
        """What its SQL Lab answers."""
        (database,) = self.api.get("database/").json()["result"]
        body = {"database_id": database["id"], "client_id": secrets.token_hex(5), "sql": sql}
        return self.api.post("sqllab/execute/", json=body)


def query(params: Params, suffix: str) -> dict[str, Any]:
    """What Superset's pages ask for a chart with these parameters."""
    columns: list[Any] = columns_of(params, suffix)
    if "x_axis" in params:
        columns[0] = {
            "columnType": "BASE_AXIS",
            "expressionType": "SQL",
            "isColumnReference": True,
            "label": params["x_axis"],
            "sqlExpression": params["x_axis"],
            "timeGrain": params.get("time_grain_sqla"),
        }
    asked = {
        "columns": columns,
        "filters": [
            {"col": each["subject"], "op": each["operator"], "val": each["comparator"]}
            for each in params.get(f"adhoc_filters{suffix}", [])
        ],
        "orderby": orders_of(params),
        "row_limit": params.get("server_page_length") or params.get("row_limit"),
    }
    return asked if "all_columns" in params else asked | {"metrics": metrics_of(params, suffix)}


def counted(rows: Iterable[Iterable[Any]]) -> Counter[Any]:
    return Counter(tuple(plain(value) for value in row) for row in rows)


def plain(value: Any) -> Any:
    """As Superset's JSON has it, times in milliseconds; numbers without their last digits."""
    if isinstance(value, date):
        value = datetime.fromisoformat(value.isoformat()).replace(tzinfo=UTC).timestamp() * 1000
    return round(value, 6) if isinstance(value, float) else value


@pytest.fixture(scope="module")
def installed() -> Path:
    """Install Superset beside this environment, once, and give its folder."""
    folder = Path(sys.prefix) / "superset"
    done, pins = folder / "installed.txt", PINS.read_text("utf-8")
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Not renamed into place when it is whole, since its programs know where they are.
        if not done.exists() or done.read_text("utf-8") != pins:
            venv.create(folder, clear=True, with_pip=True)
            subprocess.run([folder / "bin/pip", "install", "--quiet", "-r", PINS], check=True)
            done.write_text(pins, "utf-8")
    return folder


@pytest.fixture(scope="module")
def superset(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    """Superset with the dashboard, prepared, filled and started by the documented commands."""
    folder, password = tmp_path_factory.mktemp("superset"), secrets.token_urlsafe()
    shutil.copytree(ROOT / "sql", folder / "sql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours = {
        "/your/warehouse.published": str(folder / "warehouse.published"),
        "create-admin": f"create-admin --username admin --firstname admin --lastname admin "
        f"--email admin@localhost --password {password}",
        "8088": str(port),
    }
    env = os.environ | {
        "HOME": str(folder),
        "PATH": f"{installed / 'bin'}:{os.environ['PATH']}",
        "SUPERSET_HOME": str(folder),
        "SUPERSET_SECRET_KEY": secrets.token_urlsafe(42),
    }
    account = busy_account(NOW, days=16, per_day=60)
    for sid in account.created_between(EMPTY_DAY, EMPTY_DAY + timedelta(days=1), inclusive=True):
        account.forget(sid)
    account.put(summary(1, timedelta(hours=1), mixer_region="us1", mixer_region_requested="de1"))
    account.put(summary(2, timedelta(hours=1), max_participants=2, max_concurrent_participants=2))
    with loaded_once(account, folder) as loaded:
        loaded.run()
        with duckdb.connect(loaded.path) as connection:
            people = People(connection)
            people.put(30, 1)
            people.put(9, 1, bad(mos=1.0, latency_avg=200.5), participant_region="jp1")
            people.put(5, 2, bad(packet_loss_percentage=9.5), country_code=None)
            silent = {"jitter_avg": 6.0, "jitter_max": 30.0, "is_silent": True}
            people.put(4, 2, {"inbound": silent}, call_type="sip")
            people.put(3, 2, {}, call_direction="outbound", participant_region=None)
        publish_now()
        commands = [
            c for c in documented_commands() if c.startswith(("superset", "sed", "python3 -m zip"))
        ]
        for written, own in ours.items():
            commands = [command.replace(written, own) for command in commands]
        for command in commands[:-1]:
            subprocess.run(command, shell=True, cwd=folder, env=env, check=True)
        with subprocess.Popen(shlex.split(commands[-1]), cwd=folder, env=env) as server:
            try:
                url = f"http://127.0.0.1:{port}/api/v1/"
                with httpx.Client(base_url=url, timeout=60) as api:
                    sign_in(api, password)
                    yield Superset(api, loaded)
            finally:
                server.terminate()


def sign_in(api: httpx.Client, password: str) -> None:
    """Wait until the server answers, and let it know who asks from now on."""
    who = {"username": "admin", "password": password, "provider": "db"}
    deadline = time.monotonic() + 120
    while True:
        with suppress(httpx.TransportError):
            token = api.post("security/login", json=who).json()["access_token"]
            break
        assert time.monotonic() < deadline
        time.sleep(0.5)
    api.headers["Authorization"] = f"Bearer {token}"
    api.headers["Referer"] = str(api.base_url)
    api.headers["X-CSRFToken"] = api.get("security/csrf_token/").json()["result"]


LAST_7_DAYS = "FROM analytics.conferences WHERE created_date BETWEEN '2026-11-13' AND '2026-11-19'"
A_WEEK_BEFORE = """
    (SELECT created_date + 7 AS created_date, count(*) AS conferences
    FROM analytics.conferences WHERE created_date BETWEEN '2026-11-05' AND '2026-11-12'
    GROUP BY ALL)
"""
CHANGE = """
    count(*) FILTER (created_date BETWEEN '2026-11-12' AND '2026-11-19')
    / nullif(count(*) FILTER (created_date BETWEEN '2026-11-05' AND '2026-11-12'), 0) - 1
"""
"""Of the full days that have their counterpart."""


FULL_DAYS = "BETWEEN '2026-11-04' AND '2026-11-19'"
QUALITY_PROBLEMS = "avg(has_quality_problem::INT) FILTER (completeness = 'final')"
AT_ONCE = """
    WITH runs AS (
        SELECT date_trunc('minute', start_time) AS f,
            coalesce(date_trunc('minute', end_time), DATE '2027-01-01') AS t,
            coalesce(max_concurrent_participants, 0) AS people
        FROM analytics.conferences
        WHERE NOT is_not_started AND (end_time >= start_time OR end_time IS NULL)
            AND (end_time IS NOT NULL OR completeness = 'pending')
    ),
    minutes AS (
        SELECT unnest(range(min(created_hour), max(created_hour) + INTERVAL 1 HOUR,
            INTERVAL 1 MINUTE)) AS m
        FROM analytics.conference_volume
    ),
    at_once AS (
        SELECT m, count(f) AS n, coalesce(sum(people), 0) AS people
        FROM minutes LEFT JOIN runs ON m BETWEEN f AND t GROUP BY m
    )
"""
"""Counted in each minute, from the hour of the first conference on."""


def and_a_week_later(table: str) -> str:
    """What is in a table, and for each of it a row a week later that counts nothing."""
    return f"""
        (SELECT *, 1 AS n FROM analytics.conference_{table}
        UNION ALL
        SELECT * REPLACE (created_date + 7 AS created_date), 0 AS n
        FROM analytics.conference_{table} WHERE created_date <= '2026-11-13')
    """


PARTICIPANTS = """
    count(*), count(is_poor), count(*) FILTER (is_poor), avg(CAST(is_poor AS INTEGER)),
    sum(coalesce(inbound_mos, 0) + coalesce(outbound_mos, 0))
        / nullif(count(inbound_mos) + count(outbound_mos), 0)
    FROM analytics.participants GROUP BY ALL
"""
EXPECTED = {
    "tile_conferences": f"SELECT count(*) {LAST_7_DAYS}",
    "tile_change": f"""
        SELECT (SELECT count(*) {LAST_7_DAYS}) / count(*) - 1
        FROM analytics.conferences WHERE created_date BETWEEN '2026-11-06' AND '2026-11-12'
    """,
    "tile_pending": f"SELECT count(*) {LAST_7_DAYS} AND processing_state = 'in_progress'",
    "tile_as_of": "SELECT as_of FROM analytics.data_as_of",
    **{
        f"tile_without_{kind}problem": f"""
            SELECT 1 - avg(CAST(has_{kind}problem AS INTEGER)) {LAST_7_DAYS}
            AND completeness = 'final'
        """
        for kind in ("", "quality_", "region_", "behavior_")
    },
    "volume_by_hour": """
        SELECT h.created_hour, count(c.conference_sid)
        FROM analytics.conference_volume AS h
        LEFT JOIN analytics.conferences AS c ON c.created_hour = h.created_hour
        GROUP BY ALL
    """,
    "volume_by_day": f"""
        SELECT d.created_date, count(c.conference_sid) FILTER (d.created_date {FULL_DAYS}),
            count(c.conference_sid) FILTER (NOT d.created_date {FULL_DAYS})
        FROM (SELECT DISTINCT created_date FROM analytics.conference_volume) AS d
        LEFT JOIN analytics.conferences AS c ON c.created_date = d.created_date GROUP BY ALL;
        SELECT d.created_date, max(b.conferences) FROM analytics.conference_volume AS d
        LEFT JOIN {A_WEEK_BEFORE} AS b ON b.created_date = d.created_date GROUP BY ALL
    """,
    "hour_of_week": """
        SELECT hour_of_day, weekday || ' ' || strftime(created_hour, '%a'),
            sum(conferences) / count(*)
        FROM analytics.conference_volume GROUP BY ALL
    """,
    "days_without_conferences": f"""
        SELECT DATE '{EMPTY_DAY:%Y-%m-%d}', '7 Sun', '{ACCOUNT_SID}', count(*), 1
        FROM analytics.conferences WHERE created_date = DATE '{EMPTY_DAY:%Y-%m-%d}' - 7
    """,
    "concurrency_by_hour": f"""
        {AT_ONCE}
        SELECT date_trunc('hour', m), '{ACCOUNT_SID}', max(n) FROM at_once GROUP BY ALL
    """,
    "concurrency_by_day": f"""
        {AT_ONCE}, days AS (
            SELECT CAST(m AS DATE) AS d, max(n) AS n, max(people) AS people
            FROM at_once GROUP BY ALL
        )
        SELECT d, '{ACCOUNT_SID}', d {FULL_DAYS}, n, lag(n) OVER (ORDER BY d),
            CASE WHEN d - 1 BETWEEN '2026-11-05' AND '2026-11-19' AND d {FULL_DAYS}
                THEN n / nullif(lag(n) OVER (ORDER BY d), 0) - 1 END, people
        FROM days ORDER BY d DESC LIMIT 10
    """,
    "length_by_end_reason": """
        SELECT account_name, coalesce(end_reason, 'none: never started'), count(*),
            quantile_cont(duration_seconds, 0.1) / 60, quantile_cont(duration_seconds, 0.5) / 60,
            quantile_cont(duration_seconds, 0.9) / 60, quantile_cont(duration_seconds, 0.99) / 60
        FROM analytics.conferences
        WHERE completeness = 'final' AND duration_seconds IS NOT NULL
            AND created_date < '2026-11-20'
        GROUP BY account_name, end_reason
    """,
    "quality_hour_of_week": f"""
        SELECT hour_of_day, weekday || ' ' || strftime(created_date, '%a'),
            CASE WHEN count(*) FILTER (completeness = 'final') >= 5 THEN {QUALITY_PROBLEMS} END
        FROM analytics.conferences GROUP BY ALL
    """,
    "quality_by_region_and_size": f"""
        SELECT coalesce(size_bucket || ' people', 'unknown'), coalesce(mixer_region, 'unknown'),
            {QUALITY_PROBLEMS}
        FROM analytics.conferences GROUP BY ALL
    """,
    "length_buckets": """
        SELECT CASE WHEN m < 1 THEN '00-01 min' WHEN m < 5 THEN '01-05 min'
            WHEN m < 15 THEN '05-15 min' WHEN m < 60 THEN '15-60 min' ELSE '60+ min' END, count(*)
        FROM (SELECT duration_seconds / 60 AS m FROM analytics.conferences
            WHERE completeness = 'final' AND duration_seconds IS NOT NULL)
        GROUP BY ALL
    """,
    "length_by_day": """
        SELECT created_date, sum(median_seconds) / 60, sum(p90_seconds) / 60
        FROM analytics.conference_length GROUP BY ALL
    """,
    "end_reasons": f"""
        WITH c AS (
            SELECT *, coalesce(end_reason, 'none: never started') AS reason
            FROM analytics.conferences WHERE completeness = 'final'
        )
        SELECT reason, count(*), {CHANGE}, avg(duration_seconds) / 60
        FROM c GROUP BY ALL
    """,
    "without_problem_by_day": """
        SELECT created_date, avg(CAST(NOT has_quality_problem AS INTEGER)),
            avg(CAST(NOT has_region_problem AS INTEGER)),
            avg(CAST(NOT has_behavior_problem AS INTEGER))
        FROM analytics.conferences WHERE completeness = 'final' GROUP BY ALL
    """,
    "tags_by_day": f"""
        SELECT created_date, tag, sum(n) FROM {and_a_week_later("tags")} GROUP BY ALL
    """,
    "detected_issues_by_day": f"""
        SELECT created_date, issue, sum(n) FROM {and_a_week_later("detected_issues")} GROUP BY ALL
    """,
    "issues": f"""
        WITH found AS (
            SELECT 'tag' AS kind, tag AS name, created_date, NULL AS issue_count
            FROM analytics.conference_tags
            UNION ALL
            SELECT 'detected_issue', issue, created_date, issue_count
            FROM analytics.conference_detected_issues
        )
        SELECT kind, name, count(*), {CHANGE}, sum(issue_count)
        FROM found GROUP BY ALL
    """,
    "regions": """
        SELECT coalesce(mixer_region, 'unknown'), coalesce(mixer_region_requested, 'none'), count(*)
        FROM analytics.conferences GROUP BY ALL
    """,
    "concurrency": """
        SELECT created_date, max(max_concurrent_participants) FROM analytics.conferences
        GROUP BY ALL;
        SELECT created_date, count(*) FILTER (max_concurrent_participants > 0.8 * max_participants),
            count(*) FILTER (max_concurrent_participants >= max_participants)
        FROM analytics.conferences GROUP BY ALL
    """,
    "completeness": """
        SELECT created_date, count(*) FILTER (processing_state = 'complete'),
            count(*) FILTER (processing_state = 'timeout'),
            count(*) FILTER (processing_state = 'in_progress'), 0
        FROM analytics.conferences GROUP BY ALL
    """,
    "worst_conferences": """
        SELECT conference_sid, create_time, account_name, severity, participants_touched,
            findings, duration_seconds, tags
        FROM analytics.conference_health_card
        ORDER BY severity_rank DESC, participants_touched DESC, findings DESC, create_time DESC
        LIMIT 10
    """,
    "periods": """
        SELECT period_days, k.conferences, p.prior_conferences,
            k.conferences / p.prior_conferences - 1, k.pending,
            k.total_seconds / k.conferences_with_duration / 60,
            p.prior_total_seconds / p.prior_conferences_with_duration / 60,
            k.final_without_quality_problem / k.final,
            p.prior_final_without_quality_problem / p.prior_final,
            k.final_without_region_problem / k.final,
            p.prior_final_without_region_problem / p.prior_final,
            k.final_without_behavior_problem / k.final,
            p.prior_final_without_behavior_problem / p.prior_final
        FROM analytics.conference_kpis AS k
        LEFT JOIN (FROM analytics.conference_kpis WHERE period_days <= 7) AS p USING (period_days)
    """,
    "tile_participants": "SELECT count(*) FROM analytics.participants",
    "tile_participants_poor": """
        SELECT avg(CAST(is_poor AS INTEGER)) FROM analytics.participants
    """,
    "tile_participants_silent": """
        SELECT count(*) FILTER (is_silent_inbound OR is_silent_outbound) FROM analytics.participants
    """,
    "tile_participants_mos": """
        SELECT avg(mos) FROM (
            SELECT inbound_mos AS mos FROM analytics.participants
            UNION ALL SELECT outbound_mos FROM analytics.participants
        )
    """,
    **{
        f"participants_by_{name}": f"SELECT coalesce({column}, 'unknown'), {PARTICIPANTS}"
        for name, column in {
            "region": "participant_region",
            "country": "country_code",
            "call_type": "call_type",
            "direction": "call_direction",
        }.items()
    },
    "participants_poor_by_day": """
        SELECT created_date, avg(CAST(is_poor AS INTEGER)), avg(CAST(is_latency_high AS INTEGER)),
            avg(CAST(is_jitter_high AS INTEGER)), avg(CAST(is_loss_high AS INTEGER)),
            avg(CAST(is_mos_low AS INTEGER))
        FROM analytics.participants GROUP BY ALL
    """,
    "participants_poor_by_region_and_day": """
        SELECT created_date, coalesce(participant_region, 'unknown'),
            avg(CAST(is_poor AS INTEGER))
        FROM analytics.participants GROUP BY ALL
    """,
    "worst_participants": """
        SELECT conference_sid, participant_sid, country_code, participant_region,
            is_latency_high::INT + is_jitter_high::INT + is_loss_high::INT + is_mos_low::INT AS n,
            greatest(inbound_packet_loss_percentage, outbound_packet_loss_percentage),
            greatest(inbound_jitter_avg, outbound_jitter_avg),
            greatest(inbound_latency_avg, outbound_latency_avg),
            least(inbound_mos, outbound_mos) AS mos, join_time
        FROM analytics.participants WHERE is_poor
        ORDER BY n DESC, mos, participant_sid LIMIT 10
    """,
    "data_as_of": """
        SELECT as_of, report_timezone, last_good_run_at, filters FROM analytics.data_as_of
    """,
    "freshness": """
        SELECT account_name, account_sid, conferences, last_created_at, pending,
            oldest_pending_created_at, expired
        FROM analytics.freshness
    """,
    "checks": """
        SELECT check_name, level, violations, sentence, sample, failing_since
        FROM analytics.checks
    """,
}


@pytest.mark.slow
def test_every_chart_shows_what_sql_says(superset: Superset) -> None:
    titles = {name: chart["slice_name"] for name, chart in read("charts").items()}
    charts = superset.charts()
    assert sorted(charts) == sorted(titles.values())
    with duckdb.connect(copy_of(superset.loaded), read_only=True) as copy:
        for name, title in titles.items():
            expected = [copy.execute(sql).fetchall() for sql in EXPECTED[name].split(";")]
            assert all(expected), name
            rows = counted(row for part in expected for row in part)
            assert superset.rows(charts[title]) == rows, name


@pytest.mark.slow
def test_superset_cannot_read_other_files(superset: Superset, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    count = "SELECT count(*) AS conferences FROM analytics.conferences"
    assert superset.ask(count).json()["data"] == [
        {"conferences": superset.loaded.query(count)[0][0]}
    ]
    for path in (tmp_path / "secret.csv", Path("/etc/passwd")):
        answer = superset.ask(f"SELECT * FROM read_csv('{path}')")
        assert answer.status_code >= 400
        assert "disabled" in answer.text


@pytest.mark.slow
def test_superset_sees_the_next_copy(superset: Superset, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = superset.loaded
    for name, value in environment(loaded.server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(loaded.path))
    chart = superset.charts()["Conferences per hour"]
    before = superset.rows(chart)
    loaded.account.now += timedelta(hours=1)
    assert loaded.run().rows_new
    assert superset.rows(chart) != before
    with duckdb.connect(copy_of(loaded), read_only=True) as copy:
        expected = copy.execute(EXPECTED["volume_by_hour"]).fetchall()
    assert superset.rows(chart) == counted(expected)
