"""Whether a cron line can come true; POSIX crontab(5) fields plus names, steps and @aliases."""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ALIASES = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_PART = re.compile(r"(\*|([0-9]+)(?:-([0-9]+))?)(?:/([0-9]+))?")


def cron_problem(line: str) -> str | None:
    """What is wrong with a cron line, or None; a line that can never come true is wrong."""
    if line in _ALIASES:
        return None
    words = line.split()
    if line.startswith("@") or len(words) != len(_FIELDS):
        return f"`{line}` is no schedule"
    values = []
    for word, (name, low, high) in zip(words, _FIELDS, strict=True):
        found = _values(word.lower(), name, low, high)
        if found is None:
            return f"`{word}` is no {name} ({low} to {high})"
        values.append(found)
    _, _, days, months, weekdays = values
    # With a weekday given as well, cron runs when either matches.
    every_weekday = weekdays >= set(range(7))
    if every_weekday and all(min(days) > _LONGEST.get(month, 31) for month in months):
        return f"`{line}` never comes: no month in it has day {min(days)}"
    return None


def _values(word: str, name: str, low: int, high: int) -> set[int] | None:
    for names, first in ((_MONTHS, 1), (_DAYS, 0)):
        if name == ("month" if first else "weekday"):
            for number, text in enumerate(names, start=first):
                word = word.replace(text, str(number))
    values: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        start = low if match[1] == "*" else int(match[2])
        end = high if match[1] == "*" or (match[4] and not match[3]) else int(match[3] or start)
        step = int(match[4] or 1)
        if not (low <= start <= end <= high) or step < 1:
            return None
        values |= set(range(start, end + 1, step))
    return values
