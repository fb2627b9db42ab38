"""Feeds each parser of what comes from outside with odd bytes: a value comes out, or the error that it promises."""
