"""Figures show what they should, and log text in them is text."""

import json
import re

import pandas as pd
import plotly.io as pio
import pytest

from cirtlib import plots, techniques, timeline
from cirtlib.plots import actions, addresses, graph, heatmap, layers, rows, style
from cirtlib.plots.around import Context, merged
from cirtlib.scope import load as load_scope
from cirtlib.timeline.acts import INTERVALS

ACCOUNT = "111122223333"
ALICE, ROLE = f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:role/devRole"
KEY, SESSION = "access_key:AKIAEXAMPLE000000001", "access_key:ASIAEXAMPLE000000002"
NO_FINDINGS = pd.DataFrame(columns=list(INTERVALS))
HOSTILE = '<b>x</b><a href="javascript:alert(1)">y</a> $a^2$ $b$ &lt;%{x}\x1b[31m\u202e'


def acts(*changes):
    """Judged events, one a minute from 10:00, as alice's by the attacker unless changed."""
    made = [
        {
            "event_time": pd.Timestamp("2026-06-10T10:00:00Z") + pd.Timedelta(minutes=number),
            "event_id": f"e{number}",
            "account_id": ACCOUNT,
            "event_source": "iam.amazonaws.com",
            "event_name": "ListUsers",
            "principal": ALICE,
            "credential": KEY,
            "verdict": "attacker",
            "outcome": "ok",
            "source_ip": "203.0.113.7",
            "user_agent": "aws-cli/2",
            "user_agent_family": "aws-cli",
            **change,
        }
        for number, change in enumerate(changes)
    ]
    return techniques.annotate(pd.DataFrame(made))


def findings(*names):
    times = {"start": pd.Timestamp("2026-06-10T10:01:00Z"), "end": pd.Timestamp("2026-06-10T10:03:00Z")}
    made = [dict.fromkeys(INTERVALS) | times | {"finding_id": n, "type": n, "severity_label": "LOW"} for n in names]
    return pd.DataFrame(made)


def points(figure):
    """(row label, symbol, hover) of every mark of the data."""
    ticks = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    return [
        (ticks[round(y)], symbol, hover)
        for trace in figure.data
        if trace.hovertext is not None and str(trace.legendgroup).startswith("tactic")
        for y, symbol, hover in zip(trace.y, trace.marker.symbol, trace.hovertext, strict=True)
    ]


def test_form_tells_whose_act_it_was_and_how_it_ended():
    """The attacker's is filled, the owner's hollow, what was denied a cross, what nobody judged a tick."""
    figure = actions.draw(
        acts(
            {}, {"outcome": "denied"}, {"verdict": "owner"}, {"verdict": "owner", "outcome": "denied"},
            {"verdict": "", "principal": ROLE}, {"verdict": "unclear"}, {"outcome": "throttled"},
        ),
        Context(NO_FINDINGS, named=frozenset({KEY})),
    )  # fmt: skip
    assert [symbol for _, symbol, _ in points(figure)] == [
        "circle", "x", "circle-open", "x-open", "line-ns-open", "circle-open-dot", "triangle-up",
    ]  # fmt: skip
    legend = [trace.name for trace in figure.data if trace.showlegend]
    assert {"Discovery", "attacker", "attacker, denied", "owner", "owner, denied", "not judged"} <= set(legend)
    assert all(trace.x[0] is None for trace in figure.data if trace.showlegend)


def test_a_row_for_each_named_credential_and_one_for_the_rest():
    """A credential of the scope has its own row under its principal; other sessions stand together."""
    figure = actions.draw(
        acts(
            {"verdict": "", "credential": "access_key:X"}, {}, {"verdict": "", "principal": ROLE, "credential": SESSION}
        ),
        Context(NO_FINDINGS, named=frozenset({KEY})),
    )
    assert list(figure.layout.yaxis.ticktext) == [
        "<b>user/alice (…3333)</b><br>AKIAEXAMPLE000000001",
        "other sessions",
        "<b>role/devRole (…3333)</b>",
    ]


