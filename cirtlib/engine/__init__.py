"""Engines: run one Athena SQL text over `events`, `findings` and `cloudtrail_logs`, wherever the records lie.

Each engine is one module that supplies the relations and runs a bound syntax tree: `duckdb` over the case folder.
`dialect` turns Athena SQL into DuckDB's, and mends or refuses what would silently mean something else there.
"""
