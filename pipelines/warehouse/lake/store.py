"""Where a lake is: a folder, or a bucket by the URLs and variables that `object_store` knows."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pipelines.errors import SettingsError
from pipelines.exit_codes import REFUSED, UNAVAILABLE
from pipelines.times import parse_duration
from pipelines.warehouse.warehouse import BusyError, WarehouseError

_STORAGE = {
    "connect_timeout": "10s",
    "timeout": "60s",
    "max_retries": "5",
    "retry_timeout": "120s",
}
"""How long a bucket that does not answer is waited for; credentials, region and endpoint are in the
variables of its own tools, such as AWS_ACCESS_KEY_ID."""
_SCHEMES = re.compile(
    r"abfss?|adl|az|azblob|azdls|azure|b2|cos|dbfs|file|gc?s|hdfs|lakefs|obs|oss|s3a?|sftp|swift|"
    r"tos|uc|viewfs|webdav|webhdfs|opendal\+\w+"
)
"""Of the URLs that `deltalake` takes, but what is in memory."""
_REFUSED = re.compile("40[13] |AccessDenied|lacked the necessary privileges|Unauthenticated")
_DOWN = re.compile("error sending request|client error|dns error|timed out|\\b50[0-9] |max_retries")
_NO_CREDENTIALS = re.compile("credential provider was not enabled|IMDS is disabled")
_HAS_PASSWORD = re.compile(r"[^/]*:(?!\d*(/|$))|.*:.*@", re.DOTALL)
"""What follows the scheme of a URL; a host may have a port, and Azure has container@account."""
_UNFINISHED = re.compile(r"#\d+\Z")
_COLOUR = re.compile(r"\x1b\[\d*m")

T = TypeVar("T")
ATTEMPTS = 50
"""How often a write is tried while others write the same table."""
DEFAULT_KEEP = "7d"
MOST_KEPT = timedelta(days=30)
"""The logs of the tables are kept as long."""


class LakeSettings(NamedTuple):
    """The folder or URL of a lake, and how long its earlier states can be read."""

    url: str
    keep: timedelta


def lake_of(url: str | None, keep: str | None) -> LakeSettings | None:
    """Read the settings of the lake: a URL or the whole path of a folder, and a duration.

    Raises:
        SettingsError: one is wrong, or a package is missing.
    """
    try:
        kept = parse_duration(keep or DEFAULT_KEEP)
        if not timedelta(hours=1) <= kept <= MOST_KEPT:
            raise ValueError("write a duration from 1h to 30d")
    except ValueError as error:
        raise SettingsError(f"publish.lake_keep: {error}") from None
    if not url:
        return None
    scheme, is_url, bucket = url.partition("://")
    if is_url and not (_SCHEMES.fullmatch(scheme.lower()) and bucket.strip("/")):
        raise SettingsError("publish.lake: write a folder, or a bucket, as s3://bucket/prefix")
    if "?" in url or (is_url and _HAS_PASSWORD.match(bucket)):  # not repeated
        raise SettingsError(
            "publish.lake: write no ? and no password into it; credentials of a bucket belong in "
            "the variables of its own tools, such as AWS_ACCESS_KEY_ID"
        )
    expect_package()
    return LakeSettings(url, kept)


def expect_package() -> None:
    """Raise a SettingsError if a lake cannot be used here."""
    if find_spec("deltalake") is None:
        raise SettingsError(
            "A lake needs one more package, deltalake: pip install 'conference-insights[lake]'"
        )


class LakeError(WarehouseError):
    """A lake cannot be written or read; its readers still have its former state."""


class LakeRefusedError(LakeError):
    """The bucket refuses the credentials, or what they ask for."""

    exit_code = REFUSED


class LakeUnavailableError(LakeError):
    """The bucket cannot be reached."""

    exit_code = UNAVAILABLE


class Store:
    """The tables of a lake, by name, and the files of each."""

    def __init__(self, url: str) -> None:
        expect_package()
        import deltalake  # which takes time, and may be missing
        import deltalake.exceptions
        import deltalake.fs

        self.url, self.delta = url.rstrip("/"), deltalake
        self.conflict = deltalake.exceptions.CommitFailedError
        """Raised where another writer was faster."""
        self._options = _STORAGE if "://" in url else {}

    def uri(self, table: str) -> str:
        return f"{self.url}/{table}"

    def open(self, table: str, version: int | None = None) -> Any:
        """The table, at its newest version or another."""
        return self.delta.DeltaTable(
            self.uri(table), version=version, storage_options=self._options
        )

    def filesystem(self, table: str) -> Any:
        """Where Arrow finds the files of a table; None for a bucket, which deltalake reads for it.

        That is done by threads that call Python, and aborts a program that ends meanwhile.
        """
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        return None if self._options else SubTreeFileSystem(self.uri(table), LocalFileSystem())

    def exists(self, table: str) -> bool:
        return bool(self.delta.DeltaTable.is_deltatable(self.uri(table), self._options))

    def create(self, table: str, schema: Any, by: list[str], stats: list[str]) -> Any:
        """Make the table, unless there is one; the least and the largest values of the columns in
        `stats` alone are in its log, where nothing is ever deleted for a person's sake."""
        configuration = {
            "delta.dataSkippingStatsColumns": ",".join(stats),
            # When it is safe is known to us alone: see `Commits`.
            "delta.enableExpiredLogCleanup": "false",
            "delta.logRetentionDuration": f"interval {MOST_KEPT.days} days",
        }
        return self.delta.DeltaTable.create(
            self.uri(table),
            schema,
            mode="ignore",
            partition_by=by,
            configuration=configuration,
            storage_options=self._options,
        )

    def again(self, write: Callable[[], T]) -> T:
        """Call `write`, again as long as another writer of the same table is faster.

        Raises:
            BusyError: others always were.
        """
        for attempt in range(ATTEMPTS):
            try:
                return write()
            except self.conflict:
                time.sleep(random.random() * min(attempt + 1, 20) / 20)
        raise BusyError(f"Others write to {self.url} all the time; the next run does it")

    def make_folder(self) -> None:
        if not self._options:
            Path(self.url).mkdir(parents=True, exist_ok=True)

    def listed(self, folder: str = "", recursive: bool = False) -> list[str]:
        """Paths in the lake."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(folder, allow_not_found=True, recursive=recursive)
        return [found.path for found in self._files.get_file_info(selector)]

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._files.delete_file(path)

    def delete_unfinished(self, folder: str) -> None:
        """Delete files that nobody came to rename, as `….parquet#1`: what lists a lake hides them.
        A bucket has parts of uploads instead, which only a rule of its own deletes."""
        if "://" not in self.url.removeprefix("file://"):
            for file in Path(self.url.removeprefix("file://"), folder).rglob("*"):
                if _UNFINISHED.search(file.name):
                    file.unlink(missing_ok=True)

    @property
    def _files(self) -> Any:
        from pyarrow.fs import PyFileSystem

        return PyFileSystem(self.delta.fs.DeltaStorageHandler(self.url, self._options))


@contextmanager
def lake_errors(url: str, then: str = "") -> Iterator[None]:
    """Raise what a disk, a network or a bucket causes as a LakeError; `then` ends its message."""
    errors: tuple[type[Exception], ...] = (OSError,)
    with suppress(ImportError):  # as `Store` says
        from deltalake.exceptions import DeltaError

        errors += (DeltaError,)
    try:
        yield
    except errors as error:
        raise _explained(url, str(error), then) from None


def _explained(url: str, error: str, then: str) -> LakeError:
    text = _COLOUR.sub("", error)
    said = " ".join(text.replace("↳", " ").split())[:600]
    if _NO_CREDENTIALS.search(text):
        return LakeRefusedError(
            f"There are no credentials for {url}: set those of its tools, such as "
            f"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION{then}"
        )
    if _REFUSED.search(text):
        return LakeRefusedError(
            f"The lake {url} refuses the credentials, or they lack the right to list, read, write "
            f"and delete there: {said}{then}"
        )
    if "NoSuchBucket" in text:
        return LakeError(f"There is no bucket of that name: {url}{then}")
    if _DOWN.search(text):
        return LakeUnavailableError(f"The lake {url} cannot be reached: {said}{then}")
    return LakeError(f"The lake {url} cannot be used: {said}{then}")
