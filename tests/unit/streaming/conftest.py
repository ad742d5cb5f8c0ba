"""Fixtures of the stream's tests."""

from tests.support.kafka import kafka_broker

__all__ = ["kafka_broker"]
