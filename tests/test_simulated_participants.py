"""The participants of the simulated API, read by Twilio's own SDK, and those that are made up."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from pipelines.simulator.account import ACCOUNT_SID, Account, Row
from pipelines.simulator.participants import participant_row
from pipelines.simulator.sample_data import busy_account, subaccount_sid
from pipelines.simulator.sample_metrics import QUALITY_TAGS
from pipelines.simulator.sample_participants import BAD_REGION
from pipelines.simulator.server import InsightsServer
from tests.conftest import NOW, sid, summary
from tests.test_simulator import client, get

HOUR = timedelta(hours=1)
MEASURES = (
    "total_packets_lost",
    "total_packets_received",
    "packet_loss_percentage",
    "jitter",
    "latency",
    "mos",
)
PROPERTIES = (
    "start_conference_on_enter",
    "end_conference_on_exit",
    "play_early_media",
    "early_media",
    "enter_muted",
    "beep_on_enter",
    "beep_on_exit",
)


def participant(number: int, conference: int = 1, **values: Any) -> Row:
    return participant_row(f"CP{number:032x}", sid(conference), NOW - HOUR) | values


@pytest.fixture
def account() -> Account:
    account = Account(NOW)
    account.put(summary(1, HOUR))
    account.put(summary(2, HOUR))
    labels, events = ("client", None), (None, {"mute": [1633705131000], "hold": []})
    rows = [
        participant(n, label=labels[n % 2], events=events[n % 3 == 0]) | {"from": "client:anna"}
        for n in range(12)
    ]
    account.put_participants(sid(1), rows)
    return account


@pytest.fixture
def server(account: Account) -> Iterator[InsightsServer]:
    with InsightsServer(account) as insights:
        yield insights


def sdk(server: InsightsServer, conference: int = 1) -> Any:
    return client(server).insights.v1.conferences(sid(conference)).conference_participants


def path(conference: int = 1) -> str:
    return f"/v1/Conferences/{sid(conference)}/Participants"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
class TestTwilioSdk:
    def test_lists_all_pages(self, server: InsightsServer) -> None:
        found = list(sdk(server).stream(page_size=5))
        assert [p.participant_sid for p in found] == [f"CP{n:032x}" for n in range(12)]
        assert [request.partition("?")[0] for request in server.requests] == [path()] * 3
        assert {(p.account_sid, p.conference_sid, p.join_time) for p in found} == {
            (ACCOUNT_SID, sid(1), NOW - HOUR)
        }
        assert sdk(server, 2).list() == []

    def test_has_all_properties(self, server: InsightsServer) -> None:
        known = {name.removeprefix("_") for name in vars(sdk(server).list()[0])}
        (row, *_) = get(server, path())[1]["participants"]
        assert row.keys() == known - {"version", "solution", "context"}
        assert len(row) == 27

    @pytest.mark.parametrize(
        ("filters", "count"),
        [
            ({"participant_sid": f"CP{3:032x}"}, 1),
            ({"label": "client"}, 6),
            ({"events": "mute"}, 4),
            ({"events": "hold"}, 0),
            ({"label": "client", "events": "mute", "page_size": 1}, 2),
        ],
        ids=str,
    )
    def test_filters(self, server: InsightsServer, filters: dict[str, Any], count: int) -> None:
        assert len(sdk(server).list(**filters)) == count

    def test_fetches_one(self, server: InsightsServer) -> None:
        found = sdk(server)(f"CP{3:032x}").fetch()
        assert (found._from, found.events["mute"]) == ("client:anna", [1633705131000])

    def test_sees_a_404_with_twilios_code(self, server: InsightsServer, account: Account) -> None:
        account.put_participants(sid(3), [participant(3, conference=3)])
        for asked in (sdk(server, 2)(f"CP{3:032x}"), sdk(server, 3)(f"CP{3:032x}")):
            with pytest.raises(TwilioRestException) as caught:
                asked.fetch()
            assert (caught.value.status, caught.value.code) == (404, 20404)


def test_pages_have_the_envelope_of_the_official_samples(server: InsightsServer) -> None:
    first = get(server, path() + "?Label=client&PageSize=5")[1]["meta"]
    url = f"{server.url}{path()}?Label=client&PageSize=5&Page="
    assert first == {
        "page": 0,
        "page_size": 5,
        "first_page_url": f"{url}0&PageToken=PT0",
        "previous_page_url": None,
        "url": f"{url}0&PageToken=PT0",
        "next_page_url": f"{url}1&PageToken=PT10",
        "key": "participants",
    }
    last = get(server, first["next_page_url"].removeprefix(server.url))[1]
    assert (len(last["participants"]), last["meta"]["next_page_url"]) == (1, None)
    assert get(server, path() + "?PageSize=1001")[1]["code"] == 17400
    assert get(server, path() + "?PageToken=x")[1]["code"] == 21481


def test_they_are_gone_with_their_conference(account: Account, server: InsightsServer) -> None:
    account.put(summary(4, 40 * 24 * HOUR))
    account.put(summary(5, HOUR), since=NOW + HOUR)
    account.put_participants(sid(5), [participant(5, conference=5)])
    assert [get(server, path(number))[0] for number in (1, 4, 5, 999)] == [200, 200, 404, 404]
    account.retention = timedelta(days=30)
    account.now += HOUR
    account.forget(sid(1))
    assert [get(server, path(number))[0] for number in (1, 4, 5)] == [404, 404, 200]
    for unknown in ("/Participants/", "/Participants/CP1/Events", "/Recordings", "/"):
        status, body, _ = get(server, f"/v1/Conferences/{sid(2)}{unknown}")
        assert (status, body["code"]) == (404, 20404)


def test_they_change_as_the_clock_moves(account: Account, server: InsightsServer) -> None:
    final = [participant(n, 2, processing_state="complete") for n in range(2)]
    account.put_participants(sid(2), final, since=NOW + HOUR)
    account.put_participants(sid(2), [participant(0, 2)], since=NOW)
    account.put_participants(sid(2), [participant(0, 2, label="later")])
    seen = []
    for _ in range(2):
        rows = get(server, path(2))[1]["participants"]
        seen.append([(row["label"], row["processing_state"]) for row in rows])
        account.now += HOUR
    assert seen == [[("later", "in_progress")], [(None, "complete")] * 2]


def test_of_a_subaccount_they_are_had_as_their_conference_is(
    account: Account, server: InsightsServer
) -> None:
    support = account.add_subaccount(subaccount_sid(1))
    support.put(summary(7, HOUR))
    support.put_participants(sid(7), [participant(7, 7)])
    login = support.sid, support.auth_token
    assert get(server, path(7), login)[1]["participants"][0]["account_sid"] == support.sid
    assert get(server, path(7))[0] == get(server, path(1), login)[0] == 404
    server.fetches_of_subaccounts = True
    assert len(get(server, path(7))[1]["participants"]) == 1
    support.advanced_features = False
    assert get(server, path(7))[1]["code"] == 17007
    assert get(server, path(7), (support.sid, "wrong"))[1]["code"] == 20003


def sampled(account: Account) -> dict[str, list[Row]]:
    sids = [row["conference_sid"] for row in account.rows()]
    return {sid: [row for row, _ in account.participants(sid)] for sid in sids}


def faults(row: Row) -> set[str]:
    """By Twilio's thresholds, of either direction."""
    found = set()
    for of in (row["metrics"] or {}).values():
        is_there = (
            of["packet_loss_percentage"] >= 5,
            of["jitter"]["avg"] >= 5 and of["jitter"]["max"] >= 20,
            of["latency"]["avg"] >= 150,
            of["mos"] <= 3.5,
        )
        found |= {tag for tag, yes in zip(QUALITY_TAGS, is_there, strict=True) if yes}
    return found


