"""Pieces of JSON text: what needs no value of it need not make one."""

from typing import Final

import msgspec

fields_in: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The fields of an object, each as its JSON text. Raises msgspec's errors, or RecursionError."""
text_in: Final = msgspec.json.Decoder(str).decode
"""The text of a JSON string. Raises msgspec's errors."""
