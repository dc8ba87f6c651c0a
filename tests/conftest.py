"""What every test may ask for."""

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent
TAKE_LONGEST = ("tests/ohif", "tests/app", "tests/benchmarks")  # begun first, so that no process waits for them


def pytest_collection_modifyitems(items):
    """Skip what needs a CUDA device where there is none; begin with what takes longest."""
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    items.sort(key=lambda item: not str(item.path.relative_to(REPOSITORY)).startswith(TAKE_LONGEST))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with parity fixtures and real cases: IMOS_SHARED, or `shared` beside the repository; else skip."""
    folder = Path(os.environ.get("IMOS_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set IMOS_SHARED to one with fixtures/ and data/")
    return folder
