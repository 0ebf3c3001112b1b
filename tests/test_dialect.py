"""Athena SQL means on DuckDB what it means on Athena, or is refused."""

import datetime as dt
import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirtlib.engine import binding, dialect, macros
from cirtlib.errors import QueryError


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(config={"autoload_known_extensions": False}) as opened:
        opened.execute("SET TimeZone = 'UTC'")
        opened.execute("SET integer_division = true")
        macros.install(opened)
        yield opened


@pytest.fixture
def value(connection):
    """First value of the row that an Athena expression, or a whole SELECT, gives."""

    def first(sql, **values):
        text = sql if re.match(r"(?i)select|with|values", sql) else f"SELECT {sql}"
        tree = binding.bind(dialect.parse(text), values)
        return connection.execute(dialect.to_duckdb(tree)).fetchall()[0][0]

    return first


PATHS = "WITH RECURSIVE c (n, path) AS (SELECT 1, ARRAY['a'] UNION ALL SELECT n + 1, path || 'b' FROM c WHERE n < 2)"
PAIRS = "(SELECT ARRAY[CAST(ROW('x', 1) AS ROW(a varchar, b integer))] AS r) t"

# What Trino answers: its documentation, and where stack notes say so, Trino 476 or Velox's Presto functions.
SAME = {
    "nothing known counts 0": ("SELECT count_if(x > 1) FROM (VALUES CAST(NULL AS integer)) AS t (x)", 0),
    "nothing there counts 0": ("SELECT count_if(x > 1) FROM (VALUES 1) AS t (x) WHERE x > 1", 0),
    "counted in a window": ("SELECT count_if(x > 1) OVER () FROM (VALUES 1, 2, 3) AS t (x)", 2),
    "reduce gathers an array": (
        "reduce(repeat(ARRAY['x'], 2), ARRAY['a'], (s, x) -> s || ARRAY['b'], s -> s)",
        ["a", "b", "b"],
    ),
    "no match is NULL": ("regexp_extract('abc', 'x')", None),
    "a group is found": ("regexp_extract('abc', 'a(.)', 1)", "b"),
    "an empty match is no missing one": ("regexp_extract('abc', 'x*')", ""),
    "past the end is NULL": ("split_part('a,b', ',', 3)", None),
    "the last part": ("split_part('a,b', ',', 2)", "b"),
    "an object is no scalar": ("""json_extract_scalar('{"a": {"b": 1}}', '$.a')""", None),
    "an array is no scalar": ("""json_extract_scalar('{"a": [1]}', '$.a')""", None),
    "malformed JSON is NULL": ("json_extract_scalar('not json', '$.a')", None),
    "cut off JSON is NULL": ("""json_extract_scalar('{"a": 1', '$.a')""", None),
    "JSON null is NULL": ("""json_extract_scalar('{"a": null}', '$.a')""", None),
    "a number is its text": ("""json_extract_scalar('{"a": 1.0}', '$.a')""", "1.0"),
    "a key with a dot": ("""json_extract_scalar('{"a.b": [{"c": true}]}', '$["a.b"][0].c')""", "true"),
    "json_extract of malformed JSON": ("json_extract('not json', '$.a')", None),
    "JSON text of a text is itself": ("""CAST(json_extract('{"a": "x"}', '$.a') AS varchar)""", "x"),
    "CAST AS JSON does not parse": ("CAST('[1]' AS json)", '"[1]"'),
    "complete hours": ("date_diff('hour', timestamp '2026-06-10 00:59:00', timestamp '2026-06-10 01:01:00')", 0),
    "complete days": ("date_diff('day', timestamp '2026-06-10 23:00:00', timestamp '2026-06-11 01:00:00')", 0),
    "days between dates": ("date_diff('day', date '2026-06-10', date '2026-06-12')", 2),
    "a group in the replacement": ("regexp_replace('abc', '(b)', '[$1]')", "a[b]c"),
    "an escaped dollar": (r"regexp_replace('abc', 'b', '\$')", "a$c"),
    "every match is replaced": ("regexp_replace('abcb', 'b', '-')", "a-c-"),
    "two arguments delete": ("replace('arn:aws:s3:::x', 'arn:aws:s3:::')", "x"),
    "a whole quotient": ("7 / 2", 3),
    "truncation, not floor": ("-7 / 2", -3),
    "a decimal quotient": ("7.0 / 2", 3.5),
    "substr from 0": ("substr('abc', 0)", ""),
    "substr from before the beginning": ("substr('abc', -5)", ""),
    "substr from the end": ("substr('abc', -2)", "bc"),
    "slice has a length": ("slice(ARRAY[1, 2, 3, 4], 2, 2)", [2, 3]),
    "not found is 0": ("array_position(ARRAY[1], 2)", 0),
    "size of a map": ("cardinality(MAP(ARRAY['a'], ARRAY[1]))", 1),
    "size of an array": ("cardinality(ARRAY[1, 2])", 2),
    "any element": ("any_match(ARRAY[1, 2], x -> x = 2)", True),
    "no element of none": ("any_match(CAST(ARRAY[] AS array(integer)), x -> x = 2)", False),
    "perhaps an element": ("any_match(ARRAY[1, NULL], x -> x = 2)", None),
    "all elements": ("all_match(ARRAY[1, 2], x -> x > 1)", False),
    "none of the elements": ("none_match(ARRAY[1, 2], x -> x > 2)", True),
    "NULL makes a text NULL": ("concat('a', CAST(NULL AS varchar))", None),
    "NULL is greatest": ("greatest(1, NULL)", None),
    "NULL beside the greatest": ("SELECT max_by(a, b) FROM (VALUES (1, 2), (CAST(NULL AS integer), 3)) t (a, b)", None),
    "Sunday is 7": ("extract(dow FROM date '2026-06-14')", 7),
    "Joda pattern": ("format_datetime(timestamp '2026-06-10 03:04:05', 'yyyy-MM-dd''T''HH:mm')", "2026-06-10T03:04"),
    "MySQL pattern": ("date_format(timestamp '2026-06-10 03:04:05', '%Y/%m/%d %H:%i')", "2026/06/10 03:04"),
    "host of a URL": ("url_extract_host('https://u@example.com:8443/p?q=1')", "example.com"),
    "parameter of a URL": ("url_extract_parameter('https://example.com/?a=b%20c', 'a')", "b c"),
    "format": ("format('%s-%05d %.2f %s', 'a', 7, 1.5, NULL)", "a-00007 1.50 null"),
    "an address in a network": ("contains('203.0.113.0/24', CAST('203.0.113.7' AS IPADDRESS))", True),
    "never across versions": ("contains('0.0.0.0/0', CAST('2001:db8::1' AS IPADDRESS))", False),
    "no address": ("TRY_CAST('AWS Internal' AS IPADDRESS)", None),
    "an element of an array": ("contains(ARRAY['a'], 'a')", True),
    "array || element": (f"{PATHS} SELECT path FROM c WHERE n = 2", ["a", "b"]),
    "element || array": ("'a' || ARRAY['b']", ["a", "b"]),
    "text || text": ("'a' || 'b'", "ab"),
    "an ISO time": ("from_iso8601_timestamp('2026-06-10T12:00:00+11:00')", dt.datetime(2026, 6, 10, 1, tzinfo=dt.UTC)),
    "one alias takes the struct": (f"SELECT e.S.A FROM {PAIRS} CROSS JOIN UNNEST(t.r) e (s)", "x"),
    "an alias for each field": (f"SELECT e.b FROM {PAIRS} CROSS JOIN UNNEST(t.r) AS e (a, b)", 1),
    "fields and place": (f"SELECT e.n FROM {PAIRS} CROSS JOIN UNNEST(t.r) WITH ORDINALITY AS e (a, b, n)", 1),
    "arrays side by side": ("SELECT sum(e.a) FROM UNNEST(ARRAY[1, 2], ARRAY['x']) AS e (a, b)", 3),
    "keys and values": ("SELECT e.v FROM UNNEST(MAP(ARRAY['k'], ARRAY[5])) AS e (k, v)", 5),
    "an outer unnest keeps the row": (
        f"SELECT count(*) FROM {PAIRS} LEFT JOIN UNNEST(slice(t.r, 2, 1)) AS e (a, b) ON true",
        1,
    ),
    "JSON array": ("json_array_contains('[\"x\"]', 'x')", True),
    "JSON array of malformed JSON": ("json_array_length('x')", None),
    "an error is NULL in TRY": ("TRY(1 / 0)", None),
    "a missing element is NULL in TRY": ("coalesce(TRY(ARRAY[1][2]), 7)", 7),
    "a failed cast is NULL in TRY": ("TRY(CAST('x' AS integer))", None),
    "a fraction is no whole number": ("TRY_CAST('2.5' AS integer)", None),
    "an ISO time is no timestamp text": ("TRY_CAST('2026-06-10T12:00:00Z' AS timestamp)", None),
    "nor a date": ("TRY_CAST('2026-06-10T12:00:00Z' AS date)", None),
    "a double is rounded half up": ("CAST(2.5e0 AS integer)", 3),
    "varchar has a length": ("CAST('abcdef' AS varchar(3))", "abc"),
    "a time's text has its zone": (
        "CAST(from_iso8601_timestamp('2026-06-10T12:00:00Z') AS varchar)",
        "2026-06-10 12:00:00.000 UTC",
    ),
    "a decimal quotient keeps one place": ("CAST(1.0 / 3 AS varchar)", "0.3"),
    "a percentage keeps one place": ("SELECT 100.0 * count(*) / 7 FROM (VALUES 1, 2, 3) t (n)", 42.9),
    "a double keeps all": ("round(100.0 * 3e0 / 7, 4)", 42.8571),
    "element_at past the end": ("element_at(ARRAY[1], 2)", None),
    "element_at of a map": ("element_at(MAP(ARRAY['a'], ARRAY[1]), 'b')", None),
    "the last element": ("SELECT a[cardinality(a)] FROM (VALUES ARRAY[1, 2]) t (a)", 2),
    "perhaps contained": ("contains(ARRAY[1, NULL], 2)", None),
    "perhaps overlapping": ("arrays_overlap(ARRAY[1, NULL], ARRAY[2])", None),
    "NULL hides the greatest": ("array_max(ARRAY[1, NULL])", None),
    "distinct keeps NULL": ("array_distinct(ARRAY[2, 1, 2, NULL])", [2, 1, None]),
    "union of arrays": ("array_union(ARRAY[1, 2], ARRAY[2, 3])", [1, 2, 3]),
    "arrays zipped": ("zip_with(ARRAY[1, 2], ARRAY[3, 4], (x, y) -> x + y)", [4, 6]),
    "a map filtered": ("map_filter(MAP(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> v > 1)", {"b": 2}),
    "values of a map": ("transform_values(MAP(ARRAY['a'], ARRAY[1]), (k, v) -> v + 1)", {"a": 2}),
    "split with a limit": ("split('a,b,c', ',', 2)", ["a", "b,c"]),
    "an array repeated": ("repeat('a', 2)", ["a", "a"]),
    "a blank in a URL": ("url_encode('a b~')", "a+b%7E"),
    "host of IPv6": ("url_extract_host('https://[2001:db8::1]/x')", "[2001:db8::1]"),
    "an IPPREFIX": ("contains(CAST('10.0.0.0/8' AS IPPREFIX), CAST('10.1.2.3' AS IPADDRESS))", True),
    "histogram": ("SELECT histogram(s) FROM (VALUES 'a', 'b', 'b') t (s)", {"a": 1, "b": 2}),
    "median": ("SELECT approx_percentile(n, 0.5) FROM (VALUES 1, 2, 3) t (n)", 2),
    "seconds since 1970": ("to_unixtime(timestamp '2026-06-10 12:00:00')", 1781092800.0),
    "texts joined without NULL": ("concat_ws(',', 'a', NULL, 'b')", "a,b"),
    "offset of UTC": ("format_datetime(timestamp '2026-06-10 03:04:05', 'HH:mmZZ')", "03:04+00:00"),
    "hour elsewhere": (
        "date_format(from_iso8601_timestamp('2026-06-10T03:04:05Z') AT TIME ZONE 'America/New_York', '%d %H')",
        "09 23",
    ),
    "ISO text without a zone": ("to_iso8601(date_parse('2026-06-10', '%Y-%m-%d'))", "2026-06-10T00:00:00.000"),
}


