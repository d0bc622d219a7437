"""dlt as this program uses it: told everything, asking nobody.

dlt looks for each of its settings in the environment, in files of the working, home and temporary
folder, and in outer sections there. Settings of other programs, or another user's files, would
decide what is loaded and where to. So it gets one provider of settings, which has these and no
others, and a folder of its own.

Of dlt's internals only what is used here and in the modules `one_transaction.py` of
`pipelines/warehouse` is relied on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

for _name in [name for name in os.environ if name.startswith("DLT_")]:
    del os.environ[_name]  # dlt reads some of them when it is imported
os.environ["DLT_DISABLE_PLUGINS"] = "true"  # else all that is installed is searched for them

import dlt  # noqa: E402
from dlt.common.configuration.container import Container  # noqa: E402
from dlt.common.configuration.providers.provider import ConfigProvider  # noqa: E402
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext  # noqa: E402
from dlt.common.configuration.specs.runtime_configuration import (  # noqa: E402
    RuntimeConfiguration,
)
from dlt.common.configuration.utils import get_resolved_traces  # noqa: E402
from dlt.common.data_writers import BufferedDataWriter  # noqa: E402
from dlt.common.runtime.run_context import RunContext  # noqa: E402
from dlt.common.storages import data_item_storage  # noqa: E402
from dlt.extract import extract  # noqa: E402

SETTINGS: dict[str, Any] = {
    "providers.enable_airflow_secrets": False,  # wherever Airflow is installed it would be asked
    "runtime.intercept_signals": False,  # a signal ends a run at a window edge, not inside a load
    "enable_runtime_trace": False,  # it would repeat error texts in a file, and takes time
    "restore_from_destination": False,  # dlt's state holds nothing: the tables have it
    "load.workers": 1,  # DuckDB uses all cores for one statement; more only cost memory
    "load.delete_completed_jobs": True,  # else every package stays on disk, with what it loaded
    "load.auto_abort_on_terminal_error": True,  # else a package that can never load blocks all
    "data_writer.buffer_max_items": 20_000,  # rows of a Parquet row group; it is read as a whole
    "data_writer.compression": "none",  # a file that is read once, and soon
}
"""By path; whatever is not here is as dlt has it by default."""


class _Told(ConfigProvider):
    """The settings above, each at its full path."""

    name = "conference-insights"
    supports_secrets = supports_sections = True

    def get_value(
        self, key: str, _: type[Any], pipeline_name: str | None, *sections: str
    ) -> tuple[Any, str]:
        path = ".".join((*sections, key))
        return (None if pipeline_name else SETTINGS.get(path)), path


class _OwnContext(RunContext):
    """Everything that dlt keeps is in one folder; no log of its own, no telemetry."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._global_dir = folder

    run_dir = local_dir = data_dir = settings_dir = property(lambda self: self._global_dir)

    def initial_providers(self) -> list[ConfigProvider]:
        return [_Told()]

    def initialize_runtime(self, *_: Any) -> None:
        self._runtime_config = RuntimeConfiguration(dlthub_telemetry=False)


class _Writer(BufferedDataWriter[Any]):
    """dlt makes a template of the whole path of a file: a `%` of a folder's name stays what it is,
    as in the folders that Jenkins makes for branches."""

    def __init__(self, spec: Any, template: str, **more: Any) -> None:
        folder, name = os.path.split(template)
        super().__init__(spec, os.path.join(folder.replace("%", "%%"), name), **more)  # noqa: PTH118


class _NoText:
    """dlt writes the columns of all tables as YAML for its trace, which is off: some 40 ms a load
    package."""

    @staticmethod
    def dump(*_: Any, **__: Any) -> str:
        return ""


_storage: Any = data_item_storage
_storage.BufferedDataWriter = _Writer
_extract: Any = extract
_extract.yaml = _NoText


def make_pipeline(name: str, destination: Any, dataset: str, folder: Path) -> dlt.Pipeline:
    """A pipeline that no setting outside this program has a say in."""
    Container()[PluggableRunContext] = PluggableRunContext(_OwnContext(str(folder)))
    # With its trace off, dlt would never forget them: they hold the rows of every package.
    get_resolved_traces().logging_enabled = False
    return dlt.pipeline(
        name, destination=destination, dataset_name=dataset, pipelines_dir=str(folder)
    )
