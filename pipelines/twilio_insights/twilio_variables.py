"""What the variables of Twilio's own tools say: of credentials, and of region and edge."""

from __future__ import annotations

import os
import re

from pipelines.errors import SettingsError

TWILIO_NAMES = {
    "account_sid": "TWILIO_ACCOUNT_SID",
    "auth_token": "TWILIO_AUTH_TOKEN",
    "api_key_sid": "TWILIO_API_KEY",
    "api_key_secret": "TWILIO_API_SECRET",
}
"""What Twilio's own tools call the credentials."""
REGION, EDGE = "TWILIO_REGION", "TWILIO_EDGE"
EDGES = {
    "au1": "sydney",
    "br1": "sao-paulo",
    "de1": "frankfurt",
    "ie1": "dublin",
    "jp1": "tokyo",
    "jp2": "osaka",
    "sg1": "singapore",
    "us1": "ashburn",
    "us2": "umatilla",
}
"""Twilio's regions, and the edge of each where nobody names one."""


def from_twilio(name: str) -> tuple[str, str]:
    """What the variables of Twilio's own tools say of a setting, and which they are; blank if none.

    Raises:
        SettingsError: they name no region, or no edge.
    """
    if name == "base_url":
        return _regional_url()
    variable = TWILIO_NAMES.get(name, "")
    return os.environ.get(variable, "").strip(), variable


def _regional_url() -> tuple[str, str]:
    """Edge and region come after the name of the product, as in the URLs of Twilio's SDKs."""
    given = {name: os.environ.get(name, "").strip().lower() for name in (EDGE, REGION)}
    for name, label in given.items():
        if not re.fullmatch("[a-z0-9-]{0,20}", label):
            raise SettingsError(f"{name}: write a name such as dublin (edge) or ie1 (region)")
    region = given[REGION] or "us1"
    if not any(given.values()):
        return "", ""
    if not (edge := given[EDGE] or EDGES.get(region)):
        raise SettingsError(f"{REGION}: the edge of that region is not known; set {EDGE} too")
    origin = " and ".join(name for name in given if given[name])
    return f"https://insights.{edge}.{region}.twilio.com", origin
