"""`from cirtlib import name` gives the public function, also where a module has the same name."""

import subprocess
import sys

import pytest

import cirtlib


@pytest.mark.parametrize("name", cirtlib.__all__)
def test_a_public_name_is_there_and_described(name: str) -> None:
    """Each can be called, and says what it does."""
    value = getattr(cirtlib, name)
    assert callable(value)
    assert value.__doc__
    assert name in dir(cirtlib)


@pytest.mark.parametrize("first", ["import cirtlib", "import cirtlib.scope, cirtlib.coverage"])
def test_a_module_with_a_public_function_of_its_name_can_be_called(first: str) -> None:
    """In whatever order they are imported, `scope(case)` and `scope.write(case)` both work."""
    code = f"""
{first}
from cirtlib import scope, coverage
from cirtlib.scope import scope as function, write
assert callable(scope) and callable(coverage)
assert scope.write is write and cirtlib.scope is scope and cirtlib.coverage.gaps
try:
    scope("no case")
except AttributeError as error:
    assert "str" in str(error)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A slip of the pen is said as Python says it."""
    with pytest.raises(AttributeError, match="no attribute 'scopes'"):
        _ = cirtlib.scopes
