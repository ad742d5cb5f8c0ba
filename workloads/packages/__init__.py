"""The workload packages that come with this project; each is a folder with ``workload.yaml``."""
