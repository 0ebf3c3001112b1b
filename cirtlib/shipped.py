"""Where the queries, notebooks and scenarios that ship with the library lie."""

from pathlib import Path


def shipped(name: str) -> Path:
    """Folder `queries`, `notebooks` or `scenarios`: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).parent
    beside = package.parent / name
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else package / "shipped" / name
