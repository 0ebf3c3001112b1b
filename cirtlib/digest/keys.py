"""The public keys that CloudTrail's digest files are signed with, and whether a signature is theirs.

Source: AWS CloudTrail API Reference, "PublicKey" (DER of PKCS #1, base64); AWS CloudTrail user guide, "Custom
implementations of CloudTrail log file integrity validation" (what is signed, RSA with SHA-256, PKCS #1 v1.5).
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from cirtlib.errors import EvidenceError

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"


@dataclass(frozen=True)
class PublicKey:
    """One public key: fingerprint ('' in a PEM file: it may be any), Region where known, and when it was in use."""

    key: RSAPublicKey
    fingerprint: str = ""
    region: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Keyring:
    """All public keys that are known."""

    keys: tuple[PublicKey, ...] = ()

    def check(self, text: bytes, signature: str, fingerprint: str) -> str:
        """Whether the hexadecimal `signature` of `text` is good, bad, or of a key that is unknown."""
        fitting = [one.key for one in self.keys if one.fingerprint in {"", fingerprint}]
        try:
            given = binascii.unhexlify(signature)
        except (ValueError, binascii.Error):
            return BAD
        for key in fitting:
            try:
                key.verify(given, text, padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                continue
            return GOOD
        return BAD if any(one.fingerprint == fingerprint for one in self.keys) else UNKNOWN

    def covers(self, region: str, moment: datetime, used: set[str]) -> bool:
        """Whether a key is known that CloudTrail used in this Region at this time: another one is then not its own.

        A key of no known Region is this one's if its fingerprint is among those `used` there.
        """
        return any(
            (one.region == region if one.region else one.fingerprint in used)
            and one.start is not None
            and one.end is not None
            and one.start <= moment <= one.end
            for one in self.keys
            if one.fingerprint
        )


def read_file(file: Path) -> tuple[PublicKey, ...]:
    """Public keys in a file: JSON as `aws cloudtrail list-public-keys` prints it, or PEM.

    Raises
    ------
    EvidenceError
        when it cannot be read, or holds no public key.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise EvidenceError(f"cannot read the public keys in {file}: {error.strerror}") from None
    try:
        found = read(data)
    except ValueError as error:
        raise EvidenceError(
            f"{file} holds no public keys ({error}): give what `aws cloudtrail list-public-keys` prints, or PEM"
        ) from None
    return found


def read(data: bytes, region: str | None = None) -> tuple[PublicKey, ...]:
    """Public keys in JSON of ListPublicKeys, or in PEM.

    Raises
    ------
    ValueError
        when there are none, or one of them is no RSA key.
    """
    if data.lstrip().startswith(b"-----BEGIN"):
        return (PublicKey(_rsa(serialization.load_pem_public_key, data)),)
    content = json.loads(data)
    listed = content.get("PublicKeyList") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError("no PublicKeyList")
    return tuple(_listed(one, region) for one in listed)


def _listed(one: dict[str, Any], region: str | None) -> PublicKey:
    der = base64.b64decode(str(one.get("Value") or ""), validate=True)
    key = _rsa(serialization.load_der_public_key, der)
    start, end = _time(one.get("ValidityStartTime")), _time(one.get("ValidityEndTime"))
    return PublicKey(key, str(one.get("Fingerprint") or ""), region, start, end)


def _rsa(load: Any, data: bytes) -> RSAPublicKey:  # noqa: ANN401 - one of the loaders of cryptography
    try:
        key = load(data)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("a key that is not RSA")  # noqa: TRY004 - the file's fault, as every other here
    return key


def _time(value: object) -> datetime | None:
    """ISO text or epoch seconds, both of which the AWS CLI prints."""
    if isinstance(value, int | float):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError):
            raise ValueError(f"{value} is no time") from None
    if not isinstance(value, str):
        return None
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
