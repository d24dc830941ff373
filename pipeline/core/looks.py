"""Recognises values that are no JSON by their first bytes, and names the remedy for their producers."""

import re
from typing import Final, NamedTuple


class Look(NamedTuple):
    """A name that goes on after "looks like", and the remedy."""

    name: str
    remedy: str


_UTF_8: Final = "encode the JSON as UTF-8 without a byte order mark"
_CODEC: Final = "publish the JSON itself, and let the producer compress it (compression.type)"
_PLAIN: Final = "publish the JSON itself, with a serializer for strings or bytes"
_JSON: Final = "publish one JSON object"

_BINARY: Final = (
    (b"\xef\xbb\xbf", Look("UTF-8 with a byte order mark", _UTF_8)),
    (b"\xff\xfe\0\0", Look("UTF-32", _UTF_8)),
    (b"\0\0\xfe\xff", Look("UTF-32", _UTF_8)),
    (b"{\0\0\0", Look("UTF-32", _UTF_8)),
    (b"\0\0\0{", Look("UTF-32", _UTF_8)),
    (b"\xff\xfe", Look("UTF-16", _UTF_8)),
    (b"\xfe\xff", Look("UTF-16", _UTF_8)),
    (b"{\0", Look("UTF-16", _UTF_8)),
    (b"\0{\0", Look("UTF-16", _UTF_8)),
    (b"\x1f\x8b", Look("gzip", _CODEC)),
    (b"\x28\xb5\x2f\xfd", Look("zstd", _CODEC)),
    (b"\x04\x22\x4d\x18", Look("lz4", _CODEC)),
    (b"\xff\x06\0\0sNaPpY", Look("snappy", _CODEC)),
    (b"\x82SNAPPY\0", Look("snappy", _CODEC)),
    (b"\x78\x01", Look("zlib", _CODEC)),
    (b"\x78\x9c", Look("zlib", _CODEC)),
    (b"\x78\xda", Look("zlib", _CODEC)),
    (b"BZh", Look("bzip2", _CODEC)),
    (b"\xfd7zXZ\0", Look("xz", _CODEC)),
    (b"PK\x03\x04", Look("a zip archive", _CODEC)),
    (b"Obj\x01", Look("an Avro file", _JSON)),
    (b"\xc3\x01", Look("a single Avro object", _JSON)),
    (b"\x03\0", Look("the framing of AWS Glue's Schema Registry", _PLAIN)),
    (b"\x03\x05", Look("the framing of AWS Glue's Schema Registry, compressed", _PLAIN)),
    (b"\xac\xed\0\x05", Look("a serialised Java object", _PLAIN)),
)
_TEXT: Final = (
    (b"{'", Look("a Python dictionary as Python prints it", "use json.dumps")),
    (b"eyJ", Look("base64", "publish the JSON itself")),
    (b"<", Look("XML or HTML", _JSON)),
)
_BLANK: Final = b" \t\r\n"
_FORM = re.compile(rb"[^\s=&]+=[^\s&]*(?:&[^\s=&]+=[^\s&]*)*")
_CONTROL = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f]")
_FRAME_BYTES: Final = 5
_BEGIN_BYTES: Final = 16


def look_of(value: bytes) -> Look | None:
    """The look of a value that cannot be decoded; None where it is JSON with a mistake in it."""
    text = value.lstrip(_BLANK)
    for signs, subject in ((_BINARY, value), (_TEXT, text)):
        for sign, look in signs:
            if subject.startswith(sign):
                return look
    if value.startswith(b"\0") and len(value) > _FRAME_BYTES:
        number = int.from_bytes(value[1:_FRAME_BYTES], "big")
        return Look(f"Confluent's framing with the schema id {number}", _PLAIN)
    if text.startswith(b"{"):
        return None
    return _look_by_content(value, text)


def _look_by_content(value: bytes, text: bytes) -> Look:
    if not text:
        return Look("white space", _JSON)
    if _CONTROL.search(value) or not _is_utf8(value):
        return Look("binary data (Protobuf, Avro, MessagePack or the like)", _JSON)
    if _FORM.fullmatch(text):
        return Look("form data (name=value&name=value)", _JSON)
    return Look("plain text", _JSON)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def begins_with(value: bytes) -> str:
    """The first bytes as they may stand in a sentence: as text where they are printable ASCII, else in hex."""
    start = value[:_BEGIN_BYTES]
    more = "…" if len(value) > len(start) else ""
    text = start.decode("ascii", "replace")
    return (repr(text) if start.isascii() and text.isprintable() else start.hex(" ")) + more
