"""The process of a node. Started by the supervisor: ``python -m cluster.node <descriptor>`` of the socket between them.

Ray and Serve read their environment when they are imported, so what imports them comes after it was set.
"""

import importlib
import os
import socket
import sys
from pathlib import Path

from cluster.node_environment import ray_environment
from cluster.node_link import NodeLink
from kernel.errors import SpazaError


def main() -> int:
    """Run until told to end; 1 after a failure, of which the supervisor was told."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    link = NodeLink(socket.socket(fileno=descriptor))
    order = link.receive_order()
    os.environ.update(ray_environment(Path(order.run_dir), order.ports))
    try:
        importlib.import_module("cluster.node_run").run(link, order)
    except SpazaError as error:
        link.failed(str(error))
        return 1
    except Exception as error:
        link.failed(f"{type(error).__name__}: {error}")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
