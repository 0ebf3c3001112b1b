"""What ordinary life has in common: days, working hours, bursts of calls."""

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from cirtlib.training.calls import pools, read
from cirtlib.training.estate import Estate
from cirtlib.training.identifiers import source
from cirtlib.training.shapes import Book, Caller, Json, Place, write
from cirtlib.training.world import World


@dataclass(frozen=True)
class Life:
    """What ordinary life acts on; `pools` are the things each account has, `rng` is the stream of whoever acts."""

    world: World
    book: Book
    estate: Estate
    pools: dict[str, dict[str, list[str]]]
    rng: random.Random

    def of(self, label: str) -> "Life":
        """Life with a stream of its own, so that one actor's day changes nothing in another's."""
        return replace(self, rng=source(self.world.seed, label))

    def days(self) -> Iterator[tuple[int, dt.datetime, bool]]:
        """Number, opening hour and whether it is a working day, for each day of the logs."""
        for number in range(self.world.scenario.days):
            day = self.world.start + dt.timedelta(days=number)
            yield number, day + dt.timedelta(hours=self.world.opening), day.weekday() < 5

    def often(self, least: int, most: int) -> int:
        """How many times something happens, at the intensity of the scenario."""
        return max(1, round(self.rng.randint(least, most) * self.world.scenario.population.intensity))

    def work(self, opening: dt.datetime, count: int) -> list[dt.datetime]:
        """Draw moments within a working day of nine hours, in order."""
        return sorted(opening + dt.timedelta(seconds=self.rng.randrange(9 * 3600)) for _ in range(count))

    def some(self, keys: Sequence[str], least: int, most: int) -> list[str]:
        """Draw some of the keys, in any order and with repeats."""
        return self.rng.choices(keys, k=self.rng.randint(least, most))


@dataclass(frozen=True)
class Seat:
    """Somebody at work: `caller` is asked for each call (a console has a new key for each), `pace` is in seconds."""

    caller: Callable[[], Caller]
    place: Place
    pace: tuple[int, int] = (2, 50)
    region: str | None = None


def seat(caller: Caller, place: Place, *, pace: tuple[int, int] = (2, 50), region: str | None = None) -> Seat:
    """Seat somebody whose credential stays the same."""
    return Seat(lambda: caller, place, pace, region)


def begin_life(world: World, book: Book, estate: Estate) -> Life:
    """Set the stage for ordinary life."""
    things = {account: pools(world, account) for account in world.accounts}
    return Life(world, book, estate, things, source(world.seed, "life"))


def workplace(life: Life, agent: str, home: str, *, share: float = 0.75) -> Place:
    """Choose where someone works: mostly in the office, else at home."""
    return Place(life.rng.choice(life.world.network.office) if life.rng.random() < share else home, agent)


def reading(life: Life, who: Seat, keys: Sequence[str], *, at: dt.datetime) -> list[Json]:
    """Make reading calls one after another."""
    records = []
    for key in keys:
        caller = who.caller()
        pool = life.pools[caller.account]
        call = read(life.rng, key, who.region or life.world.home, pool, account=caller.account)
        records.append(write(life.book, caller, call, who.place, at))
        at += dt.timedelta(seconds=life.rng.randint(*who.pace))
    return records