@pytest.fixture(scope="module")
def busy() -> Account:
    return busy_account(NOW, days=2, per_day=250)


def test_made_up_ones_are_the_same_whenever_they_are_asked_for(busy: Account) -> None:
    again = busy_account(NOW, days=2, per_day=250)
    assert sampled(busy) == sampled(again)
    with InsightsServer(again) as server:
        for conference_sid, rows in [*sampled(busy).items()][:20]:
            url = f"/v1/Conferences/{conference_sid}/Participants?PageSize=1000"
            assert get(server, url)[1]["participants"] == rows


def test_made_up_ones_agree_with_their_conference(busy: Account) -> None:
    compared = 0
    for conference in busy.rows():
        rows = [row for row, _ in busy.participants(conference["conference_sid"])]
        assert rows
        assert {row["account_sid"] for row in rows} == {busy.sid}
        states = {conference["processing_state"], *(row["processing_state"] for row in rows)}
        if states != {"complete"} or conference["status"] != "completed":
            continue
        compared += 1
        callers = {row["from" if row["call_direction"] == "inbound" else "to"] for row in rows}
        assert len(callers) == conference["unique_participants"]
        moments = [(row["join_time"], 1) for row in rows] + [
            (row["leave_time"], -1) for row in rows
        ]
        assert min(moments)[0] == conference["start_time"]
        assert max(moments)[0] == conference["end_time"]
        there = [0]
        for _, change in sorted(moments, key=lambda moment: (moment[0], -moment[1])):
            there.append(there[-1] + change)
        assert max(there) == conference["max_concurrent_participants"]
        assert conference["ended_by"] in {row["call_sid"] for row in rows}
        tags = {tag for tag in conference["tags"] or () if tag in QUALITY_TAGS}
        assert tags == set().union(*map(faults, rows))
        issues = conference["detected_issues"]
        assert sum(map(bool, map(faults, rows))) == issues["call_quality"]
        assert json.dumps(rows).count('"silent"') == issues["participant_behavior"]
        for twice in (conference["tag_info"] or {}).get("duplicate_identity", ()):
            same = {
                r["participant_sid"] for r in rows if r["from"] == twice["participant_identity"]
            }
            same |= {r["participant_sid"] for r in rows if r["to"] == twice["participant_identity"]}
            assert same == {*twice["participant_sids"]}
    assert compared > 500


