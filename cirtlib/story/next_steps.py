"""What to ask next, as commands that can be run as they stand."""

import shlex
from collections.abc import Iterator

from cirtlib import queries
from cirtlib.case import Case
from cirtlib.standard import SUSPECTS
from cirtlib.story.told import Next, Story
from cirtlib.text import visible

_ACTIVE = {"access key", "principal", "role session", "address", "console session", "instance"}
_DATA = {"s3.amazonaws.com", "secretsmanager.amazonaws.com", "ssm.amazonaws.com", "kms.amazonaws.com",
         "dynamodb.amazonaws.com"}  # fmt: skip
_KEYS = 5  # keys that stand for a subject in a question which takes only keys
_MOST = 3  # stories of one kind that are named


def steps(case: Case, story: Story) -> tuple[Next, ...]:
    """Questions and stories that follow from what this one says, the nearest first, each once."""
    asked = _Asked(case, story)
    # of several subjects told together, the first step is to tell one of them
    found = [*_stories(asked, story), *(_questions(asked, story) if len(story.subjects) == 1 else ())]
    return tuple({one.command: one for one in found if one.command}.values())


class _Asked:
    """Commands about the suspects that a story speaks of."""

    def __init__(self, case: Case, story: Story) -> None:
        self.case = shlex.quote(str(case.path))
        self.own = {one.value for one in story.subjects} | {story.value}
        kinds = {one.kind: one for one in story.subjects}
        self.keys = [use.value for use in story.used.get("access_keys", ())][:_KEYS]
        self.suspects = {
            "keys": [one.value for one in story.subjects if one.kind == "access key"],
            "principals": [one.value for one in story.subjects if one.kind == "principal"],
            "addresses": [one.value for one in story.subjects if one.kind == "address"],
            "instances": [str(one.given["id"]) for one in story.subjects if one.kind == "instance"],
        }
        if not self.suspects["addresses"] and "access key" in kinds:
            self.suspects["addresses"] = [use.value for use in story.used.get("addresses", ())][:_KEYS]

    def ask(self, why: str, question: str) -> Next:
        """Run a question on exactly these suspects, none of the scope's."""
        takes = {name: self.suspects[name] for name in SUSPECTS if name in queries.find(question).parameters}
        if takes and not any(takes.values()) and "keys" in takes:
            takes["keys"] = self.keys  # of what the question does not know, the keys that it used
        given = " ".join(shlex.join(["-p", f"{name}={','.join(values)}"]) for name, values in takes.items())
        said = any(takes.values())
        return Next(why, f"cirt ask {self.case} {question} {given}" if said else "")

    def story(self, why: str, value: object) -> Next:
        """Tell the story of another value; of one that a terminal would not show as it is there is no command."""
        text = str(value)
        odd = not text or text in self.own or visible(text) != text
        return Next(why, "" if odd else f"cirt story {self.case} {shlex.quote(text)}")


def _stories(asked: _Asked, story: Story) -> Iterator[Next]:
    if len(story.subjects) > 1:
        yield from (asked.story(f"Only the {one.kind}", one.node or one.value) for one in story.subjects)
        return
    for row in story.minted_by[:_MOST]:
        yield asked.story(
            "Who issued it", row["access_key_id"] if isinstance(row["access_key_id"], str) else row["principal"]
        )
    for what, words in (("issued", "What it issued"), ("created", "What it created"), ("changed", "What it changed")):
        for one in [made for made in story.made if made.what == what][:_MOST]:
            yield asked.story(words, one.node)
    kinds = {one.kind for one in story.subjects}
    for dimension, words in (("principals", "Who used it"), ("access_keys", "The key that was used"),
                             ("addresses", "Where it came from")):  # fmt: skip
        others = [use for use in story.used.get(dimension, ()) if use.value not in asked.own]
        if dimension == "addresses" and kinds & {"account", "address"}:
            continue
        yield from (asked.story(words, use.value) for use in others[:_MOST])


def _questions(asked: _Asked, story: Story) -> Iterator[Next]:
    if not {one.kind for one in story.subjects} & _ACTIVE or story.total is None:
        return
    yield asked.ask("How it was obtained, back to where the chain begins", "credential_origin")
    yield asked.ask("What else the same session did", "same_session")
    if any(one.what == "issued" for one in story.made):
        yield asked.ask("All that it issued, and those in turn", "credentials_minted")
    if story.total.denied:
        yield asked.ask("Denials in bursts", "denied_bursts")
    if {use.value for use in story.used.get("services", ())} & _DATA:
        yield asked.ask("Which data was read", "data_read")
    yield asked.ask("Which networks and programs are new", "new_networks")
    if asked.suspects["addresses"]:
        yield asked.ask("Who else used the same addresses and programs", "shared_traits")
    yield asked.ask("Who else uses it, and would be stopped by containment", "who_uses_it")
