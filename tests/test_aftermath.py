"""Whether containment held: small cases of what the contained do afterwards, and of what the evidence cannot show."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cirtlib import containment, verify_containment
from cirtlib.aftermath import Aftermath
from cirtlib.case import Case, load_case
from cirtlib.cli import main
from cirtlib.errors import NotFoundError, PlanError
from tests.contained import DEV, FROM_THIEF, SESSION, WHEN, attacked, day, later, state, steps
from tests.trail import CAFE, CLI, Trail, role, user

Make = Callable[[], Case]
REGIONS = ("us-east-1", "eu-west-1")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the incident with its plan, which nobody has carried out."""
    return attacked(tmp_path_factory.mktemp("attacked") / "made").path.parent


@pytest.fixture
def case(planned: Path, tmp_path: Path) -> Case:
    """A copy of it, with logs of its own."""
    shutil.copytree(planned, tmp_path / "made", symlinks=True)
    file = tmp_path / "made" / "case" / "case.yaml"
    file.write_text(file.read_text().replace(str(planned), str(tmp_path / "made")))
    return load_case(file.parent)


def after(case: Case, *calls: tuple[Any, ...], **more: Any) -> Aftermath:
    """Result after these calls: minutes after containment, who, call, and fields of the record."""
    trail = Trail()
    for minutes, who, call, fields in calls:
        trail.add(day(minutes), who, call, **fields)
    later(case, trail, **more)
    return verify_containment(case)


def by_region(result: Aftermath) -> dict[str, str]:
    return dict(zip(result.verdicts["region"], result.verdicts["verdict"], strict=True))


def reasons(result: Aftermath, region: str) -> str:
    rows = result.verdicts[result.verdicts["region"] == region]
    return "; ".join(reason for own in rows["reasons"] for reason in own)


def kinds(result: Aftermath) -> dict[str, int]:
    return {str(name): int(count) for name, count in result.calls.groupby("kind")["calls"].sum().items()}


def test_contained(case: Case) -> None:
    """Nothing was called by the contained, and both Regions reach 16 minutes further."""
    state(case)
    result = after(case)
    assert (result.verdict, by_region(result)) == ("contained", dict.fromkeys(REGIONS, "contained"))
    assert result.contained_at == WHEN
    assert result.calls.empty
    assert result.new.empty
    assert list(result.standing["verdict"]) == [""]  # verify.sh was not run


def test_a_key_that_works_three_minutes_later_is_not_contained(case: Case) -> None:
    """The call is named with its event; the other Region is contained all the same."""
    state(case)
    result = after(case, (3, DEV, "s3:ListBuckets", FROM_THIEF))
    assert result.verdict == "not contained"
    assert by_region(result) == {"eu-west-1": "contained", "us-east-1": "not contained"}
    row = result.calls.iloc[0]
    assert (row["kind"], row["whose"], row["step"], row["names"]) == (
        "access",
        "attacker",
        "01-deactivate-key",
        ["ListBuckets"],
    )
    assert result.verdicts.set_index("region").loc["us-east-1", "event_ids"] == row["event_ids"]
    assert "AKIADEV0000000000001" in reasons(result, "us-east-1")


def test_a_call_in_the_first_minute_is_told_apart(case: Case) -> None:
    """IAM takes a while to spread a change."""
    state(case)
    result = after(case, (0.5, DEV, "s3:ListBuckets", FROM_THIEF))
    assert (result.verdict, kinds(result)) == ("contained", {"while it spread": 1})


@pytest.mark.parametrize("call", ["sts:GetCallerIdentity", "sts:GetSessionToken"])
def test_a_sign_of_life_is_no_access(case: Case, call: str) -> None:
    """These succeed under an explicit deny; with a key that was deactivated they show that it is active again."""
    state(case)
    result = after(case, (3, SESSION, call, FROM_THIEF))
    assert (result.verdict, kinds(result)) == ("contained", {"credential still alive": 1})


def test_a_deactivated_key_that_answers_is_active_again(case: Case) -> None:
    """An inactive key answers nothing, not even who it is."""
    state(case)
    result = after(case, (3, DEV, "sts:GetCallerIdentity", FROM_THIEF))
    assert result.verdict == "not contained"
    assert "answers although it was deactivated" in reasons(result, "us-east-1")


def test_a_new_key_made_by_the_contained(case: Case) -> None:
    """It is access, and the key is new."""
    state(case)
    made = {
        "request": {"userName": "dev"},
        "response": {"accessKey": {"accessKeyId": "AKIANEW0000000000001", "userName": "dev"}},
    }
    result = after(case, (4, SESSION, "iam:CreateAccessKey", {**FROM_THIEF, **made}))
    assert result.verdict == "not contained"
    new = result.new.iloc[0]
    assert (new["what"], new["made"], new["by_whom"]) == ("long-term key", "AKIANEW0000000000001", "the contained")
    assert "the plan did not know of it" in " ".join(result.standing["reason"])


