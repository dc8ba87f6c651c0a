"""The one home of the fields of a request: from MONAI Label's table of texts to checked values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.utils.others.generic import device_map

from lib.errors import RequestError, closest, listed
from lib.infers.options import ADVERTISED, Options, read_flag, read_objects, read_options
from lib.sessions.step import Clicks, Voxel
from lib.transforms.volumes import RESULT_EXTENSIONS, ResultFormat

UNNAMED = "object"  # name of a segment that the client did not name
STROKE_NAMES = ("foreground_scribbles", "background_scribbles")
# Everything else that the clients of protocol.md put into `params`.
CLIENT_KEYS = (
    "foreground",
    "background",
    "roi",
    "label",
    "label_info",
    "selected_label_name",
    "device",
    "result_extension",
    "result_dtype",
    "result_compress",
    "restore_label_idx",
    "save_label",
    "label_tag",
    "session_id",
    "client_id",
    "logging",
)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of voxels, both corners included."""

    low: Voxel
    high: Voxel


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """What one client asked for."""

    image: Path
    label_file: Path | None
    segments: Mapping[int, str]  # names of the ids in the label file
    current: str | None  # the segment being edited: the reply holds it alone
    objects: Mapping[str, int]  # several labels asked for by name
    clicks: Mapping[str, Clicks]  # by name of the object
    box: Box | None
    options: Options
    device: str
    result: ResultFormat
    client: str  # who asks; empty when the client does not say
    warnings: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """Names of the objects that are marked, as far as the request tells."""
        if self.objects or self.current:
            return frozenset(self.objects) or frozenset({self.current or UNNAMED})
        return frozenset({*self.clicks, *self.segments.values()} - set(STROKE_NAMES)) or frozenset({UNNAMED})


def refuse_unknown_keys(params: Mapping[str, Any]) -> None:
    """Refuse keys that mean nothing: a misspelt option would be ignored in silence.

    Raises:
        RequestError: naming the key and what there is.
    """
    for name in params:
        if name not in ADVERTISED and name not in CLIENT_KEYS:
            raise RequestError(
                f"unknown option {name!r}{closest(name, (*ADVERTISED, *CLIENT_KEYS))}; options are {listed(ADVERTISED)}"
            )


def read_request(request: Mapping[str, Any], *, label_file: Path | None, default_device: str) -> InferRequest:
    """Check every field of a request whose image and label file are already known.

    Raises:
        RequestError: for the first field that cannot be used.
    """
    image = Path(request["image"])
    current = _name(request.get("selected_label_name"), "selected_label_name")
    device, warnings = _device(request.get("device"), default_device)
    return InferRequest(
        image=image,
        label_file=label_file,
        segments=_segments(request.get("label_info")),
        current=current,
        objects=read_objects(request.get("objects")),
        clicks=_clicks(request, current or UNNAMED),
        box=_box(request.get("roi")),
        options=read_options(request),
        device=device,
        result=_result_format(request, image),
        client=str(request.get("client_id") or ""),
        warnings=warnings,
    )