@pytest.mark.parametrize("case", SAME, ids=str)
def test_means_the_same(case, value):
    """Each expression gives what Athena gives."""
    sql, expected = SAME[case]
    assert value(sql) == expected


REFUSED = {
    "SELECT * FROM read_parquet('x')": r"read_parquet\(\) reads files",
    "SELECT * FROM read_csv('x')": r"read_csv\(\) reads files",
    "SELECT * FROM read_text('/etc/hostname')": r"read_text\(\) is refused",
    "SELECT * FROM glob('*')": r"glob\(\) reads files",
    "SELECT * FROM duckdb_settings()": "events, findings, finding_history, cloudtrail_logs and sightings",
    "SELECT * FROM 'x.csv'": "no relation",
    'SELECT * FROM "/tmp/x.parquet"': "no relation",
    "SELECT * FROM information_schema.tables": "no relation information_schema.tables",
    'SELECT * FROM (WITH "x.csv" AS (SELECT 1) SELECT * FROM "x.csv") t, "x.csv"': "no relation",
    'WITH "x.csv" AS (SELECT * FROM "x.csv") SELECT 1': "no relation",
    "CREATE TABLE x AS SELECT 1": "only questions .* not CREATE",
    "INSERT INTO events SELECT 1": "only questions .* not INSERT",
    "COPY events TO 'x.csv'": "only questions .* not COPY",
    "ATTACH 'x.db'": "only questions .* not ATTACH",
    "SET threads = 1": "only questions .* not SET",
    "-- a comment\n/* another */ PRAGMA version": "only questions .* not PRAGMA",
    "UNLOAD (SELECT 1) TO 's3://x' WITH (format = 'PARQUET')": "only questions .* not UNLOAD",
    "SELECT 1; DROP VIEW events": "one statement at a time",
    "": "empty",
    "SELEC 1": "only questions",
    "SELECT FROM WHERE": "no Athena SQL",
    "SELECT 1 INTO x": "only questions",
    "SELECT json_query(request, 'lax $.a') FROM events": "json_query",
    "SELECT json_value(request, 'lax $.a') FROM events": "json_value",
    "SELECT json_extract(request, '$.a[*]') FROM events": "wildcards",
    "SELECT regexp_replace(request, '(a)', x -> upper(x[1])) FROM events": "regexp_replace with a function",
    "SELECT regexp_replace(request, 'a', '$1') FROM events": "no group 1",
    "SELECT reduce(ARRAY[1], 0, (s, x) -> s + x, s -> s * 2)": r"reduce\(\)",
    "SELECT strpos(request, 'a', 2) FROM events": "strpos",
    "SELECT CAST('10.0.0.1' AS IPADDRESS) < CAST('10.0.0.2' AS IPADDRESS)": "IPADDRESS",
    "SELECT CAST('10.0.0.0/8' AS IPPREFIX)": "IPPREFIX",
    "SELECT format('%x', 1)": r"format\(\)",
    "SELECT format_datetime(event_time, 'GGGG') FROM events": "time pattern",
    "SELECT list_transform(ARRAY[1], x -> x)": r"the function list_transform\(\)",
    "SELECT multimap_agg(eventid, eventid) FROM cloudtrail_logs": r"the function multimap_agg\(\)",
    "SELECT typeof(1)": r"typeof\(\)",
    "SELECT event_time AT TIME ZONE 'America/New_York' FROM events": "AT TIME ZONE",
    "SELECT x FROM (SELECT CAST('10.0.0.1' AS IPADDRESS) AS x) ORDER BY x": "order of IPADDRESS",
    "SELECT '\udcff'": "Unicode",
    "SELECT :missing": "parameters without a value: missing",
    "SELECT ?": "parameters without a value",
}


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:40] or "empty")
def test_refuses_by_name(sql):
    """What cannot be run faithfully, or does anything but ask, is refused with a message that names it."""
    with pytest.raises(QueryError, match=REFUSED[sql]):
        dialect.to_duckdb(sql)


