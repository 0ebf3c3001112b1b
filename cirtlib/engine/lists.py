"""Rewrites of functions on arrays and maps, those with lambdas among them.

Facts: Trino's documentation of its array, map and lambda functions.
"""

from collections.abc import Callable

from sqlglot import exp

from cirtlib.engine.casts import is_address
from cirtlib.engine.nodes import body_with, call, literal, named, number, refuse, text

_MAPS = ("map", "map_agg", "histogram", "map_from_entries", "map_filter", "transform_values", "transform_keys",
         "athena_split_to_map")  # fmt: skip


def is_map(node: exp.Expression) -> bool:
    """Whether the node's value is a map, as far as its form tells."""
    if isinstance(node, exp.Column):
        return str(node.name).lower() == "webidfederationdata"
    if isinstance(node, exp.Dot):
        return str(node.expression.name).lower() == "webidfederationdata"
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type(exp.DataType.Type.MAP))
    return isinstance(node, exp.Map | exp.VarMap | exp.StrToMap) or named(node, *_MAPS)


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
    """contains(network, address) is another function than contains(array, element), which a NULL may leave unknown."""
    if is_address(node.expression) or literal(node.this) is not None:
        return call("athena_in_network", node.this, node.expression)
    if isinstance(node.this, exp.Array) and all(isinstance(one, exp.Literal) for one in node.this.expressions):
        return call("list_contains", node.this, node.expression)
    return call("athena_contains", node.this, node.expression)


def bracket(node: exp.Bracket) -> exp.Expression:
    """An element that is not there is an error, as Athena has it; element_at() gives NULL."""
    if node.args.get("safe") or len(node.expressions) != 1:
        return node
    key = _from_one(node.expressions[0])
    if is_map(node.this) or literal(key) is not None:
        return call("athena_map_value", node.this, key)
    return node if isinstance(key, exp.Column | exp.Slice) else call("athena_subscript", node.this, key)


def _from_one(key: exp.Expression) -> exp.Expression:
    """The subscript as it was written: the parser takes 1 off one that is surely a number."""
    if isinstance(key, exp.Literal) and key.is_int:
        return number(int(key.name) + 1)
    if isinstance(key, exp.Add) and key.expression.sql() == "-1":
        return key.this
    return exp.Paren(this=exp.Add(this=key, expression=number(1))) if isinstance(key, exp.Neg) else key


def split(node: exp.Split) -> exp.Expression:
    """The limit leaves the rest in the last part."""
    limit = node.args.get("limit")
    return call("athena_split_limit", node.this, node.expression, limit) if limit else node


def split_to_map(node: exp.StrToMap) -> exp.Expression:
    """Each entry must have one delimiter."""
    return call("athena_split_to_map", node.this, node.args["pair_delim"], node.args["key_value_delim"])


def repeat(node: exp.Repeat) -> exp.Expression:
    """An array, where DuckDB repeats a text."""
    return call("athena_repeat", node.this, node.args["times"])


def reduce_(node: exp.Reduce) -> exp.Expression:
    """The last step of reduce() is left out by the translation, so it must do nothing."""
    finish = node.args.get("finish")
    if isinstance(finish, exp.Lambda) and finish.this.sql() != finish.expressions[0].sql():
        raise refuse("reduce() with a last step that changes the value", "apply that step outside reduce()")
    return exp.Reduce(this=node.this, initial=node.args["initial"], merge=node.args["merge"])


def _lambda(node: exp.Anonymous, place: int, parameters: int) -> exp.Lambda:
    function = node.expressions[place] if len(node.expressions) > place else None
    if not isinstance(function, exp.Lambda) or len(function.expressions) != parameters:
        raise refuse(f"{node.name}() without a lambda of {parameters} parameters")
    return function


def _of_pair(function: exp.Lambda) -> exp.Lambda:
    """A lambda of two parameters as one of their pair, a struct."""
    first, second = (parameter.name for parameter in function.expressions)
    pair = exp.to_identifier(f"cirt_{first}_{second}")
    fields = {
        name: call("struct_extract_at", exp.column(pair.copy()), number(place))
        for place, name in ((1, first), (2, second))
    }
    return exp.Lambda(this=body_with(function, fields), expressions=[pair])


