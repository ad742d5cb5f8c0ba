"""The command line, the tools it sets up, and the host that a self-built engine needs."""