def test_findings_gaps_and_mints_stand_around_the_marks():
    """A lane of findings, a band for their time, a shaded gap with its reason, an arrow between two rows."""
    when = pd.Timestamp("2026-06-10T10:01:00Z")
    gap = {"start": when, "end": when + pd.Timedelta(hours=1), "reason": "logging of T was off", "label": "logging off"}
    mint = {"time": when, "from": KEY, "to": SESSION, "event": "e0", "what": "AKIA issued ASIA"}
    context = Context(findings("f1", "f2"), [gap], [mint], frozenset({KEY, SESSION}))
    figure = actions.draw(acts({}, {"principal": ROLE, "credential": SESSION}), context)
    arrows = [one for one in figure.layout.annotations if one.showarrow]
    assert [(round(one.ay), round(one.y)) for one in arrows] == [(0, -1)]
    assert [one.text for one in figure.layout.annotations if not one.showarrow] == ["logging off"]
    boxes = [(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"]
    assert boxes == [("2026-06-10 10:01:00", "2026-06-10 11:01:00"), ("2026-06-10 10:01:00", "2026-06-10 10:03:00")]
    hovers = [text for trace in figure.data for text in trace.hovertext or ()]
    assert sum("<b>f1</b>" in text for text in hovers) == 1
    assert sum("AKIA issued ASIA" in text for text in hovers) == 1
    alt = figure.layout.meta["alt"]
    assert "2 events of 2 principals from 2026-06-10 10:00:00 to 2026-06-10 10:01:00 UTC: 2 attacker" in alt
    assert "logging of T was off: 2026-06-10 10:01:00 to 2026-06-10 11:01:00." in alt


def test_the_table_holds_the_marks_and_every_event_once():
    """Events of one bin, tactic, verdict and outcome are one mark; their ids stand in the table."""
    frame = acts(*[{}] * 3, {"event_name": "CreateUser"}, {"verdict": "owner"})
    frame["event_time"] = frame["event_time"].iloc[0]
    table = actions.table(frame, frozenset({KEY}))
    assert list(zip(table["tactic"], table["verdict"], table["events"], strict=True)) == [
        ("Discovery", "attacker", 3), ("Discovery", "owner", 1), ("Persistence", "attacker", 1),
    ]  # fmt: skip
    assert sorted(one for many in table["event_ids"] for one in many) == sorted(frame["event_id"])
    ys = [y for trace in actions.draw(frame, Context(NO_FINDINGS)).data for y in trace.y if y is not None]
    assert len(set(ys)) == 3, "marks of one bin hide one another"


def test_a_short_attack_in_a_long_window_is_shown_close():
    """The view opens on the attack, a button shows all of the window."""
    late = {"event_time": pd.Timestamp("2026-06-14T10:00:00Z"), "verdict": ""}
    figure = actions.draw(acts({}, {}, {}, late), Context(NO_FINDINGS))
    assert figure.layout.xaxis.range[1] < "2026-06-11"
    buttons = {one.label: one.args[0]["xaxis.range"] for one in figure.layout.updatemenus[0].buttons}
    assert buttons["all of the window"][1] > "2026-06-14"
    assert not actions.draw(acts({}, {}, {}), Context(NO_FINDINGS)).layout.updatemenus


def test_what_does_not_fit_is_said():
    """Beyond sixty rows the figure names how many principals stand in the table only."""
    frame = acts(*[{"principal": f"{ALICE}{n:03}", "verdict": ""} for n in range(80)])
    figure = actions.draw(frame, Context(NO_FINDINGS))
    assert "20 principals do not fit" in figure.layout.title.text
    assert actions.table(frame, frozenset())["principal"].nunique() == 80


def strings(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def hostile_figures():
    frame = acts(
        {"principal": f"arn:aws:iam::{ACCOUNT}:user/{HOSTILE}", "source_ip": HOSTILE, "event_name": HOSTILE},
        {"user_agent": HOSTILE, "user_agent_family": HOSTILE, "credential": f"access_key:{HOSTILE}"},
    )
    gap = {"start": frame["event_time"][0], "end": frame["event_time"][1], "reason": HOSTILE, "label": HOSTILE}
    mint = {"time": frame["event_time"][0], "from": KEY, "to": "principal:" + ALICE, "event": HOSTILE, "what": HOSTILE}
    yield actions.draw(frame, Context(findings(HOSTILE), [gap], [mint], frozenset({f"access_key:{HOSTILE}"})))
    yield heatmap.draw(frame)
    yield addresses.draw(frame)
    node = scope_node(f"resource:{HOSTILE}", "changed")
    yield graph.draw(scope([scope_node(KEY, "compromised"), node], [(KEY, node["id"], "changed")]))


def test_log_text_is_never_markup():
    """No tag but ours, no formula, no control character reaches a figure, whatever the log holds."""
    count = 0
    for figure in hostile_figures():
        content = json.loads(pio.to_json(figure))
        content["layout"].pop("meta")
        for string in strings(content):
            bare = re.sub(r"</?(b|i|br)>|<span style='font-size:12px;color:#8c8c8c'>|</span>", "", string)
            count += "&lt;b&gt;" in bare
            assert "<" not in bare, string
            assert "$" not in bare, string
            assert "%" not in bare, string
            assert not re.search("[\x00-\x1f\u202e]", bare), string
    assert count > 8, "the hostile text was not drawn at all"


@pytest.mark.parametrize("draw", [lambda f: actions.draw(f, Context(NO_FINDINGS)), heatmap.draw, addresses.draw])
def test_nothing_to_draw_is_said(draw):
    """Without events a figure says so, in its text alternative too."""
    figure = draw(acts({}).iloc[:0])
    assert "There are no events" in figure.layout.meta["alt"]
    assert not figure.data


@pytest.mark.parametrize("draw", [lambda f: actions.draw(f, Context(NO_FINDINGS)), heatmap.draw, addresses.draw])
def test_a_figure_depends_on_nothing_but_the_events(draw):
    """The same events in another order give the same bytes."""
    frame = acts({}, {"principal": ROLE}, {"verdict": "owner"}, {"principal": None, "source_ip": None})
    assert pio.to_json(draw(frame)) == pio.to_json(draw(frame.copy()))
    assert draw(frame).layout.modebar.remove[0] == "sendChartToCloud"


def test_the_heat_map_outlines_the_attackers_hours():
    """Counts by principal and hour, a frame around each cell with an act of the attacker."""
    frame = acts({}, {}, {"event_time": pd.Timestamp("2026-06-10T12:30:00Z"), "verdict": "", "principal": ROLE})
    table = heatmap.table(frame)
    assert list(table["events"]) == [2, 1]
    assert list(table["attacker_events"]) == [2, 0]
    figure = heatmap.draw(frame)
    assert [(shape.x0, shape.x1, round(shape.y0)) for shape in figure.layout.shapes] == [
        ("2026-06-10 10:00:00", "2026-06-10 11:00:00", 0)
    ]
    assert [[cell is not None for cell in line] for line in figure.data[0].z] == [
        [True, False, False],
        [False, False, True],
    ]
    assert "acted as 1 of them in hours from 2026-06-10 10:00:00" in figure.layout.meta["alt"]


def test_addresses_put_the_attackers_first_and_name_who_shares_them():
    """Columns run from the attacker's address; a principal without verdict at the same address is kept and told."""
    frame = acts(
        {"source_ip": "198.51.100.9", "verdict": "owner"},
        {"source_ip": "203.0.113.200"},
        {"source_ip": "203.0.113.200", "verdict": "", "principal": ROLE},
        {"source_ip": "192.0.2.1", "verdict": "", "principal": "stranger"},
    )
    frame = addresses.concerned(frame)
    assert "stranger" not in set(frame["principal"])
    figure = addresses.draw(frame)
    assert list(figure.layout.xaxis.ticktext) == ["203.0.113.200 · aws-cli", "198.51.100.9 · aws-cli"]
    assert figure.layout.meta["alt"].endswith(f"without a verdict against them: {ROLE}.")
    assert list(addresses.table(frame)["events"]) == [1, 1, 1]


def scope_node(name, status, **changes):
    kind = {"access_key": "credential"}.get(name.split(":")[0], name.split(":")[0])
    base = dict.fromkeys(
        ["account", "region", "first_seen", "last_seen", "events", "attacker_events", "via", "expires"]
    )
    value = name.split(":", 1)[1]
    return base | {"id": name, "kind": kind, "value": value, "status": status, "confidence": "certain"} | changes


def scope(nodes, edges, seeds=(KEY,)):
    made = [
        {
            "id": f"e{n}",
            "from": a,
            "to": b,
            "kind": kind,
            "confidence": "certain",
            "evidence": ["x"],
            "evidence_count": 1,
        }
        for n, (a, b, kind) in enumerate(edges)
    ]
    return {"nodes": nodes, "edges": made, "seeds": list(seeds), "leads": [], "gaps": []}


def labels(figure):
    return [text for trace in figure.data if trace.mode == "markers+text" for text in trace.text]


def test_the_graph_runs_from_the_seed_in_layers():
    """A node stands as many layers to the right as it is links away from the seed; the seed has a thick rim."""
    nodes = [
        scope_node(KEY, "compromised"),
        scope_node(SESSION, "attacker_created"),
        scope_node("principal:" + ROLE, "changed"),
    ]
    content = scope(nodes, [(KEY, SESSION, "minted"), (SESSION, "principal:" + ROLE, "changed")])
    figure = graph.draw(content)
    (trace,) = [trace for trace in figure.data if trace.mode == "markers+text"]
    at = dict(zip(trace.text, trace.x, strict=True))
    assert {name: round(x) for name, x in at.items()} == {
        "<b>AKIAEXAMPLE000000001</b>": 0,
        "<b>ASIAEXAMPLE000000002</b>": 1,
        "<b>role/devRole (…3333)</b>": 2,
    }
    assert sorted(trace.marker.line.width) == [1, 1, 3]
    assert f"Links: {KEY} minted {SESSION}; {SESSION} changed principal:{ROLE}." in figure.layout.meta["alt"]
    table = graph.table(content)
    assert table["links"][1] == [f"minted ← {KEY}", f"changed → principal:{ROLE}"]
    assert list(table["seed"]) == [True, False, False]


@pytest.mark.parametrize("size", [5, 200])
def test_a_graph_of_any_size_stays_readable(size):
    """Nodes of one kind with the same neighbours are folded; no two marks lie on one another; the table has all."""
    nodes = [scope_node(KEY, "compromised"), *(scope_node(f"address:192.0.2.{n}", "touched") for n in range(size))]
    nodes += [scope_node(f"principal:{ROLE}{n}", "compromised") for n in range(size // 5)]
    content = scope(nodes, [(KEY, node["id"], "touched") for node in nodes[1:]])
    figure = graph.draw(content)
    (trace,) = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert f"{size} addresses" in labels(figure)
    assert len(trace.x) == 2 + size // 5
    assert len(set(zip(trace.x, trace.y, strict=True))) == len(trace.x)
    assert len(graph.table(content)) == len(nodes)
    assert figure.layout.height <= 1500


def test_a_large_scope_is_a_tree_of_what_led_to_what():
    """Each thing stands under what first led to it, further right, a line each; the verb stands before its name."""
    keys = [f"access_key:ASIA{n:016d}" for n in range(60)]
    nodes = [scope_node(KEY, "compromised"), *(scope_node(key, "attacker_created") for key in keys)]
    nodes += [scope_node(f"resource:arn:aws:s3:::b{n}", "changed") for n in range(5)]
    chain = [(a, b, "minted") for a, b in zip([KEY, *keys[:2]], keys[:3], strict=True)]
    chain += [(keys[2], key, "minted") for key in keys[3:]] + [(keys[1], n["id"], "changed") for n in nodes[61:]]
    content = scope(nodes, chain)
    reached = {edge["to"]: edge["id"] for edge in content["edges"]}
    content["nodes"] = [node | {"via": reached.get(node["id"])} for node in nodes]
    figure = graph.draw(content)
    (trace,) = [trace for trace in figure.data if trace.mode == "markers+text"]
    names = [name.replace("\u00a0", "") for name in trace.text]
    at = dict(zip(names, zip(trace.x, trace.y, strict=True), strict=True))
    assert [at[f"<b>issued {key.partition(':')[2]}</b>"][0] for key in keys[:4]] == [1, 2, 3, 4]
    assert at["<b>changed 5 resources</b>"][0] == 3
    assert sorted(y for _, y in at.values()) == [float(-line) for line in reversed(range(62))]
    dashed = scope(nodes[::-1], chain)
    dashed["nodes"] = [node | {"via": reached.get(node["id"])} for node in nodes[::-1]]
    assert set(labels(graph.draw(dashed))) == set(trace.text)


def test_places_depend_on_the_graph_alone():
    """The order in which nodes and links are given changes nothing; a node without a link has a place too."""
    nodes = [scope_node(KEY, "compromised"), *(scope_node(f"account:{n}", "touched") for n in range(3))]
    edges = [(KEY, node["id"], "touched") for node in nodes[1:3]]
    one, other = graph.draw(scope(nodes, edges)), graph.draw(scope(nodes[::-1], edges[::-1]))
    assert len(labels(one)) == 4
    assert labels(one) == labels(other)
    assert [trace.x for trace in one.data if trace.mode == "markers+text"] == [
        trace.x for trace in other.data if trace.mode == "markers+text"
    ]
    assert graph.draw(scope([], [])).layout.meta["alt"].endswith("The scope holds nothing.")
    assert layers.curve((0, 0), (0, 4))[6][0] > 0.1, "a link inside a layer runs through its nodes"


def test_short_names_are_told_apart():
    """A long ARN becomes short, two that would look alike keep their account, and a key stays whole."""
    assert style.short(
        f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef"
    ) == ("role/SSO Admin (…3333)")
    assert style.short("AKIAIOSFODNN7EXAMPLE") == "AKIAIOSFODNN7EXAMPLE"
    assert style.short("arn:aws:s3:::logs") == "logs"
    same = [f"arn:aws:iam::{account}:role/x" for account in ("111122223333", "444422223333")]
    assert list(style.names(same).values()) == ["role/x (111122223333)", "role/x (444422223333)"]
    assert style.names([f"{same[0]}/a/b", f"{same[0]}/c/b"]) == {
        name: name for name in (f"{same[0]}/a/b", f"{same[0]}/c/b")
    }


def test_overlapping_findings_make_one_band():
    """Bands are disjoint, so that shading does not add up."""
    at = [pd.Timestamp(f"2026-06-10T{hour:02}:00:00Z") for hour in range(6)]
    table = pd.DataFrame({"start": [at[0], at[4], at[1]], "end": [at[2], at[5], at[3]]})
    assert merged(table) == [(at[0], at[3]), (at[4], at[5])]


def test_rows_follow_the_attack():
    """The attacker's principals stand first, in the order of their first act, then the unclear, then the busiest."""
    frame = acts(
        {"principal": "z", "verdict": ""},
        {"principal": "b"},
        {"principal": "a"},
        {"principal": "y", "verdict": "unclear"},
        {"principal": "c", "verdict": ""},
        {"principal": "z", "verdict": ""},
    )
    made, left = rows.order(rows.assign(frame, set()), 10)
    assert [row.principal for row in made] == ["b", "a", "y", "z", "c"]
    assert left == 0


def test_the_figures_of_the_incident_show_what_happened(incident):
    """Owner and attacker of one key apart, the trail's silence shaded, a minted credential an arrow, tables whole."""
    case, truth = incident
    events = timeline.judged_events(case)
    figure = plots.plot_actions(case)
    symbols = {symbol for _, symbol, _ in points(figure)}
    assert {"circle", "circle-open", "x"} <= symbols
    gaps = [shape for shape in figure.layout.shapes if shape.line.dash == "dash"]
    assert len(gaps) == 1
    assert truth["logging"]["stopped"][:16].replace("T", " ") == gaps[0].x0[:16]
    assert sum(bool(one.showarrow) for one in figure.layout.annotations) >= 3
    assert int(plots.actions_table(case)["events"].sum()) == len(events)
    whole = plots.actions_table(case, everything=True)
    assert whole["principal"].nunique() > 30
    heat = plots.plot_heatmap(case)
    assert heat.layout.shapes
    assert int(plots.heatmap_table(case)["attacker_events"].sum()) == len(truth["attacker_events"])


def test_the_scope_and_the_addresses_of_the_incident(incident):
    """Every node of the extent is labelled; who shares the attacker's address is in the table without a verdict."""
    case, truth = incident
    scope = load_scope(case)
    figure = plots.plot_scope(scope)
    assert len(plots.scope_table(scope)) == len(scope.nodes)
    bold = [label for label in labels(figure) if label.startswith("<b>")]
    assert len(bold) >= len(scope.extent())
    table = plots.addresses_table(case)
    sharers = set(truth["innocents"]["shared_address_principals"])
    assert sharers <= set(table.loc[table["verdict"] == "", "principal"])
    assert plots.plot_addresses(case).layout.meta["alt"]
