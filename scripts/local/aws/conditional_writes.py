"""S3's conditional writes: one at a time, and every condition that the product could send is obeyed or refused.

moto looks at a key and then writes it, so that two writers at a time could both be the first; on AWS one of them hears
412 or 409. Who reads meanwhile gets the object as it was or as it is, as on AWS. moto passes over If-Match of an upload
in parts, which is refused here because nothing sends it. Copies with a condition on what they replace are refused as
documented.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from scripts.local.aws.replaced import replaced

NOT_IMPLEMENTED = (
    "<Error><Code>NotImplemented</Code>"
    "<Message>A header you provided implies functionality that is not implemented</Message></Error>"
)


@contextlib.contextmanager
def conditional_writes() -> Iterator[None]:
    """Obeys and refuses that while the context lasts."""
    one_at_a_time = threading.Lock()

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def write(response: Any, *given: Any) -> Any:
            if_match, if_none_match = response.headers.get("If-Match"), response.headers.get("If-None-Match")
            name = original.__name__
            is_unknown = if_none_match not in (None, "*") or (if_match and name == "_key_response_post")
            if is_unknown or (name == "copy_object" and (if_match or if_none_match)):
                return 501, {}, NOT_IMPLEMENTED
            if not if_match and not if_none_match:
                return original(response, *given)
            with one_at_a_time:
                return original(response, *given)

        return write

    names = ("_key_response_post", "copy_object", "delete_object", "put_object")
    with replaced(
        {(S3Response, name): around(S3Response.__dict__[name]) for name in names}
        # moto closes what a write replaces, while somebody may read it, who hears 500. It goes with its last reader.
        | {(FakeKey, "dispose"): lambda key, garbage=False: None}
    ):
        yield
