"""Results of Athena as tables of typed columns, from the result file that it writes."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlglot import exp

from cirtlib.errors import QueryError

_NESTED = (pa.types.is_list, pa.types.is_struct, pa.types.is_map)
# Athena's names of types, where a question is one that the embedded engine cannot describe
_TYPES = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "integer": pa.int32(), "int": pa.int32(),
    "bigint": pa.int64(), "float": pa.float32(), "real": pa.float32(), "double": pa.float64(), "date": pa.date32(),
    "timestamp": pa.timestamp("us"), "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


def is_nested(kind: pa.DataType) -> bool:
    """Whether a column's values are lists, rows or maps."""
    return any(check(kind) for check in _NESTED)


def as_json(tree: exp.Expression, schema: pa.Schema) -> list[str]:
    """Make nested columns of a question's result JSON, in place; the names of those that stay as Athena writes them.

    A list is written `[a, b]` in a result file, which cannot be read back.
    """
    nested = [place for place, field in enumerate(schema) if is_nested(field.type)]
    if not nested or _wrapped(tree, schema.names, nested):
        return []
    return [schema.names[place] for place in nested]


def _wrapped(tree: exp.Expression, names: list[str], nested: list[int]) -> bool:
    if isinstance(tree, exp.SetOperation):
        sides = [tree.left.copy(), tree.right.copy()]
        if not all(_wrapped(side, names, nested) for side in sides):
            return False  # and neither is changed, as both sides must have one type
        tree.left.replace(sides[0])
        tree.right.replace(sides[1])
        return True
    if not isinstance(tree, exp.Select):
        return False
    if len(tree.expressions) == 1 and isinstance(tree.expressions[0], exp.Star):
        tree.set("expressions", [exp.column(name, quoted=True) for name in names])
    if len(tree.expressions) != len(names) or any(item.is_star for item in tree.expressions):
        return False
    grouped = tree.args.get("group")
    for place in nested:
        chosen = tree.expressions[place]
        inner = chosen.this if isinstance(chosen, exp.Alias) else chosen
        for item in grouped.expressions if grouped else ():
            if isinstance(item, exp.Literal) and item.name == str(place + 1):
                item.replace(inner.copy())
        made = exp.JSONFormat(this=exp.cast(inner.copy(), "json"), is_json=True)
        tree.expressions[place].replace(exp.alias_(made, names[place], quoted=True))
    return True


def read(content: bytes, columns: list[tuple[str, str]], schema: pa.Schema | None, as_text: list[str]) -> pa.Table:
    """Table of a result file.

    Parameters
    ----------
    content
        CSV as Athena writes it: every value in quotes, NULL as nothing.
    columns
        Name and Athena's type of each column.
    schema
        What the columns are to be; None: as Athena says.
    as_text
        Columns that hold Athena's own text of lists and rows.

    Raises
    ------
    QueryError
        when a value is not of its column's type.
    """
    try:
        texts = _texts(content, len(columns))
    except pa.ArrowInvalid as error:
        raise QueryError(f"the result file of the query cannot be read: {str(error)[:200]}") from None
    if schema is None or len(schema) != len(columns):
        schema = pa.schema([pa.field(name, _TYPES.get(kind.lower(), pa.string())) for name, kind in columns])
    made, fields = [], []
    for column, field in zip(texts, schema, strict=True):
        kind = pa.string() if field.name in as_text else field.type
        try:
            made.append(_column(column, kind))
        except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
            raise QueryError(f"column {field.name} of the result is not of type {kind}: {str(error)[:200]}") from None
        fields.append(pa.field(field.name, kind))
    return pa.Table.from_arrays(made, schema=pa.schema(fields))


def _texts(content: bytes, count: int) -> list[pa.ChunkedArray]:
    """Columns of a result file as texts; the first line holds their names."""
    if not content.strip():
        return [pa.chunked_array([], pa.string())] * count
    names = [f"c{place}" for place in range(count)]
    found = csv.read_csv(
        io.BytesIO(content if content.endswith(b"\n") else content + b"\n"),
        read_options=csv.ReadOptions(column_names=names, block_size=64 << 20),
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=count > 1),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return [column.slice(1) for column in found.columns]


def _column(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return texts.cast(kind)
    if is_nested(kind):
        return pa.array([None if one is None else _value(json.loads(one), kind) for one in texts.to_pylist()], kind)
    if pa.types.is_timestamp(kind):
        naive = pc.replace_substring_regex(texts, r" (UTC|Z|\+00:00)$", "").cast(pa.timestamp("us"))
        return naive.cast(kind) if kind.tz is None else pc.assume_timezone(naive, "UTC").cast(kind)
    if pa.types.is_boolean(kind):
        return texts.cast(pa.bool_())
    if pa.types.is_binary(kind):
        return pa.array([None if one is None else bytes.fromhex(one) for one in texts.to_pylist()], kind)
    return texts.cast(kind)


def _value(value: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 - any JSON value
    """JSON value as Arrow takes it; a row may come as a list of its fields or as an object."""
    if value is None:
        return None
    if pa.types.is_list(kind):
        return [_value(part, kind.value_type) for part in value]
    if pa.types.is_struct(kind):
        named = value if isinstance(value, dict) else dict(zip((field.name for field in kind), value, strict=True))
        lower = {str(name).lower(): part for name, part in named.items()}
        return {field.name: _value(lower.get(field.name.lower()), field.type) for field in kind}
    if pa.types.is_map(kind):
        return [(key, _value(part, kind.item_type)) for key, part in value.items()]
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else json.dumps(value)
    return value
