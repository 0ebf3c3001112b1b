"""The commands of `cirt train`: argument parsing only."""

from pathlib import Path
from typing import Annotated

import typer

from cirtlib.terminal import say, warn

train = typer.Typer(help="Exercises: generated incidents with a known truth.", no_args_is_help=True)


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
