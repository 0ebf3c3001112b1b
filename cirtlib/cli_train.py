"""The commands of `cirt train`: argument parsing only."""

from pathlib import Path
from typing import Annotated

import typer

from cirtlib.cli_train_account import account
from cirtlib.terminal import say, warn
from cirtlib.text import visible

train = typer.Typer(help="Exercises: learn incident response without an AWS account.", no_args_is_help=True)
train.add_typer(account, name="account")

DirOption = Annotated[
    Path | None, typer.Option("--dir", "-d", help="The exercise's folder; default: the one you are in, or began last.")
]
SeedOption = Annotated[int, typer.Option(help="Another seed, another incident.")]


@train.command("list")
def train_list() -> None:
    """Show the exercises: how long each takes and what it teaches."""
    from cirtlib.training.exercise.model import exercises

    for one in exercises():
        say(f"{one.name}  ({one.minutes} minutes)  {one.title}")
        for line in one.teaches:
            say(f"    * {line}")
    say("next: cirt train start NAME")


@train.command("start")
def train_start(
    exercise: Annotated[str, typer.Argument(metavar="EX", help="Name of an exercise, as `cirt train list` shows it.")],
    seed: SeedOption = 1,
    folder: Annotated[
        Path | None, typer.Option("--dir", "-d", help="Folder to make; default: exercises/EX-SEED.")
    ] = None,
) -> None:
    """Begin an exercise, or go on with one: its story, its evidence, its notebook."""
    from cirtlib.training.exercise.sheets import begun
    from cirtlib.training.exercise.workspace import start

    space, before = start(exercise, seed=seed, folder=folder, say=warn)
    say("\n".join(begun(space.exercise, space.path, before=before)))


@train.command("check")
def train_check(
    question: Annotated[str, typer.Argument(help="Id of a question; none: grade all of answers.yaml.")] = "",
    answer: Annotated[list[str] | None, typer.Argument(help="The answer; several for a set.")] = None,
    folder: DirOption = None,
) -> None:
    """Grade an answer at once, or all of answers.yaml."""
    from cirtlib.training.exercise import course
    from cirtlib.training.exercise.field import verdict
    from cirtlib.training.exercise.workspace import find

    space = find(folder)
    if answer:
        given = answer if len(answer) > 1 and space.exercise.question(question).many else " ".join(answer)
        say(visible(verdict(course.answer(space, question, given))))
        return
    graded = [one for one in course.check(space) if not question or one.question.id == question]
    for one in graded:
        say(visible(f"{one.question.id}: {verdict(one)}"))
    if question and not graded:
        space.exercise.question(question)
        say("This question does not arise in this incident.")
    if not question:
        points, out_of = sum(one.points for one in graded), sum(one.out_of for one in graded)
        say(f"{round(points, 2):g} of {round(out_of, 2):g} points for the questions")
        say(course.next_step(space, graded))


@train.command("hint")
def train_hint(
    question: Annotated[str, typer.Argument(help="Id of the question; none: list them.")] = "", folder: DirOption = None
) -> None:
    """Give the next hint to a question. It costs points, and says how many."""
    from cirtlib.training.exercise import course
    from cirtlib.training.exercise.workspace import find

    space = find(folder)
    if not question:
        for one in space.asked.questions:
            cost = course.next_cost(space, one.id)
            price = "no more hints" if cost is None else f"the next hint costs {cost:g} points"
            say(f"{one.id}: {' '.join(one.ask.split())} ({price})")
        return
    given = course.hint(space, question)
    say(visible(f"hint {given.number} of {given.of} ({given.level}), {given.cost:g} points: {given.text}", keep="\n"))


@train.command("submit")
def train_submit(folder: DirOption = None) -> None:
    """Grade everything, the account's state included, and write the debrief."""
    from cirtlib.training.exercise.submit import describe, submit
    from cirtlib.training.exercise.workspace import find

    space = find(folder)
    warn("judging what was done, and writing the debrief: about half a minute ...")
    say("\n".join(visible(line) for line in describe(space, submit(space))))


@train.command("reset")
def train_reset(folder: DirOption = None) -> None:
    """Make everything anew, the account too; answers, notes and your own files stay, your case is put aside."""
    from cirtlib.training.exercise.workspace import find, reset
    from cirtlib.training.practice import control

    space = find(folder)
    control.reset(space.path)
    kept = reset(space, say=warn)
    say(f"{space.path} is as at its start; kept: {', '.join(kept)}")


@train.command("key")
def train_key(
    exercise: Annotated[str, typer.Argument(metavar="EX", help="Name of an exercise.")], seed: SeedOption = 1
) -> None:
    """Print the answers, for who teaches."""
    from cirtlib.training.exercise.marking import truth
    from cirtlib.training.exercise.model import load_exercise
    from cirtlib.training.exercise.record import record_of

    loaded = load_exercise(exercise)
    record = record_of(loaded, seed)
    for one in loaded.questions:
        found = truth(one, record)
        answers = "does not arise" if found is None else ", ".join(found)
        say(visible(f"{one.id}: {answers}"))


@train.command("generate")
def train_generate(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario, or its folder.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    seed: Annotated[int, typer.Option(help="Another seed, another incident.")] = 1,
) -> None:
    """Generate an incident's logs and findings, and its truth beside them."""
    from cirtlib.training.generator import generate

    made = generate(scenario, seed=seed, out=out)
    say(f"logs: {made.logs}\nfindings: {made.findings}\ntruth (not for the case): {made.truth}")
    if made.story:
        say(f"story: {made.story}")
    told = [f"--seed {seed}" for seed in made.seeds] + [f"--window {made.window_told}"] * bool(made.window_told)
    say(f"next: cirt new DIR --logs {made.logs} --findings {made.findings} {' '.join(told)}")


@train.command("demo")
def train_demo(
    scenario: Annotated[
        str, typer.Option(help="exposed_credentials, misconfigured_resource, phished_console or false_alarm.")
    ] = "exposed_credentials",
    seed: Annotated[int, typer.Option(help="Another seed, another incident.")] = 1,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder to make; default: cases/SCENARIO-SEED.")] = None,
) -> None:
    """Generate an incident and investigate it, from one finding to the report and the plan."""
    from cirtlib.training.demo import demo

    place = folder or Path("cases", f"{scenario.replace('_', '-')}-{seed}")
    say("\n".join(demo(place, scenario=scenario, seed=seed, say=warn)))
