"""The key that signs the digest files of generated incidents, as CloudTrail signs those of a trail.

It is one key for every incident, and no secret: it proves nothing outside of an exercise. Another for each seed would
cost half a second to find. What is signed: AWS CloudTrail user guide, "Custom implementations of CloudTrail log file
integrity validation".
"""

import base64
import datetime as dt
import hashlib
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cirtlib.training.shapes import Json, iso

# Two primes of 1024 bits.
_P = int(
    "eb3954b52f3f7530b21a301c0e1861553f565fd073380184661c1826dc68f86b7c831dda3e6f843e7d1f3d836500650e"
    "508bbff16308fa79a6228d37819aeddb7d519f04d063894469496e7842c4f68e926562d0d055562b7f2b2766e06cad12"
    "6f6d9ba7e7ae5afef6ab68af46db80c15161fec7ce73b2f7ad249954eea4db93",
    16,
)
_Q = int(
    "e4c3c54630ffb12bcf9dfd90c53ee8b4610b77ae67f2409e14d5212edcc33cb541ec26851eb5e44c5bf7e2fd22b3ed96"
    "f6915c85945a6b36aacff1c63e9152e7ca5ba84dc1edc77ac10e76b60a244ded0983cf8a4c9ce496a8de02fdd63826c9"
    "3de303a29b3abf3fc641138037495987b9a9edc090e34f472333b570a1ac5419",
    16,
)
_E = 65537


@cache
def _key() -> rsa.RSAPrivateKey:
    d = pow(_E, -1, (_P - 1) * (_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        _P, _Q, d, d % (_P - 1), d % (_Q - 1), pow(_Q, -1, _P), rsa.RSAPublicNumbers(_E, _P * _Q)
    )
    return numbers.private_key()


@cache
def _public() -> bytes:
    return _key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def fingerprint() -> str:
    """Fingerprint of the public key, in the form in which digest files name it."""
    return hashlib.md5(_public(), usedforsecurity=False).hexdigest()


def sign(digest: Json, body: bytes) -> str:
    """Signature of a digest file, in hexadecimal: of its end, its place, its content and the signature before it."""
    text = "\n".join(
        (
            digest["digestEndTime"],
            f"{digest['digestS3Bucket']}/{digest['digestS3Object']}",
            hashlib.sha256(body).hexdigest(),
            digest["previousDigestSignature"] or "null",
        )
    )
    return _key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()


def public_keys(start: dt.datetime, end: dt.datetime) -> Json:
    """The public key, in use from `start` to `end`, as `aws cloudtrail list-public-keys` prints it."""
    listed = {
        "Value": base64.b64encode(_public()).decode(),
        "ValidityStartTime": iso(start),
        "ValidityEndTime": iso(end),
        "Fingerprint": fingerprint(),
    }
    return {"PublicKeyList": [listed]}
