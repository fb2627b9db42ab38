"""A bucket with runs as the worker leaves them, with pages and, of earlier versions, without."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts.command_line.main import main
from tests.unit.command_line.conftest import Account
from tests.unit.page.records import records
from userdata.contract.layout import RunKeys
from userdata.page.facts import facts_of_run
from userdata.page.html import run_page
from userdata.page.shard import make_shards
from userdata.page.thumbnail import thumbnail_of
from userdata.record.image_metadata import png_with_record

PutRun = Callable[..., RunKeys]


@pytest.fixture
def put_run(account: Account) -> PutRun:
    """Puts a run of drawn images into the account's bucket; its page only with `page`."""
    account.deploy()

    def put(run_id: str, *, images: int = 2, page: bool = True, **of_job: Any) -> RunKeys:
        keys = RunKeys(run_id)
        made = records(images, run_id=run_id, **of_job)
        account.put_run(run_id, images=0)
        for record in made:
            picture = Image.new("RGB", (64, 64), (record.index, 100, 200))
            png = png_with_record(picture, record)
            account.put(keys.image(record.index), png)
            account.put(keys.image_metadata(record.index), record.to_json())
            if page:
                account.put(keys.thumbnail(record.index), thumbnail_of(png))
        if page:
            for number, shard in enumerate(make_shards(made)):
                account.put(keys.page_shard(f"{number:05}"), shard.to_script())
            facts = facts_of_run(run_id, title="a", model="demo", started_at="", images=images, shards=["00000"])
            account.put(keys.page_facts, facts.to_script())
            account.put(keys.index, run_page())
        return keys

    return put


@pytest.fixture
def sd(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Types `sd` with some words in an empty folder: the exit status, and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("boto3.Session", lambda **_: account.session)

    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sd", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    yield typed


def picture_of(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))
