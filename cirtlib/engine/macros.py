"""DuckDB macros and functions that mean what Athena's functions of the same purpose mean.

`dialect` rewrites a call to one of these where DuckDB's own function would answer differently without saying so.
The meanings are those of the Trino documentation (Athena engine version 3 is Trino).
"""

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote_plus, unquote_plus, urlsplit

import duckdb

_URL = (
    r"^([a-zA-Z][a-zA-Z0-9+.-]*):(?://(?:[^@/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$"
)

_DISTINCT = "list_filter({0}, lambda cirt_e, cirt_i: list_position({0}, cirt_e) = cirt_i)"

MACROS = {
    # no match and past the end are NULL, where DuckDB gives ''
    "athena_regexp_extract(s, p, g)": "CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END",
    "athena_split_part(s, d, n)": (
        "CASE WHEN n < 1 THEN error('split_part: the index must be greater than zero') "
        "WHEN n <= len(string_split(s, d)) THEN split_part(s, d, n) END"
    ),
    # $1 in the replacement is a group, where DuckDB writes \1 and takes $1 as it stands
    "athena_regexp_replace(s, p, r)": (
        r"regexp_replace(s, p, regexp_replace(replace(r, '\', '\\'), '\$(\d)', '\\\1', 'g'), 'g')"
    ),
    # NULL on malformed JSON (DuckDB: an error) and on an object or array (DuckDB: its text)
    "athena_json_scalar(j, p)": (
        "CASE WHEN CASE WHEN json_valid(j) THEN json_type(j, p) NOT IN ('OBJECT', 'ARRAY') END "
        "THEN json_extract_string(j, p) END"
    ),
    "athena_json_extract(j, p)": "CASE WHEN json_valid(j) THEN json_extract(j, p) END",
    "athena_json_array_length(j)": (
        "CASE WHEN CASE WHEN json_valid(j) THEN json_type(j) = 'ARRAY' END THEN json_array_length(j) END"
    ),
    "athena_json_array_get(j, i)": (
        "CASE WHEN CASE WHEN json_valid(j) THEN json_type(j) = 'ARRAY' END THEN json_extract(j, i) END"
    ),
    "athena_json_array_contains(j, v)": (
        "CASE WHEN CASE WHEN json_valid(j) THEN json_type(j) = 'ARRAY' END "
        "THEN list_contains(CAST(j AS JSON[]), to_json(v)) END"
    ),
    "athena_is_json_scalar(j)": "json_type(CAST(j AS JSON)) NOT IN ('OBJECT', 'ARRAY')",
    # a position of 0, or one before the beginning, is no position
    "athena_substr(s, n, l)": (
        "CASE WHEN n = 0 OR -n > length(s) THEN substr(s, 1, 0) ELSE substr(s, n, CAST(l AS BIGINT)) END"
    ),
    "athena_slice(a, s, l)": "list_slice(a, s, CASE WHEN s < 0 AND s + l - 1 >= 0 THEN -1 ELSE s + l - 1 END)",
    "athena_array_position(a, e)": (
        "CASE WHEN a IS NOT NULL AND e IS NOT NULL THEN CAST(COALESCE(list_position(a, e), 0) AS BIGINT) END"
    ),
    "athena_contains(a, e)": (
        "CASE WHEN list_contains(a, e) THEN true WHEN len(a) > list_aggregate(a, 'count') THEN NULL "
        "ELSE list_contains(a, e) END"
    ),
    "athena_arrays_overlap(a, b)": (
        "CASE WHEN list_has_any(a, b) THEN true WHEN len(a) > list_aggregate(a, 'count') "
        "OR len(b) > list_aggregate(b, 'count') THEN NULL ELSE list_has_any(a, b) END"
    ),
    # a NULL among the elements makes the greatest unknown
    "athena_array_max(a)": "CASE WHEN len(a) = list_aggregate(a, 'count') THEN list_max(a) END",
    "athena_array_min(a)": "CASE WHEN len(a) = list_aggregate(a, 'count') THEN list_min(a) END",
    # in the order of their first places, NULL among them
    "athena_array_distinct(a)": f"{_DISTINCT.format('a')}",
    "athena_array_union(a, b)": f"{_DISTINCT.format('list_concat(a, b)')}",
    "athena_array_intersect(a, b)": (
        f"list_filter({_DISTINCT.format('a')}, lambda cirt_e: list_position(b, cirt_e) IS NOT NULL)"
    ),
    "athena_array_except(a, b)": (
        f"list_filter({_DISTINCT.format('a')}, lambda cirt_e: list_position(b, cirt_e) IS NULL)"
    ),
    # what is not there is an error, where DuckDB gives NULL
    "athena_subscript(a, i)": (
        "CASE WHEN a IS NULL OR i IS NULL OR i BETWEEN 1 AND len(a) THEN a[i] ELSE error('the array has no element ' "
        "|| i || ', but ' || len(a) || ' elements; element_at() gives NULL instead of this error') END"
    ),
    "athena_map_value(m, k)": (
        "CASE WHEN m IS NULL OR k IS NULL OR map_contains(m, k) THEN m[k] "
        "ELSE error('the map has no key ' || k || '; element_at() gives NULL instead of this error') END"
    ),
    "athena_split_limit(s, d, n)": (
        "CASE WHEN len(string_split(s, d)) <= n THEN string_split(s, d) ELSE list_append(string_split(s, d)[:n - 1], "
        "array_to_string(string_split(s, d)[n:], d)) END"
    ),
    "athena_split_to_map(s, d, k)": (
        "CASE WHEN len(list_filter(string_split(s, d), lambda cirt_e: len(string_split(cirt_e, k)) <> 2)) > 0 "
        "THEN error('split_to_map: an entry has not exactly one delimiter') "
        "ELSE map(list_transform(string_split(s, d), lambda cirt_e: split_part(cirt_e, k, 1)), "
        "list_transform(string_split(s, d), lambda cirt_e: split_part(cirt_e, k, 2))) END"
    ),
    "athena_repeat(e, n)": "list_transform(range(CAST(n AS BIGINT)), lambda cirt_i: e)",
    # a text is read only when all of it has the form
    "athena_read(s, p, t)": (
        "CASE WHEN s IS NULL OR regexp_full_match(s, p) THEN s "
        "ELSE error('Cannot cast ' || chr(39) || s || chr(39) || ' to ' || t) END"
    ),
    "athena_try_read(s, p, t)": "CASE WHEN regexp_full_match(s, p) THEN s END",
    "athena_text(x)": (
        "CASE typeof(x) WHEN 'TIMESTAMP' THEN strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP), "
        "'%Y-%m-%d %H:%M:%S.%g') WHEN 'TIMESTAMP WITH TIME ZONE' THEN "
        "strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMPTZ), '%Y-%m-%d %H:%M:%S.%g UTC') "
        "WHEN 'JSON' THEN CASE WHEN json_type(TRY_CAST(CAST(x AS VARCHAR) AS JSON)) IN ('OBJECT', 'ARRAY') "
        "THEN error('Cannot cast a JSON object or array to varchar; write json_format(value)') "
        "ELSE json_extract_string(TRY_CAST(CAST(x AS VARCHAR) AS JSON), '$') END ELSE CAST(x AS VARCHAR) END"
    ),
    "athena_format_text(x)": (
        "CASE WHEN typeof(x) LIKE 'TIMESTAMP%' THEN "
        "error('format() of a time is not run on the embedded engine; use date_format(time, pattern)') "
        "ELSE CAST(x AS VARCHAR) END"
    ),
    "athena_to_iso8601(x)": (
        "CASE typeof(x) WHEN 'DATE' THEN CAST(x AS VARCHAR) "
        "WHEN 'TIMESTAMP_S' THEN strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S') "
        "WHEN 'TIMESTAMP' THEN strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%g') "
        "ELSE strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMPTZ), '%Y-%m-%dT%H:%M:%S.%gZ') END"
    ),
    "athena_decimal(v, s, d)": "CASE WHEN d THEN v ELSE round(v, s) END",
    "athena_url_extract_protocol(u)": f"NULLIF(regexp_extract(u, '{_URL}', 1), '')",
    "athena_url_extract_host(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 2) END",
    "athena_url_extract_port(u)": f"TRY_CAST(NULLIF(regexp_extract(u, '{_URL}', 3), '') AS BIGINT)",
    "athena_url_extract_path(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 4) END",
    "athena_url_extract_query(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 5) END",
    "athena_url_extract_fragment(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 6) END",
}

