"""DuckDB macros and functions that mean what Athena's functions of the same purpose mean.

`dialect` rewrites a call to one of these where DuckDB's own function would answer differently without saying so.
The meanings are those of the Trino documentation (Athena engine version 3 is Trino).
"""

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import duckdb

_URL = (
    r"^([a-zA-Z][a-zA-Z0-9+.-]*):(?://(?:[^@/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$"
)

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
        "CASE WHEN a IS NOT NULL AND e IS NOT NULL THEN COALESCE(list_position(a, e), 0) END"
    ),
    "athena_url_extract_protocol(u)": f"NULLIF(regexp_extract(u, '{_URL}', 1), '')",
    "athena_url_extract_host(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 2) END",
    "athena_url_extract_port(u)": f"TRY_CAST(NULLIF(regexp_extract(u, '{_URL}', 3), '') AS BIGINT)",
    "athena_url_extract_path(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 4) END",
    "athena_url_extract_query(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 5) END",
    "athena_url_extract_fragment(u)": f"CASE WHEN regexp_matches(u, '{_URL}') THEN regexp_extract(u, '{_URL}', 6) END",
}


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


_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, str]] = {
    "athena_ip": (_address, 1, "VARCHAR"),
    "athena_try_ip": (_try_address, 1, "VARCHAR"),
    "athena_in_network": (_in_network, 2, "BOOLEAN"),
    "athena_url_extract_parameter": (_url_parameter, 2, "VARCHAR"),
    "athena_url_decode": (_url_decode, 1, "VARCHAR"),
}


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Define all of them on the connection."""
    for signature, body in MACROS.items():
        connection.execute(f"CREATE MACRO {signature} AS {body}")
    for name, (function, count, result) in _FUNCTIONS.items():
        connection.create_function(name, function, ["VARCHAR"] * count, result, null_handling="special")
