"""The Insights API over HTTP: bounded waiting, every page checked before use."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from urllib.parse import quote, urlencode

from pipelines.times import iso_seconds, parse_duration
from pipelines.twilio_insights import codec
from pipelines.twilio_insights.api.accounts import (
    AccountsOrigin,
    ListedAccount,
    active,
    without_answers,
)
from pipelines.twilio_insights.api.clock import Clock
from pipelines.twilio_insights.api.concurrency import ConcurrencyLimiter
from pipelines.twilio_insights.api.decoding import PageDecoder, is_record
from pipelines.twilio_insights.api.origin import Answer, Decoder, Origin
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    InsightsError,
    InvalidQueryError,
    UnavailableError,
    listing,
    naming,
)
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES, RESOURCES, Resource
from pipelines.twilio_insights.settings import Settings

SETTINGS_PATH = "/v1/Voice/Settings"
ATTEMPTS = 8
FEWER_ATTEMPTS = {"malformed": 3, "QueryTimeout": 3}
"""By kind of fault: of what is likely to last."""
MAX_RETRY_AFTER, MAX_BACKOFF = 300.0, 30.0
"""Seconds."""
MAX_PAGES = 2_000
"""A list of more means a broken API."""
INVALID_PAGE_TOKEN = 21481
NO_FILTERS: Mapping[str, str] = MappingProxyType({})


class InsightsClient:
    """Lists and fetches records of an account and of its subaccounts; threads may share it.

    All accounts share one pace, but none waits for a Retry-After of another, nor uses up its
    retries.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.settings = settings
        self.progress = progress or Progress()
        self.stop = stop or threading.Event()
        """Set to give up waiting, and to end a listing after the page that is being read."""
        self._own = settings.account_sid or ""
        budget = parse_duration(settings.retry_budget).total_seconds()
        self._budgets: dict[str, float] = defaultdict(lambda: budget)
        self._lock = threading.Lock()
        self._decoders = {name: PageDecoder(one) for name, one in RESOURCES.items()}
        self._limiter = ConcurrencyLimiter(settings.max_concurrency, self.stop)
        self.clock = Clock(self.progress)
        self._origin = Origin(settings.base_url, settings, self.clock)

    def __enter__(self) -> InsightsClient:
        return self

    def cancel(self) -> None:
        """Whatever waits for its turn, or to try again, raises UnavailableError."""
        self._limiter.close()

    def __exit__(self, *error: object) -> None:
        self.cancel()
        self._origin.close()

    def now(self) -> datetime:
        """What time it is by the server (header `Date`), asked for if not yet known.

        Raises:
            InsightsError: refused, or no usable answer; if it told the time all the same, that is
                known from now on.
        """
        if not self.clock.is_set:
            here = datetime.now(UTC)
            self._get(self._listed(CONFERENCES, here - timedelta(seconds=1), here, page_size="1"))
        return self.clock.now()

    def advanced_features(self) -> bool | None:
        """Whether Voice Insights Advanced Features is active; None: the answer does not tell.

        Raises:
            InsightsError: refused, as it may be to a restricted key, or no usable answer.
        """
        body, _, status = self._get(SETTINGS_PATH)
        value = body.get("advanced_features") if status == 200 and isinstance(body, dict) else None
        return value if isinstance(value, bool) else None

    def accounts(self) -> list[ListedAccount]:
        """The active accounts that the credentials may list, their own among them or not.

        Raises:
            InsightsError: there was no usable answer, as for a key that may not list accounts.
        """
        with closing(AccountsOrigin(self.settings, self.clock)) as origin:

            def read(url: str) -> Page:
                return origin.page(self._get(url, origin, origin=origin))

            try:
                with naming("List of accounts"):
                    if found := active(self._walk(read, origin.first_page, "accounts")):
                        return found
                    raise BadAnswerError(
                        f"{origin.url} has no active account, not even that of the credentials"
                    )
            except InsightsError as error:
                fault = without_answers(error)
        raise fault

    def list_pages(
        self,
        resource: Resource,
        after: datetime,
        before: datetime,
        account: str | None = None,
        filters: Mapping[str, str] = NO_FILTERS,
    ) -> Iterator[Page]:
        """Walk the records created between two times, until there is no next page.

        Both bounds are always sent: with none, the API lists the last 24 hours only.

        Args:
            resource: what is listed.
            after: from when on.
            before: until when.
            account: whose records; None: those of the account of the credentials.
            filters: the value that each of these fields must have.

        Raises:
            InsightsError: a page could not be had; what was yielded before is good.
        """
        other = None if account == self._own else account
        url = self._listed(resource, after, before, subaccount=other, **filters)
        what = f"{iso_seconds(after)} to {iso_seconds(before)}"
        personal = (filters.get(column.name) for column in resource.columns if column.personal)
        self._origin.http.hide(*filter(None, personal))
        with listing(other and f"Account {other}"):
            yield from self._walk(partial(self._page, resource, account), url, what)

    def list_children(self, resource: Resource, parent: str, account: str) -> Iterator[Page]:
        """Walk the records that belong to one of the parent resource, by its key and account.

        Raises:
            InsightsError: a page could not be had; what was yielded before is good.
        """
        url = f"{resource.path_of(parent)}?PageSize={self.settings.page_size}"
        with listing(f"{resource.name.capitalize()} of {parent}"):
            yield from self._walk(partial(self._page, resource, account), url, parent)

    def fetch(self, resource: Resource, sid: str) -> Page:
        """Fetch one record: a page with one row, or with none after a 404 or the like.

        Raises:
            InsightsError: there was no usable answer.
        """
        url = f"{resource.path}/{quote(sid, safe='')}"
        body, fetched_at, status = self._get(url, self._decoders[resource.name])
        if status in (400, 404) and isinstance(body, dict):
            return Page([], fetched_at, status=status)
        if status != 200:
            raise BadAnswerError(f"{sid}: Twilio answered {self._origin.describe(status, body)}")
        if not is_record(body, resource, sid):
            raise BadAnswerError(f"The answer for {sid} is another record, or none")
        return Page([body], fetched_at)

    def find(
        self, resource: Resource, sid: str, account: str, after: datetime, before: datetime
    ) -> Page:
        """As `fetch`, for a record of any account, which must be created between two times: it is
        not documented that another account's can be had by its SID alone.

        Raises:
            InsightsError: there was no usable answer.
        """
        other = None if account == self._own else account
        url = self._listed(resource, after, before, subaccount=other, **{resource.key: sid})
        with naming(other and f"Account {other}"):
            for page in self._walk(partial(self._page, resource, account), url, sid):
                if not all(is_record(row, resource, sid) for row in page.rows):
                    raise BadAnswerError(f"The answer for {sid} is another record, or none")
                if page.rows:
                    return page
        return Page([], page.fetched_at, status=404)

    def _listed(
        self, resource: Resource, after: datetime, before: datetime, **filters: str | None
    ) -> str:
        query = {
            "created_after": iso_seconds(after),
            "created_before": iso_seconds(before),
            "page_size": str(self.settings.page_size),
        } | filters
        named = {name.title().replace("_", ""): value for name, value in query.items() if value}
        return f"{resource.path}?{urlencode(named)}"

    def _walk(self, read: Callable[[str], Page], first: str, what: str) -> Iterator[Page]:
        url: str | None = first
        visited: set[str] = set()
        while url is not None:
            if url in visited:
                raise BadAnswerError(
                    f"The API sent the same next_page_url twice after {len(visited)} pages of "
                    f"{what}; run again"
                )
            if len(visited) == MAX_PAGES:
                raise BadAnswerError(f"The API sent {MAX_PAGES} pages of {what}, and still more")
            visited.add(url)
            page = read(url)
            yield page
            url = page.next_url

    def _page(self, resource: Resource, account: str | None, url: str) -> Page:
        body, fetched_at, status = self._get(url, self._decoders[resource.name], account)
        meta = body.get("meta") if isinstance(body, dict) else None
        rows = body.get(resource.envelope) if isinstance(body, dict) else None
        # 0: there is none, so this is no page; None: it is the last one.
        next_url = meta.get("next_page_url", 0) if isinstance(meta, dict) else 0
        described = self._origin.describe(status, body)
        if isinstance(body, dict) and body.get("code") == INVALID_PAGE_TOKEN:
            raise ExpiredTokenError(f"{resource.path} answered {described}")
        if resource.parent and status == 404:
            return Page([], fetched_at, status=status)
        if status != 200 or not isinstance(rows, list) or not isinstance(next_url, str | None):
            kind = InvalidQueryError if status == 400 else BadAnswerError
            raise kind(
                f"{resource.path} answered {described}, not with `{resource.envelope}` and "
                f"`meta.next_page_url`; is {self.settings.base_url} the Insights API?"
            )
        return Page(rows, fetched_at, next_url or None)

    def _get(
        self,
        url: str,
        decoder: Decoder = codec,
        account: str | None = None,
        origin: Origin | None = None,
    ) -> Answer:
        """The answer to a request for something of an account, retried."""
        account, origin = account or self._own, origin or self._origin
        target = origin.target(url)
        faults: list[str] = []
        while True:
            try:
                with self._limiter.slot(account):
                    self.progress.count_request()
                    received = origin.http.get(target)
                answer = origin.read(received, decoder, account)
                self._limiter.on_success()
                return answer
            except UnavailableError as error:
                faults.append(error.kind)
                wait = None if error.kind == "closed" else self._wait(error, faults, account)
                if error.kind == "429":
                    self._limiter.on_throttle(wait if error.retry_after and wait else 0, account)
                if wait is None:
                    raise
                self.progress.count_retry(error)
                self._limiter.sleep(wait)

    def _wait(self, fault: UnavailableError, faults: list[str], account: str) -> float | None:
        """Seconds to wait before the next attempt; None: there is to be none."""
        wait = random.uniform(0, min(MAX_BACKOFF, 2.0 ** (len(faults) - 1)))
        if fault.retry_after is not None:  # with jitter, so that threads do not all return at once
            wait = min(fault.retry_after, MAX_RETRY_AFTER) + min(1.0, wait)
        most = FEWER_ATTEMPTS.get(fault.kind, ATTEMPTS)
        spent = len(faults) == ATTEMPTS or faults.count(fault.kind) == most
        with self._lock:
            if spent or wait > self._budgets[account] or self.stop.is_set():
                return None
            self._budgets[account] -= wait
        return wait
