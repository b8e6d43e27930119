"""The file into which a tenant is exported: filled line by line, and gone on with where it broke off."""

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from cluster.admin_client import AdminClient
from cluster.errors import AdminRefusedError, ExportError
from cluster.instance import sync

# How the API answers where rows are others than before.
CHANGED: Final = 409
_APPENDED: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
# Far more than a row has; what holds a longer line, perhaps without an end, is no export.
_LINE_BYTES: Final = 64 * 1024 * 1024
_BEGIN: Final = b'{"export":'


class ExportFile:
    """JSON lines as the admin API sends them. Whole once its last line says so.

    A crash leaves whole lines and perhaps a piece of one, which is cut off; from the last row on the rest is asked for.
    It holds all that a merchant has of its customers, so it is made for the eyes of its owner alone.
    """

    def __init__(self, path: Path, tenant_id: str) -> None:
        """Look at what is there.

        Raises:
            ExportError: the file is of something else, or cannot be read.
        """
        self.path, self._tenant_id = path, tenant_id
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self.rows = 0
        self._look()

    @property
    def is_whole(self) -> bool:
        """Whether all rows are there."""
        return self._last is not None and self._last.get("end") is True

    @property
    def digest(self) -> str:
        """What proves to the admin API that all rows are here: the last line has it."""
        assert self.is_whole
        assert self._last is not None
        return str(self._last["digest"])

    def prepare(self) -> None:
        """Make sure that it can be written.

        Raises:
            ExportError: it cannot.
        """
        try:
            os.close(self._open())
        except OSError as error:
            raise ExportError(self.path, error.strerror or str(error)) from error

    def fill(self, client: AdminClient) -> None:
        """Get the rest of the rows, or all of them anew where they have changed since; on the disk when it returns.

        Raises:
            ExportError: they went on changing, or the file cannot be written.
            AdminRefusedError: the admin API refuses.
            NotRunningError: it broke off; the file is gone on with the next time.
        """
        if not self.is_whole:
            self._fill(client)
        self._keep()

    def _fill(self, client: AdminClient) -> None:
        try:
            self._get(client)
        except AdminRefusedError as error:
            if error.status != CHANGED or self._first is None:
                raise
            self.begin_anew()
            self._get(client)
        if not self.is_whole:
            # Its last line says that rows changed meanwhile.
            self.begin_anew()
            self._get(client)
        if not self.is_whole:
            raise ExportError(self.path, "rows changed while they were exported; run the command again")

    def begin_anew(self) -> None:
        """Throw away what is there."""
        self._first = self._last = None
        self.rows = 0
        try:
            os.truncate(self.path, 0)
        except OSError as error:
            raise ExportError(self.path, error.strerror or str(error)) from error

    def _get(self, client: AdminClient) -> None:
        place: dict[str, str] = {}
        if self._first is not None and self._last is not None:
            place = {"table": self._last["table"], "key": json.dumps(self._last["key"])}
            place["digest"] = self._first["digest"]
        elif self._first is not None:
            self.begin_anew()
        try:
            with os.fdopen(self._open(), "ab") as file:
                for line in client.lines(f"/{self._tenant_id}/export", **place):
                    file.write(line)
                    self._take(line)
        except OSError as error:
            raise ExportError(self.path, error.strerror or str(error)) from error

    def _keep(self) -> None:
        """Its lines and its name, before what it was made of goes."""
        try:
            sync(self.path)
            sync(self.path.resolve().parent)
        except OSError as error:
            raise ExportError(self.path, error.strerror or str(error)) from error

    def _look(self) -> None:
        whole = 0
        try:
            if not self.path.exists():
                return
            self._refuse_device(self.path.stat())
            with self.path.open("rb") as file:
                while line := file.readline(_LINE_BYTES):
                    if len(line) == _LINE_BYTES:
                        raise self._other()
                    if not line.endswith(b"\n"):
                        self._refuse_other(line)
                        break
                    whole += len(line)
                    self._take(line)
            os.truncate(self.path, whole)
        except OSError as error:
            raise ExportError(self.path, error.strerror or str(error)) from error
        if self._last is not None and "end" in self._last and not self.is_whole:
            self.begin_anew()

    def _open(self) -> int:
        """To write at its end. A pipe without a reader is not waited for; it is refused as well."""
        opened = os.open(self.path, _APPENDED | os.O_NONBLOCK, 0o600)
        try:
            self._refuse_device(os.fstat(opened))
        except ExportError:
            os.close(opened)
            raise
        return opened

    def _refuse_device(self, found: os.stat_result) -> None:
        """What is no file has no end when it is read, and keeps nothing that is written."""
        if not stat.S_ISREG(found.st_mode):
            raise ExportError(self.path, "it is no regular file; name another")

    def _other(self) -> ExportError:
        return ExportError(self.path, "it holds something else than an export; name another file")

    def _refuse_other(self, piece: bytes) -> None:
        """A piece of a line is cut off, but not if it is all that there is and of no export."""
        known = piece[: len(_BEGIN)] == _BEGIN[: len(piece)]
        if self._first is None and not known:
            raise self._other()

    def _take(self, line: bytes) -> None:
        try:
            document: dict[str, Any] = json.loads(line)
            if self._first is None:
                if document["tenant_id"] != self._tenant_id or document["export"] != 1:
                    raise ExportError(self.path, f"it holds something else than the export of {self._tenant_id}")
                self._first = document
            else:
                self._last = document
                self.rows += "row" in document
        except (ValueError, KeyError, TypeError) as error:
            raise self._other() from error
