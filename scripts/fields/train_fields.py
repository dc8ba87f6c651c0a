"""What each field of `POST /train/imos` means; the names and defaults are those of the code that reads them."""

from __future__ import annotations

from collections.abc import Mapping

TRAIN: Mapping[str, str] = {
    "adapter": "name of the adapter: one per site, protocol or organ",
    "train": "what learns; the refiner learns along where the network has one",
    "steps": "optimizer steps; 0: sized to the number of accepted labels",
    "learning_rate": "0: fit to what learns and whether it continues a version",
    "replay": "share of random sequences among the clips, by which the network keeps what it knew",
    "gradient_checkpointing": "compute again what gradients need instead of keeping it: less memory, more time",
    "multi_gpu": "train on all GPUs that can be seen, a process each; where there is one device only, the log says so",
    "gpus": "which of them can be seen: `all`, or numbers such as `0,1`",
    "tracking": "tell MLflow of the training",
    "tracking_uri": "its address; without one a folder of the bank",
    "device": "where to train: what `/info/` lists; by default where the server computes",
}
