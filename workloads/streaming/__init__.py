"""Streams: the broker, its topics, a replay of a table into a topic, predictions out of it.

``broker`` (a Kafka node's command line and files), ``topics`` (ensure, describe, delete),
``replay`` (table -> topic, each event once), ``processor`` (topic -> endpoint -> table, each event
once). Kafka's client is imported by those that talk to a broker only.
"""
