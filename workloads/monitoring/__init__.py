"""Watching what runs: Prometheus' configuration and rules, and drift of data and scores."""
