"""The text below the options on the help page of a command."""

from __future__ import annotations

EXITS = "Exit codes: see conference-insights --help"
MORE = f"\b\nSettings: see conference-insights run --help\n{EXITS}"
DURATIONS = f"A DURATION is written like 90s, 15m, 2h or 7d.\n\n{MORE}"
LOADING = f"""\b
Settings, as environment variables:
  TWILIO_ACCOUNT_SID                 the account, with
  TWILIO_AUTH_TOKEN                  its auth token, or
  TWILIO_API_KEY, TWILIO_API_SECRET  an API key
  DESTINATION__DUCKDB__CREDENTIALS   the warehouse file, by default warehouse.duckdb
  DESTINATION_TYPE                   postgres, if the warehouse is on a server
  DESTINATION__POSTGRES__CREDENTIALS its URL: postgresql://user:password@host:5432/database
All of them are in pipelines/settings.md; `conference-insights doctor` shows yours.

{EXITS}"""
RUN = f"A DURATION is written like 90s, 15m, 2h or 7d.\n\n{LOADING}"