def test_a_published_query_may_name_its_database():
    """The database of a published query is left out: here there is one."""
    assert "security" not in dialect.to_duckdb('SELECT 1 FROM "security"."cloudtrail_logs"')


def test_comments_do_not_reach_the_engine():
    """A comment cannot end early and turn into SQL."""
    assert "DROP" not in dialect.to_duckdb("SELECT 1 -- */ DROP VIEW events; /*")


def test_describe_is_a_question():
    """Columns of a relation can be asked for."""
    assert dialect.to_duckdb("SHOW COLUMNS IN events") == dialect.to_duckdb("DESCRIBE events") == "DESCRIBE events"


HOSTILE = [
    "'; DROP VIEW events; --",
    "/* */ \\ \\' \" ` $1 :start ?",
    "\n\t\r\u2028\u202e\x00é😀",
    "x" * 100_000,
    "'" * 1001,
    "",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_comes_back_unharmed(text, value):
    """A value is data, whatever is written in it."""
    assert value(":text", text=text) == text
    assert value("ARRAY[:text][1]", text=text) == text
    assert value("contains(:texts, :text)", text=text, texts=[text]) is True


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_comes_back_unharmed(connection, text):
    """A value is data, whatever is written in it."""
    tree = binding.bind(dialect.parse("SELECT :text"), {"text": text})
    assert connection.execute(dialect.to_duckdb(tree)).fetchall() == [(text,)]


NOON = dt.datetime(2026, 6, 10, 12, tzinfo=dt.UTC)
TYPED = [
    (NOON, NOON),
    (NOON.astimezone(dt.timezone(dt.timedelta(hours=11))), NOON),
    (NOON.replace(tzinfo=None), NOON),
    (NOON + dt.timedelta(microseconds=5), NOON + dt.timedelta(microseconds=5)),
    (dt.date(2026, 6, 10), dt.date(2026, 6, 10)),
    (True, True),
    (-3, -3),
    (1.5, 1.5),
    (None, None),
    (["a", "b"], ["a", "b"]),
    ([], []),
    ((1, 2), [1, 2]),
]


@pytest.mark.parametrize(("given_value", "expected"), TYPED, ids=str)
def test_values_are_bound_as_their_type(given_value, expected, value):
    """A Python value becomes the literal of its type; a time without an offset is UTC's."""
    assert value(":value", value=given_value) == expected


def test_json_of_an_object_is_no_text(value):
    """CAST of a JSON object or array to varchar fails as it does on Athena; of a scalar it is the text."""
    assert value("""CAST(json_extract('{"a": 1}', '$.a') AS varchar)""") == "1"
    with pytest.raises(duckdb.Error, match="json_format"):
        value("""CAST(json_extract('{"a": [1]}', '$.a') AS varchar)""")
    assert value("""TRY(CAST(json_extract('{"a": [1]}', '$.a') AS varchar))""") is None


def test_one_alias_of_unnest_is_the_whole_element_on_trino_too():
    """AWS documents one alias for a row, where Trino asks for one for each field: the row is wrapped in another."""
    text = dialect.to_trino(dialect.parse("SELECT r.arn FROM cloudtrail_logs CROSS JOIN UNNEST(resources) AS t (r)"))
    assert "UNNEST(TRANSFORM(resources, cirt_element -> ROW(cirt_element))) AS t(r)" in text
    fields = dialect.to_trino(dialect.parse("SELECT a FROM cloudtrail_logs, UNNEST(resources) AS t (a, b, c)"))
    assert "UNNEST(resources) AS t(a, b, c)" in fields


def test_columns_are_called_as_they_are_defined():
    """Trino calls a column as it is written where it is asked for; tables define theirs in lower case."""
    text = (
        "WITH made AS (SELECT eventName AS theName, eventTime FROM cloudtrail_logs) SELECT thename, eventTime FROM made"
    )
    tree = dialect.parse(dialect.to_trino(dialect.parse(text)))
    assert tree.named_selects == ["theName", "eventtime"]


def test_a_list_is_expanded_in_in(value):
    """IN takes a list parameter; an empty one matches nothing."""
    assert value("1 IN (:numbers)", numbers=[1, 2]) is True
    assert not value("1 IN (:numbers)", numbers=[])


def test_no_account_means_all(value):
    """An empty list of accounts or Regions is no condition; an empty list of suspects matches nothing."""
    assert value("contains(:accounts, 'a') AND 'a' IN (:regions)", accounts=[], regions=[]) is True
    assert value("contains(:accounts, 'a')", accounts=["b"]) is False
    assert value("contains(:keys, 'a')", keys=[]) is False


def test_a_value_without_a_literal_is_refused():
    """An object, a NaN or a dict cannot be bound."""
    for wrong in (object(), float("nan"), {"a": 1}):
        with pytest.raises(QueryError, match="no SQL literal"):
            binding.bind(dialect.parse("SELECT :x"), {"x": wrong})


def test_parameters_are_read_from_the_tree():
    """A colon in a comment or a text is no parameter."""
    assert binding.parameters(dialect.parse("SELECT :a, ':b' /* :c */ FROM events WHERE x = :a -- :d")) == ("a",)
