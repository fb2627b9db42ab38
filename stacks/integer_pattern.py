"""Regular expressions for ranges of numbers.

CloudFormation's type Number lets 1.5 pass, and its AllowedPattern is for text only: so whole numbers are text here,
with a pattern that holds their range.
"""

from __future__ import annotations


def integer_pattern(low: int, high: int) -> str:
    """A pattern that matches the decimal numbers from `low` to `high`, both included, and nothing else.

    Numbers have no leading zero, and a sign only below 0. Raises `ValueError` unless low <= high and -9 <= low.
    """
    if not -9 <= low <= high:
        raise ValueError(f"no range of whole numbers: {low} to {high}")
    alternatives = [str(number) for number in range(low, min(0, high + 1))]
    start = max(low, 0)
    while start <= high:
        end = _end_of_block(start, high)
        alternatives.append(_block_pattern(str(start), str(end)))
        start = end + 1
    return f"^(?:{'|'.join(alternatives)})$"


def decimal_pattern(low: int, high: int) -> str:
    """A pattern that matches the decimal fractions from `low` to `high`, both included, such as 7.5.

    Raises `ValueError` unless 0 <= low < high.
    """
    below = integer_pattern(low, high - 1).strip("^$")
    return rf"^(?:{below}(?:\.[0-9]{{1,13}})?|{high}(?:\.0{{1,13}})?)$"


def _end_of_block(start: int, high: int) -> int:
    """The last number of the largest block from `start` that one pattern covers, such as 40-79 or 300-999."""
    size = 1
    while start and start % (size * 10) == 0 and start + size * 10 - 1 <= high:
        size *= 10
    digit = start // size % 10
    further = min(9 - digit, (high + 1 - start) // size - 1)
    return start + (further + 1) * size - 1


def _block_pattern(start: str, end: str) -> str:
    pattern = ""
    free_digits = 0
    for first, last in zip(start, end, strict=True):
        if first == last:
            pattern += first
        elif (first, last) == ("0", "9"):
            free_digits += 1
        else:
            pattern += f"[{first}-{last}]"
    repeat = {0: "", 1: "[0-9]"}.get(free_digits, f"[0-9]{{{free_digits}}}")
    return pattern + repeat
