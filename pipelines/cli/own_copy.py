"""Where the commands that only read find the published copy."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pipelines.run.destination import publish_settings, warehouse_path
from pipelines.warehouse.published import FILE, adopt_former, expect_own


def own_copy() -> Path:
    """The copy of the configured warehouse, whether it is there or not.

    Raises:
        SettingsError: a setting is wrong.
        OSError: the copies there are another warehouse's.
    """
    warehouse = warehouse_path()
    copies = publish_settings(warehouse).directory
    with suppress(OSError):  # a reader may not be allowed to write
        adopt_former(copies, warehouse)
    expect_own(copies, warehouse)
    return copies / "current" / FILE
