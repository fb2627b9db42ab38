from __future__ import annotations

import re

from tests.unit.page.records import HOSTILE, records
from userdata.page.html import gallery_page, run_page, shared_page
from userdata.page.shard import make_shards


def test_a_page_is_whole_and_asks_nobody() -> None:
    for page in (run_page().decode(), gallery_page().decode()):
        assert not re.search(r"<!--[A-Z]+-->", page)
        # The names of namespaces are no addresses that anybody asks.
        assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
        assert "default-src &#x27;none&#x27;" in page
        assert "unsafe-inline" not in page


def test_a_shared_page_carries_its_data_and_shows_images_of_one_place() -> None:
    data = [shard.to_script() for shard in make_shards(records(1, prompt=HOSTILE))]
    page = shared_page(data, images_from="https://bucket.s3.amazonaws.com", note="Until <noon>.").decode()
    assert "img-src https://bucket.s3.amazonaws.com;" in page
    assert "Until &lt;noon&gt;." in page
    assert page.count("</script>") == 2
