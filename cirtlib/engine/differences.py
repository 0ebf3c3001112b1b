"""Where engines differ, as far as the tests on a real Trino have shown it: what queries/README.md tells.

The same text runs everywhere; what is listed is left as it is, because mending it would hide what the evidence says, or
cost more than it is worth.
"""

# what, on a case folder, on Athena and Trino
DIFFERENCES = (
    (
        "an event that was delivered twice",
        "one row; every place of it is in `sightings`",
        "a row for each delivery, so counts are higher where two trails log the same account",
    ),
    (
        "an odd event time (`2026-06-10 12:00:00`, epoch seconds)",
        "brought to ISO 8601 in UTC when it is collected",
        "the record's own text; where it is not ISO 8601, `event_time` is NULL and no window finds the record",
    ),
    ("fractions of a second", "microseconds", "milliseconds; CloudTrail itself writes whole seconds"),
    (
        "columns beyond AWS's documented table",
        "filled",
        (
            "NULL, unless the table has them: `event_category`, `management_event`, `source_identity`, `on_behalf_of`, "
            "`sign_in_session`, `credentials_issued_to`, and what says where a record lies"
        ),
    ),
    (
        "detail (`request`, `response`, `additional`, `service_details`)",
        "as logged, byte by byte, session tokens redacted",
        (
            "equal as JSON: spacing and escapes are the reader's; tokens are redacted in the answer. A detail that "
            "is a bare text stands without its quotes"
        ),
    ),
    (
        "a record that does not fit the table, such as `resources` with texts in it",
        "read as far as it goes; the rest is in `unmodelled`",
        "the query fails (`HIVE_CURSOR_ERROR`), and names the file",
    ),
    (
        "JSON that is cut off",
        "no JSON: functions on it give NULL",
        "functions find what stands before the cut",
    ),
    (
        "`UNNEST(resources) AS t (r)`",
        "`r` is the whole element, as AWS's documentation has it",
        "the same: the text is rewritten on the way, as Trino alone would ask for one alias for each field",
    ),
    ("`array_agg` without ORDER BY", "in any order", "in any order; the shipped questions sort each list"),
    ("rows that are equal in what they are sorted by", "in any order", "in any order, and another from run to run"),
    (
        "regular expressions with look-around or back-references",
        "an error",
        "work",
    ),
    (
        "`WITH RECURSIVE`",
        "as long as it takes",
        (
            "written out step by step: the logs are read again for each, at most 10 times, and 150 stages are the end. "
            "The shipped questions walk along a map instead"
        ),
    ),
    (
        "`findings`, `finding_history`, `sightings`",
        "of any size",
        "travel in the text of the query: 1,000 rows at most",
    ),
)


def table() -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| | on a case folder | on Athena and Trino |", "|---|---|---|"]
    return lines + [f"| {what} | {here} | {there} |" for what, here, there in DIFFERENCES]