def _name(value: Any, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RequestError(f"{field} is {value!r}; send the segment's name as text")
    return value


def _segments(label_info: Any) -> dict[int, str]:
    """Names by id; Slicer says `id` when it asks and `idx` when it saves."""
    segments: dict[int, str] = {}
    for entry in label_info or ():
        number = entry.get("id", entry.get("idx")) if isinstance(entry, Mapping) else None
        if isinstance(number, bool) or not isinstance(number, int) or not entry.get("name"):
            raise RequestError(
                f'label_info holds {entry!r}; send {{"name": text, "id": whole number}} for every segment'
            )
        segments[number] = str(entry["name"])
    return segments


def _clicks(request: Mapping[str, Any], name: str) -> dict[str, Clicks]:
    """Clicks per object: a plain list belongs to the current one, a table has one list per name."""
    kinds = {kind: _points_by_name(request.get(kind), kind, name) for kind in ("foreground", "background")}
    names = {**kinds["foreground"], **kinds["background"]}
    for one in names:  # OHIF sends one list as both when Run is pressed while `background` is chosen
        both = set(kinds["foreground"].get(one, ())) & set(kinds["background"].get(one, ()))
        if both:
            raise RequestError(
                f"point {list(min(both))} is both foreground and background; choose the object itself before you run, "
                "and send each point once"
            )
    return {one: Clicks(**{kind: kinds[kind].get(one, ()) for kind in kinds}) for one in names}


def _points_by_name(value: Any, kind: str, name: str) -> dict[str, tuple[Voxel, ...]]:
    tables = value if isinstance(value, Mapping) else {name: value or []}
    points = {
        str(one): tuple(_voxel(point, kind) for point in _listed_points(table, kind)) for one, table in tables.items()
    }
    return {one: voxels for one, voxels in points.items() if voxels}


def _listed_points(value: Any, kind: str) -> Iterable[Any]:
    if not isinstance(value, list | tuple):
        raise RequestError(f"{kind} is {value!r}; send a list of points [i, j, k]")
    return value


def _voxel(point: Any, kind: str) -> Voxel:
    if not isinstance(point, list | tuple) or len(point) != 3 or not all(_is_number(index) for index in point):
        raise RequestError(f"{kind} holds {point!r}, which is no voxel; send every point as three indices [i, j, k]")
    i, j, k = (round(index) for index in point)
    return i, j, k


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _box(roi: Any) -> Box | None:
    """Slicer's [imin, imax, jmin, jmax, kmin, kmax]; a flipped axis swaps a pair, an unused region is empty."""
    if roi is None or roi == "" or roi == []:
        return None
    if not isinstance(roi, Sequence) or len(roi) != 6 or not all(_is_number(end) for end in roi):
        raise RequestError(f"roi is {roi!r}; send [imin, imax, jmin, jmax, kmin, kmax], or [] for no region")
    pairs = [sorted((round(roi[axis]), round(roi[axis + 1]))) for axis in (0, 2, 4)]
    return Box(low=(pairs[0][0], pairs[1][0], pairs[2][0]), high=(pairs[0][1], pairs[1][1], pairs[2][1]))


def _device(value: Any, default: str) -> tuple[str, tuple[str, ...]]:
    """The device to compute on, and a warning when it is not the one asked for."""
    name = value[0] if isinstance(value, list) and value else value
    if not name:
        return default, ()
    here = device_map()
    if name in here:
        return here[name], ()
    if (
        name == "cpu"
        or name in here.values()
        or (name == "cuda" and any(one.startswith("cuda") for one in here.values()))
    ):
        return name, ()
    if isinstance(name, str) and name.startswith("cuda") and name[4:].lstrip(":").isdigit() | (name == "cuda"):
        return default, (f"there is no device {name} here; computed on {default}",)
    raise RequestError(f"unknown device {name!r}; choose one of {listed(dict.fromkeys((*here, 'cpu')))}")


def _result_format(request: Mapping[str, Any], image: Path) -> ResultFormat:
    extension = str(request.get("result_extension") or "")
    if not extension:
        extension = next((known for known in RESULT_EXTENSIONS if image.name.lower().endswith(known)), ".nii.gz")
    extension = extension if extension.startswith(".") else f".{extension}"
    if extension not in RESULT_EXTENSIONS:
        raise RequestError(f"unknown result_extension {extension!r}; choose one of {listed(RESULT_EXTENSIONS)}")
    return ResultFormat(
        extension=extension,
        dtype=_dtype(request.get("result_dtype")),
        compress=read_flag(request, "result_compress", default=False),
    )


def _dtype(value: Any) -> str | None:
    if value is None or value == "":
        return None
    known = ("uint8", "uint16", "int16", "int32", "float32")
    if value not in known:
        raise RequestError(f"unknown result_dtype {value!r}; choose one of {listed(known)}")
    return str(np.dtype(value))
