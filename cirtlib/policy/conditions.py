"""Condition blocks of policies, judged by what is known of a request: true, false, or None where it is not known.

Operators, set operators and what an absent key means follow the IAM user guide ("IAM JSON policy elements: Condition
operators", "Set operators for multivalued context keys").
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Truth = bool | None
_SPECIAL = {"*": "*", "?": "?", "$": "$"}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _NotKnown:
    """The type of `NOT_KNOWN`."""

    def __repr__(self) -> str:
        return "NOT_KNOWN"


NOT_KNOWN = _NotKnown()
"""A key that a request may have, with a value that the evidence does not tell."""
Value = str | list[str] | _NotKnown


class Context:
    """Condition keys of one request, whatever their case."""

    def __init__(self, keys: Mapping[str, Value], *, complete: bool) -> None:
        self._keys = {name.lower(): value for name, value in keys.items()}
        self._complete = complete

    def get(self, name: str) -> list[str] | _NotKnown | None:
        """Values of a key; None when the request has it not; `NOT_KNOWN`."""
        found = self._keys.get(name.lower(), None if self._complete else NOT_KNOWN)
        return [found] if isinstance(found, str) else found


def all_of(truths: list[Truth]) -> Truth:
    """Whether all hold: false as soon as one is false, though others are not known."""
    if False in truths:
        return False
    return None if None in truths else True


def any_of(truths: list[Truth]) -> Truth:
    """Whether one holds: true as soon as one is true, though others are not known."""
    if True in truths:
        return True
    return None if None in truths else False


def opposite(truth: Truth) -> Truth:
    """Not; what is not known stays so."""
    return None if truth is None else not truth


def listed(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """Value as a list."""
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=4096)
def glob(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    r"""Regular expression of a pattern with `*` and `?`; a character after \x00 stands for itself."""
    parts, position = [], 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\x00" and position + 1 < len(pattern):
            position += 1
            parts.append(re.escape(pattern[position]))
        else:
            parts.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
        position += 1
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def substitute(text: str, context: Context, *, wild: bool = True) -> str | _NotKnown | None:
    """Text of a policy with its variables filled in; None when a variable's key is not in the request.

    `wild`: the text is a pattern, in which what comes from the request stands for itself.
    """
    parts, position = [], 0
    for hole in _VARIABLE.finditer(text):
        name, _, default = (part.strip() for part in hole[1].partition(","))
        value: str | _NotKnown | None
        if hole[1] in _SPECIAL:
            value = hole[1]
        else:
            found = context.get(name)
            value = found if isinstance(found, _NotKnown) else found[0] if found and len(found) == 1 else None
            if value is None and default:
                value = default.strip("'")
        if value is None or isinstance(value, _NotKnown):
            return value
        parts += [text[position : hole.start()], re.sub(r"[*?]", "\x00\\g<0>", value) if wild else value]
        position = hole.end()
    return "".join([*parts, text[position:]])


def holds(block: Mapping[str, Any] | None, context: Context, *, variables: bool = True) -> Truth:
    """Whether every condition of a block holds; `variables`: the policy's version knows variables (2012-10-17)."""
    truths = [
        _condition(operator, key, [_text(value) for value in listed(values)], context, variables=variables)
        for operator, keys in (block or {}).items()
        for key, values in keys.items()
    ]
    return all_of(truths)


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON scalar
    return str(value).lower() if isinstance(value, bool) else str(value)


def _condition(operator: str, key: str, values: list[str], context: Context, *, variables: bool) -> Truth:
    mode, _, name = operator.rpartition(":")
    mode = mode.lower()
    if_exists = name.lower().endswith("ifexists")
    name = name[: -len("ifexists")].lower() if if_exists else name.lower()
    given = context.get(key)
    if name == "null":
        return (
            None
            if isinstance(given, _NotKnown)
            else any((given is None) == (value.lower() == "true") for value in values)
        )
    negated = name.replace("not", "", 1) in _TESTS and name not in _TESTS
    test = _TESTS.get(name.replace("not", "", 1) if negated else name)
    if test is None or mode not in ("", "foranyvalue", "forallvalues") or isinstance(given, _NotKnown):
        return None
    if given is None or not given:
        return if_exists or mode == "forallvalues" or (negated and not mode)
    if len(given) > 1 and not mode:
        return None
    wanted = [substitute(value, context, wild=test in _PATTERNS) for value in values] if variables else list(values)
    # A variable that the request lacks matches nothing; whether not matching it counts, the guide does not say.
    absent = None if negated else False
    matched = [any_of([_one(test, value, want, absent) for want in wanted]) for value in given]
    each = [opposite(one) if negated else one for one in matched]
    return any_of(each) if mode == "foranyvalue" else all_of(each)


def _one(test: Callable[[str, str], Truth], value: str, want: str | _NotKnown | None, absent: Truth) -> Truth:
    if want is None:
        return absent
    return None if isinstance(want, _NotKnown) else test(value, want)


def _like(value: str, pattern: str) -> Truth:
    return bool(glob(pattern).fullmatch(value))


def _arn(value: str, pattern: str) -> Truth:
    mine, theirs = value.split(":", 5), pattern.split(":", 5)
    if len(theirs) < 6 or len(mine) < 6:
        return pattern == "*"
    return all(glob(part).fullmatch(one) is not None for one, part in zip(mine, theirs, strict=True))


def _ip(value: str, network: str) -> Truth:
    try:
        within = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(value) in within
    except ValueError:
        return False  # "AWS Internal" and names of services are in no network


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], Truth]:
    def test(value: str, want: str) -> Truth:
        try:
            return compare(float(value), float(want))
        except ValueError:
            return False

    return test


def _dates(compare: Callable[[float, float], bool]) -> Callable[[str, str], Truth]:
    def test(value: str, want: str) -> Truth:
        one, two = _moment(value), _moment(want)
        return None if one is None or two is None else compare(one, two)

    return test


def _moment(text: str) -> float | None:
    """Seconds since 1970 of a date as policies write it: ISO 8601, or the seconds themselves."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "equals": lambda a, b: a == b,
    "lessthan": lambda a, b: a < b,
    "lessthanequals": lambda a, b: a <= b,
    "greaterthan": lambda a, b: a > b,
    "greaterthanequals": lambda a, b: a >= b,
}
_TESTS: dict[str, Callable[[str, str], Truth]] = {
    "stringequals": lambda value, want: value == want,
    "stringequalsignorecase": lambda value, want: value.lower() == want.lower(),
    "stringlike": _like,
    "arnequals": _arn,
    "arnlike": _arn,
    "ipaddress": _ip,
    "bool": lambda value, want: value.lower() == want.lower(),
    **{f"numeric{name}": _numbers(compare) for name, compare in _COMPARE.items()},
    **{f"date{name}": _dates(compare) for name, compare in _COMPARE.items()},
}
_PATTERNS = (_like, _arn)
