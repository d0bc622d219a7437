"""No setting of dlt has a say in a run, wherever it is set, and whatever it says."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common import known_env
from dlt.common.configuration.container import Container
from dlt.common.configuration.resolve import inject_section, resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration, PluggableRunContext
from dlt.common.configuration.specs.base_configuration import ContainerInjectableContext
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.version import __version__ as dlt_version

from pipelines.run import loading, pinned_dlt, settings
from tests.conftest import ROOT, Command, Loaded, summary

HOUR = timedelta(hours=1)
assert loading  # it imports all of dlt that a run needs

ELSEWHERE = re.compile(  # what no pipeline into DuckDB resolves
    r"dlt\.destinations\.impl\.(?!duckdb)|dlt\.helpers|.*_credentials$|dlt\._workspace"
)
LEVELS = [
    "",
    "sources",
    "sources.twilio_insights.twilio_insights",
    "sources.twilio_insights.pages",
    "twilio_insights",
    "pipelines",
    "pipelines.run.pipeline",
    "pipeline",
    "conference_insights",
    "conference_insights.sources.twilio_insights",
    "conference_insights.destination.duckdb",
    "conference_insights.load",
    "conference_insights.normalize",
    "destination",
    "destination.duckdb",
    "destination.duckdb.credentials",
    "load",
    "load.data_writer",
    "normalize",
    "normalize.data_writer",
    "normalize.parquet_normalizer",
    "extract",
    "extract.data_writer",
    "sources.data_writer",
    "data_writer",
    "schema",
    "runtime",
    "providers",
]
OURS = {".".join(path) for path in settings.DEFAULTS} | {"destination.duckdb.credentials.database"}


def specs() -> list[type[BaseConfiguration]]:
    """All that dlt could fill in for a run, from any module of it that is imported by then."""

    def below(spec: type[BaseConfiguration]) -> Iterator[type[BaseConfiguration]]:
        for one in spec.__subclasses__():
            yield one
            yield from below(one)

    found = {
        spec
        for spec in below(BaseConfiguration)
        if spec.__module__.startswith("dlt.")
        and not ELSEWHERE.match(spec.__module__)
        and not issubclass(spec, ContainerInjectableContext)
    }
    return sorted(found, key=lambda spec: (spec.__module__, spec.__name__))


def hostile_names() -> list[str]:
    """Each field at each level, without the settings of the program."""
    names = {name for spec in specs() for name in spec.get_resolvable_fields()}
    names |= {"base_url", "auth_token", "api_key_sid", "lookback", "database", "credentials"}
    paths = {f"{level}.{name}".strip(".") for level in LEVELS for name in names}
    return sorted(paths - OURS)


def as_toml(values: Iterable[tuple[str, Any]]) -> str:
    """What cannot be in one file with all others, since it is the name of a table, is left out."""
    values = list(values)
    tables = {path.rsplit(".", up)[0] for path, _ in values for up in range(1, path.count(".") + 1)}
    tables |= OURS
    lines = []
    for path, value in values:
        if path not in tables:
            text = str(value).lower() if isinstance(value, bool | int) else f'"{value}"'
            lines.append(f"{path} = {text}\n")
    return "".join(lines)


@dataclass
class Canary:
    """Listens, and must never be called."""

    listening: socket.socket

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}/canary"

    def was_called(self) -> bool:
        self.listening.setblocking(False)
        try:
            self.listening.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def canary() -> Iterator[Canary]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Canary(listening)


def test_a_canary_tells() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Canary(listening)
        assert not found.was_called()
        socket.create_connection(listening.getsockname()).close()
        assert found.was_called()


def as_dlt_resolves_it(spec: type[BaseConfiguration]) -> Iterator[str]:
    """Its fields, for each section that a run asks for it in."""
    for sections in [(), ("sources", "twilio_insights", "pages"), ("destination", "duckdb")]:
        for pipeline_name in (None, "conference_insights"):
            context = ConfigSectionContext(pipeline_name=pipeline_name, sections=sections)
            with inject_section(context):
                try:
                    yield spelt(resolve_configuration(spec(), accept_partial=True))
                except Exception as error:
                    yield repr(error)


def spelt(value: Any) -> str:
    if isinstance(value, BaseConfiguration):
        names = value.get_resolvable_fields()
        return str({name: spelt(getattr(value, name, None)) for name in names})
    return re.sub(r" at 0x\w+", "", repr(value))


HOSTILE = ["true", "auto", "7", "{elsewhere}", "{url}"]


@pytest.mark.parametrize("value", HOSTILE)
def test_each_field_of_dlt_is_as_if_nothing_were_set(
    value: str, canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(specs()) > 30, f"dlt {dlt_version} has others"
    assert {"PipelineConfiguration", "LoaderConfiguration", "DuckDbClientConfiguration"} <= {
        spec.__name__ for spec in specs()
    }
    value = value.format(elsewhere=tmp_path / "elsewhere", url=canary.url)

    def resolve_all() -> dict[str, Any]:
        pinned_dlt.make_pipeline(
            "conference_insights", dlt.destinations.duckdb(":memory:"), "calls", tmp_path / "work"
        )
        return {f"{s.__module__}.{s.__qualname__}": list(as_dlt_resolves_it(s)) for s in specs()}

    clean = resolve_all()
    names = hostile_names()
    for name in names:
        monkeypatch.setenv(name.replace(".", "__").upper(), value)
    text = as_toml((name, value) for name in names)
    for folder in (".dlt", "home/.dlt", "tmp/dlt", "work/.dlt", "work"):
        for file in ("config.toml", "secrets.toml"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, file).write_text(text)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    found = resolve_all()
    assert {name: found[name] for name in clean if clean[name] != found[name]} == {}
    assert not canary.was_called()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.thorough
def test_dlt_asks_for_each_pinned_setting_and_gets_no_other(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    tell = pinned_dlt._Told.get_value

    def note(
        told: Any, key: str, hint: type[Any], pipeline_name: str | None, *sections: str
    ) -> tuple[Any, str]:
        value, path = tell(told, key, hint, pipeline_name, *sections)
        asked[f"{pipeline_name or ''}:{path}"] = value
        return value, path

    monkeypatch.setattr(pinned_dlt._Told, "get_value", note)
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    providers = Container()[PluggableRunContext].providers.providers
    assert [type(provider) for provider in providers] == [pinned_dlt._Told]
    answered = {path: value for path, value in asked.items() if value is not None}
    wanted = {f":{path}": value for path, value in pinned_dlt.SETTINGS.items()}
    assert answered == wanted, f"dlt {dlt_version} no longer asks for what is pinned"
    assert len(asked) > 300


NOTE = """
import os, sys

