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

_TAKEN = "already in use"


def main() -> int:
    """Run until told to end; 1 after a failure, of which the supervisor was told."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    link = NodeLink(socket.socket(fileno=descriptor))
    order = link.receive_order()
    environment = ray_environment(Path(order.run_dir), order.ports)
    Path(environment["TMPDIR"]).mkdir(exist_ok=True)
    os.environ.update(environment)
    try:
        importlib.import_module("cluster.node_run").run(link, order)
    except SpazaError as error:
        link.failed(str(error))
        return 1
    except Exception as error:
        link.failed(_in_a_line(error), address_taken=_TAKEN in str(error))
        raise
    return 0


def _in_a_line(error: Exception) -> str:
    """Ray's errors quote whole tracebacks, which are in the log; what it was stands at their end.

    But HAProxy names the port that it could not have before it says that it ends.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if _TAKEN in line] or lines or ["no message"]
    return f"{type(error).__name__}: {telling[-1]}"


if __name__ == "__main__":
    sys.exit(main())
