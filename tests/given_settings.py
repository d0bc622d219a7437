"""Settings as a test gives them, in files and variables, and the ways in which they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from dlt.common.configuration.resolve import resolve_configuration

from pipelines.run.destination import publish_settings, warehouse_place
from pipelines.run.settings import slack_hook, source_settings
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights import TwilioInsightsConfiguration
from pipelines.twilio_insights.settings import SECTION

CANARY = "canary-5b1d-in-the-mine"
SECRETS, CONFIG = Path(".dlt/secrets.toml"), Path(".dlt/config.toml")
OWN = ".".join(SECTION)


def write(file: Path, text: str, mode: int = 0o600) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)


READERS = [
    source_settings,
    lambda: resolve_configuration(TwilioInsightsConfiguration(), sections=SECTION),
]


def read_all() -> None:
    source_settings()
    publish_settings(warehouse_place())
    slack_hook()
