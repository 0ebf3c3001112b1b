"""Parameters of a question: found in its syntax tree, and bound there as typed literals, never as text."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlglot import exp

from cirtlib.errors import QueryError

# an empty list of these means all of them: the condition goes away
ALL_WHEN_EMPTY = ("accounts", "regions")


def parameters(tree: exp.Expression) -> tuple[str, ...]:
    """Names of the `:name` parameters, in the order of the text."""
    return tuple(dict.fromkeys(node.name for node in tree.find_all(exp.Placeholder, bfs=False) if node.name))


def bind(tree: exp.Expression, values: dict[str, Any]) -> exp.Expression:
    """Copy of the tree with each `:name` replaced by the literal of its value.

    Raises
    ------
    QueryError
        when a parameter has no value, or a value is of a type that SQL has no literal for.
    """
    tree = tree.copy()
    for node in list(tree.find_all(exp.Placeholder)):
        if not node.name or node.name not in values:
            raise QueryError(
                f"parameter {node.name or '?'!r} has no value; write parameters as :name and give each one"
            )
        value = values[node.name]
        if node.name in ALL_WHEN_EMPTY and _is_list(value) and not value:
            _drop_condition(node)
        elif node.name in ALL_WHEN_EMPTY and _is_list(value) and isinstance(node.parent, exp.ArrayContains):
            # the same, as engines pass over files and partitions by IN, and not by contains
            node.parent.replace(exp.In(this=node.parent.expression, expressions=[literal(v, node.name) for v in value]))
        elif isinstance(node.parent, exp.In) and node.arg_key == "expressions" and _is_list(value):
            _expand(node, list(value))
        else:
            node.replace(literal(value, node.name))
    return tree


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)


def _drop_condition(node: exp.Placeholder) -> None:
    """An empty list that means all: contains(:list, x) and x IN (:list) are true."""
    condition = node.parent
    if not isinstance(condition, exp.ArrayContains | exp.In):
        node.replace(literal([], node.name))
        return
    condition.replace(exp.Boolean(this=True))


def _expand(node: exp.Placeholder, values: list[Any]) -> None:
    """Make x IN (:list) one literal for each value; none is never true."""
    condition = node.parent
    assert condition is not None
    literals = [literal(value, node.name) for value in values] or [exp.Null()]
    others = [item for item in condition.expressions if item is not node]
    condition.set("expressions", others + literals)


def literal(value: Any, name: str = "") -> exp.Expression:  # noqa: ANN401, PLR0911 - one return for each type
    """Athena literal of a Python value.

    Text, bool, int, float, Decimal, date, datetime (without an offset taken as UTC), None, or a list of one of them.

    Raises
    ------
    QueryError
        for a value of any other type.
    """
    if _is_list(value):
        return _array(list(value), name)
    if value is None:
        return exp.cast(exp.Null(), "varchar", dialect="athena")
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | Decimal):
        return _signed(str(value))
    if isinstance(value, float) and math.isfinite(value):
        return exp.cast(_signed(repr(value)), "double", dialect="athena")
    if isinstance(value, str):
        return exp.Literal.string(unicode_text(value, f"parameter {name!r}"))
    if isinstance(value, datetime):
        moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        text = exp.Literal.string(f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond:06d} UTC")
        return exp.cast(text, "timestamp with time zone", dialect="athena")
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "date", dialect="athena")
    raise QueryError(f"parameter {name!r}: a value of type {type(value).__name__} has no SQL literal")


def unicode_text(value: str, what: str) -> str:
    """The text itself.

    Raises
    ------
    QueryError
        when it has bytes that were no UTF-8, as a terminal may hand them over.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise QueryError(f"{what} is not wholly Unicode text (UTF-8)") from None
    return value


def _signed(text: str) -> exp.Expression:
    return (
        exp.Paren(this=exp.Neg(this=exp.Literal.number(text[1:]))) if text.startswith("-") else exp.Literal.number(text)
    )


def _array(values: list[Any], name: str) -> exp.Expression:
    """Array of literals; an empty one is of text."""
    array = exp.Array(expressions=[literal(value, name) for value in values])
    return array if values else exp.cast(array, "array(varchar)", dialect="athena")
