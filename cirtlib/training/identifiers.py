"""Identifiers in the form AWS writes them, drawn from a seeded source; each tells a reader that it is made up."""

import random
import string

_BASE32 = string.ascii_uppercase + "234567"
_HEX = "0123456789abcdef"
_ALNUM = string.ascii_letters + string.digits


def source(seed: int, label: str) -> random.Random:
    """Give a stream of its own to each part of the world, so that one more draw here changes nothing there."""
    return random.Random(f"{seed}:{label}")  # noqa: S311 (nothing here is a secret; it must be reproducible)


def letters(rng: random.Random, alphabet: str, count: int) -> str:
    """Draw count characters of the alphabet."""
    return "".join(rng.choices(alphabet, k=count))


def hexadecimal(rng: random.Random, count: int) -> str:
    """Draw count hexadecimal digits."""
    return f"{rng.getrandbits(4 * count):0{count}x}"


def guid(rng: random.Random) -> str:
    """Draw a version 4 GUID, the form of eventID and requestID."""
    text = hexadecimal(rng, 32)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[rng.getrandbits(2)]}{text[17:20]}-{text[20:]}"


def unique_id(rng: random.Random, prefix: str) -> str:
    """Draw an IAM identifier such as AIDA…EXAMPLE or AROA…EXAMPLE: 21 characters, as in AWS's documentation."""
    return prefix + letters(rng, _BASE32, 10) + "EXAMPLE"


def access_key(rng: random.Random, prefix: str) -> str:
    """Draw an access key id, AKIA… (long-term) or ASIA… (temporary): 20 characters that end in EXAMPLE."""
    return prefix + letters(rng, _BASE32, 9) + "EXAMPLE"


def session_token(rng: random.Random) -> str:
    """Draw a session token that nobody can mistake for a real one, about as long as a real one."""
    return "SYNTHETICsessionTOKENexample" + letters(rng, _ALNUM + "+/", 160) + "EXAMPLE="


def ec2_id(rng: random.Random, prefix: str) -> str:
    """Draw an EC2 identifier such as i-0… or snap-0…."""
    return f"{prefix}-0{hexadecimal(rng, 16)}"


def alphanumeric(rng: random.Random, count: int, *, upper: bool = False) -> str:
    """Draw letters and digits: the tail of a file name, or (upper) an S3 request id."""
    return letters(rng, _ALNUM if not upper else string.ascii_uppercase + string.digits, count)