def test_made_up_ones_have_what_the_official_samples_have(busy: Account) -> None:
    rows = [row for rows in sampled(busy).values() for row in rows]
    assert {len(row) for row in rows} == {27}
    measures = [of for row in rows for of in (row["metrics"] or {}).values()]
    assert {key for of in measures for key in of} == {*MEASURES, "tags"}
    numbers = {type(of["packet_loss_percentage"]) for of in measures}
    assert numbers == {type(of["latency"]["avg"]) for of in measures} == {int, float}
    spelled = {key for row in rows for key in row["properties"]}
    assert spelled == {*PROPERTIES}
    events = {key for row in rows for key in row["events"] or ()}
    assert events == {"mute", "hold", "coaching", "coaching_stopped"}
    for row in rows:
        joined, left = (
            row[name] and datetime.fromisoformat(row[name]) for name in ("join_time", "leave_time")
        )
        for moment in (ms for times in (row["events"] or {}).values() for ms in times):
            assert joined <= datetime.fromtimestamp(moment / 1000, NOW.tzinfo) <= left
        assert (row["outbound_time_in_queue"] is None) == (row["call_direction"] == "inbound")
        assert row["is_coach"] == bool(row["coached_participants"])
    calls = {row["call_sid"] for row in rows}
    assert {call for row in rows for call in row["coached_participants"] or ()} < calls
    for name, least in {"country_code": 10, "call_type": 3, "participant_region": 5}.items():
        assert len({row[name] for row in rows}) >= least


def test_made_up_ones_become_final_by_themselves() -> None:
    account, ranks = busy_account(NOW, days=1, per_day=200), ("in_progress", "timeout", "complete")
    reached: dict[str, int] = {}
    seen = set()
    for account.now in (NOW, NOW + HOUR, NOW + 24 * HOUR, NOW + 9 * 24 * HOUR):
        for conference in account.rows():
            for row, _ in account.participants(conference["conference_sid"]):
                rank = ranks.index(row["processing_state"])
                assert rank >= reached.get(row["participant_sid"], 0)
                reached[row["participant_sid"]] = rank
                seen.add((conference["processing_state"], row["processing_state"]))
    assert {*reached.values()} == {1, 2}
    assert seen >= {
        ("in_progress", "in_progress"),
        ("in_progress", "complete"),
        ("complete", "in_progress"),
        ("complete", "timeout"),
        ("timeout", "timeout"),
    }


def test_made_up_ones_are_there_for_any_summary() -> None:
    account, issues = busy_account(NOW, days=0, per_day=1), {"call_quality": 9}
    for number in range(20):
        row = summary(number, HOUR, tags=["new"], detected_issues=issues)
        account.put(row, since=NOW - 3 * HOUR)
        rows = [row for row, _ in account.participants(sid(number))]
        assert {row["conference_region"] for row in rows} == {None}
        assert all(faults(row) for row in rows)


def test_made_up_ones_are_there_where_nobody_is_named_twice() -> None:
    info = {"duplicate_identity": [{"participant_identity": "anna"}]}
    account = busy_account(NOW, days=1, per_day=1)
    account.put(summary(1, 2 * HOUR, tags=["duplicate_identity"], tag_info=info))
    assert account.participants(sid(1))


def test_one_region_has_bad_quality(busy: Account) -> None:
    poor = defaultdict(list)
    for rows in sampled(busy).values():
        for row in rows:
            if row["metrics"]:
                poor[row["participant_region"]].append(bool(faults(row)))
    shares = {region: sum(found) / len(found) for region, found in poor.items()}
    assert shares.pop(BAD_REGION) > 0.4
    assert all(0.02 < share < 0.1 for share in shares.values())
    assert len(shares) == 4
