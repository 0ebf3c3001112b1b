"""Rewrites of what is done with times: patterns, differences, parts and zones.

Facts: Trino's documentation of its date and time functions, and of Joda's patterns.
"""

import re

from sqlglot import exp

from cirtlib.engine.nodes import call, literal, refuse, text

_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "Y": "%Y", "yy": "%y", "xxxx": "%G", "MMMM": "%B", "MMM": "%b", "MM": "%m",
    "dd": "%d", "HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S", "SSSSSS": "%f", "SSS": "%g", "EEEE": "%A",
    "EEE": "%a", "EE": "%a", "E": "%a", "e": "%u", "a": "%p", "DDD": "%j", "M": "%-m", "d": "%-d", "H": "%-H",
    "h": "%-I", "m": "%-M", "s": "%-S", "ww": "%V",
}  # fmt: skip
_ZONES = {"Z": "+0000", "ZZ": "+00:00", "ZZZ": "UTC"}
_UTC = ("utc", "z", "gmt", "etc/utc", "+00:00", "zulu")
_LOCAL = (exp.TimeToStr, exp.Extract, exp.Hour, exp.Minute, exp.Second, exp.Day, exp.Month, exp.Year, exp.DayOfWeek,
          exp.DayOfYear, exp.Week, exp.Quarter)  # fmt: skip


def _joda(pattern: str | None, *, parsed: bool) -> exp.Expression:
    """DuckDB's writing of a Joda time pattern."""
    if pattern is None:
        raise refuse("a time pattern that is no literal")
    result = ""
    for match in re.finditer(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+", pattern):
        part = match[0]
        if part.startswith("'"):
            result += (part[1:-1].replace("''", "'") or "'").replace("%", "%%")
        elif part[0].isalpha():
            known = {**_JODA, **(dict.fromkeys(("Z", "ZZ"), "%z") if parsed else _ZONES)}
            if part not in known:
                raise refuse(f"the time pattern {part!r}", "use date_format(time, '%Y-%m-%d %H:%i:%s')")
            result += known[part]
        else:
            result += part.replace("%", "%%")
    return text(result)


def parse_datetime(node: exp.ParseDatetime) -> exp.Expression:
    """Joda pattern; the time is UTC's."""
    pattern = _joda(literal(node.args.get("format") or node.args.get("expression")), parsed=True)
    return exp.cast(call("strptime", node.this, pattern), "timestamptz", dialect="duckdb")


def format_datetime(node: exp.Anonymous) -> exp.Expression:
    """Joda pattern, not MySQL's."""
    time, pattern = node.expressions
    if isinstance(time, exp.AtTimeZone) and re.search("[Zz]", re.sub("'[^']*'", "", literal(pattern) or "")):
        raise refuse("format_datetime() with the offset of another time zone", "write the offset as text in quotes")
    return call("strftime", time, _joda(literal(pattern), parsed=False))


def date_format(node: exp.TimeToStr) -> exp.Expression:
    """MySQL's %v is the week of ISO 8601."""
    pattern = literal(node.args.get("format"))
    if pattern is None:
        raise refuse("a time pattern that is no literal")
    node.set("format", text(re.sub("%(.)", lambda match: "%V" if match[1] == "v" else match[0], pattern)))
    return node


def to_iso8601(node: exp.Anonymous) -> exp.Expression:
    """A date, a time, and a time with its zone are written each in its own way."""
    return call("athena_to_iso8601", node.expressions[0])


def date_diff(node: exp.DateDiff) -> exp.Expression:
    """Complete units between two times, not boundaries crossed."""
    unit = text(node.text("unit").lower() or "day")
    return call("date_sub", unit, node.expression, node.this)


def extract(node: exp.Extract) -> exp.Expression:
    """Days of the week count from Monday, 1."""
    part = node.name.lower()
    return (
        exp.Extract(this=exp.var("isodow"), expression=node.expression)
        if part in ("dow", "day_of_week", "dayofweek")
        else node
    )


def at_time_zone(node: exp.AtTimeZone) -> exp.Expression:
    """Times here are UTC's; another zone serves where its hour or day is read off at once."""
    return _in_zone(node, node.this, node.args["zone"])


def at_timezone(node: exp.Anonymous) -> exp.Expression:
    """at_timezone(time, zone), as AT TIME ZONE."""
    return _in_zone(node, node.expressions[0], node.expressions[1])


def with_timezone(node: exp.Anonymous) -> exp.Expression:
    """A time without zone, taken as that zone's."""
    if (literal(node.expressions[1]) or "").lower() in _UTC:
        return exp.cast(node.expressions[0].copy(), "timestamptz", dialect="duckdb")
    return exp.AtTimeZone(
        this=exp.cast(node.expressions[0].copy(), "timestamp", dialect="duckdb"), zone=node.expressions[1].copy()
    )


def _in_zone(node: exp.Expression, time: exp.Expression, zone: exp.Expression) -> exp.Expression:
    moment = exp.cast(time.copy(), "timestamptz", dialect="duckdb")
    if (literal(zone) or "").lower() in _UTC:
        return moment
    user = node.parent
    while isinstance(user, exp.Paren):
        user = user.parent
    read = isinstance(user, _LOCAL) or (isinstance(user, exp.Anonymous) and user.name.lower() == "format_datetime")
    if literal(zone) is None or not read:
        raise refuse(
            f"AT TIME ZONE {zone.sql('athena')}",
            "times are UTC here; write date_format(time AT TIME ZONE 'America/New_York', '%Y-%m-%d %H:%i:%s')",
        )
    return exp.AtTimeZone(this=moment, zone=zone.copy())
