"""One small rewrite for each construct that DuckDB would answer differently from Athena, or not at all.

Each takes a node of an Athena syntax tree and gives the node to put in its place, or raises `QueryError` naming the
construct when there is no faithful one. Facts: Trino's documentation of its functions, checked against DuckDB 2.0.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from cirtlib.engine import casts, lists, macros, times
from cirtlib.engine.nodes import call, literal, number, refuse, text
from cirtlib.errors import QueryError

_FORMAT = re.compile(r"%(%|n|s|d|,d|0?\d*d|\.\d+f)")
_URL_FUNCTIONS = ("url_decode", "url_encode", "url_extract_protocol", "url_extract_host", "url_extract_port",
                  "url_extract_path", "url_extract_query", "url_extract_fragment", "url_extract_parameter")  # fmt: skip
_LONGEST = 2**31 - 1

# functions that mean the same under the same name, of those that sqlglot has no node for
_ALIKE = ("map_entries", "map_values", "map_concat", "histogram", "hamming_distance", "geometric_mean", "yow",
          "bit_count")  # fmt: skip


def regexp_extract(node: exp.RegexpExtract) -> exp.Expression:
    """No match is NULL."""
    return call("athena_regexp_extract", node.this, node.expression, node.args.get("group") or number(0))


def regexp_replace(node: exp.RegexpReplace) -> exp.Expression:
    """`$1` is a group."""
    replacement = node.args.get("replacement") or text("")
    if isinstance(replacement, exp.Lambda):
        raise refuse("regexp_replace with a function as its replacement")
    written = literal(replacement)
    if written is None or not re.search(r"[$\\]", written):
        return call("athena_regexp_replace", node.this, node.expression, replacement)
    if re.search(r"\$(?!\d)|\$\d\d", re.sub(r"\\.", "", written)):
        raise refuse(f"regexp_replace with the replacement {written!r}", "name groups by one digit, as in $1")
    pattern = literal(node.expression)
    if pattern is not None:
        _check_groups(pattern, written)
    # a backslash takes the next character as it stands; DuckDB wants groups and backslashes the other way about
    parts = re.findall(r"\\.|\$\d|[^\\$]+", written, re.DOTALL)
    mended = "".join(_replacement_part(part) for part in parts)
    arguments = [node.this, node.expression, text(mended), text("g")]
    return call("regexp_replace", *arguments)


def _replacement_part(part: str) -> str:
    if part.startswith("$"):
        return "\\" + part[1]
    if part.startswith("\\"):
        part = part[1]
    return part.replace("\\", "\\\\")


def _check_groups(pattern: str, replacement: str) -> None:
    groups = len(re.findall(r"(?<!\\)\((?!\?)", pattern))
    wanted = max((int(digit) for digit in re.findall(r"(?<!\\)\$(\d)", replacement)), default=0)
    if wanted > groups:
        raise QueryError(f"regexp_replace: the pattern {pattern!r} has no group {wanted} for {replacement!r}")


def split_part(node: exp.SplitPart) -> exp.Expression:
    """Past the end is NULL."""
    return call("athena_split_part", node.this, node.args["delimiter"], node.args["part_index"])


def json_extract(node: exp.JSONExtract | exp.JSONExtractScalar) -> exp.Expression:
    """Malformed JSON is NULL, and so is an object or an array asked for as a scalar."""
    if node.args.get("json_query"):
        raise refuse("json_query", "use json_extract(value, '$.path')")
    path = node.expression
    if isinstance(path, exp.JSONPath):
        path = text(_path(path))
    elif (literal(path) or "").startswith(("lax ", "strict ")):
        raise refuse("an SQL/JSON path", "write it as '$.path'")
    scalar = isinstance(node, exp.JSONExtractScalar)
    return call("athena_json_scalar" if scalar else "athena_json_extract", node.this, path)


def _path(path: exp.JSONPath) -> str:
    """DuckDB's writing of a JSON path: keys quoted, so that a dot in one is no step."""
    written = "$"
    for part in path.expressions[1:]:
        if isinstance(part, exp.JSONPathKey) and isinstance(part.this, str) and '"' not in part.this:
            written += f'."{part.this}"'
        elif isinstance(part, exp.JSONPathSubscript) and isinstance(part.this, int) and part.this >= 0:
            written += f"[{part.this}]"
        else:
            raise refuse("a JSON path with wildcards, filters or quotes in a key", "name one element, as in '$.a.b[0]'")
    return written


def sql_json(node: exp.Expression) -> exp.Expression:
    """SQL/JSON functions have modes that DuckDB lacks."""
    name = "json_value" if isinstance(node, exp.JSONValue) else node.name.lower()
    raise refuse(name, "use json_extract_scalar(value, '$.path')")


def substring(node: exp.Substring) -> exp.Expression:
    """A start of 0, or one before the beginning, gives ''."""
    start = node.args.get("start") or number(1)
    if isinstance(start, exp.Literal) and start.is_int and int(start.name) > 0:
        return node
    return call("athena_substr", node.this, start, node.args.get("length") or number(_LONGEST))


def arg_max(node: exp.ArgMax | exp.ArgMin) -> exp.Expression:
    """A NULL beside the greatest key is the answer, not left out."""
    if node.args.get("count"):
        return node
    return call("arg_max_null" if isinstance(node, exp.ArgMax) else "arg_min_null", node.this, node.expression)


