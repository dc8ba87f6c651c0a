"""The rules of docs/architecture.md as functions: each looks at a tree and returns the sentences of what breaks them.

They take the root of a tree, so that test_architecture.py can also hold them against a small tree with planted faults.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

APP = Path("apps/imos")
ENGINE = "imos_engine"
LONGEST_FILE = {
    "apps": 300,
    "benchmarks": 300,
    "scripts": 300,
    "tests": 400,
}  # lines; a list of properties is read in parts
NAMELESS = {"utils", "helpers", "common", "misc"}  # a function without a home names a concept that is missing
TAKEN = {"model", "logs"}  # monailabel drops folders of these names when it copies an app
HOSTS = {"lib", "main", "monailabel", "fastapi", "starlette", "uvicorn"}  # the engine knows no server
LAYERS = ("network", "memory", "propagation", "adapters", "training", "cli", "__main__")  # import leftwards only
ASIDE = {"prompts", "metrics", "synthesis", "datasets"}  # beside the layers: they import no layer
BESIDE = {  # which of those a layer may use; what is not named here may use none
    "adapters": {"metrics"},
    "training": {"metrics", "synthesis", "datasets", "prompts"},
    "cli": ASIDE,
    "__main__": ASIDE,
}
NEVER = {  # package of the app -> packages it must not import
    "lib.transforms": {"lib.infers", "lib.trainers", "lib.configs", "lib.activelearning", "lib.scoring", "main"},
    "lib.sessions": {"lib.infers", "lib.trainers", "lib.configs", "lib.activelearning", "lib.scoring", "main"},
    "lib.infers": {"lib.trainers", "lib.configs", "main"},
    "lib.trainers": {"lib.infers", "lib.configs", "main"},
    "lib.activelearning": {"lib.configs", "main"},
    "lib.scoring": {"lib.configs", "main"},
    "lib.configs": {"main"},
}


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module of the app below `root`; a package has the name of its folder."""
    app = root / APP
    for path in sorted(app.rglob("*.py")):
        parts = path.relative_to(app).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


def imports(name: str, path: Path) -> set[str]:
    """Absolute names of all that the module imports, wherever in the file; `from a import b` gives `a` and `a.b`."""
    found: set[str] = set()
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return found


def part(name: str) -> str | None:
    """`memory` for imos_engine.memory.store; None for a name outside the engine."""
    top, *rest = name.split(".")
    return (rest[0] if rest else "") if top == ENGINE else None


def may_import(importer: str, imported: str) -> bool:
    """Whether the part `importer` of the engine may import its part `imported` (everybody may import config, ...)."""
    if imported == importer or (imported not in LAYERS and imported not in ASIDE):
        return True
    if imported in ASIDE:
        return imported in BESIDE.get(importer, set())
    return importer in LAYERS and LAYERS.index(imported) < LAYERS.index(importer)


def wrong_imports(root: Path) -> list[str]:
    """Imports against the arrows."""
    wrong = []
    for name, path in modules(root):
        names = imports(name, path)
        here = part(name)
        if here is not None:
            hosts = sorted({top(other) for other in names} & HOSTS)
            wrong += [f"{name} imports {host}: the engine knows no server" for host in hosts]
            parts = {found for other in names if (found := part(other)) is not None}
            wrong += [f"{name} imports {ENGINE}.{found}" for found in sorted(parts) if not may_import(here, found)]
            continue
        for package, forbidden in NEVER.items():
            if is_within(name, package):
                wrong += [
                    f"{name} imports {other}" for other in sorted(forbidden) if any(is_within(n, other) for n in names)
                ]
    return wrong


def top(name: str) -> str:
    """The first part of a dotted name."""
    return name.split(".")[0]


def is_within(name: str, package: str) -> bool:
    """Whether `name` is the package or something in it."""
    return name == package or name.startswith(package + ".")


def wrong_names(root: Path) -> list[str]:
    """Folders and files whose name says nothing, or that the host would delete or misread."""
    wrong = []
    if (root / APP / "__init__.py").exists():
        wrong.append(f"{APP}/__init__.py: the app folder is not a package")
    for folder in LONGEST_FILE:
        for path in sorted((root / folder).rglob("*.py")):
            here = path.relative_to(root)
            if NAMELESS & set(here.with_suffix("").parts):
                wrong.append(f"{here}: name what is inside")
            if TAKEN & set(here.parts[:-1]):
                wrong.append(
                    f"{here}: monailabel drops folders called {' or '.join(sorted(TAKEN))}; no code lives there"
                )
    return wrong


def long_files(root: Path) -> list[str]:
    """Files too long to be read in one sitting."""
    wrong = []
    for folder, longest in LONGEST_FILE.items():
        for path in sorted((root / folder).rglob("*.py")):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > longest:
                wrong.append(f"{path.relative_to(root)}: {lines} lines, more than {longest}")
    return wrong


def undocumented(root: Path) -> list[str]:
    """Public modules of the engine without a docstring."""
    return [
        f"{name}: no module docstring"
        for name, path in modules(root)
        if part(name) is not None and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
