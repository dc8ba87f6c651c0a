"""A step as a file: masks as they are packed, everything else as JSON."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imos_engine.intensity import Intensity
from lib.sessions.packed_mask import PackedMask
from lib.sessions.step import Clicks, HeldSeed, Layer, ObjectState, Step, Voxel

VERSION = 1  # of the layout; a file of another one is not read
CONTENTS = "step.json"


class ArchiveError(ValueError):
    """A file that holds no step of this version."""


def step_bytes(step: Step) -> bytes:
    """A step as the content of a file; `read_step` inverts it exactly."""
    masks: dict[int, tuple[str, PackedMask]] = {}

    def stored(mask: PackedMask) -> str:
        return masks.setdefault(id(mask), (f"mask{len(masks)}", mask))[0]  # an answer is often a layer, too

    plain = {
        "version": VERSION,
        "axis": step.axis,
        "intensity": asdict(step.intensity),
        "options": step.options,
        "recomputed": dict(step.recomputed),
        "objects": {name: _plain_object(state, stored) for name, state in step.objects.items()},
    }
    plain["masks"] = {key: {"shape": mask.shape, "low": mask.low, "high": mask.high} for key, mask in masks.values()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # stored: the masks are compressed already
        archive.writestr(CONTENTS, json.dumps(plain))
        for key, mask in masks.values():
            archive.writestr(key, mask.bits)
    return content.getvalue()


def read_step(content: bytes) -> Step:
    """The step in a file's content.

    Raises:
        ArchiveError: it is damaged, or of another version.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            plain = json.loads(archive.read(CONTENTS))
            if plain["version"] != VERSION:
                raise ArchiveError(f"the step is of version {plain['version']}, and this is version {VERSION}")
            masks = {
                key: PackedMask(
                    shape=tuple(entry["shape"]),
                    low=tuple(entry["low"]),
                    high=tuple(entry["high"]),
                    bits=archive.read(key),
                )
                for key, entry in plain["masks"].items()
            }
        return Step(
            objects={name: _object(entry, masks) for name, entry in plain["objects"].items()},
            axis=int(plain["axis"]),
            intensity=Intensity(**plain["intensity"]),
            options=plain["options"],
            recomputed={name: (int(first), int(last)) for name, (first, last) in plain["recomputed"].items()},
        )
    except (zipfile.BadZipFile, json.JSONDecodeError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ArchiveError(f"the file holds no step: {error}") from error


def _plain_object(state: ObjectState, stored: Any) -> dict[str, Any]:
    return {
        "id": state.id,
        "answer": stored(state.answer),
        "clicks": asdict(state.clicks),
        "seeds": [
            {
                "axis": seed.axis,
                "index": seed.index,
                "mode": seed.mode,
                "said": seed.said,
                "mask": stored(seed.mask),
            }
            for seed in state.seeds
        ],
        "layers": {
            str(axis): {
                "mask": stored(layer.mask),
                "confidence": list(layer.confidence.items()),
                "presence": list(layer.presence.items()),
            }
            for axis, layer in state.layers.items()
        },
    }


def _object(plain: Mapping[str, Any], masks: Mapping[str, PackedMask]) -> ObjectState:
    return ObjectState(
        id=int(plain["id"]),
        answer=masks[plain["answer"]],
        clicks=Clicks(**{kind: tuple(_voxel(point) for point in plain["clicks"][kind]) for kind in plain["clicks"]}),
        seeds=tuple(HeldSeed(**{**seed, "mask": masks[seed["mask"]]}) for seed in plain["seeds"]),
        layers={
            int(axis): Layer(
                mask=masks[layer["mask"]],
                confidence={int(index): float(value) for index, value in layer["confidence"]},
                presence={int(index): float(value) for index, value in layer["presence"]},
            )
            for axis, layer in plain["layers"].items()
        },
    )


def _voxel(point: Any) -> Voxel:
    i, j, k = (int(index) for index in point)
    return i, j, k
