"""Athena SQL to DuckDB SQL: what DuckDB would silently answer otherwise is mended, or refused with its name.

Only questions pass: one SELECT (or WITH, VALUES, DESCRIBE, SHOW COLUMNS) over the relations of a case. Whatever else
a text may hold, it cannot read a file, change a setting or write.
"""

import functools
import re

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from cirtlib.engine import casts, lists, rewrites
from cirtlib.engine.binding import unicode_text
from cirtlib.engine.nodes import call, refuse
from cirtlib.errors import QueryError

RELATIONS = ("events", "findings", "finding_history", "cloudtrail_logs", "sightings")
_SHOW = re.compile(r"^\s*(?:SHOW\s+COLUMNS\s+(?:FROM|IN)|DESCRIBE|DESC)\s+\"?(\w+)\"?\s*;?\s*$", re.IGNORECASE)
_FIRST = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*(\w*)", re.DOTALL)
_READER = re.compile(r"\b(glob|read_\w+|\w+_scan)\s*\(", re.IGNORECASE)
_ORDERING = (exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Ordered, exp.Min, exp.Max)
_ARRAY_FUNCTIONS = (
    "array_union",
    "array_intersect",
    "array_except",
    "athena_array_union",
    "athena_array_intersect",
    "athena_array_except",
    "athena_array_distinct",
    "athena_slice",
    "athena_split_limit",
    "athena_repeat",
    "list_sort",
    "list_transform",
    "zip_with",
)


def parse(sql: str) -> exp.Expression:
    """Syntax tree of one Athena SELECT.

    Raises
    ------
    QueryError
        when the text is no SQL, holds more than one statement, or does anything but ask.
    """
    unicode_text(sql, "the SQL")
    show = _SHOW.match(sql)
    if show:
        return exp.Describe(this=exp.to_table(show[1]))
    first = _FIRST.match(sql)
    word = first[1].upper() if first else ""
    if word and word not in ("SELECT", "WITH", "VALUES"):
        raise QueryError(f"only questions run here: begin with SELECT or WITH, not {word}")
    try:
        trees = [
            tree for tree in sqlglot.parse(sql, read="athena", error_level=ErrorLevel.IMMEDIATE) if tree is not None
        ]
    except (SqlglotError, RecursionError) as error:
        reader = _READER.search(sql)
        if reader:
            raise QueryError(f"{reader[1].lower()}() reads files, which a question may not") from None
        raise QueryError(f"no Athena SQL: {_plain(error)}") from None
    if len(trees) != 1:
        raise QueryError(f"one statement at a time; this text has {len(trees)}" if trees else "the text is empty")
    tree = trees[0]
    if not isinstance(tree, exp.Query | exp.Values):
        raise QueryError(f"only questions run here: begin with SELECT or WITH, not {tree.key.upper()}")
    for node in tree.find_all(exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock):
        if not isinstance(node, exp.Query | exp.Values):
            raise QueryError(f"only questions run here: {node.key.upper()} inside the SELECT is refused")
    return tree


