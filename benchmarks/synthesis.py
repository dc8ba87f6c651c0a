"""How many synthetic clips one core makes per second, and what they look like.

python -m benchmarks.synthesis                                     # the figures of docs/synthesis.md
python -m benchmarks.synthesis --pictures docs/images/synthesis    # its pictures
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imos_engine.synthesis import (
    MODALITIES,
    SequenceGenerator,
    SynthesisConfig,
    SyntheticClip,
    bodies,
    camera,
    endings,
    endoscope,
    microscope,
    packing,
    recipes,
    scanners,
    sonography,
)
from imos_engine.synthesis.anatomy import Anatomy, Kind, blank
from imos_engine.synthesis.fields import FloatArray
from imos_engine.synthesis.motion import Motion, moving_coordinates, still_coordinates
from imos_engine.synthesis.skeleton import paint_ribs, paint_vertebra
from imos_engine.synthesis.studio import Studio
from imos_engine.synthesis.textures import TileSet
from imos_engine.synthesis.tissue import Looks
from imos_engine.synthesis.vessels import paint_tree

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Generator = np.random.Generator
POSITIONS = np.arange(0, 16, 2, dtype=np.float32)  # slices that the strips show
SIDE = 96  # pixels along each side of a frame of a strip
TEMPO = 20.0  # slices over which the strips' shapes change
COLOURS = ((230, 60, 60), (60, 200, 90), (70, 140, 255))  # of the outlines of objects 1, 2, 3
ENOUGH = 0.06  # of a frame that a shape must cover; of the range of brightness that an effect must change
LEVELS = 96  # colours per picture: keeps the files small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100, help="clips to time, per kind of clip (default 100)")
    parser.add_argument("--frames", type=int, default=8, help="frames per clip (default 8)")
    parser.add_argument("--size", type=int, default=128, help="pixels along each side (default 128)")
    parser.add_argument("--pictures", type=Path, help="write the pictures of docs/synthesis.md here, and time nothing")
    options = parser.parse_args()
    if options.clips < 1:
        parser.error(f"--clips must be at least 1, got {options.clips}")
    if options.pictures is None:
        report_speed(options.clips, options.frames, options.size)
    else:
        write_pictures(options.pictures)


def report_speed(clips: int, frames: int, size: int) -> None:
    """Print clips per second of processor time on one core: of the mixture, of each modality, of deformed stills."""
    cv2.setNumThreads(1)
    print(f"{clips} clips of {frames} frames of {size} x {size} pixels on one core")
    print(f"{'':12}{'clips/s':>9}  of processor time")
    spent: defaultdict[str, list[float]] = defaultdict(list)
    generator = SequenceGenerator(SynthesisConfig(frames=frames, size=size), seed=0)
    stills = SequenceGenerator(SynthesisConfig(frames=frames, size=size, static=True), seed=0)
    for index in range(clips):
        seconds, clip = timed(generator, index)
        spent["all"].append(seconds)
        spent[clip.modality].append(seconds)
        spent["stills"].append(timed(stills, index)[0])
    for name in ("all", *MODALITIES, "stills"):
        if spent[name]:
            print(f"{name:12}{1 / np.mean(spent[name]):9.1f}")


def timed(generator: SequenceGenerator, index: int) -> tuple[float, SyntheticClip]:
    """Seconds of processor time that a clip took, and the clip; textures, which many clips share, are made before."""
    generator.clip(index)
    start = time.process_time()
    clip = generator.clip(index)
    return time.process_time() - start, clip


def write_pictures(folder: Path) -> None:
    """Draw every generator and every camera once; the same pictures whenever the code is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "shapes.png", named_rows([(name, regions_in_colour(shape(draw))) for name, draw in SHAPES.items()]))
    save(folder / "motion.png", named_rows([(name, moved(motion)) for name, motion in MOTIONS.items()]))
    save(folder / "ends.png", named_rows(ends()))
    save(folder / "textures.png", textures())
    save(folder / "effects.png", named_rows([(name, effect(draw)) for name, draw in EFFECTS.items()]))
    for index, modality in enumerate(MODALITIES):
        shares = tuple(float(position == index) for position in range(len(MODALITIES)))
        save(folder / f"{modality}.png", clips_in_rows(SynthesisConfig(size=SIDE, shares=shares, foreign_share=0)))
    save(folder / "stills.png", clips_in_rows(SynthesisConfig(size=SIDE, static=True)))


