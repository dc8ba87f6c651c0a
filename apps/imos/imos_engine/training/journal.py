"""What a run tells about itself: a progress bar, TensorBoard, and one JSON object per line."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

LOG_NAME = "log.jsonl"


class Journal:
    """Writes to `log.jsonl` and `tensorboard/` in the run's folder; closed by leaving its `with` block."""

    def __init__(self, folder: Path, *, first_step: int, show_progress: bool) -> None:
        # Steps after the checkpoint from which a run resumes are run again: both logs forget their first values.
        _forget_after(folder / LOG_NAME, first_step)
        self._lines = (folder / LOG_NAME).open("a", encoding="utf-8")
        self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
        self._bar = tqdm(
            total=100.0, disable=not show_progress, bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        self._board.close()
        self._lines.close()

    def advance(self, share: float) -> None:
        """Move the progress bar to this share of the run, in [0, 1]."""
        self._bar.update(100 * share - self._bar.n)

    def record(self, step: int, **values: float) -> None:
        """Write named values of this step everywhere."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        # Six digits, not six decimals: a learning rate may be 1e-6.
        self._lines.write(json.dumps({"step": step} | {name: float(f"{one:.6g}") for name, one in values.items()}))
        self._lines.write("\n")
        self._lines.flush()
        self._bar.set_postfix({"step": step} | {name: f"{value:.3g}" for name, value in values.items()})


def read_log(path: Path) -> Iterator[dict[str, float]]:
    """The objects of a `log.jsonl`; a line that a crash cut short is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _forget_after(log: Path, step: int) -> None:
    """Leave the lines up to this step; at step 0, where a run begins, none."""
    kept = [line for line in read_log(log) if 0 < step >= line["step"]]
    log.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
