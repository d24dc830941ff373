"""Request bodies for ``http.server``, which does not read them itself."""

import gzip
import zlib
from email import policy
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler

import lz4.frame
import zstandard

MAX_FIELD_BYTES = 128 * 1024
"""A parameter has no more, as with ClickHouse's `http_max_field_value_size`: else a statement would work here alone."""


class FieldTooLong(Exception):
    """A value of a form that ClickHouse does not take, in its words."""


class UnknownEncoding(Exception):
    """A Content-Encoding that is not supported, in ClickHouse's words."""


def read_body(request: BaseHTTPRequestHandler) -> bytes:
    """Read the whole body, sent with Content-Length or chunked; trailers are read and dropped. Blocks."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    parts = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    while request.rfile.readline() not in (b"\r\n", b"\n", b""):
        pass
    return b"".join(parts)


def form_fields(headers: Message, body: bytes) -> dict[str, str]:
    """The fields of a body that is a form (multipart/form-data); none of any other body. Raises FieldTooLong."""
    if headers.get_content_type() != "multipart/form-data":
        return {}
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    fields = {
        str(part.get_param("name", header="content-disposition")): value.decode()
        for part in form.iter_parts()
        if isinstance(value := part.get_payload(decode=True), bytes)
    }
    if any(len(value.encode()) > MAX_FIELD_BYTES for value in fields.values()):
        raise FieldTooLong("Code: 1000. DB::Exception: HTML Form Exception: Field value too long. (POCO_EXCEPTION)")
    return fields


def decompress(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding. Raises UnknownEncoding."""
    match encoding:
        case "" | "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "lz4":
            return bytes(lz4.frame.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    raise UnknownEncoding(f"Code: 1. DB::Exception: Content-Encoding {encoding} is not supported. (UNSUPPORTED_METHOD)")