_events = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        is_written = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        event = "write" if is_written else "read"
    if event in ("write", "read", "os.mkdir", "os.rename", "os.remove", "import"):
        os.write(_events, f"{{event}} {{arguments[0]}}\\n".encode())
    elif event == "socket.connect":
        os.write(_events, f"connect {{arguments[1]}}\\n".encode())


sys.addaudithook(_hook)
"""
"""Python imports a module of this name at its start."""


@dataclass
class Hostile:
    """A folder with settings that are none of this program's, and what a run in it did."""

    folder: Path
    canary: Canary

    @property
    def noting(self) -> Path:
        return self.folder / "noting"

    def prepare(self) -> dict[str, str]:
        """A home folder that is none, Airflow, and a Python that notes what it does."""
        (self.noting / "airflow/models").mkdir(parents=True)
        (self.noting / "airflow/__init__.py").write_text("")
        (self.noting / "airflow/models/__init__.py").write_text("class Variable: get = print\n")
        (self.noting / "sitecustomize.py").write_text(NOTE.format(log=f"{self.noting}/events"))
        (self.folder / "tmp").mkdir()
        return {
            "HOME": f"{self.folder}/nowhere",
            "TMPDIR": f"{self.folder}/tmp",
            "XDG_DATA_HOME": f"{self.folder}/xdg",
            "PYTHONPATH": f"{self.noting}:{ROOT}",
            "AIRFLOW_CTX_TASK_ID": "task",
            "AIRFLOW_CTX_DAG_ID": "dag",
            "CI": "true",
        }

    def pairs(self, shift: int) -> list[tuple[str, Any]]:
        """Each setting, with values that take turns."""
        path, url = f"{self.folder}/elsewhere", self.canary.url
        values = [True, "auto", 7, path, url, "x", -1]
        return [(n, values[(i + shift) % len(values)]) for i, n in enumerate(hostile_names())]

    def in_environment(self, shift: int) -> dict[str, str]:
        found = {name.replace(".", "__").upper(): str(value) for name, value in self.pairs(shift)}
        found |= dict.fromkeys(DLT_VARIABLES, f"{self.folder}/elsewhere")
        return {
            name: value for name, value in (found | BELIEVABLE).items() if name not in os.environ
        }

    def with_a_file_as_home(self) -> dict[str, str]:
        (self.folder / "a-file").write_text("")
        return {"HOME": f"{self.folder}/a-file"}

    def in_file(self, name: str, shift: int) -> dict[str, str]:
        file = self.folder / ".dlt" / name
        file.parent.mkdir()
        file.write_text(as_toml(self.pairs(shift)))
        file.chmod(0o600)
        return {}

    def in_folders_of_others(self) -> dict[str, str]:
        """The program's own settings, where dlt would find them."""
        text = f'sources.twilio_insights.base_url = "{self.canary.url}"\n'
        text += 'destination.duckdb.credentials = "elsewhere.duckdb"\nfull_refresh = true\n'
        for name in ("tmp/dlt", "xdg/dlt", "tmp/.dlt", "noting/.dlt"):
            folder = self.folder / name
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("config.toml", "secrets.toml"):
                (folder / file).write_text(text)
        return {}

    def files(self) -> set[str]:
        return {str(path) for path in self.folder.rglob("*") if "noting" not in path.parts}

    def assert_nothing_was_done_elsewhere(self, port: int) -> None:
        assert not self.canary.was_called()
        lines = (self.noting / "events").read_text().splitlines()
        assert len(lines) > 1000
        folder = re.escape(str(self.folder))
        others = re.compile(
            rf"(write|os.mkdir) (?!{folder}/(warehouse|published)|/dev/null$)/(?!.*__pycache__)"
            rf"|(read|write|os.mkdir) (/var/dlt|{folder}/(nowhere|xdg|tmp/\.?dlt|noting/\.dlt))"
            rf"|connect (?!\('127\.0\.0\.1', {port}\))"
            r"|import airflow"
        )
        assert [line for line in lines if others.match(line)] == []


