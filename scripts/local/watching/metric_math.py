"""CloudWatch's metric math, as far as the product's alarms use it.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html: comparisons and logical
operators give 1 or 0, FILL takes the place of missing data, and everything else over missing data is missing.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Number = float | None
OPERATORS: dict[type, Callable[[Any, Any], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
# CloudWatch's words for what Python writes otherwise.
WORDS = {r"\bAND\b": "and", r"\bOR\b": "or", r"&&": " and ", r"\|\|": " or "}


def evaluate(expression: str, values: Mapping[str, Number]) -> Number:
    """The expression at one moment; `values` are the metrics by id, None where one is missing.

    Raises `ValueError` for anything that is not emulated, and for an id that no metric has.
    """
    python = expression
    for word, written in WORDS.items():
        python = re.sub(word, written, python)
    try:
        return _value(ast.parse(python.strip(), mode="eval").body, values)
    except (SyntaxError, KeyError) as error:
        raise ValueError(f"The local cloud does not emulate the expression {expression}: {error}") from error


def _value(node: ast.expr, values: Mapping[str, Number]) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            pair = _value(left, values), _value(right, values)
            return None if None in pair else float(OPERATORS[type(op)](*pair))
        case ast.BoolOp(op=op, values=parts):
            found = [_value(part, values) for part in parts]
            joined = all(found) if isinstance(op, ast.And) else any(found)
            return None if None in found else float(joined)
        case ast.Call(func=ast.Name(id="FILL"), args=[series, fill], keywords=[]):
            value = _value(series, values)
            return _value(fill, values) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise], keywords=[]):
            decided = _value(condition, values)
            return None if decided is None else _value(then if decided else otherwise, values)
    raise KeyError(ast.unparse(node))
