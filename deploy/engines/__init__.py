"""Engines for one machine: chDB behind ClickHouse's HTTP interface, and librdkafka's mock cluster.

For development and tests only; a deployment uses ClickHouse and Kafka themselves.
"""
