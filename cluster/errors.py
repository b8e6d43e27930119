"""What can go wrong when an instance starts. Each says what, where, and the remedy.

ClusterError
    DeclaredError            a file that declares routes or queues cannot be used
    PortTakenError           another program listens where we were told to
    AddressError             there is no listening where we were told to
    InstanceRunningError     the data folder is in use by a running instance
    DataFolderError          the data folder cannot be used
    DiskFullError            too little room for the data folder
    ServerStartError         a server that we start did not come up
    NodeFailedError          Ray, the actors or the applications did not come up
    ServerUnreachableError   a server that we were given does not answer
    ServerTooSmallError      a server that we were given has too few connections left
    NotRunningError          a command needs an instance that answers
    NoDatabaseError          a command needs the databases, and knows of none
    AdminRefusedError        the instance refuses a command
    TenantFileError          the description of a tenant cannot be read
    TenantNotNamedError      a command was not told which tenant it is about
    ExportError              a tenant's export cannot be written
    PromotionRefusedError    no standby is made the primary
    PromotionFailedError     a standby was chosen, and is not the primary yet
"""

from pathlib import Path

from kernel.errors import SpazaError


class ClusterError(SpazaError):
    """An instance that cannot start or go on."""

    code = "cluster"
    http_status = 503


class DeclaredError(ClusterError):
    """``routes.yaml`` or ``queues.yaml`` cannot be used: one line for each fault."""

    code = "declared"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class PortTakenError(ClusterError):
    """A port that we were told to use is held by another process."""

    code = "port_taken"

    def __init__(self, port: int, purpose: str, setting: str, holder: str) -> None:
        super().__init__(port, purpose, setting, holder)
        self.port, self.purpose, self.setting, self.holder = port, purpose, setting, holder

    def __str__(self) -> str:
        return (
            f"Port {self.port}, wanted for {self.purpose}, is taken by {self.holder}. "
            f"Stop it, or choose another port with {self.setting}."
        )


class AddressError(ClusterError):
    """The system does not let us listen at an address, whoever else may."""

    code = "address"

    def __init__(self, host: str, port: int, purpose: str, setting: str, reason: str) -> None:
        super().__init__(host, port, purpose, setting, reason)
        self.host, self.port, self.purpose, self.setting, self.reason = host, port, purpose, setting, reason

    def __str__(self) -> str:
        return (
            f"{self.host} port {self.port}, wanted for {self.purpose}, cannot be listened on: {self.reason}. "
            f"Choose another with {self.setting}."
        )


class InstanceRunningError(ClusterError):
    """Another instance runs on the same data folder."""

    code = "instance_running"

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        super().__init__(data_dir, pid)
        self.data_dir, self.pid = data_dir, pid

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid is not None else "another process"
        stop = f"kill {self.pid}" if self.pid is not None else "Ctrl-C in its terminal"
        return (
            f"The data folder {self.data_dir} is in use: Spaza runs there already ({who}). "
            f"See it with `spaza status`, stop it with `{stop}`, or start a second one beside it with another "
            "SPAZA_DATA_DIR and other ports (SPAZA_HTTP__PORT, SPAZA_DASHBOARD__PORT, SPAZA_SANDBOX__PORT)."
        )


class DataFolderError(ClusterError):
    """The data folder cannot be made, read or written."""

    code = "data_folder"

    def __init__(self, data_dir: Path, reason: str) -> None:
        super().__init__(data_dir, reason)
        self.data_dir, self.reason = data_dir, reason

    def __str__(self) -> str:
        return f"The data folder {self.data_dir} cannot be used: {self.reason}. Choose another with SPAZA_DATA_DIR."


class DiskFullError(ClusterError):
    """There is too little room where the data folder is."""

    code = "disk_full"

    def __init__(self, path: Path, free_bytes: int, wanted_bytes: int) -> None:
        super().__init__(path, free_bytes, wanted_bytes)
        self.path, self.free_bytes, self.wanted_bytes = path, free_bytes, wanted_bytes

    def __str__(self) -> str:
        return (
            f"The disk is full: {self.free_bytes // 1_000_000} MB are free at {self.path}, and Spaza wants "
            f"{self.wanted_bytes // 1_000_000} MB to start. Make room, or choose another folder with SPAZA_DATA_DIR."
        )


class ServerStartError(ClusterError):
    """A server that we start did not come up."""

    code = "server_start"

    def __init__(self, part: str, reason: str, log_path: Path | None = None) -> None:
        super().__init__(part, reason, log_path)
        self.part, self.reason, self.log_path = part, reason, log_path

    def __str__(self) -> str:
        where = f" Its log: {self.log_path}" if self.log_path is not None else ""
        return f"{self.part} did not start: {self.reason.rstrip('.')}.{where}"


