"""The participants of a conference, as the Insights API lists them and has each of them."""

from __future__ import annotations

import re
from datetime import datetime

from pipelines.simulator.account import ACCOUNT_SID, BASE_URL, Account, Row, iso
from pipelines.simulator.paging import Paging
from pipelines.simulator.parameters import fits

_FILTERS = {"ParticipantSid": "participant_sid", "Label": "label", "Events": "events"}
_PROPERTIES = dict.fromkeys(
    re.findall(
        r"\w+",
        "participant_sid label conference_sid call_sid account_sid call_direction from to "
        "call_status country_code is_moderator join_time leave_time duration_seconds "
        "outbound_queue_length outbound_time_in_queue jitter_buffer_size is_coach "
        "coached_participants participant_region conference_region call_type processing_state "
        "properties events metrics url",
    )
)


def participant_row(sid: str, conference_sid: str, joined: datetime) -> Row:
    """All 27 properties of a participant who is in a conference."""
    return _PROPERTIES | {
        "participant_sid": sid,
        "conference_sid": conference_sid,
        "account_sid": ACCOUNT_SID,
        "join_time": iso(joined),
        "processing_state": "in_progress",
        "url": f"{BASE_URL}/{conference_sid}/Participants/{sid}",
    }


def participants_body(
    account: Account, conference_sid: str, below: list[str], url: str, query: dict[str, str]
) -> bytes | None:
    """A page of a conference's participants, or one of them; None: there is no such thing.

    Args:
        below: what follows the conference in the path.
        url: the whole, without the query.

    Raises:
        ValueError: a parameter is wrong; the message names it.
    """
    everyone = account.participants(conference_sid)
    match below:
        case ["Participants"]:
            paging = Paging.of(url, query)
            positions = range(paging.start, len(everyone))
            fitting = (at for at in positions if fits(everyone[at][0], query, _FILTERS))
            return paging.page("participants", ((at, everyone[at][1]) for at in fitting))
        case ["Participants", sid]:
            return next((body for row, body in everyone if row["participant_sid"] == sid), None)
    return None