def test_a_credential_minted_from_the_attackers_place(case: Case) -> None:
    """Somebody else's credential, from the attacker's network and program: another holder."""
    state(case)
    trail = Trail()
    trail.assume(day(5), user("eve", "AKIAEVE0000000000001"), "otherRole", "ASIAOTHER00000000001", **FROM_THIEF)
    later(case, trail)
    result = verify_containment(case)
    assert (result.verdict, kinds(result)) == ("not contained", {"another credential": 1})
    assert list(result.new["made"]) == ["ASIAOTHER00000000001"]
    assert list(result.new["by_whom"]) == ["the attacker's place"]


def test_who_else_makes_a_user_is_to_be_asked(case: Case) -> None:
    """What others make is shown, and decides nothing."""
    state(case)
    result = after(case, (5, user("ops", "AKIAOPS0000000000001"), "iam:CreateUser", {"request": {"userName": "temp"}}))
    assert (result.verdict, list(result.new["by_whom"]), list(result.new["made"])) == (
        "contained",
        ["others"],
        ["temp"],
    )


def test_a_denied_session_from_before_the_cut_off_shows_intent(case: Case) -> None:
    """The session was minted before the revocation and is used after it: denied, and the attacker's."""
    state(case)
    result = after(case, (6, SESSION, "ec2:RunInstances", {**FROM_THIEF, "error": "Client.UnauthorizedOperation"}))
    assert (result.verdict, kinds(result)) == ("contained", {"denied": 1})
    assert list(result.calls["whose"]) == ["attacker"]


def undo(home: Path, step: str, when: str = "20260611T120500Z") -> None:
    (home / step).rename(home / f"{step}.undone-{when}")


def test_after_recovery_new_sessions_are_the_rightful_users(case: Case) -> None:
    """The deny is lifted; a session issued after the revocation is theirs, one from before is not contained."""
    undo(state(case), "03-deny")
    carol = role("devRole", "carol", "ASIACAROL00000000001", creationDate="2026-06-11T12:06:00Z")
    result = after(case, (7, carol, "s3:ListBuckets", {}))
    assert (result.verdict, kinds(result)) == ("contained", {"rightful": 1})
    assert "rolled back at 2026-06-11T12:05:00Z" in " ".join(result.standing["reason"])
    result = after(case, (8, SESSION, "s3:ListBuckets", FROM_THIEF))
    assert (result.verdict, kinds(result)) == ("not contained", {"access": 1, "rightful": 1})
    assert result.calls.iloc[0]["step"] == "04-revoke"  # the revocation should have stopped it


def test_while_the_deny_stands_no_new_session_works(case: Case) -> None:
    """Whosever session it is, a call that works shows that the deny does not hold."""
    state(case)
    carol = role("devRole", "carol", "ASIACAROL00000000001", creationDate="2026-06-11T12:06:00Z")
    result = after(case, (7, carol, "s3:ListBuckets", {}))
    assert (result.verdict, list(result.calls["step"])) == ("not contained", ["03-deny"])


def test_ten_minutes_are_not_enough(case: Case) -> None:
    """Records come up to 15 minutes late."""
    state(case)
    result = after(case, reaches=10)
    assert (result.verdict, by_region(result)) == ("unknown", dict.fromkeys(REGIONS, "unknown"))
    assert reasons(result, "us-east-1") == (
        "its evidence (log files) reaches 2026-06-11T12:10:00Z, and must reach 2026-06-11T12:15:00Z"
    )


def test_a_silent_region_is_unknown_and_says_why(case: Case) -> None:
    """Only one Region has new records: nothing shows that the other was quiet."""
    state(case)
    result = after(case, regions=("us-east-1",))
    assert (result.verdict, by_region(result)) == ("unknown", {"eu-west-1": "unknown", "us-east-1": "contained"})
    assert "reaches 2026-06-10T12:43:12Z" in reasons(result, "eu-west-1")


def test_the_weakest_verdict_is_the_whole_ones(case: Case) -> None:
    """Not contained weighs more than unknown."""
    state(case)
    result = after(case, (3, DEV, "s3:ListBuckets", FROM_THIEF), regions=("us-east-1",))
    assert (result.verdict, set(by_region(result).values())) == ("not contained", {"not contained", "unknown"})


def test_a_plan_that_was_run_in_part(case: Case) -> None:
    """What was not done is named and is not contained; nothing at all done is said as plainly."""
    home = state(case, only={"deactivate-key", "deny"})
    result = after(case)
    assert result.verdict == "not contained"
    assert list(result.standing.loc[result.standing["verdict"] != "", "step"]) == ["04-revoke", "05-revoke-again"]
    assert "04-revoke" in reasons(result, "eu-west-1")
    for step in steps(case)[:3]:
        shutil.rmtree(home / step["id"])
    empty = verify_containment(case)
    assert (empty.verdict, empty.contained_at) == ("not contained", None)


