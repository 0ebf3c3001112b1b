"""Small helpers of the rewrites: calls, literals, and the refusal of a construct."""

import re

from sqlglot import exp

from cirtlib.errors import QueryError


def call(name: str, *arguments: exp.Expression) -> exp.Expression:
    """Call of a DuckDB function that sqlglot leaves as it is."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def refuse(construct: str, instead: str = "") -> QueryError:
    """Error for a construct that cannot be run faithfully."""
    return QueryError(f"{construct} cannot be run on the embedded engine" + (f"; {instead}" if instead else ""))


def number(value: int) -> exp.Expression:
    """Literal of a whole number."""
    return exp.Literal.number(value)


def text(value: str) -> exp.Expression:
    """Literal of a text."""
    return exp.Literal.string(value)


def literal(node: exp.Expression | None) -> str | None:
    """Text of a text literal, else None."""
    return str(node.name) if isinstance(node, exp.Literal) and node.is_string else None


def named(node: exp.Expression, *names: str) -> bool:
    """Whether the node is a call of one of these functions."""
    return isinstance(node, exp.Anonymous) and node.name.lower() in names


def type_is(node: exp.Expression, *types: str) -> exp.Expression:
    """Whether the value of the node is of one of DuckDB's types; DuckDB works it out before the first row."""
    return exp.In(this=call("typeof", node), expressions=[text(name) for name in types])


def body_with(function: exp.Lambda, values: dict[str, exp.Expression]) -> exp.Expression:
    """Body of a lambda with values in the places of its parameters."""
    body = exp.Paren(this=function.this.copy())
    for name in list(body.find_all(exp.Identifier)):
        field = isinstance(name.parent, exp.Dot) and name.arg_key == "expression"
        own = isinstance(name.parent, exp.Column | exp.Alias | exp.TableAlias | exp.DataType | exp.ColumnDef)
        if name.name in values and not field and not own:
            name.replace(values[name.name].copy())
    return body


def whole_text(pattern: str, value: str) -> bool:
    """Whether the pattern matches all of the value."""
    return re.fullmatch(pattern, value) is not None
