"""The local site: no Docker, no cluster, no cloud; real processes and stores of one machine."""
