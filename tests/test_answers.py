"""Result files of Athena become typed columns: NULL and an empty text stay two things, lists come back as lists."""

import pyarrow as pa
import pytest

from cirtlib.engine import answers, dialect
from cirtlib.errors import QueryError

STRUCT = pa.struct([("arn", pa.string()), ("account_id", pa.string())])


def read(content: str, *fields: tuple[str, pa.DataType]) -> dict[str, list[object]]:
    named = [(name, "varchar") for name, _ in fields]
    return answers.read(content.encode(), named, pa.schema([pa.field(*one) for one in fields]), []).to_pydict()


def test_null_is_not_an_empty_text() -> None:
    """Athena writes NULL as nothing, and a text in quotes."""
    content = '"a","b"\n"",\n,""\n"NULL","x"\n'
    assert read(content, ("a", pa.string()), ("b", pa.string())) == {"a": ["", None, "NULL"], "b": [None, "", "x"]}


def test_one_column_may_be_null_throughout() -> None:
    """An empty line is a row of one NULL."""
    assert read('"a"\n\n"x"\n\n', ("a", pa.string())) == {"a": [None, "x", None]}


def test_hostile_text_comes_back_unharmed() -> None:
    """Quotes, commas, line ends, formulas and what is no ASCII."""
    text = "a\"b,c\r\nd'; -- é\u202e =cmd()"
    escaped = text.replace('"', '""')
    assert read(f'"a","b"\n"{escaped}","1"\n', ("a", pa.string()), ("b", pa.int64())) == {"a": [text], "b": [1]}


def test_types() -> None:
    """Each type of a question's columns."""
    content = '"t","b","i","d","s","n"\n"2026-06-10 12:00:00.123 UTC","true","7","1.5","2026-06-10","12"\n,,,,,\n'
    found = read(
        content, ("t", pa.timestamp("us", tz="UTC")), ("b", pa.bool_()), ("i", pa.int32()), ("d", pa.float64()),
        ("s", pa.date32()), ("n", pa.decimal128(38, 0)),
    )  # fmt: skip
    first = [values[0] for values in found.values()]
    assert [str(one) for one in first] == ["2026-06-10 12:00:00.123000+00:00", "True", "7", "1.5", "2026-06-10", "12"]
    assert all(values[1] is None for values in found.values())


def test_nested_values_travel_as_json() -> None:
    """Lists, rows as objects or as lists of their fields, maps."""
    content = (
        '"l","s","m"\n"[""a, b"",null]","[{""ARN"":""x"",""account_id"":null}]","{""k"":1}"\n'
        '"[]","[[""x"",""1""]]",\n'
    )  # fmt: skip
    found = read(
        content, ("l", pa.list_(pa.string())), ("s", pa.list_(STRUCT)), ("m", pa.map_(pa.string(), pa.string()))
    )
    assert found["l"] == [["a, b", None], []]
    assert found["s"] == [[{"arn": "x", "account_id": None}], [{"arn": "x", "account_id": "1"}]]
    assert found["m"] == [[("k", "1")], None]


@pytest.mark.parametrize("content", ["", '"a"\n', '"a"'])
def test_a_result_without_rows(content: str) -> None:
    """Columns are there all the same."""
    assert read(content, ("a", pa.int64())) == {"a": []}


def test_a_value_of_another_type_is_named() -> None:
    """The column is said, not guessed at."""
    with pytest.raises(QueryError, match="column n of the result is not of type int64"):
        read('"n"\n"many"\n', ("n", pa.int64()))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('"n"\n"maybe"\n', pa.bool_()),
        ('"n"\n"5"\n', pa.list_(pa.string())),
        ('"n"\n"[]"\n', pa.map_(pa.string(), pa.string())),
        ('"n"\n"{"\n', STRUCT),
        ('"n"\n"1","2"\n', pa.int64()),
    ],
)
def test_what_cannot_be_read_is_one_message(content: str, kind: pa.DataType) -> None:
    """Never a guess, and no traceback."""
    with pytest.raises(QueryError):
        read(content, ("n", kind))


def test_sides_of_a_union_are_changed_together() -> None:
    """If one cannot be, neither is: both must have one type."""
    tree = dialect.parse("SELECT id, names FROM t UNION ALL SELECT u.* FROM u")
    assert answers.as_json(tree, SCHEMA) == ["names"]
    assert tree.sql("trino") == "SELECT id, names FROM t UNION ALL SELECT u.* FROM u"


def test_types_are_athenas_where_nothing_else_is_known() -> None:
    """A question that the embedded engine cannot run has the types that Athena names; others are text."""
    named = [("n", "bigint"), ("t", "timestamp with time zone"), ("x", "ipaddress")]
    table = answers.read(b'"n","t","x"\n"1","2026-06-10 00:00:00.000 UTC","::1"\n', named, None, [])
    assert [str(field.type) for field in table.schema] == ["int64", "timestamp[us, tz=UTC]", "string"]


SCHEMA = pa.schema([("id", pa.string()), ("names", pa.list_(pa.string()))])


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("SELECT * FROM t", 'SELECT "id", JSON_FORMAT(CAST("names" AS JSON)) AS "names" FROM t'),
        (
            "SELECT id, array_agg(n) AS names FROM t GROUP BY 1",
            'SELECT id, JSON_FORMAT(CAST(ARRAY_AGG(n) AS JSON)) AS "names" FROM t GROUP BY 1',
        ),
        (
            "SELECT id, names FROM t GROUP BY 1, 2",
            'SELECT id, JSON_FORMAT(CAST(names AS JSON)) AS "names" FROM t GROUP BY 1, names',
        ),
        (
            "SELECT id, names FROM t UNION ALL SELECT id, names FROM u",
            " UNION ALL ".join(f'SELECT id, JSON_FORMAT(CAST(names AS JSON)) AS "names" FROM {one}' for one in "tu"),
        ),
    ],
)
def test_lists_are_asked_for_as_json(sql: str, written: str) -> None:
    """In place, so that order and groups stay what they are."""
    tree = dialect.parse(sql)
    assert answers.as_json(tree, SCHEMA) == []
    assert tree.sql("trino") == written


def test_what_cannot_be_wrapped_is_said() -> None:
    """Such a column comes as Athena writes it."""
    tree = dialect.parse("SELECT t.*, 1 AS one FROM t")
    assert answers.as_json(tree, SCHEMA) == ["names"]
