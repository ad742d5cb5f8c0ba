"""``python -m workloads.serving --config C.json``."""

from workloads.services import main
from workloads.serving.config import ServerConfig
from workloads.serving.server import serve

if __name__ == "__main__":
    main(serve, ServerConfig)
