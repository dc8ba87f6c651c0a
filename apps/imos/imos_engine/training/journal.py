"""What a run tells about itself: a progress bar, TensorBoard, and one JSON object per line."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm


class Journal:
    """Writes to `log.jsonl` and `tensorboard/` in the run's folder; closed by leaving its `with` block."""

    def __init__(self, folder: Path, *, first_step: int, show_progress: bool) -> None:
        self._lines = (folder / "log.jsonl").open("a", encoding="utf-8")
        # Steps after the checkpoint from which a run resumes are run again: TensorBoard forgets their first values.
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
        self._lines.write(json.dumps({"step": step} | {name: round(value, 6) for name, value in values.items()}) + "\n")
        self._lines.flush()
        self._bar.set_postfix({"step": step} | {name: f"{value:.3g}" for name, value in values.items()})
