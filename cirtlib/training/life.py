"""What ordinary life has in common: days, working hours, bursts of calls."""

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cirtlib.training.calls import pools, read
from cirtlib.training.estate import Estate
from cirtlib.training.shapes import Book, Caller, Json, Place, write
from cirtlib.training.world import World


@dataclass(frozen=True)
class Life:
    """What ordinary life acts on; `pools` are the things each account has, for requests to name."""

    world: World
    book: Book
    estate: Estate
    pools: dict[str, dict[str, list[str]]]

    def days(self) -> Iterator[tuple[int, dt.datetime, bool]]:
        """Number, opening hour and whether it is a working day, for each day of the logs."""
        for number in range(self.world.scenario.days):
            day = self.world.start + dt.timedelta(days=number)
            yield number, day + dt.timedelta(hours=self.world.opening), day.weekday() < 5

    def often(self, rng: random.Random, least: int, most: int) -> int:
        """How many times something happens, at the intensity of the scenario."""
        return max(1, round(rng.randint(least, most) * self.world.scenario.population.intensity))


def begin_life(world: World, book: Book, estate: Estate) -> Life:
    """Set the stage for ordinary life."""
    return Life(world, book, estate, {account: pools(world, account) for account in world.accounts})


def work(rng: random.Random, opening: dt.datetime, count: int) -> list[dt.datetime]:
    """Draw moments within a working day of nine hours, in order."""
    return sorted(opening + dt.timedelta(seconds=rng.randrange(9 * 3600)) for _ in range(count))


def workplace(life: Life, rng: random.Random, agent: str, home: str, *, share: float = 0.75) -> Place:
    """Choose where someone works: mostly in the office, else at home."""
    return Place(rng.choice(life.world.network.office) if rng.random() < share else home, agent)


def reading(
    life: Life,
    rng: random.Random,
    caller: Callable[[], Caller],
    place: Place,
    *,
    keys: Sequence[str],
    at: dt.datetime,
    gap: tuple[int, int] = (2, 50),
    region: str | None = None,
) -> list[Json]:
    """Make reading calls one after another; `caller` is asked anew for each, as a console's keys change."""
    records = []
    for key in keys:
        who = caller()
        call = read(rng, key, region or life.world.home, life.pools[who.account], account=who.account)
        records.append(write(life.book, who, call, place, at))
        at += dt.timedelta(seconds=rng.randint(*gap))
    return records


def some(rng: random.Random, keys: Sequence[str], least: int, most: int) -> list[str]:
    """Draw some of the keys, in any order and with repeats."""
    return rng.choices(keys, k=rng.randint(least, most))