class NodeFailedError(ClusterError):
    """Ray, the actors or the applications did not come up.

    Attributes:
        address_taken: because somebody else listens where one of them was to.
    """

    code = "node_failed"

    def __init__(self, reason: str, log_path: Path, address_taken: bool = False) -> None:
        super().__init__(reason, log_path, address_taken)
        self.reason, self.log_path, self.address_taken = reason, log_path, address_taken

    def __str__(self) -> str:
        return f"{self.reason.rstrip('.')}. The node's log: {self.log_path}"


class ServerUnreachableError(ClusterError):
    """A server that the settings name does not answer."""

    code = "server_unreachable"
    retryable = True

    def __init__(self, part: str, setting: str, reason: str) -> None:
        super().__init__(part, setting, reason)
        self.part, self.setting, self.reason = part, setting, reason

    def __str__(self) -> str:
        return (
            f"{self.part}, named by {self.setting}, does not answer: {self.reason.rstrip('.')}. "
            f"Start it, correct {self.setting}, or unset it to have Spaza start its own."
        )


class ServerTooSmallError(ClusterError):
    """The PostgreSQL that the settings name has too few connections left for an instance."""

    code = "server_too_small"

    def __init__(self, left: int, least: int, most: int, allowed: int) -> None:
        super().__init__(left, least, most, allowed)
        self.left, self.least, self.most, self.allowed = left, least, most, allowed

    def __str__(self) -> str:
        return (
            f"PostgreSQL, named by SPAZA_POSTGRES__DSN, has {self.left} connections left of max_connections = "
            f"{self.allowed}; Spaza holds {self.least} and takes up to {self.most}. Raise max_connections to "
            f"{self.allowed - self.left + self.most}; with SPAZA_POSTGRES__MAX_SIZE=1 it takes fewer."
        )


class NotRunningError(ClusterError):
    """A command needs the instance of a data folder, and it does not answer."""

    code = "not_running"

    def __init__(self, data_dir: Path, reason: str) -> None:
        super().__init__(data_dir, reason)
        self.data_dir, self.reason = data_dir, reason

    def __str__(self) -> str:
        return (
            f"Spaza cannot be asked in {self.data_dir}: {self.reason}. Start it with `spaza up`, see what it does with "
            "`spaza status`, or name its folder with SPAZA_DATA_DIR."
        )


class NoDatabaseError(ClusterError):
    """A command works on the databases, and neither the settings nor a running instance say where they are."""

    code = "no_database"

    def __init__(self, data_dir: Path, reason: str) -> None:
        super().__init__(data_dir, reason)
        self.data_dir, self.reason = data_dir, reason

    def __str__(self) -> str:
        return (
            f"There is no PostgreSQL to work on: {self.reason}, and SPAZA_POSTGRES__DSN is not set. Start the instance "
            f"of {self.data_dir} with `spaza up`, name another folder with SPAZA_DATA_DIR, or set SPAZA_POSTGRES__DSN "
            "to the DSN of the databases' owner."
        )


class AdminRefusedError(ClusterError):
    """The admin API refused."""

    code = "admin_refused"
    http_status = 400

    def __init__(self, status: int, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(status, message, faults)
        self.status, self.message, self.faults = status, message, faults

    def __str__(self) -> str:
        said = ". ".join([self.message.rstrip("."), *self.faults])
        if self.status == 401:
            return f"{said}. Set SPAZA_ADMIN__TOKEN to the token with which the instance was started."
        return f"{said}."


class TenantFileError(ClusterError):
    """The file that describes a tenant cannot be read."""

    code = "tenant_file"
    http_status = 400

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"The file {self.name} does not describe a tenant: {self.reason}. Name another with --file."


class TenantNotNamedError(ClusterError):
    """There is no tenant, or more than one, and none was named."""

    code = "tenant_not_named"
    http_status = 400

    def __init__(self, tenants: int) -> None:
        super().__init__(tenants)
        self.tenants = tenants

    def __str__(self) -> str:
        if self.tenants == 0:
            return "There is no tenant yet. Make one with: spaza tenant create"
        return "There is more than one tenant. Name one by its id; spaza tenant list shows them."


class ExportError(ClusterError):
    """The file of an export cannot be written, or is of something else."""

    code = "export"
    http_status = 409

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"The export in {self.path} is not complete: {self.reason}. Nothing was removed."


class PromotionRefusedError(ClusterError):
    """No standby is made the primary; all is as it was."""

    code = "promotion_refused"
    http_status = 409

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy

    def __str__(self) -> str:
        return f"Nothing was promoted: {self.reason}. {self.remedy}."


class PromotionFailedError(ClusterError):
    """A standby was chosen and written down as the primary, and is not one yet. The old primary stays fenced."""

    code = "promotion_failed"

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(server, reason)
        self.server, self.reason = server, reason

    def __str__(self) -> str:
        return (
            f"{self.server} was chosen and could not be promoted yet: {self.reason.rstrip('.')}. Promote again; if it "
            "does not start, see its log."
        )
