"""Launchers: one module a place. Each only translates the runtime contract."""
