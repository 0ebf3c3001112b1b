"""Columns of other tables in the shape that the adapter reads: nested fields that are not there are NULL."""

from sqlglot import exp
from sqlglot.errors import SqlglotError

_Kind = exp.DataType.Type


def shaped(value: exp.Expression, have: str, want: str) -> exp.Expression:
    """Expression with all the fields that `want` has.

    Parameters
    ----------
    have
        Type of the value, as Hive (`struct<a:string>`) or Trino (`row(a varchar)`) writes it.
    want
        Type that is needed, as DuckDB writes it. What it has besides is left as it is.
    """
    needed = exp.DataType.build(want, dialect="duckdb")
    found = parsed(have)
    return value if found is None or _covers(found, needed) else _made(value, found, needed)


def parsed(text: str) -> exp.DataType | None:
    """Type of a text in Hive's or Trino's way of writing; None for what neither writes."""
    for dialect in ("hive", "trino") if "<" in text else ("trino", "hive"):
        try:
            return exp.DataType.build(text, dialect=dialect)
        except (SqlglotError, ValueError):
            continue
    return None


def fields(kind: exp.DataType) -> dict[str, exp.DataType]:
    """Fields of a struct, names in lower case."""
    return {part.name.lower(): part.args["kind"] for part in kind.expressions if isinstance(part, exp.ColumnDef)}


def _covers(have: exp.DataType, want: exp.DataType) -> bool:
    """Whether a value of one type has all fields of the other, where both are nested."""
    if want.this == _Kind.STRUCT and have.this == _Kind.STRUCT:
        own = fields(have)
        return all(name in own and _covers(own[name], kind) for name, kind in fields(want).items())
    if want.this == have.this == _Kind.ARRAY:
        return _covers(have.expressions[0], want.expressions[0])
    return True


def _made(value: exp.Expression, have: exp.DataType, want: exp.DataType) -> exp.Expression:
    if want.this == have.this == _Kind.ARRAY:
        name = exp.to_identifier("cirt_element")
        body = _made(exp.column(name.copy()), have.expressions[0], want.expressions[0])
        return exp.Transform(this=value, expression=exp.Lambda(this=body, expressions=[name]))
    if want.this != _Kind.STRUCT or have.this != _Kind.STRUCT:
        return value
    own = fields(have)
    parts: list[exp.Expression] = []
    for name, kind in fields(want).items():
        if name in own:
            inner = exp.Dot(this=value.copy(), expression=exp.to_identifier(name, quoted=True))
            parts.append(_made(inner, own[name], kind))
        else:
            parts.append(exp.Null())
    row = exp.cast(exp.func("ROW", *parts, dialect="trino"), _typed(have, want))
    return exp.Case(ifs=[exp.If(this=exp.Is(this=value.copy(), expression=exp.Null()), true=exp.Null())], default=row)


def _typed(have: exp.DataType, want: exp.DataType) -> exp.DataType:
    """The wanted type; a field that is there and no struct keeps its own type."""
    own = fields(have)
    made = []
    for name, kind in fields(want).items():
        nested = name in own and kind.this == own[name].this == _Kind.STRUCT
        inner = _typed(own[name], kind) if nested else own.get(name, kind)
        made.append(exp.ColumnDef(this=exp.to_identifier(name), kind=inner.copy()))
    return exp.DataType(this=_Kind.STRUCT, expressions=made, nested=True)
