"""The same in a bucket of a real server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pipelines.lake_spark import read
from pipelines.warehouse.lake.store import LakeError
from tests.conftest import install_beside, python
from tests.lake.test_faults import S3
from tests.lake.test_writers import assert_read_while_written
from tests.lakes import (
    Publisher,
)

SERVER = """
import logging, sys, threading
from werkzeug.serving import make_server
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication, MotoRequestHandler, create_backend_app
)
application, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()
def one_at_a_time(environ, start):  # as S3 is: its conditions are checked and met in one step
    with lock:
        return [b"".join(application(environ, start))]
logging.getLogger("werkzeug").disabled = True
server = make_server("127.0.0.1", 0, one_at_a_time, True, request_handler=MotoRequestHandler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
MOTO = (
    "moto==5.2.5 boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 jmespath==1.1.0 flask==3.1.3 "
    "flask-cors==6.0.5 werkzeug==3.1.9 jinja2==3.1.6 markupsafe==3.0.4 itsdangerous==2.2.0 "
    "blinker==1.9.0 responses==0.26.3 xmltodict==1.0.4 py-partiql-parser==0.6.3 "
    "python-dateutil==2.9.0.post0 six==1.17.0"
)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`moto`, which is S3 with its conditional writes, in a process of its own."""
    folder = install_beside("moto-5.2.5", *MOTO.split())
    server = python(SERVER, PYTHONPATH=str(folder))
    assert server.stdout
    url = server.stdout.readline().strip()
    for name, value in (S3 | {"AWS_ENDPOINT_URL": url}).items():
        monkeypatch.setenv(name, value)
    httpx.put(f"{url}/bucket").raise_for_status()
    yield "s3://bucket/some/lake"
    server.kill()
    server.communicate()


@pytest.mark.slow
def test_a_bucket_is_read_while_two_write_it(one: Publisher, two: Publisher, bucket: str) -> None:
    one.lake = two.lake = bucket
    assert_read_while_written(one, two, 2)


@pytest.mark.slow
def test_a_bucket_forgets_what_is_personal(one: Publisher, two: Publisher, bucket: str) -> None:
    one.lake = two.lake = bucket
    two.publish()
    one.publish()
    one.publish(personal_data=False)
    store = read(bucket).store
    (own,) = [c.warehouse for c in read(bucket).commits if not c.may_have_personal]
    listed = store.listed(f"conference_summaries/warehouse={own}", recursive=True)
    there = {path for path in listed if path.endswith(".parquet")}
    files = read(bucket).files("conference_summaries")
    assert there == {f.removeprefix(f"{bucket}/") for f in files if f"warehouse={own}/" in f}
    one.lake = "s3://another/lake"
    with pytest.raises(LakeError, match="There is no bucket of that name: s3://another/lake"):
        one.publish()
