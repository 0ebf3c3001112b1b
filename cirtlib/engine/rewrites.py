"""One small rewrite for each construct that DuckDB would answer differently from Athena, or not at all.

Each takes a node of an Athena syntax tree and gives the node to put in its place, or raises `QueryError` naming the
construct when there is no faithful one. Facts: Trino's documentation of its functions, checked against DuckDB 2.0.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from cirtlib.errors import QueryError

_JODA = {
    "yyyy": "%Y", "YYYY": "%G", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I",
    "mm": "%M", "ss": "%S", "SSSSSS": "%f", "SSS": "%g", "EEEE": "%A", "EEE": "%a", "EE": "%a", "E": "%a", "a": "%p",
    "DDD": "%j", "M": "%-m", "d": "%-d", "H": "%-H", "h": "%-I", "m": "%-M", "s": "%-S", "ZZ": "%z", "Z": "%z",
    "w": "%V",
}  # fmt: skip
_FORMAT = re.compile(r"%(%|n|s|d|,d|0?\d*d|\.\d+f)")
_URL_FUNCTIONS = ("url_decode", "url_extract_protocol", "url_extract_host", "url_extract_port", "url_extract_path",
                  "url_extract_query", "url_extract_fragment", "url_extract_parameter")  # fmt: skip
_LONGEST = 2**31 - 1


def call(name: str, *arguments: exp.Expression) -> exp.Expression:
    """Call of a DuckDB function that sqlglot leaves as it is."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def refuse(construct: str, instead: str = "") -> QueryError:
    """Error for a construct that cannot be run faithfully."""
    return QueryError(f"{construct} cannot be run on the embedded engine" + (f"; {instead}" if instead else ""))


def _number(value: int) -> exp.Expression:
    return exp.Literal.number(value)


def _literal(node: exp.Expression | None) -> str | None:
    return str(node.name) if isinstance(node, exp.Literal) and node.is_string else None


def regexp_extract(node: exp.RegexpExtract) -> exp.Expression:
    """No match is NULL."""
    return call("athena_regexp_extract", node.this, node.expression, node.args.get("group") or _number(0))


def regexp_replace(node: exp.RegexpReplace) -> exp.Expression:
    """`$1` is a group."""
    replacement = node.args.get("replacement") or exp.Literal.string("")
    if isinstance(replacement, exp.Lambda):
        raise refuse("regexp_replace with a function as its replacement")
    text = _literal(replacement)
    if text is None or not re.search(r"[$\\]", text):
        return call("athena_regexp_replace", node.this, node.expression, replacement)
    if re.search(r"\$(?!\d)|\$\d\d", re.sub(r"\\.", "", text)):
        raise refuse(f"regexp_replace with the replacement {text!r}", "name groups by one digit, as in $1")
    pattern = _literal(node.expression)
    if pattern is not None:
        _check_groups(pattern, text)
    # a backslash takes the next character as it stands; DuckDB wants groups and backslashes the other way about
    parts = re.findall(r"\\.|\$\d|[^\\$]+", text, re.DOTALL)
    mended = "".join(_replacement_part(part) for part in parts)
    arguments = [node.this, node.expression, exp.Literal.string(mended), exp.Literal.string("g")]
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
        path = exp.Literal.string(_path(path))
    elif (_literal(path) or "").startswith(("lax ", "strict ")):
        raise refuse("an SQL/JSON path", "write it as '$.path'")
    scalar = isinstance(node, exp.JSONExtractScalar)
    return call("athena_json_scalar" if scalar else "athena_json_extract", node.this, path)


def _path(path: exp.JSONPath) -> str:
    """DuckDB's writing of a JSON path: keys quoted, so that a dot in one is no step."""
    text = "$"
    for part in path.expressions[1:]:
        if isinstance(part, exp.JSONPathKey) and isinstance(part.this, str) and '"' not in part.this:
            text += f'."{part.this}"'
        elif isinstance(part, exp.JSONPathSubscript) and isinstance(part.this, int) and part.this >= 0:
            text += f"[{part.this}]"
        else:
            raise refuse("a JSON path with wildcards, filters or quotes in a key", "name one element, as in '$.a.b[0]'")
    return text


def sql_json(node: exp.Expression) -> exp.Expression:
    """SQL/JSON functions have modes that DuckDB lacks."""
    name = "json_value" if isinstance(node, exp.JSONValue) else node.name.lower()
    raise refuse(name, "use json_extract_scalar(value, '$.path')")


def date_diff(node: exp.DateDiff) -> exp.Expression:
    """Complete units between two times, not boundaries crossed."""
    unit = exp.Literal.string(node.text("unit").lower() or "day")
    return call("date_sub", unit, node.expression, node.this)


def substring(node: exp.Substring) -> exp.Expression:
    """A start of 0, or one before the beginning, gives ''."""
    start = node.args.get("start") or _number(1)
    if isinstance(start, exp.Literal) and start.is_int and int(start.name) > 0:
        return node
    return call("athena_substr", node.this, start, node.args.get("length") or _number(_LONGEST))