def count_if(node: exp.CountIf) -> exp.Expression:
    """Where the condition is nowhere known, the count is 0 and not NULL."""
    return exp.Count(this=exp.Case().when(node.this.copy(), number(1)), big_int=True)


def string_position(node: exp.StrPosition) -> exp.Expression:
    """The n-th occurrence has no counterpart."""
    if node.args.get("occurrence"):
        raise refuse("strpos with an occurrence")
    return node


def format_(node: exp.Format) -> exp.Expression:
    """format('%s ...') by its parts; a NULL is printed as null."""
    pattern = literal(node.this)
    if pattern is None or "%" in _FORMAT.sub("", pattern):
        raise refuse("format() with other than %s, %d, %05d and %.2f in a literal", "build the text with || instead")
    arguments = list(node.expressions)
    parts: list[exp.Expression] = []
    place = 0
    for match in _FORMAT.finditer(pattern):
        parts.append(text(pattern[place : match.start()]))
        place = match.end()
        if match[0] in ("%%", "%n"):
            parts.append(text("%" if match[0] == "%%" else "\n"))
            continue
        if not arguments:
            raise QueryError("format(): fewer values than places")
        parts.append(_formatted(match[0], arguments.pop(0)))
    parts.append(text(pattern[place:]))
    return exp.Paren(this=exp.Concat(expressions=parts, safe=False, coalesce=False))


def _formatted(place: str, value: exp.Expression) -> exp.Expression:
    if place in ("%s", "%d"):
        written = call("athena_format_text", value)
    elif place == "%,d":
        written = call("format", text("{:,}"), value)
    else:
        written = call("printf", text(place), value)
    return exp.Coalesce(this=written, expressions=[text("null")])


def _to(name: str) -> Callable[[exp.Anonymous], exp.Expression]:
    return lambda node: call(name, *node.expressions)


def try_(node: exp.Try) -> exp.Expression:
    """What fails inside gives NULL, by macros that DuckDB's TRY() takes."""
    for name in node.find_all(exp.Anonymous):
        if name.name in macros.FAILING:
            name.set("this", f"{name.name}_in_try")
    return node


def _refused(construct: str) -> exp.Expression:
    raise refuse(construct)


def anonymous(node: exp.Anonymous) -> exp.Expression:
    """A function that sqlglot does not know: one of ours, one that both engines have alike, or refused by its name."""
    name = node.name.lower()
    rule = FUNCTIONS.get(name)
    if rule is not None:
        return rule(node)
    if name not in _ALIKE:
        raise refuse(f"the function {name}()", f"Athena's is {ATHENA_NAMES[name]}" if name in ATHENA_NAMES else "")
    return node


# What people know from DuckDB, and how Athena says it.
ATHENA_NAMES = {
    "json_extract_string": "json_extract_scalar(json, path)", "regexp_matches": "regexp_like(text, pattern)",
    "regexp_full_match": "regexp_like(text, pattern)", "strftime": "date_format(time, format)",
    "strptime": "date_parse(text, format)", "epoch": "to_unixtime(time)", "len": "length(text) or cardinality(array)",
    "list_contains": "contains(array, value)", "list_has": "contains(array, value)",
    "array_contains": "contains(array, value)", "list_distinct": "array_distinct(array)",
    "list_transform": "transform(array, function)", "list_filter": "filter(array, function)",
    "list_sort": "array_sort(array)", "string_split": "split(text, separator)", "str_split": "split(text, separator)",
    "list": "array_agg(value)", "string_agg": "array_join(array_agg(value), separator)",
    "array_to_string": "array_join(array, separator)", "today": "current_date",
}  # fmt: skip


NODES: dict[type[exp.Expression], Callable[..., exp.Expression]] = {
    exp.Anonymous: anonymous, exp.Try: try_, exp.Typeof: lambda _: _refused("typeof()"),
    exp.RegexpExtract: regexp_extract, exp.RegexpReplace: regexp_replace, exp.SplitPart: split_part,
    exp.JSONExtract: json_extract, exp.JSONExtractScalar: json_extract, exp.JSONValue: sql_json,
    exp.JSONArrayContains: lambda node: call("athena_json_array_contains", node.this, node.expression),
    exp.CountIf: count_if,
    exp.Substring: substring, exp.ArgMax: arg_max, exp.ArgMin: arg_max, exp.StrPosition: string_position,
    exp.Format: format_, exp.Cast: casts.cast, exp.TryCast: casts.cast, exp.Div: casts.divide,
    exp.DateDiff: times.date_diff, exp.Extract: times.extract, exp.ParseDatetime: times.parse_datetime,
    exp.TimeToStr: times.date_format, exp.AtTimeZone: times.at_time_zone, **lists.NODES,
}  # fmt: skip

FUNCTIONS: dict[str, Callable[[exp.Anonymous], exp.Expression]] = {
    "format_datetime": times.format_datetime, "to_iso8601": times.to_iso8601, "at_timezone": times.at_timezone,
    "with_timezone": times.with_timezone, "codepoint": _to("unicode"), "every": _to("bool_and"),
    "is_json_scalar": _to("athena_is_json_scalar"), "json_array_length": _to("athena_json_array_length"),
    "json_array_get": _to("athena_json_array_get"), "json_exists": sql_json,
    **{name: _to(f"athena_{name}") for name in _URL_FUNCTIONS}, **lists.FUNCTIONS,
}  # fmt: skip
