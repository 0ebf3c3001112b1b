"""Casts and decimal division: where DuckDB reads or rounds what Athena refuses, or keeps places that Athena drops.

Facts: Trino's documentation of its conversion functions, and of decimals (the table "Binary arithmetic decimal
operators": a quotient has as many places as the operand with more of them).
"""

from sqlglot import exp

from cirtlib.engine.nodes import call, literal, named, number, refuse, text, type_is, whole_text

_TYPE = exp.DataType.Type
_DATE = r"\s*[-+]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}"
_TIME = r"( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}([.][0-9]+)?)?)?"
# what Athena reads of a text; DuckDB reads more, so that TRY_CAST would give a value instead of NULL
_READ: dict[exp.DataType.Type, str] = {
    **dict.fromkeys((_TYPE.TINYINT, _TYPE.SMALLINT, _TYPE.INT, _TYPE.BIGINT), "[+-]?[0-9]+"),
    _TYPE.BOOLEAN: "(?i)(true|t|1|false|f|0)",
    _TYPE.DATE: _DATE + r"\s*",
    _TYPE.TIMESTAMP: _DATE + _TIME + r"\s*",
    _TYPE.TIMESTAMPTZ: _DATE + _TIME + r"(\s*[A-Za-z0-9_/+:-]+)?\s*",
}
_WHOLE = (_TYPE.TINYINT, _TYPE.SMALLINT, _TYPE.INT, _TYPE.BIGINT)


def cast(node: exp.Cast) -> exp.Expression:
    """CAST and TRY_CAST of what differs: addresses, JSON, texts, and what is read out of a text."""
    to = node.to
    if to.is_type(_TYPE.IPADDRESS):
        return call("athena_try_ip" if isinstance(node, exp.TryCast) else "athena_ip", node.this)
    if to.is_type(_TYPE.IPPREFIX):
        if isinstance(node.parent, exp.ArrayContains) and node.arg_key == "this":
            return node.this
        raise refuse("IPPREFIX", "write contains('10.0.0.0/8', CAST(address AS IPADDRESS))")
    if to.is_type(_TYPE.JSON):
        return call("to_json", node.this)
    if to.is_type(*exp.DataType.TEXT_TYPES):
        return _to_text(node)
    pattern = _READ.get(to.this)
    if pattern is None or isinstance(node.this, exp.Null | exp.Boolean) or _is_read(node.this, pattern):
        return node
    return _read(node, pattern)


def _is_read(value: exp.Expression, pattern: str) -> bool:
    """Whether the value is a literal that both engines read alike."""
    written = literal(value)
    if written is not None:
        return whole_text(pattern, written)
    return isinstance(value, exp.Count) or (isinstance(value, exp.Literal) and value.is_int)


def _read(node: exp.Cast, pattern: str) -> exp.Expression:
    """A text must be wholly of the form; a double is rounded half up to a whole number, not half to even."""
    mild = isinstance(node, exp.TryCast)
    value = exp.cast(node.this.copy(), "text", dialect="duckdb")
    checked = call("athena_try_read" if mild else "athena_read", value, text(pattern), text(node.to.sql("athena")))
    cases = exp.Case().when(type_is(node.this, "VARCHAR"), type(node)(this=checked, to=node.to.copy()))
    if node.to.is_type(*_WHOLE):
        rounded = call("round", exp.TryCast(this=node.this.copy(), to=exp.DataType.build("double")))
        cases = cases.when(type_is(node.this, "DOUBLE", "FLOAT"), type(node)(this=rounded, to=node.to.copy()))
    return exp.Paren(this=cases.else_(node.copy()))


def _to_text(node: exp.Cast) -> exp.Expression:
    """Times and JSON are written as Athena writes them; varchar(3) keeps three characters."""
    plain = node.this
    if isinstance(plain, exp.Literal | exp.Null):
        value: exp.Expression = exp.cast(plain.copy(), "text", dialect="duckdb")
    else:
        value = call("athena_text", plain)
    length = node.to.expressions[0].this if node.to.expressions else None
    return call("left", value, length) if length is not None and node.to.is_type(_TYPE.VARCHAR) else value


def is_address(node: exp.Expression) -> bool:
    """Whether the node is a CAST to IPADDRESS, rewritten or not yet."""
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type(_TYPE.IPADDRESS))
    return named(node, "athena_ip", "athena_try_ip")


def divide(node: exp.Div) -> exp.Expression:
    """A quotient of decimals has the places of the operand with more of them: 1.0 / 3 is 0.3."""
    leaves: list[exp.Expression] = []
    scale = max(_scale(node.this, leaves) or 0, _scale(node.expression, leaves) or 0)
    if not _has_decimal(node):
        return node
    double: exp.Expression = exp.Boolean(this=False)
    if leaves:
        double = exp.or_(*(type_is(leaf, "DOUBLE", "FLOAT") for leaf in leaves))
    return call("athena_decimal", node, number(scale), double)


def _has_decimal(node: exp.Expression) -> bool:
    """Whether the arithmetic of the node has a decimal literal, a CAST to one, or a quotient of decimals."""
    if isinstance(node, exp.Div | exp.Mul | exp.Add | exp.Sub):
        return _has_decimal(node.this) or _has_decimal(node.expression)
    if isinstance(node, exp.Paren | exp.Neg):
        return _has_decimal(node.this)
    if isinstance(node, exp.Literal):
        return not node.is_string and "." in node.name and "e" not in node.name.lower()
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type(_TYPE.DECIMAL))
    return named(node, "athena_decimal")


def _scale(node: exp.Expression, leaves: list[exp.Expression]) -> int:
    """Decimal places of the node's value, as far as its form tells; what may be a double is added to `leaves`."""
    if isinstance(node, exp.Paren | exp.Neg):
        return _scale(node.this, leaves)
    if isinstance(node, exp.Mul):
        return _scale(node.this, leaves) + _scale(node.expression, leaves)
    if isinstance(node, exp.Add | exp.Sub | exp.Div):
        return max(_scale(node.this, leaves), _scale(node.expression, leaves))
    if isinstance(node, exp.Literal | exp.Cast) and _has_decimal(node):
        return _places(node)
    if named(node, "athena_decimal"):
        leaves.append(node.expressions[0])
        return int(node.expressions[1].name)
    if not (isinstance(node, exp.Literal) and node.is_int):
        leaves.append(node)
    return 0


def _places(node: exp.Expression) -> int:
    """Decimal places of a literal, or of the type of a CAST."""
    if isinstance(node, exp.Cast):
        precision = node.to.expressions
        return int(precision[1].name) if len(precision) > 1 else 0
    return len(node.name.partition(".")[2])