def test_a_check_that_failed_is_left_standing(case: Case) -> None:
    """The last verify.sh decides; a step that passed is not named."""
    home = state(case)
    lines = [f"2026-06-11T12:02:00Z\tverify.sh\t{step['id']}\t1\tverified" for step in steps(case)]
    lines.append("2026-06-11T12:03:00Z\tverify.sh\t02-deny\t1\tverification failed: false instead of true")
    (home / "log.tsv").write_text("\n".join(lines) + "\n")
    result = after(case)
    assert (result.verdict, list(result.standing["step"])) == ("not contained", ["02-deny"])
    assert "false instead of true" in result.standing.iloc[0]["reason"]


def test_two_runs(case: Case) -> None:
    """A plan is run in part, made anew from new evidence, and run to its end: both runs count, each from its time."""
    state(case, only={"deactivate-key", "deny"})
    later(case, Trail(), reaches=20)
    file = case.path / "case.yaml"
    file.write_text(file.read_text().replace("2026-06-12T06", "2026-06-12T07"))
    case = load_case(case.path)
    containment.write(case)
    assert verify_containment(case).verdict == "not contained"
    state(case, WHEN + timedelta(minutes=30))
    result = after(case, (3, DEV, "s3:ListBuckets", FROM_THIEF), reaches=46)
    assert result.contained_at == WHEN + timedelta(minutes=30)
    assert result.verdict == "not contained"
    assert list(result.calls["contained_at"]) == [WHEN]
    assert len(set(result.steps["plan"])) == 2


def test_what_was_carried_out_otherwise(case: Case) -> None:
    """One time, or one for each account or step; nothing checked it, and that is said."""
    later(case, Trail())
    result = verify_containment(case, since=WHEN)
    assert (result.verdict, result.contained_at) == ("contained", WHEN)
    assert "only --since tells" in result.standing.iloc[0]["reason"]
    partly = verify_containment(case, since={"01-deactivate-key": WHEN})
    assert list(partly.standing.loc[partly.standing["verdict"] != "", "step"]) == [one["id"] for one in steps(case)[1:]]
    with pytest.raises(PlanError, match="neither a step nor an account '999988887777'"):
        verify_containment(case, since={"999988887777": WHEN})


def test_without_a_plan_or_a_run_it_says_what_to_do(case: Case, tmp_path: Path) -> None:
    """No state folder, a folder of another plan, of another case, and one that is none; no plan."""
    with pytest.raises(NotFoundError, match="nothing tells that the plan was carried out"):
        verify_containment(case)
    other = state(case, folder=tmp_path / "other")
    with pytest.raises(PlanError, match="no state folder of contain"):
        verify_containment(case, states=[tmp_path])
    plan = json.loads((other / "plan.json").read_text())
    (other / "plan").write_text("0123456789abcdef\n")
    with pytest.raises(PlanError, match="state of another plan, '0123456789abcdef'"):
        verify_containment(case, states=[other])
    (case.out / "plan" / "plan.json").write_text(json.dumps({**plan, "case": "IR-2"}))
    with pytest.raises(PlanError, match="plan of another case, 'IR-2'"):
        verify_containment(case, since=WHEN)
    shutil.rmtree(case.out / "plan")
    with pytest.raises(NotFoundError, match="no plan in"):
        verify_containment(case)


def test_an_office_that_the_attacker_shares_convicts_nobody(case: Case) -> None:
    """A network and program that others used before are not the attacker's own."""
    state(case)
    result = after(case, (3, user("eve", "AKIAEVE0000000000001"), "s3:ListBuckets", {"ip": CAFE, "agent": CLI}))
    assert (result.verdict, len(result.calls)) == ("contained", 0)


def test_the_command_ends_with_its_verdict(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """0 contained, 3 unknown, 1 not contained; JSON holds everything, one table is rows."""
    state(case)
    later(case, Trail(), reaches=10)
    assert main(["verify-containment", str(case.path)]) == 3
    assert "Verdict: unknown" in capsys.readouterr().out
    later(case, Trail())
    assert main(["verify-containment", str(case.path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["contained_at"]) == ("contained", "2026-06-11T12:00:00Z")
    assert {"verdicts", "calls", "new", "standing", "steps", "says"} <= set(told)
    later_calls = Trail()
    later_calls.add(day(3), DEV, "s3:ListBuckets", **FROM_THIEF)
    later(case, later_calls)
    assert main(["verify-containment", str(case.path), "--table", "calls", "--format", "csv"]) == 1
    assert capsys.readouterr().out.startswith("kind,whose,principal")
    assert main(["verify-containment", str(case.path), "--since", "x=2026-06-11", "--since", "2026-06-11"]) == 2