def arg_max(node: exp.ArgMax | exp.ArgMin) -> exp.Expression:
    """A NULL beside the greatest key is the answer, not left out."""
    if node.args.get("count"):
        return node
    return call("arg_max_null" if isinstance(node, exp.ArgMax) else "arg_min_null", node.this, node.expression)


def array_slice(node: exp.ArraySlice) -> exp.Expression:
    """The third argument is a length, not an end."""
    return call("athena_slice", node.this, node.args["start"], node.args["end"])


def array_position(node: exp.ArrayPosition) -> exp.Expression:
    """Not found is 0."""
    return call("athena_array_position", node.this, node.expression)


def array_size(node: exp.ArraySize) -> exp.Expression:
    """cardinality() serves arrays and maps; a map's size has another name in DuckDB."""
    return call("cardinality" if is_map(node.this) else "len", node.this)


def contains(node: exp.ArrayContains) -> exp.Expression:
    """contains(network, address) is another function than contains(array, element)."""
    if is_address(node.expression):
        return call("athena_in_network", node.this, node.expression)
    return call("list_contains", node.this, node.expression)


def is_address(node: exp.Expression) -> bool:
    """Whether the node is a CAST to IPADDRESS, rewritten or not yet."""
    if isinstance(node, exp.Anonymous):
        return node.name in ("athena_ip", "athena_try_ip")
    return isinstance(node, exp.Cast) and bool(node.to.is_type(exp.DataType.Type.IPADDRESS))


def cast(node: exp.Cast) -> exp.Expression:
    """IPADDRESS is text in one written form; CAST AS JSON makes JSON of a text, it does not parse it."""
    if node.to.is_type(exp.DataType.Type.IPADDRESS):
        return call("athena_try_ip" if isinstance(node, exp.TryCast) else "athena_ip", node.this)
    if node.to.is_type(exp.DataType.Type.IPPREFIX):
        raise refuse("IPPREFIX", "write contains('10.0.0.0/8', CAST(address AS IPADDRESS))")
    if node.to.is_type(exp.DataType.Type.JSON):
        return call("to_json", node.this)
    if node.to.is_type(*exp.DataType.TEXT_TYPES) and is_json(node.this):
        return call("json_extract_string", node.this, exp.Literal.string("$"))
    return node


def is_json(node: exp.Expression) -> bool:
    """Whether the node's value is JSON, as far as its form tells."""
    if isinstance(node, exp.Anonymous):
        return node.name in ("athena_json_extract", "athena_json_array_get", "to_json")
    return isinstance(node, exp.ParseJSON)


def is_map(node: exp.Expression) -> bool:
    """Whether the node's value is a map, as far as its form tells."""
    if isinstance(node, exp.Column):
        return str(node.name).lower() == "webidfederationdata"
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type(exp.DataType.Type.MAP))
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    return isinstance(node, exp.Map | exp.VarMap) or name in (
        "map",
        "map_agg",
        "histogram",
        "map_from_entries",
        "map_filter",
    )


def extract(node: exp.Extract) -> exp.Expression:
    """Days of the week count from Monday, 1."""
    part = node.name.lower()
    return (
        exp.Extract(this=exp.var("isodow"), expression=node.expression)
        if part in ("dow", "day_of_week", "dayofweek")
        else node
    )


def string_position(node: exp.StrPosition) -> exp.Expression:
    """The n-th occurrence has no counterpart."""
    if node.args.get("occurrence"):
        raise refuse("strpos with an occurrence")
    return node


def reduce_(node: exp.Reduce) -> exp.Expression:
    """The last step of reduce() is left out by the translation, so it must do nothing."""
    finish = node.args.get("finish")
    if isinstance(finish, exp.Lambda) and finish.this.sql() != finish.expressions[0].sql():
        raise refuse("reduce() with a last step that changes the value", "apply that step outside reduce()")
    return exp.Reduce(this=node.this, initial=node.args["initial"], merge=node.args["merge"])


def format_(node: exp.Format) -> exp.Expression:
    """format('%s ...') by its parts; a NULL is printed as null."""
    text = _literal(node.this)
    if text is None or "%" in _FORMAT.sub("", text):
        raise refuse("format() with other than %s, %d, %05d and %.2f in a literal", "build the text with || instead")
    arguments = list(node.expressions)
    parts: list[exp.Expression] = []
    place = 0
    for match in _FORMAT.finditer(text):
        parts.append(exp.Literal.string(text[place : match.start()]))
        place = match.end()
        if match[0] in ("%%", "%n"):
            parts.append(exp.Literal.string("%" if match[0] == "%%" else "\n"))
            continue
        if not arguments:
            raise QueryError("format(): fewer values than places")
        parts.append(_formatted(match[0], arguments.pop(0)))
    parts.append(exp.Literal.string(text[place:]))
    return exp.Paren(this=exp.Concat(expressions=parts, safe=False, coalesce=False))


