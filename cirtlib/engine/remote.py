"""One SQL text for an engine elsewhere: the question, and before it the relations it asks, cut to the case.

`cloudtrail_logs` is the table there, cut to the accounts, Regions and days of delivery that the case and the question
name, with the columns that a case folder has; `events` is the adapter on that; findings travel along as values.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from sqlglot import exp

from cirtlib.case import Case
from cirtlib.engine import dialect, shapes
from cirtlib.engine import duckdb as local
from cirtlib.engine.binding import bind, literal
from cirtlib.engine.schema import DOCUMENTED, EXTRA, FINDING_HISTORY, FINDINGS, LINK, SIGHTINGS
from cirtlib.errors import CaseError, QueryError
from cirtlib.records.redact import redact
from cirtlib.shipped import shipped

# US dollars for a terabyte that Athena scans, in most Regions: https://aws.amazon.com/athena/pricing/ (SQL queries)
PRICE = 5.0
LATE_DAYS = 1
MOST_ROWS = 1_000  # of findings and the like, which travel in the text
_VALUES = {
    "findings": {**FINDINGS, "latest": "BOOLEAN"},
    "finding_history": FINDING_HISTORY,
    "sightings": SIGHTINGS,
}
# what a partition column holds, by the names that AWS's documentation and the Security Analytics Bootstrap give it
_ROLES = {
    "account": ("account", "account_partition", "account_id", "accountid"),
    "region": ("region", "region_partition", "aws_region"),
    "date": ("timestamp", "date_partition", "date", "dt", "day", "eventday"),
    "year": ("year",),
    "month": ("month",),
    "day": ("day",),
}
# members of userIdentity that AWS's documented table lacks, or has in the struct alone, as the adapter looks for them
_IDENTITY = (
    ("onBehalfOf", "userId"),
    ("inScopeOf", "credentialsIssuedTo"),
    ("sessionContext", "sourceIdentity"),
)
_DETAIL = ("requestparameters", "responseelements", "additionaleventdata", "serviceeventdetails")
_SPELLINGS = ("essionToken", "essiontoken")
# as many backslashes stand before the quotes of the value as before those of the name
_WITH_VALUE = r"""(?s)(ession[tT]oken(\\*)"\s*:\s*\2")(?:(?!\2").)*"""
_NEEDED = ("eventtime", "eventid", "eventname", "eventsource", "useridentity")
_FORMATS = {"yyyy": "%Y", "MM": "%m", "dd": "%d"}
# where a partition keeps the events of global services, such as IAM; no choice of Regions leaves it out
_GLOBAL = {"cn-": "cn-north-1", "us-gov-": "us-gov-west-1"}


@dataclass(frozen=True)
class Table:
    """A table of CloudTrail records on another engine.

    Attributes
    ----------
    name
        As it stands after FROM, such as `exp.table_("logs", db="security", quoted=True)`.
    columns
        Name in lower case to type, as Hive or Trino writes it; the partition columns too.
    partitions
        Names of the partition columns.
    properties
        Of the table, such as `projection.account.type`.
    options
        Of the case's source: late_days, partitions, date_format, unpartitioned, scan_limit_bytes.
    """

    name: exp.Table
    columns: dict[str, str]
    partitions: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def role(self, what: str) -> str | None:
        """Partition column that holds the account, region, date (a whole date), year, month or day."""
        given = self.options.get("partitions") or {}
        if what in given:
            return str(given[what])
        if what == "date" and {"year", "month"} <= set(self.partitions):
            return None  # `day` is then the day of the month
        taken = set(map(str, given.values()))
        return next((name for name in _ROLES[what] if name in self.partitions and name not in taken), None)


def options(case: Case, engine: str, form: str) -> dict[str, Any]:
    """Options of the case's source on an engine; `form` is what they look like, for the message.

    Raises
    ------
    CaseError
        when the case has no such source.
    """
    for source in case.sources:
        if source.kind == "cloudtrail" and isinstance(source.options.get(engine), dict):
            return dict(source.options[engine])
    raise CaseError(
        f"{case.path / 'case.yaml'} has no source for the engine {engine}; add cloudtrail: "
        f"{{{engine}: {form}}} to sources"
    )


def statement(case: Case, tree: exp.Expression, values: dict[str, Any], table: Table) -> exp.Expression:
    """The question as one statement that needs nothing but the table.

    Parameters
    ----------
    tree
        Of the question, from `dialect.parse`.
    values
        Of its parameters, typed.

    Raises
    ------
    QueryError
        when the question has no window, would scan the table as a whole, or needs more rows of findings than travel.
    CaseError
        when the case's options of the source fit neither each other nor the table.
    """
    tree = bind(tree, values)
    dialect.check_relations(tree)
    asked = {node.name.lower() for node in tree.find_all(exp.Table)} & set(dialect.RELATIONS)
    made: dict[str, exp.Expression] = {}
    if asked & {"cloudtrail_logs", "events"}:
        made["cloudtrail_logs"] = _logs(table, predicates(case, values, table))
    if "events" in asked:
        made["events"] = dialect.parse((shipped("queries") / "events" / "cloudtrail.sql").read_text(encoding="utf-8"))
    made |= {name: _values(case, tree, name) for name in _VALUES if name in asked}
    ctes = [exp.CTE(this=body, alias=exp.TableAlias(this=exp.to_identifier(name))) for name, body in made.items()]
    given = tree.args.get("with_")
    if given is None:
        tree.set("with_", exp.With(expressions=ctes))
    else:
        given.set("expressions", ctes + given.expressions)
    return tree


def span(case: Case, values: dict[str, Any]) -> tuple[datetime, datetime]:
    """First and last moment that a question is about: all the times given with it, and the case's window beyond those.

    The window counts where the question names no beginning (start, baseline_start) or no end of its own.

    Raises
    ------
    QueryError
        when neither says so.
    """
    times = [value for value in values.values() if isinstance(value, datetime)]
    begin = [] if {"start", "baseline_start"} & set(values) else [case.window.start]
    finish = [] if "end" in values else [case.window.end or (datetime.now(UTC) if case.window.live else None)]
    first = None if None in begin and not times else min(filter(None, [*times, *begin]))
    last = None if None in finish and not times else max(filter(None, [*times, *finish]))
    if first is None or last is None:
        raise QueryError(
            "a question that goes to another engine needs a window: set `window: {start: ..., end: ...}` in "
            f"{case.path / 'case.yaml'}, or name :start and :end in the question"
        )
    return first, last


def predicates(case: Case, values: dict[str, Any], table: Table) -> list[exp.Expression]:
    """Conditions that cut the table to what the question is about, by its partitions, and by time inside.

    Raises
    ------
    QueryError
        when no partition can be left out, and the case does not say `unpartitioned: true` with a scan limit.
    """
    first, last = span(case, values)
    accounts = _narrowed(case.accounts, values.get("accounts"))
    regions = _with_global(_narrowed(case.regions, values.get("regions")))
    found = _days(table, first, last)
    for what, names, key in (("account", accounts, "accounts"), ("region", regions, "regions")):
        column = table.role(what)
        if column and names:
            found.append(_column(column).isin(*[_typed(table, column, name) for name in names]))
        elif column and table.properties.get(f"projection.{column}.type") == "injected":
            raise QueryError(
                f"partitions of {_shown(table)} are projected by {column}, which each question must name: "
                f"set {key} in {case.path / 'case.yaml'}"
            )
    if not found:
        _unpartitioned(case, table)
    inside = [(exp.GTE, first.replace(microsecond=0)), (exp.LTE, last + timedelta(seconds=1))]
    for kind, moment in inside:
        text = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        found.append(kind(this=_column("eventtime"), expression=exp.Literal.string(text)))
    return found


def _unpartitioned(case: Case, table: Table) -> None:
    """Let a table be read as a whole only where the case says so, and says how much of it."""
    options, where = table.options, case.path / "case.yaml"
    if table.partitions and not options.get("unpartitioned"):
        raise QueryError(
            f"the partition columns of {_shown(table)} ({', '.join(table.partitions)}) say nothing of account, Region "
            "or day, so this would read all of it: say what they hold with partitions: {account: ..., region: ..., "
            f"date: ...}} in the source in {where}"
        )
    if not options.get("unpartitioned"):
        raise QueryError(
            f"{_shown(table)} has no partitions, so each question reads all of it: make a table with partitions "
            f"(`cirt athena-ddl {case.path}` prints one), or set unpartitioned: true and scan_limit_bytes in the "
            f"source in {where}"
        )
    if not options.get("scan_limit_bytes"):
        raise QueryError(f"unpartitioned: true needs scan_limit_bytes beside it in {where}: what a question may read")


def _days(table: Table, first: datetime, last: datetime) -> list[exp.Expression]:
    """Conditions on the days of delivery, late days included."""
    late = table.options.get("late_days", LATE_DAYS)
    if not isinstance(late, int) or isinstance(late, bool) or late < 0:
        raise CaseError(f"late_days: {late!r} is no number of days, such as 1")
    begin, end = first.astimezone(UTC).date(), last.astimezone(UTC).date() + timedelta(days=late)
    if column := table.role("date"):
        written = table.options.get("date_format") or table.properties.get(f"projection.{column}.format")
        form = re.sub("yyyy|MM|dd", lambda part: _FORMATS[part[0]], str(written or "yyyy/MM/dd"))
        if set(re.findall("%.", form)) != {"%Y", "%m", "%d"}:
            raise CaseError(f"date_format: {written!r} is not made of yyyy, MM and dd")
        low, high = (_typed(table, column, f"{day:{form}}") for day in (begin, end))
        return [exp.Between(this=_column(column), low=low, high=high)]
    columns = {what: table.role(what) for what in ("year", "month", "day")}
    if not columns["year"]:
        return []
    parts = [what for what in ("year", "month", "day") if columns[what]]
    months: dict[tuple[str, ...], list[str]] = {}
    for number in range((end - begin).days + 1):
        day = begin + timedelta(days=number)
        texts = {"year": f"{day:%Y}", "month": f"{day:%m}", "day": f"{day:%d}"}
        months.setdefault(tuple(texts[what] for what in parts if what != "day"), []).append(texts["day"])
    either = []
    for named, days in months.items():
        pairs = zip((what for what in parts if what != "day"), named, strict=True)
        both = [_column(columns[what] or "").eq(_typed(table, columns[what] or "", text)) for what, text in pairs]
        if columns["day"]:
            both.append(_column(columns["day"]).isin(*[_typed(table, columns["day"], text) for text in days]))
        either.append(exp.and_(*both))
    return [exp.paren(exp.or_(*either))]


def _narrowed(ours: tuple[str, ...], asked: Any) -> list[str]:  # noqa: ANN401 - any list of texts
    """What the question names, else the case; none: all."""
    return [str(name) for name in asked] if asked else list(ours)


def _with_global(regions: list[str]) -> list[str]:
    homes = {next((home for start, home in _GLOBAL.items() if name.startswith(start)), "us-east-1") for name in regions}
    return sorted({*regions, *homes})


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _typed(table: Table, column: str, text: str) -> exp.Expression:
    """Literal of the column's type: a number where the table has numbers."""
    kind = table.columns.get(column, "string").lower()
    return exp.Literal.number(int(text)) if "int" in kind and text.isdigit() else exp.Literal.string(text)


def _shown(table: Table) -> str:
    return ".".join(part.name for part in table.name.parts)


def _logs(table: Table, conditions: list[exp.Expression]) -> exp.Select:
    """The table in the columns of a case folder; what it lacks is NULL."""
    if lost := [name for name in _NEEDED if name not in table.columns]:
        raise QueryError(
            f"{_shown(table)} has no column {lost[0]}: it is no table of CloudTrail in the form of AWS's documentation "
            "(tables of Security Lake and other OCSF tables are not supported)"
        )
    day = _published(table)
    chosen = []
    for name, kind in {**DOCUMENTED, **EXTRA, **LINK, **dict.fromkeys(day, "VARCHAR")}.items():
        if name in day:
            made = day[name]
        elif name == "useridentity_json" and name not in table.columns:
            made = _identity(table.columns["useridentity"])
        elif name in table.columns:
            made = shapes.shaped(_column(name), table.columns[name], kind)
            made = _without_tokens(made) if name in _DETAIL else made
        else:
            made = exp.cast(exp.Null(), exp.DataType.build(kind, dialect="duckdb"))
        chosen.append(exp.alias_(made, name, quoted=True))
    return exp.select(*chosen).from_(table.name.copy()).where(*conditions)


def _identity(kind: str) -> exp.Expression:
    """What the adapter reads of an identity's JSON, from those fields that the table has in its struct."""
    found = shapes.parsed(kind)
    parts: list[exp.Expression] = []
    values: list[exp.Expression] = []
    for members in _IDENTITY:
        value, at = _column("useridentity"), found
        for member in members:
            at = shapes.fields(at).get(member.lower()) if at is not None else None
            value = exp.Dot(this=value, expression=exp.to_identifier(member.lower(), quoted=True))
        if at is None:
            continue
        opening = ("{" if not parts else ",") + "".join(f'"{member}":{{' for member in members[:-1])
        written = exp.JSONFormat(this=exp.cast(value.copy(), "json"), is_json=True)
        parts += [
            exp.Literal.string(f'{opening}"{members[-1]}":'),
            exp.Coalesce(this=written, expressions=[exp.Literal.string("null")]),
            exp.Literal.string("}" * (len(members) - 1)),
        ]
        values.append(value)
    if not values:
        return exp.cast(exp.Null(), "varchar")
    known = exp.Coalesce(this=values[0], expressions=values[1:]) if len(values) > 1 else values[0]
    whole = exp.func("concat", *parts, exp.Literal.string("}"), dialect="athena")
    return exp.Case(ifs=[exp.If(this=exp.Is(this=known.copy(), expression=exp.Null()), true=exp.Null())], default=whole)


def _without_tokens(detail: exp.Expression) -> exp.Expression:
    """JSON text without the value of any `sessionToken`, also in JSON inside strings: no token leaves the server."""
    spelt = (exp.Like(this=detail.copy(), expression=exp.Literal.string(f"%{name}%")) for name in _SPELLINGS)
    replacement = (exp.Literal.string(_WITH_VALUE), exp.Literal.string("$1REDACTED"))
    clean = exp.func("regexp_replace", detail.copy(), *replacement, dialect="trino")
    return exp.Case().when(exp.or_(*spelt), clean).else_(detail)


def _published(table: Table) -> dict[str, exp.Expression]:
    """The partition columns that published tables have, from this table's, or else from the record."""
    date = exp.func("substr", _column("eventtime"), exp.Literal.number(1), exp.Literal.number(10), dialect="trino")
    slashed = exp.func("replace", date, exp.Literal.string("-"), exp.Literal.string("/"), dialect="trino")

    def part(start: int, length: int) -> exp.Expression:
        where = (exp.Literal.number(start), exp.Literal.number(length))
        return exp.func("substr", _column("eventtime"), *where, dialect="trino")

    def own(what: str, other: exp.Expression) -> exp.Expression:
        column = table.role(what)
        return exp.cast(_column(column), "varchar") if column else other

    account, region = own("account", _column("recipientaccountid")), own("region", _column("awsregion"))
    return {
        "account": account, "region": region,
        "year": part(1, 4), "month": part(6, 2), "day": part(9, 2),
        "timestamp": slashed, "date_partition": slashed,
        "region_partition": region, "account_partition": account,
    }  # fmt: skip


def _values(case: Case, tree: exp.Expression, name: str) -> exp.Expression:
    """A relation of the case folder as values: the columns that the question names."""
    schema = {**_VALUES[name]}
    named = {column.name.lower() for column in tree.find_all(exp.Column)}
    if not tree.find(exp.Star):
        schema = {column: kind for column, kind in schema.items() if column in named} or {"day": "VARCHAR"}
    listed = ", ".join(f'"{column}"' for column in schema)
    with local.connect(case) as connection:
        rows = local.run(connection, f"SELECT {listed} FROM {name} LIMIT {MOST_ROWS + 1}")  # noqa: S608 - ours
    if len(rows) > MOST_ROWS:
        raise QueryError(
            f"this question takes {name} along to another engine, and the case has more than {MOST_ROWS:,}: ask it "
            "with --engine local, or of a case with fewer findings"
        )
    types = [exp.DataType.build(kind, dialect="duckdb") for kind in schema.values()]
    if rows.empty:
        nothing = [exp.alias_(exp.cast(exp.Null(), kind), column) for column, kind in zip(schema, types, strict=True)]
        return exp.select(*nothing).where(exp.false())
    tuples = [
        exp.Tuple(expressions=[exp.cast(_literal(value), kind) for value, kind in zip(row, types, strict=True)])
        for row in rows.itertuples(index=False)
    ]
    alias = exp.TableAlias(this=exp.to_identifier("given"), columns=[exp.to_identifier(column) for column in schema])
    return exp.select("*").from_(exp.Values(expressions=tuples, alias=alias))


def _literal(value: Any) -> exp.Expression:  # noqa: ANN401 - a cell of a data frame
    if isinstance(value, list):
        return literal([str(item) for item in value])
    if value is None or pd.isna(value):
        return exp.Null()
    return literal(
        value.to_pydatetime() if isinstance(value, pd.Timestamp) else getattr(value, "item", lambda: value)()
    )


def redacted(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without session tokens, which a table elsewhere still has."""
    for place, name in enumerate(frame.columns):
        column = frame.iloc[:, place]
        if not (pd.api.types.is_string_dtype(column.dtype) or pd.api.types.is_object_dtype(column.dtype)):
            continue
        found = [isinstance(value, str) and redact(value.encode()).decode() != value for value in column]
        if any(found):
            clean = [redact(v.encode()).decode() if hit else v for v, hit in zip(column, found, strict=True)]
            frame.isetitem(place, pd.Series(clean, index=frame.index, dtype=column.dtype, name=name))
    return frame
