"""Readers for the payloads of a schema registry: from the bytes behind a frame to the JSON that the decoder takes.

A producer's Avro or Protobuf is turned into the JSON of the same event, so that there is one contract and one decoder.
Only the event's own fields are converted; whatever else a record has is skipped, whatever its type. Pure, and safe
against any schema and any bytes: a payload becomes JSON, or is refused with a sentence.
"""