# TRY() takes no error(), so in it a failed conversion stands for one
_FAIL = "athena_fail(m)", "list_extract([NULL], CAST(m AS INTEGER))"
FAILING = tuple(signature.partition("(")[0] for signature, body in MACROS.items() if "error(" in body)


def _address(text: str | None) -> str | None:
    """Address in its one written form; an IPv4 address that IPv6 carries is that IPv4 address.

    Raises
    ------
    ValueError
        when it is no address: the query fails, as a CAST does.
    """
    if text is None:
        return None
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _try_address(text: str | None) -> str | None:
    """Address in its one written form, or None when it is no address."""
    try:
        return _address(text)
    except ValueError:
        return None


def _in_network(network: str | None, address: str | None) -> bool | None:
    """Whether the address lies in the CIDR range; never across IP versions."""
    if network is None or address is None:
        return None
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


def _url_parameter(url: str | None, name: str | None) -> str | None:
    """First value of a query parameter of the URL, or None."""
    if url is None or name is None:
        return None
    try:
        values = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    except ValueError:
        return None
    return next((value for key, value in values if key == name), None)


def _url_decode(text: str | None) -> str | None:
    return None if text is None else unquote_plus(text)


def _url_encode(text: str | None) -> str | None:
    return None if text is None else quote_plus(text, safe="*").replace("~", "%7E")


_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, str]] = {
    "athena_ip": (_address, 1, "VARCHAR"),
    "athena_try_ip": (_try_address, 1, "VARCHAR"),
    "athena_in_network": (_in_network, 2, "BOOLEAN"),
    "athena_url_extract_parameter": (_url_parameter, 2, "VARCHAR"),
    "athena_url_encode": (_url_encode, 1, "VARCHAR"),
    "athena_url_decode": (_url_decode, 1, "VARCHAR"),
}


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Define all of them on the connection."""
    for signature, body in MACROS.items():
        connection.execute(f"CREATE MACRO {signature} AS {body}")
    connection.execute(f"CREATE MACRO {_FAIL[0]} AS {_FAIL[1]}")
    for signature, body in MACROS.items():
        name, _, arguments = signature.partition("(")
        if name in FAILING:
            connection.execute(f"CREATE MACRO {name}_in_try({arguments} AS {body.replace('error(', 'athena_fail(')}")
    for name, (function, count, result) in _FUNCTIONS.items():
        connection.create_function(name, function, ["VARCHAR"] * count, result, null_handling="special")
