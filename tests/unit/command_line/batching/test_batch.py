"""From a file to a batch in the bucket and one message: what is drawn, and that a batch is never half or twice."""

from __future__ import annotations

from tests.unit.command_line.batching.conftest import Person
from userdata.contract.layout import RunKeys

ROWS = 'prompt,seed,cfg_scale,name\na horse,7,5,first\n"a tree,\nand a lake",,,\n'


def test_a_file_of_rows_becomes_units_a_document_and_one_message(person: Person) -> None:
    person.account.deploy()
    run_id = person.batch("My horses.csv", ROWS, given={"Steps": "20", "Seed": "100"}, max_usd=3.5)
    assert run_id.startswith("my-horses-")
    images = person.images(run_id)
    assert [(one["prompt"], one["seed"], one["scale"], one["name"], one["line"]) for one in images.values()] == [
        ("a horse", 7, 5.0, "first", 2),
        ("a tree,\nand a lake", 101, 7.5, None, 3),
    ]
    assert {one["steps"] for one in images.values()} == {20}
    document = person.document(run_id)
    assert (document.images, document.title, document.max_usd) == (2, "My horses", 3.5)
    assert document.by == "arn:aws:sts::123456789012:user/moto"
    assert document.parts[0].bytes == len(person.read(RunKeys(run_id).units(0)))
    assert [(one.run_id, one.part) for one in person.sent()] == [(run_id, 0)]
    for command in (f"sd watch {run_id}", f"sd pause {run_id}", f"sd results {run_id} --zip"):
        assert command in person.said
