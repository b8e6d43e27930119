"""Where the Ray cluster of an instance is, for other programs on this machine that join it."""

from pathlib import Path

from cluster.errors import NotRunningError
from cluster.instance import is_claimed, read_record
from cluster.node_environment import joining_environment

_FILE = "ray_address"


def write_ray_address(run_dir: Path, address: str) -> None:
    """Say where this run's cluster is: host and port of its GCS. A node that was started again says so again."""
    (run_dir / _FILE).write_text(address, encoding="ascii")


def environment_to_join(data_dir: Path) -> dict[str, str]:
    """The environment in which ``ray.init(namespace="spaza")`` joins the cluster of the instance on a data folder.

    It has to stand before Ray is imported.

    Raises:
        NotRunningError: none runs there, or its Ray does not yet.
    """
    record = read_record(data_dir) if is_claimed(data_dir) else None
    if record is None:
        raise NotRunningError(data_dir, "no instance runs there")
    try:
        address = (Path(record.run_dir) / _FILE).read_text(encoding="ascii")
    except OSError:
        raise NotRunningError(data_dir, "its Ray has not started") from None
    return joining_environment(address)
