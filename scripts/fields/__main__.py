"""Write the tables of all fields into docs/api.md: `python -m scripts.fields`."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.fields.tables import APP, between, refusal_table, reply_table, request_tables, train_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def page(text: str) -> str:
    """The page with its tables as the code is now."""
    sys.path.insert(0, str(APP))
    try:
        from lib.infers.options import ADVERTISED
        from lib.infers.request import CLIENT_KEYS
        from lib.trainers.request import ADVERTISED as TRAINING
    finally:
        sys.path.remove(str(APP))
    text = between(text, "request fields", request_tables(ADVERTISED, CLIENT_KEYS))
    text = between(text, "reply fields", reply_table(APP / "lib" / "infers" / "reply.py"))
    text = between(text, "training fields", train_table(TRAINING))
    return between(text, "refusals", refusal_table())


def main() -> None:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote the tables of {PAGE}")


if __name__ == "__main__":
    main()