def check_relations(tree: exp.Expression, relations: tuple[str, ...] = RELATIONS) -> None:
    """Refuse tables that are not of the case, and functions that stand where a table does.

    Raises
    ------
    QueryError
        naming the first such table or function, and the relations there are.
    """
    known = f"the relations are {', '.join(relations[:-1])} and {relations[-1]}"
    for node in tree.find_all(exp.ReadCSV, exp.ReadParquet):
        raise QueryError(f"{node.sql_name().lower()}() reads files, which a question may not; {known}")
    for table in list(tree.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            name = table.this.name or table.this.sql_name()
            raise QueryError(f"the table function {name.lower()}() is refused; {known}")
        if table.db and table.name.lower() in relations:
            # a published query names its own database; here there is one
            table.set("db", None)
            table.set("catalog", None)
        if table.db or (table.name.lower() not in relations and not _is_cte(table)):
            raise QueryError(f"there is no relation {table.sql('athena', comments=False)}; {known}")


def _is_cte(table: exp.Table) -> bool:
    """Whether a WITH in sight of the table defines its name."""
    name = table.name.lower()
    node: exp.Expression | None = table
    while node is not None:
        parent = node.parent
        if isinstance(node, exp.CTE) and isinstance(parent, exp.With):
            if _defines(parent.expressions[: parent.expressions.index(node)], name):
                return True
            if parent.args.get("recursive") and node.alias.lower() == name:
                return True
            # the WITH's own query sees its later siblings; this body does not
            node = parent.parent.parent if parent.parent is not None else None
            continue
        with_ = node.args.get("with_")
        if with_ is not None and _defines(with_.expressions, name):
            return True
        node = parent
    return False


def _defines(ctes: list[exp.CTE], name: str) -> bool:
    return any(cte.alias.lower() == name for cte in ctes)


def to_duckdb(sql: str | exp.Expression, relations: tuple[str, ...] = RELATIONS) -> str:
    """DuckDB SQL with the meaning that the Athena SQL has on Athena; it calls the macros of `engine.macros`.

    Raises
    ------
    QueryError
        when the text is no question, names an unknown relation, or holds a construct that cannot be mended.
    """
    tree = parse(sql) if isinstance(sql, str) else sql.copy()
    check_relations(tree, relations)
    missing = sorted({node.name for node in tree.find_all(exp.Placeholder, exp.Parameter)})
    if missing:
        raise QueryError(f"parameters without a value: {', '.join(missing)}")
    _spell_alike(tree)
    arrays = _array_names(tree)
    addresses = frozenset(one.alias.lower() for one in tree.find_all(exp.Alias) if casts.is_address(one.this))
    for node in reversed(list(tree.walk(bfs=True))):
        mended = _rewrite(node, arrays, addresses)
        if mended is not node:
            node.replace(mended)
    try:
        return str(tree.sql("duckdb", comments=False, unsupported_level=ErrorLevel.IMMEDIATE))
    except SqlglotError as error:
        raise QueryError(f"this cannot be run on the embedded engine: {_plain(error)}") from None


def to_trino(tree: exp.Expression) -> str:
    """Trino SQL of an Athena tree whose parameters are bound, for Athena itself as for a Trino.

    UNNEST with one alias gives the element whole, as AWS documents it, where Trino alone would ask for an alias for
    each field of a row.

    Raises
    ------
    QueryError
        when it cannot be written down.
    """
    tree = tree.copy()
    _spell_alike(tree)
    for node in list(tree.find_all(exp.Unnest)):
        alias = node.args.get("alias")
        if isinstance(node.parent, exp.From | exp.Join) and alias and len(alias.columns) == len(node.expressions) == 1:
            element = exp.to_identifier("cirt_element")
            whole = exp.Lambda(this=call("ROW", exp.column(element.copy())), expressions=[element])
            node.set("expressions", [exp.Transform(this=node.expressions[0], expression=whole)])
    try:
        return str(tree.sql("trino", comments=False, unsupported_level=ErrorLevel.IMMEDIATE))
    except SqlglotError as error:
        raise QueryError(f"this cannot be written in Trino's SQL: {_plain(error)}") from None


def _spell_alike(tree: exp.Expression) -> None:
    """Name each column as it is defined: in answers, engines call it now as it is defined, now as it is asked for."""
    defined = {node.alias: node.alias for node in tree.find_all(exp.Alias, exp.CTE) if node.alias}
    for node in tree.find_all(exp.TableAlias):
        defined |= {column.name: column.name for column in node.columns}
    spelt = {name.lower(): name for name in reversed(defined)}
    for node in tree.find_all(exp.Column, exp.Dot):
        name = node.this if isinstance(node, exp.Column) else node.expression
        if isinstance(name, exp.Identifier) and not name.quoted:
            name.set("this", spelt.get(name.name.lower(), name.name.lower()))


def _rewrite(node: exp.Expression, arrays: frozenset[str], addresses: frozenset[str]) -> exp.Expression:
    """The node that stands for `node` in DuckDB; its children are rewritten already."""
    if isinstance(node, exp.Unnest):
        return _unnest(node)
    if isinstance(node, exp.DPipe):
        return _concat(node, arrays)
    if isinstance(node, _ORDERING) and any(_is_address(side, addresses) for side in node.iter_expressions()):
        raise refuse("the order of IPADDRESS values", "write contains('10.0.0.0/8', address)")
    rule = rewrites.NODES.get(type(node))
    return rule(node) if rule else node


def _unnest(node: exp.Unnest) -> exp.Expression:
    """UNNEST as a table: one alias takes the element whole; several take its fields, or the arrays side by side."""
    if not isinstance(node.parent, exp.From | exp.Join):
        return node
    alias = node.args.get("alias")
    columns = list(alias.columns) if alias else []
    arrays = node.expressions
    maps = [lists.is_map(array) for array in arrays]
    offset = node.args.get("offset")
    if len(arrays) == 1 and not maps[0] and len(columns) < 2 and not offset:
        return node
    if len(arrays) > 1 and (any(maps) or len(columns) != len(arrays)):
        raise refuse("UNNEST of several values with other than one alias for each", "unnest them one by one")
    source = arrays[0] if len(arrays) == 1 else call("list_zip", *arrays)
    if maps[0]:
        source = call("map_entries", source)
    element = exp.column("cirt_element", table="cirt_unnest")
    fields: list[exp.Expression] = [
        call("struct_extract_at", element, exp.Literal.number(place + 1)) for place in range(len(columns))
    ]
    if len(columns) == 1 and not maps[0]:
        fields = [element]
    inner_columns = [exp.to_identifier("cirt_element")]
    if isinstance(offset, exp.Identifier):
        fields.append(exp.column("cirt_place", table="cirt_unnest"))
        inner_columns.append(exp.to_identifier("cirt_place"))
        columns.append(offset)
    inner = exp.Unnest(
        expressions=[source.copy()],
        alias=exp.TableAlias(this=exp.to_identifier("cirt_unnest"), columns=inner_columns[:1]),
        offset=inner_columns[1] if len(inner_columns) > 1 else False,
    )
    outer = exp.TableAlias(this=alias.this.copy(), columns=[column.copy() for column in columns])
    return exp.Lateral(this=exp.Subquery(this=exp.select(*fields).from_(inner)), alias=outer)


def _is_address(node: exp.Expression, addresses: frozenset[str]) -> bool:
    """Whether the node is a CAST to IPADDRESS, or a name that the text gives to one."""
    return casts.is_address(node) or (isinstance(node, exp.Column) and node.name.lower() in addresses)


def _concat(node: exp.DPipe, arrays: frozenset[str]) -> exp.Expression:
    """Make array || element a join of lists: DuckDB joins lists only with lists."""
    left, right = _is_array(node.this, arrays), _is_array(node.expression, arrays)
    if left == right:
        return node
    element = node.expression if left else node.this
    element.replace(exp.Array(expressions=[element.copy()]))
    return node


def _is_array(node: exp.Expression | None, arrays: frozenset[str]) -> bool:
    """Whether the node's value is an array, as far as its form and the names in the text tell."""
    if isinstance(node, exp.Paren | exp.Alias | exp.Filter | exp.Reduce):
        return _is_array(node.args.get("initial") or node.this, arrays)
    if isinstance(node, exp.DPipe):
        return _is_array(node.this, arrays) or _is_array(node.expression, arrays)
    if isinstance(node, exp.Column | exp.Identifier):  # a parameter of a lambda is an identifier
        return node.name.lower() in arrays
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type(exp.DataType.Type.ARRAY))
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in _ARRAY_FUNCTIONS
    return isinstance(
        node,
        exp.Array
        | exp.ArrayAgg
        | exp.ArrayFilter
        | exp.Transform
        | exp.Split
        | exp.ArrayDistinct
        | exp.GenerateSeries
        | exp.ArraySlice
        | exp.ArraySort
        | exp.Repeat
        | exp.Flatten
        | exp.ArrayRemove
        | exp.RegexpExtractAll,
    )


def _array_names(tree: exp.Expression) -> frozenset[str]:
    """Names that the text gives to arrays, `resources` among them; a name given twice counts as either."""
    names = frozenset({"resources"})
    for _ in range(3):  # an array may be passed on through a few subqueries
        found = {node.alias.lower() for node in tree.find_all(exp.Alias) if _is_array(node.this, names)}
        for node in tree.find_all(exp.Reduce):  # what it gathers into an array is one in its lambda too
            if _is_array(node.args["initial"], names) and isinstance(node.args["merge"], exp.Lambda):
                found.add(node.args["merge"].expressions[0].name.lower())
        for cte in tree.find_all(exp.CTE):
            columns = cte.args["alias"].columns
            first = cte.this.selects if isinstance(cte.this, exp.Query) else []
            found |= {
                column.name.lower() for column, value in zip(columns, first, strict=False) if _is_array(value, names)
            }
        if found <= names:
            break
        names |= found
    return names


def _plain(error: Exception) -> str:
    """First line of an error's message, without the terminal's colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.splitlines()[0] if text else type(error).__name__


@functools.lru_cache(maxsize=64)
def cached(sql: str) -> str:
    """`to_duckdb` of a shipped text, worked out once."""
    return to_duckdb(sql)
