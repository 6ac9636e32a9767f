"""Why can an object not be understood, and what can be read of it all the same? For a person who is to correct it.

Whoever may write objects must not be able to blind us, nor to say anything through us: the words are our decoders' own,
cut, and what they quote of the object (names of fields) is made printable.
"""

from __future__ import annotations

from typing import Final

import msgspec
from pydantic import ValidationError

from odigos_cp.api.meta import VALID, Condition

WHY_LIMIT: Final = 400
PART_LIMIT: Final = 60
FAULTS_NAMED: Final = 3
_WORDS: Final = (("Field required", "is missing"), ("Input should be", "must be"), ("Invalid JSON:", "is no JSON:"))
"""How a decoder says it, and how a person would."""


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[msgspec.Raw, ...] = ()


class _Told(msgspec.Struct, frozen=True):
    status: _Status = _Status()


class _Typed(msgspec.Struct, frozen=True):
    type: str = ""


_decode_told = msgspec.json.Decoder(_Told).decode
_decode_typed = msgspec.json.Decoder(_Typed).decode


def told(raw: msgspec.Raw) -> Condition | None:
    """What the status of the object says of it already: its condition Valid."""
    try:
        conditions = _decode_told(raw).status.conditions
    except (ValueError, RecursionError):
        return None
    for each in conditions:
        try:
            if _decode_typed(each).type == VALID:
                return Condition.model_validate_json(bytes(each))
        except (ValueError, RecursionError):
            continue
    return None


def why(error: Exception) -> str:
    """What a kind's decoder found wrong, field by field."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if not isinstance(error, ValidationError):
        return _printable(str(error)[:WHY_LIMIT])
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{_path(fault['loc'])} {fault['msg']}".strip() for fault in faults[:FAULTS_NAMED]]
    for words, ours in _WORDS:
        said = [text.replace(words, ours) for text in said]
    more = f"; and {len(faults) - FAULTS_NAMED} more" if len(faults) > FAULTS_NAMED else ""
    return _printable("; ".join(said))[:WHY_LIMIT] + more


def _path(parts: tuple[int | str, ...]) -> str:
    """As a person writes it: spec.signals[0]."""
    shown = [f"[{part}]" if isinstance(part, int) else f".{part[:PART_LIMIT]}" for part in parts]
    return "".join(shown).removeprefix(".")


def _printable(text: str) -> str:
    """Without what would break a line, or turn the text around it about."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