def _formatted(place: str, value: exp.Expression) -> exp.Expression:
    if place in ("%s", "%d"):
        text: exp.Expression = exp.cast(value.copy(), "text", dialect="duckdb")
    elif place == "%,d":
        text = call("format", exp.Literal.string("{:,}"), value)
    else:
        text = call("printf", exp.Literal.string(place), value)
    return exp.Coalesce(this=text, expressions=[exp.Literal.string("null")])


def _joda(text: str | None) -> exp.Expression:
    """DuckDB's writing of a Joda time pattern."""
    if text is None:
        raise refuse("a time pattern that is no literal")
    result = ""
    for match in re.finditer(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+", text):
        part = match[0]
        if part.startswith("'"):
            result += (part[1:-1].replace("''", "'") or "'").replace("%", "%%")
        elif part[0].isalpha():
            if part not in _JODA:
                raise refuse(f"the time pattern {part!r}", "use date_format(time, '%Y-%m-%d %H:%i:%s')")
            result += _JODA[part]
        else:
            result += part.replace("%", "%%")
    return exp.Literal.string(result)


def parse_datetime(node: exp.ParseDatetime) -> exp.Expression:
    """Joda pattern; the time is UTC's."""
    pattern = _joda(_literal(node.args.get("format") or node.args.get("expression")))
    return exp.cast(call("strptime", node.this, pattern), "timestamptz", dialect="duckdb")


def _match(node: exp.Anonymous, *, wanted: bool) -> exp.Expression:
    """Whether any element makes the lambda `wanted`: true, else NULL when one makes it NULL, else false."""
    array, function = node.expressions
    if not isinstance(function, exp.Lambda):
        raise refuse(f"{node.name} without a lambda")
    results = call("list_transform", array, function)
    sought = exp.Boolean(this=wanted)
    x = exp.Lambda(
        this=exp.Is(this=exp.column("cirt_x"), expression=exp.Null()), expressions=[exp.to_identifier("cirt_x")]
    )
    unknown = exp.GT(this=call("len", call("list_filter", results, x)), expression=_number(0))
    return (
        exp.Case()
        .when(exp.Is(this=array.copy(), expression=exp.Null()), exp.Null())
        .when(call("list_contains", results, sought), exp.Boolean(this=True))
        .when(unknown, exp.Null())
        .else_(exp.Boolean(this=False))
    )


def _any_match(node: exp.Anonymous) -> exp.Expression:
    return _match(node, wanted=True)


def _all_match(node: exp.Anonymous) -> exp.Expression:
    return exp.Not(this=exp.Paren(this=_match(node, wanted=False)))


def _none_match(node: exp.Anonymous) -> exp.Expression:
    return exp.Not(this=exp.Paren(this=_match(node, wanted=True)))


def _to_iso8601(node: exp.Anonymous) -> exp.Expression:
    return call("strftime", node.expressions[0], exp.Literal.string("%Y-%m-%dT%H:%M:%S.%gZ"))


def _format_datetime(node: exp.Anonymous) -> exp.Expression:
    return call("strftime", node.expressions[0], _joda(_literal(node.expressions[1])))


def _map_agg(node: exp.Anonymous) -> exp.Expression:
    return call("map", *(call("list", argument) for argument in node.expressions))


def _to(name: str) -> Callable[[exp.Anonymous], exp.Expression]:
    return lambda node: call(name, *node.expressions)


NODES: dict[type[exp.Expression], Callable[..., exp.Expression]] = {
    exp.RegexpExtract: regexp_extract, exp.RegexpReplace: regexp_replace, exp.SplitPart: split_part,
    exp.JSONExtract: json_extract, exp.JSONExtractScalar: json_extract, exp.JSONValue: sql_json,
    exp.JSONArrayContains: lambda node: call("athena_json_array_contains", node.this, node.expression),
    exp.DateDiff: date_diff, exp.Substring: substring, exp.ArgMax: arg_max, exp.ArgMin: arg_max,
    exp.ArraySlice: array_slice, exp.ArrayPosition: array_position, exp.ArraySize: array_size,
    exp.ArrayContains: contains, exp.Cast: cast, exp.TryCast: cast, exp.Extract: extract,
    exp.StrPosition: string_position, exp.Reduce: reduce_, exp.Format: format_, exp.ParseDatetime: parse_datetime,
}  # fmt: skip

FUNCTIONS: dict[str, Callable[[exp.Anonymous], exp.Expression]] = {
    "any_match": _any_match, "all_match": _all_match, "none_match": _none_match, "map_agg": _map_agg,
    "format_datetime": _format_datetime, "to_iso8601": _to_iso8601, "at_timezone": lambda node: node.expressions[0],
    "codepoint": _to("unicode"), "arrays_overlap": _to("list_has_any"), "array_intersect": _to("list_intersect"),
    "is_json_scalar": _to("athena_is_json_scalar"), "json_array_length": _to("athena_json_array_length"),
    "json_array_get": _to("athena_json_array_get"), "json_exists": sql_json,
    **{name: _to(f"athena_{name}") for name in _URL_FUNCTIONS},
}  # fmt: skip