DLT_VARIABLES = [name for name in vars(known_env) if name.startswith("DLT_")]
BELIEVABLE = {
    "DLT_DISABLE_PLUGINS": "false",
    "DLT_USE_JSON": "simplejson",
    "DLT_INTERVAL_START": "2000-01-01T00:00:00Z",
    "DLT_INTERVAL_END": "2000-01-02T00:00:00Z",
    "DLT_ALLOW_EXTERNAL_SCHEDULERS": "True",
}
SETS: dict[str, Callable[[Hostile], dict[str, str]]] = {
    "environment": lambda hostile: hostile.in_environment(0) | hostile.with_a_file_as_home(),
    "config.toml": lambda hostile: hostile.in_file("config.toml", 1),
    "secrets.toml": lambda hostile: hostile.in_file("secrets.toml", 2),
    "folders of others": lambda hostile: hostile.in_folders_of_others(),
}
MARKS = {name: () if name == "environment" else pytest.mark.programs for name in SETS}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "made", [pytest.param(SETS[name], marks=marks, id=name) for name, marks in MARKS.items()]
)
def test_a_run_is_the_same_whatever_is_set_for_dlt(
    made: Callable[[Hostile], dict[str, str]],
    loaded: Loaded,
    canary: Canary,
    process: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DLT_DATA_DIR")
    for number in range(3):
        loaded.account.put(summary(number, number * HOUR + HOUR))
    hostile = Hostile(tmp_path, canary)
    environment = hostile.prepare() | made(hostile)
    before = hostile.files()
    done = process("run", **environment)
    assert done.returncode == 0, done.stderr
    loaded.assert_exact()
    schemas = loaded.query("SELECT schema_name FROM duckdb_schemas() WHERE NOT internal")
    assert {name for (name,) in schemas} <= {"main", "conference_insights", "analytics"}
    hostile.assert_nothing_was_done_elsewhere(loaded.server.server_address[1])
    ours = tuple(str(tmp_path / name) for name in ("warehouse.duckdb", "warehouse.published"))
    assert [path for path in hostile.files() - before if not path.startswith(ours)] == []


@pytest.mark.thorough
def test_dlt_still_makes_the_text_for_its_trace_that_is_left_out(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Any]()
    monkeypatch.setattr(pinned_dlt._NoText, "dump", lambda *values, **_: made.append(values))
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    assert made, f"dlt {dlt_version} no longer does: `_NoText` can go"
