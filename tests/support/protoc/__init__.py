"""The compiler of Protobuf from Maven, for the documents' programs."""

from pathlib import Path

from tests.support.kafka_broker import fetched

TIMESTAMP = """syntax = "proto3";
package google.protobuf;
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
"""
"""A file that comes with every protoc but Maven's."""


def protoc(cache: Path) -> str:
    """The words that call protoc, fetched by Maven where it is not there yet."""
    directory = fetched(cache / "protoc", Path(__file__).with_name("pom.xml"), "copy").resolve()
    program, included = directory / "protoc", directory / "include" / "google" / "protobuf"
    program.chmod(0o755)
    included.mkdir(parents=True, exist_ok=True)
    (included / "timestamp.proto").write_text(TIMESTAMP)
    return f"{program} -I. -I{directory / 'include'}"
