"""`python -m pipelines.simulator [PORT]`: a lively simulated account, to try a schedule on."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.lively import lively_account
from pipelines.simulator.server import InsightsServer

PORT = 8765


def main() -> None:
    """Serve until the process is stopped; the account's clock goes with this machine's."""
    account, ticking = lively_account(datetime.now(UTC)), threading.Event()
    with InsightsServer(account, int(sys.argv[1]) if sys.argv[1:] else PORT) as server:
        sys.stdout.write(
            f"TWILIO_ACCOUNT_SID={ACCOUNT_SID}\nTWILIO_AUTH_TOKEN={AUTH_TOKEN}\n"
            f"SOURCES__TWILIO_INSIGHTS__BASE_URL={server.url}\n"
        )
        sys.stdout.flush()
        while not ticking.wait(1):
            account.now = datetime.now(UTC).replace(microsecond=0)


if __name__ == "__main__":
    # A shell that starts it in the background has it ignore this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
