"""CloudTrail records -> an Arrow table, column by column: what repeats is decoded once, nested values stay as they are.

A nested value stays the bytes that were logged. Those of one column are joined, and cut again by Arrow: an object for
each would cost more than reading the JSON did. Texts that repeat are dictionaries, which Parquet writes as they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from cirtlib.records import redact
from cirtlib.records.layout import ABSENT, FIELDS, FLAG, JSON_COLUMNS, STRUCTS, Record, json_object, unquoted
from cirtlib.store import schema, structs

UNKNOWN = "unknown"
# JSON cannot hold it unescaped, so that it can stand between two values.
_BETWEEN = b"\x1e"
_TOKENS = (b"essionToken", b"essiontoken")
_TEXT = pa.string()
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass
class Rows:
    """CloudTrail records on their way into one table, and for each stretch of them where it is from.

    Attributes
    ----------
    records
        The records, of one object after another.
    unmodelled
        Row -> column `unmodelled`, for rows of which the forgiving reader has made it.
    positions
        Positions in their object, for each stretch.
    stretches
        (SHA-256 of the object, source kind, account that the object's name tells or None), for each stretch.
    """

    records: list[Record] = field(default_factory=list)
    unmodelled: dict[int, str | None] = field(default_factory=dict)
    positions: list[range] = field(default_factory=list)
    stretches: list[tuple[str, str, str | None]] = field(default_factory=list)

    def add(self, records: list[Record], first: int, link: tuple[str, str, str | None]) -> None:
        """Add records that stand one after another, from position `first` on."""
        self.records += records
        self.positions.append(range(first, first + len(records)))
        self.stretches.append(link)


def is_account(text: str | None) -> bool:
    """Whether a text is an account id, which may name a folder."""
    return text is not None and _ACCOUNT.fullmatch(text) is not None


def table(rows: Rows) -> pa.Table:
    """Arrow table of the rows: the columns of `schema.CLOUDTRAIL`; account_id and day are dictionaries."""
    made: dict[str, pa.Array] = {}
    nested: dict[str, pa.DictionaryArray] = {}
    # As tuples all at once: to ask each record for each attribute takes three times as long.
    every = zip(*map(msgspec.structs.astuple, rows.records), strict=True)
    for name, values in zip(Record.__struct_fields__, every, strict=True):
        if name in JSON_COLUMNS:
            made[name] = _json(values)
        elif name in STRUCTS:
            nested[name] = _joined(values).dictionary_encode()
        elif name in {"readonly", "managementevent"}:
            made[name] = pa.array([FLAG.get(value, value) for value in values], _TEXT)
        else:
            made[name] = _texts(values)
    made["useridentity_json"] = nested["useridentity"]
    beyond: dict[int, dict[str, str]] = {}
    for name, codes in nested.items():
        made[name], odd = structs.column(name, codes)
        for row in _rows_of(codes, odd):
            beyond.setdefault(row, {})[FIELDS[name]] = codes[row].as_py()
    made["unmodelled"] = _unmodelled(rows, beyond)
    made |= _links(rows)
    made["account_id"] = _accounts(rows, made)
    made["day"] = pc.utf8_slice_codeunits(made["eventtime"], 0, 10).dictionary_encode()
    return pa.table({name: made[name] for name in schema.CLOUDTRAIL.names})


def _texts(values: Sequence[str | None]) -> pa.Array:
    made = pa.array(values, _TEXT)
    content = made.buffers()[2]
    if content is not None and any(token in content.to_pybytes() for token in _TOKENS):
        made = pa.array([one and redact(one.encode()).decode() for one in values], _TEXT)
    return made


def _json(values: Sequence[Raw]) -> pa.Array:
    """JSON texts as they were logged; JSON that was logged as a string, as JSON; null for a JSON null."""
    if values.count(ABSENT) == len(values):
        return pa.nulls(len(values), _TEXT)
    made = _joined(values)
    if pc.any(pc.starts_with(made, '"')).as_py():
        found = made.to_pylist()
        made = pa.array([unquoted(one) if one is not None and one[0] == '"' else one for one in found], _TEXT)
    return made


def _joined(values: Sequence[Raw]) -> pa.StringArray:
    """JSON texts, session tokens redacted; null for a JSON null."""
    content = redact(_BETWEEN.join(values))
    if len(content) >= 1 << 31 or content.count(_BETWEEN) != len(values) - 1:
        texts = [redact(bytes(one)).decode() for one in values]
        return pa.array([None if one == "null" else one for one in texts], _TEXT)
    ends = pa.array([0, len(content)], pa.int32())
    whole = pa.StringArray.from_buffers(1, ends.buffers()[1], pa.py_buffer(content))
    made = pc.split_pattern(whole, "\x1e").flatten()
    if not len(made):  # Arrow has no parts of an empty text
        return pa.nulls(len(values), _TEXT)
    return pa.StringArray.from_buffers(len(made), *made.buffers()[1:], pc.not_equal(made, "null").buffers()[1])


def _unmodelled(rows: Rows, beyond: dict[int, dict[str, str]]) -> pa.Array:
    """What resources and TLS details hold beyond the table's structs; of odd records what the forgiving reader has."""
    found = {row: json_object(parts) for row, parts in beyond.items()} | rows.unmodelled
    if not found:
        return pa.nulls(len(rows.records), _TEXT)
    return pa.array([found.get(row) for row in range(len(rows.records))], _TEXT)


def _rows_of(codes: pa.DictionaryArray, wanted: list[int]) -> list[int]:
    """Rows that have one of these codes."""
    if not wanted:
        return []
    here = pc.is_in(codes.indices, pa.array(wanted, codes.indices.type))
    return np.flatnonzero(here.to_numpy(zero_copy_only=False)).tolist()


def _links(rows: Rows) -> dict[str, pa.Array]:
    count = len(rows.records)
    objects, origins = ([link[part] for link in rows.stretches] for part in (0, 1))
    where = _repeat(rows)
    return {
        "source_object": _taken(objects, where),
        "source_position": pa.array(np.fromiter(chain.from_iterable(rows.positions), np.int32, count)),
        "source_kind": _taken(origins, where),
        "conflict": pa.repeat(pa.scalar(value=False), count),
    }


def _repeat(rows: Rows) -> np.ndarray:
    """Number of its stretch, for each row."""
    return np.repeat(np.arange(len(rows.positions), dtype=np.int32), [len(one) for one in rows.positions])


def _taken(values: list[str | None], where: np.ndarray) -> pa.DictionaryArray:
    codes = pa.array(values, _TEXT).dictionary_encode()
    return pa.DictionaryArray.from_arrays(codes.indices.take(pa.array(where)), codes.dictionary)


def _accounts(rows: Rows, made: dict[str, pa.Array]) -> pa.DictionaryArray:
    """Account of each row: the recipient, else that of the object's name, else the caller's, else unknown."""
    codes = made["recipientaccountid"].dictionary_encode()
    known = codes.dictionary.to_pylist()
    if codes.null_count == 0 and all(map(is_account, known)):
        return codes
    where = _repeat(rows)
    callers = pc.struct_field(made["useridentity"], "accountid")
    accounts = made["recipientaccountid"].to_pylist()
    for row, account in enumerate(accounts):
        if not is_account(account):
            caller = callers[row].as_py()
            accounts[row] = rows.stretches[where[row]][2] or (caller if is_account(caller) else UNKNOWN)
    return pa.array(accounts, _TEXT).dictionary_encode()
