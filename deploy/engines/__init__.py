"""Engines for one machine: chDB behind ClickHouse's HTTP interface, a real Kafka broker, librdkafka's mock cluster.

For development and tests only; a deployment uses ClickHouse and Kafka themselves.
"""
