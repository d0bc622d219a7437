"""Where the commands that only read find the data: the published copy, or the server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pipelines.run.destination import publish_settings, warehouse_place
from pipelines.warehouse.copy.folder import FILE, adopt_former, expect_own
from pipelines.warehouse.warehouse import Place


def own_copy() -> Path | Place:
    """The copy of the configured warehouse, whether it is there or not; a server as it is.

    Raises:
        SettingsError: a setting is wrong.
        OSError: the copies there are another warehouse's.
    """
    place = warehouse_place()
    copies = publish_settings(place).directory
    if place.path is None or copies is None:
        return place
    with suppress(OSError):  # a reader may not be allowed to write
        adopt_former(copies, place.path)
    expect_own(copies, place.path)
    return copies / "current" / FILE
