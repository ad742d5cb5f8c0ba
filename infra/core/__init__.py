"""What everything stands on: typed errors, places, names, tags. Knows no cloud and no subject."""