def shape(draw: Callable[[Generator, Anatomy], None]) -> Anatomy:
    """An empty scene with what `draw` paints, of the first seed that shows enough of it from first to last slice."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scene = blank(rng, still_coordinates(POSITIONS, SIDE), TEMPO)
        draw(rng, scene)
        if min((frame != 0).mean() for frame in scene.regions[[0, -1]]) > ENOUGH:
            break
    return scene


def body(painter: bodies.Painter, radius: float = 0.25) -> Callable[[Generator, Anatomy], None]:
    """Paint one body in the middle."""
    return lambda rng, scene: painter(rng, scene, (0.5, 0.5), radius)


def instruments(rng: Generator, scene: Anatomy) -> None:
    """Paint instruments over a lumen."""
    recipes.paint_lumen(rng, scene)
    for _ in range(3):
        recipes.paint_instruments(rng, scene, scene.at)


def cells(rng: Generator, scene: Anatomy) -> None:
    """Paint packed cells with organelles."""
    packing.paint_packing(rng, scene, count=60, depth=100.0, sway=0.04)
    packing.paint_organelles(rng, scene, 20)


SHAPES: dict[str, Callable[[Generator, Anatomy], None]] = {
    "blob": body(bodies.paint_plain),
    "ring": body(bodies.paint_shell),
    "sheet": body(bodies.paint_sheet, 0.2),
    "touching": body(bodies.paint_halves),
    "split, merge": body(bodies.paint_pair, 0.2),
    "vessel tree": body(paint_tree, 0.07),
    "folds": body(bodies.paint_folds, 0.2),
    "layers": lambda rng, scene: bodies.paint_layers(rng, scene, 3),
    "distractors": lambda rng, scene: bodies.paint_bodies(rng, scene, count=25, smallest=0.03, largest=0.08),
    "ribs": paint_ribs,
    "vertebra": lambda rng, scene: paint_vertebra(rng, scene, (0.5, 0.4), 0.16),
    "cells": cells,
    "lumen, tools": instruments,
    "fan": lambda rng, scene: recipes.paint_outside(rng, scene, scene.at, fan=True),
}
MOTIONS = {
    "still": Motion(correlation=TEMPO),
    "shift, turn": Motion(correlation=TEMPO, translation=0.15, rotation=0.4),
    "zoom": Motion(correlation=TEMPO, log_scale=0.3),
    "elastic": Motion(correlation=TEMPO, elastic=0.12),
    "shake": Motion(correlation=TEMPO, shake=0.03),
    "heartbeat": Motion(correlation=TEMPO, beat=0.2),
}


def moved(motion: Motion) -> list[Picture]:
    """A disk and a few bars under a motion."""
    at = moving_coordinates(np.random.default_rng(2), POSITIONS, SIDE, motion)
    bars = np.sin(at.x * 40) * np.sin(at.y * 40)
    disk = np.hypot(at.x - 0.5, at.y - 0.5) < 0.2
    return grey_frames(np.where(disk, 0.9, 0.35 + 0.12 * np.sign(bars)).astype(np.float32))


def ends() -> list[tuple[str, list[Picture]]]:
    """The same scene as it is, and with its largest object brought to an end."""
    rows = []
    for name, share in (("as drawn", 0.0), ("ended", 1.0)):
        scene = shape(cells)
        areas = np.bincount(scene.regions[0].ravel())
        group = max(scene.objects, key=lambda regions: areas[[r for r in regions if r < len(areas)]].sum())
        endings.end_objects(np.random.default_rng(1), scene, [group], share=share)
        rows.append((name, regions_in_colour(scene)))
    return rows


def textures(sets: int = 2, columns: int = 12) -> Picture:
    """Every texture of a few sets: the same kinds, of other sizes and directions in every set."""
    rows = []
    for number in range(sets):
        tiles = [np.clip(tile[:SIDE, :SIDE] / 6 + 0.5, 0, 1) for tile in TileSet(0, number).general]
        pictures = grey_frames(np.stack(tiles))
        rows += [np.hstack(pictures[first : first + columns]) for first in range(0, len(pictures), columns)]
    return np.vstack(rows)


Effect = Callable[[Generator, Anatomy, Studio, FloatArray], FloatArray]


def effect(draw: Effect) -> list[Picture]:
    """One effect alone, on a plain scene with a cavity, of the first seed that changes enough."""
    scene = shape(body(bodies.paint_shell))
    tones = np.array([0.5, 0.65, 0.3], np.float32)[scene.regions]
    studio = Studio(tile_set=TileSet(0, 0), screen=scene.at, tempo=TEMPO)
    for seed in range(30):
        image = draw(np.random.default_rng(seed), scene, studio, tones.copy())
        if image.shape != tones.shape or np.abs(image - tones).mean() > ENOUGH / 3:
            break
    return grey_frames(image)


def contrast_agent(rng: Generator, scene: Anatomy, _: Studio, __: FloatArray) -> FloatArray:
    """Three tissues after an injection."""
    tones = np.array([0.5, 0.65, 0.3], np.float32)
    looks = Looks(mean=tones, fine=0 * tones, coarse=0 * tones)
    scanners.enhance(rng, looks, scene.kinds, 0.5)
    return np.asarray(looks.mean[scene.regions], np.float32)


def damaged(rng: Generator, _: Anatomy, __: Studio, image: FloatArray) -> FloatArray:
    """One unreadable slice."""
    image = camera.noise(rng, image.shape, 1.0) * np.float32(0.1) + image
    microscope.damage(rng, image)
    return image


EFFECTS: dict[str, Effect] = {
    "noise": lambda rng, _, __, image: image + camera.noise(rng, image.shape, 0.8) * np.float32(0.1),
    "contrast agent": contrast_agent,
    "streaks": lambda rng, _, studio, image: image + scanners.streaks(rng, studio) * np.float32(0.3),
    "thick slices": lambda _, __, ___, image: np.repeat(camera.through_slab(image[:-1]), 2, axis=0),
    "coarse pixels": lambda rng, _, __, image: camera.enlarge(rng, image, 5.0),
    "ghosts": lambda rng, _, __, image: scanners.ghosts(rng, image),
    "speckle": lambda rng, scene, studio, image: image * sonography.speckle(rng, scene, studio),
    "shadows": lambda rng, _, studio, image: image * sonography.shadows(rng, studio),
    "dropout": lambda rng, _, studio, image: image * sonography.dropout(rng, studio),
    "enhancement": lambda rng, scene, _, image: image * sonography.enhancement(rng, scene),
    "lamp": lambda rng, _, studio, image: image * endoscope.lamp(rng, studio),
    "highlights": lambda rng, scene, studio, image: image + endoscope.highlights(rng, scene, studio),
    "vessels": lambda rng, scene, studio, image: image * endoscope.vessels(rng, scene, studio)[..., 1],
    "damage": damaged,
}


def clips_in_rows(settings: SynthesisConfig, rows: int = 5) -> Picture:
    """The first clips of a generator: frame 0 alone, then every frame with its objects outlined."""
    generator = SequenceGenerator(settings, seed=5)
    pictures = []
    for index in range(rows):
        clip = generator.clip(index)
        frames = [as_bytes(frame.transpose(1, 2, 0)) for frame in clip.frames]
        outlined = [outline(frame, labels) for frame, labels in zip(frames, clip.labels, strict=True)]
        pictures.append(np.hstack([frames[0], *outlined[::2], outlined[-1]]))
    return np.vstack(pictures)


def outline(frame: Picture, labels: NDArray[np.uint8]) -> Picture:
    """The frame with the outlines of its objects."""
    drawn = frame.copy()
    for label, colour in enumerate(COLOURS, start=1):
        contours, _ = cv2.findContours((labels == label).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, colour, 1)
    return drawn


def regions_in_colour(scene: Anatomy) -> list[Picture]:
    """Each region in a colour of its own, what lies outside the field of view in black."""
    colours = np.random.default_rng(0).integers(60, 255, (256, 3)).astype(np.uint8)
    colours[[region for region, kind in enumerate(scene.kinds) if kind is Kind.VOID]] = 0
    return list(colours[scene.regions])


def grey_frames(image: FloatArray) -> list[Picture]:
    """Grey frames (T, H, W) as colour pictures."""
    return [as_bytes(np.repeat(frame[..., None], 3, axis=-1)) for frame in image]


def as_bytes(frame: FloatArray) -> Picture:
    """A picture (H, W, 3) in [0, 1] as bytes."""
    return np.ascontiguousarray(np.clip(frame, 0, 1) * 255).astype(np.uint8)


def named_rows(rows: Sequence[tuple[str, list[Picture]]]) -> Picture:
    """One row per name, its frames from left to right."""
    drawn = []
    for name, frames in rows:
        label = np.full((frames[0].shape[0], 110, 3), 255, np.uint8)
        cv2.putText(label, name, (4, label.shape[0] // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        drawn.append(np.hstack([label, *frames]))
    return np.vstack(drawn)


def save(path: Path, picture: Picture) -> None:
    """Write a PNG with few colours."""
    Image.fromarray(picture).quantize(LEVELS, method=Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
