"""What the tree promises about itself: tenant connections in one place, one naming, nothing foreign in it."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file()]


def calls(path: Path) -> list[str]:
    """Dotted names of what a file calls, as far as they are plain attributes."""
    return [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]


def _code_of(path: Path) -> list[ast.stmt]:
    """The statements of a file without their docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [one for one in node.body if not _is_text(one)]
            if not isinstance(node, ast.Module) and not node.body:
                node.body = [ast.Pass()]
    return tree.body


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def python_of_the_platform() -> list[Path]:
    return [path for path in tracked(".py") if path.relative_to(ROOT).parts[0] not in {"tests", "benchmarks"}]


def test_database_connections_are_opened_where_the_primary_is_found_and_by_who_asks_one_server_what_it_is() -> None:
    opening = [
        path.relative_to(ROOT).as_posix()
        for path in python_of_the_platform()
        if any(re.fullmatch(r"asyncpg\.(connect|create_pool)", name) for name in calls(path))
    ]

    assert opening == ["actors/shards/finding.py", "cluster/replicas/asking.py"]


def test_only_shards_come_as_the_role_that_tenants_have_or_set_whose_context_it_is() -> None:
    """A tenant's rows are seen by the role ``spaza_app`` with a tenant set; who can do neither opens no way to them."""
    way_in = re.compile(
        r"spaza_app|app\.current_tenant|\bAPP_ROLE\b|\bapp_password\b|ShardConnection|shards\.connections"
    )

    for path in python_of_the_platform():
        place = path.relative_to(ROOT)
        text = "\n".join(ast.unparse(node) for node in _code_of(path))
        if not str(place).startswith("actors/shards/"):
            assert not way_in.search(text), f"{place} makes its own way to tenants' rows; let it run a unit of work"


def test_the_one_place_that_opens_tenants_connections_is_that_of_the_lanes() -> None:
    opening = [
        path.relative_to(ROOT).as_posix()
        for path in python_of_the_platform()
        if re.search(r"connect\(\s*ShardConnection\b|connection_class=ShardConnection", path.read_text())
    ]

    assert opening == ["actors/shards/connections.py"]


def test_remote_calls_to_actors_stand_in_handles_alone() -> None:
    # A consumer is the mailbox's own port to whatever handles its batches.
    allowed = {"handle.py", "operator_handle.py", "detached.py", "redeploy.py", "consumer.py"}

    for path in python_of_the_platform():
        if any(name.endswith(".remote") for name in calls(path)):
            assert path.name in allowed, f"{path.relative_to(ROOT)} calls .remote() itself; give its actor a handle"


def test_no_module_is_named_for_everything_or_after_a_library() -> None:
    refused = {"utils.py", "helpers.py", "common.py", "ray.py", "redis.py", "asyncpg.py", "httpx.py", "pydantic.py"}

    assert not [path for path in tracked(".py") if path.name in refused]


def test_no_file_speaks_of_a_machine_or_a_registry() -> None:
    # In pieces, for this file is read too.
    refused = re.compile("|".join(["/wo" + "rk/", "/ro" + "ot/", "pypi" + r"\.org", "python" + r"hosted\.org"]))

    for path in tracked(".py", ".md", ".toml", ".yaml", ".sql", ".sh", ".lock", "Makefile", ".ci/run"):
        found = refused.findall(path.read_text())
        assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_no_two_test_modules_have_one_name() -> None:
    # In folders that are no packages; pytest could not run the two together.
    modules = [path for path in tracked(".py") if path.name.startswith("test_")]
    names = [path.name for path in modules if not (path.parent / "__init__.py").exists()]

    assert sorted(names) == sorted(set(names))
