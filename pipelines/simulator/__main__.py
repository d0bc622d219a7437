"""`python -m pipelines.simulator [PORT]`: a simulated account to try a schedule on."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime

import click

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer

PORT = 8765


@click.command()
@click.argument("port", type=int, default=PORT)
@click.option(
    "--subaccounts",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Add this many subaccounts that have no conferences.",
)
def main(port: int, subaccounts: int) -> None:
    """Serve a simulated account on loopback, by default on PORT 8765, until Ctrl-C.

    It has two subaccounts, one of them without Voice Insights Advanced Features. Prints the
    settings that load them all, with their participants, for a shell in an empty folder. Their
    clock is this machine's, and there are new calls until the end of tomorrow, UTC.

    \b
    Examples:
      python -m pipelines.simulator > simulated.env
      python -m pipelines.simulator --subaccounts 1000 > simulated.env
    """
    # A shell that starts it in the background has it ignore this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        serve(port, subaccounts)
    except KeyboardInterrupt:
        sys.exit(130)


def serve(port: int, subaccounts: int) -> None:
    account = busy_tree(datetime.now(UTC), idle=subaccounts)
    try:
        server = InsightsServer(account, port)
    except (OSError, OverflowError) as error:
        sys.exit(f"Port {port} cannot be used, choose another: {error}")
    server.fetches_of_subaccounts = True  # else their participants answer 404
    with server:
        sys.stdout.write(
            f"TWILIO_ACCOUNT_SID={ACCOUNT_SID}\nTWILIO_AUTH_TOKEN={AUTH_TOKEN}\n"
            "TWILIO_API_KEY=\nTWILIO_API_SECRET=\n"  # the user's own would go before the token
            f"SOURCES__TWILIO_INSIGHTS__BASE_URL={server.url}\n"
            "SOURCES__TWILIO_INSIGHTS__ACCOUNTS=all\n"
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANTS=true\n"
            # Made-up data belongs in none of the user's own places.
            "DESTINATION_TYPE=duckdb\nDESTINATION__DUCKDB__CREDENTIALS=simulated.duckdb\n"
            "PUBLISH__DIRECTORY=simulated.published\n"
        )
        sys.stdout.flush()
        sys.stderr.write(f"Simulated Twilio answers on {server.url}; Ctrl-C ends it\n")
        while True:
            time.sleep(1)
            account.now = datetime.now(UTC).replace(microsecond=0)


if __name__ == "__main__":
    main(prog_name="python -m pipelines.simulator")
