"""Print the exact version of every package in this environment, for constraints.txt.

requirements.txt pins what we chose; this pins what those choices pull in, so that a release of a package that we never
named cannot break a fresh installation.
"""

from importlib.metadata import distributions

# Ours is installed from the working tree; the other two come with the environment itself.
NOT_LOCKED = {"imos-engine", "pip", "setuptools"}

HEADER = "# The whole set that starts and passes the tests (Linux x86-64, CPython 3.11). Written by `make lock`."


def main() -> None:
    versions = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in distributions()}
    print(HEADER)
    for name in sorted(versions.keys() - NOT_LOCKED):
        print(f"{name}=={versions[name]}")


if __name__ == "__main__":
    main()