def _zip_with(node: exp.Anonymous) -> exp.Expression:
    pairs = call("list_zip", *node.expressions[:2])
    return call("list_transform", pairs, _of_pair(_lambda(node, 2, 2)))


def _map_filter(node: exp.Anonymous) -> exp.Expression:
    entries = call("map_entries", node.expressions[0])
    return call("map_from_entries", call("list_filter", entries, _of_pair(_lambda(node, 1, 2))))


def _transform_values(node: exp.Anonymous) -> exp.Expression:
    table = node.expressions[0]
    values = call("list_transform", call("map_entries", table), _of_pair(_lambda(node, 1, 2)))
    return call("map", call("map_keys", table), values)


def _transform_keys(node: exp.Anonymous) -> exp.Expression:
    table = node.expressions[0]
    keys = call("list_transform", call("map_entries", table), _of_pair(_lambda(node, 1, 2)))
    return call("map", keys, call("map_values", table))


def _match(node: exp.Anonymous, *, wanted: bool) -> exp.Expression:
    """Whether any element makes the lambda `wanted`: true, else NULL when one makes it NULL, else false."""
    results = call("list_transform", node.expressions[0], _lambda(node, 1, 1))
    return call("athena_contains", results, exp.Boolean(this=wanted))


def _any_match(node: exp.Anonymous) -> exp.Expression:
    return _match(node, wanted=True)


def _all_match(node: exp.Anonymous) -> exp.Expression:
    return exp.Not(this=exp.Paren(this=_match(node, wanted=False)))


def _none_match(node: exp.Anonymous) -> exp.Expression:
    return exp.Not(this=exp.Paren(this=_match(node, wanted=True)))


def _map_agg(node: exp.Anonymous) -> exp.Expression:
    return call("map", *(call("list", argument) for argument in node.expressions))


def _sort(node: exp.ArraySort) -> exp.Expression:
    if isinstance(node.expression, exp.Lambda):
        raise refuse("array_sort() with a comparison", "sort with array_agg(x ORDER BY y)")
    return call("list_sort", node.this, text("ASC"), text("NULLS LAST"))


def _to(name: str) -> Callable[[exp.Expression], exp.Expression]:
    """Call of another function with the same one or two arguments."""
    return lambda node: call(name, *(one for one in (node.this, node.args.get("expression")) if one is not None))


def _ours(name: str) -> Callable[[exp.Anonymous], exp.Expression]:
    return lambda node: call(f"athena_{name}", *node.expressions)


NODES: dict[type[exp.Expression], Callable[..., exp.Expression]] = {
    exp.ArraySlice: array_slice, exp.ArrayPosition: array_position, exp.ArraySize: array_size,
    exp.ArrayContains: contains, exp.Bracket: bracket, exp.Split: split, exp.StrToMap: split_to_map,
    exp.Repeat: repeat, exp.Reduce: reduce_, exp.ArraySort: _sort, exp.ArrayMax: _to("athena_array_max"),
    exp.ArrayMin: _to("athena_array_min"), exp.ArrayDistinct: _to("athena_array_distinct"),
    exp.ArrayExcept: _to("athena_array_except"), exp.ArrayIntersect: lambda node: call(
        "athena_array_intersect", *node.expressions),
    exp.ArrayOverlaps: _to("athena_arrays_overlap"),
}  # fmt: skip

FUNCTIONS: dict[str, Callable[[exp.Anonymous], exp.Expression]] = {
    "any_match": _any_match, "all_match": _all_match, "none_match": _none_match, "map_agg": _map_agg,
    "zip_with": _zip_with, "map_filter": _map_filter, "transform_values": _transform_values,
    "transform_keys": _transform_keys,
    "arrays_overlap": _ours("arrays_overlap"), "array_intersect": _ours("array_intersect"),
    "array_union": _ours("array_union"), "array_except": _ours("array_except"),
}  # fmt: skip
