"""Endless random image sequences with known truth, each determined by a seed and an index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import recipes
from .anatomy import Anatomy, Group, LabelArray
from .camera import enlarge, regrade, through_slab
from .endings import end_objects
from .endoscope import endoscopy
from .fields import Coordinates, FloatArray
from .microscope import em
from .motion import Motion, moving_coordinates, still_coordinates
from .patchwork import patched
from .scanners import ct, mr
from .sonography import ultrasound
from .stills import deformed_copies
from .studio import Studio
from .targets import choose_objects, keep_labels, paint_labels
from .textures import TileSet
from .visibility import visible_objects

MODALITIES = ("ct", "mr", "ultrasound", "endoscopy", "em")
ORGANS_IN_SLICES = ("ct", "mr")  # slices may be thick, and organs taper from where they are largest
ENDING = {"em": 0.3}  # share of the ends that other modalities have: neurites run through the whole block
LARGEST_ENLARGEMENT = {"em": 2.5}  # coarser, and no membrane is left
TAKES = 3  # appearances drawn until one shows an object clearly enough
TILE_SETS = 24  # of textures per seed; a clip uses one
ATTEMPTS = 12  # scenes drawn until one shows a followable object; one fails in about ten

Recipe = Callable[[np.random.Generator, Coordinates, float], Anatomy]
Appearance = Callable[[np.random.Generator, Anatomy, list[Group], Studio], FloatArray]

RECIPES: dict[str, Recipe] = {
    "ct": recipes.trunk,
    "mr": recipes.head_or_trunk,
    "ultrasound": recipes.heart,
    "endoscopy": recipes.operating_field,
    "em": recipes.tissue_block,
}
APPEARANCES: dict[str, Appearance] = {
    "ct": ct,
    "mr": mr,
    "ultrasound": ultrasound,
    "endoscopy": endoscopy,
    "em": em,
}


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """What the random clips are like."""

    frames: int = 8  # frames per clip
    size: int = 128  # pixels along each side of a frame
    max_objects: int = 3  # labelled objects per clip
    min_area: int = 20  # pixels an object must have in frame 0
    max_gap: int = 3  # slices between two frames, at most
    correlation: tuple[float, float] = (12.0, 50.0)  # slices over which shapes change
    shares: tuple[float, ...] = (0.25, 0.25, 0.18, 0.17, 0.15)  # of ct, mr, ultrasound, endoscopy, em
    foreign_share: float = 0.15  # clips whose scene comes from another modality's recipe
    largest_enlargement: float = 6.0  # how coarse the pixels of a clip may be
    ending_share: float = 0.35  # clips in which an object is made to end, of those where none ends by itself
    patchwork_share: float = 0.55  # objects that are made of several tissues
    static: bool = False  # each frame is frame 0 moved and deformed at random, as for the method's first phase
    thick_share: float = 0.25  # CT and MR clips whose slices are so thick that what lies between them shows

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(f"frames must be at least 2, got {self.frames}")
        if self.size < 32:
            raise ValueError(f"size must be at least 32 pixels, got {self.size}")
        if not 1 <= self.max_objects <= 3:
            raise ValueError(f"max_objects must be 1, 2 or 3, got {self.max_objects}")
        if self.max_gap < 1:
            raise ValueError(f"max_gap must be at least 1 slice, got {self.max_gap}")
        if not 0 < self.correlation[0] <= self.correlation[1]:
            raise ValueError(f"correlation must be two increasing lengths above 0 slices, got {self.correlation}")
        for name in ("foreign_share", "ending_share", "patchwork_share", "thick_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if self.largest_enlargement < 1:
            raise ValueError(f"largest_enlargement must be at least 1, got {self.largest_enlargement}")
        if len(self.shares) != len(MODALITIES) or min(self.shares) < 0 or sum(self.shares) <= 0:
            raise ValueError(f"shares needs a share for each of {MODALITIES}, got {self.shares}")


@dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """A clip and its truth."""

    frames: FloatArray  # (T, 3, H, W) in [0, 1]; grey is repeated
    labels: LabelArray  # (T, H, W): 0 background, 1..K objects, each present in frame 0
    modality: str  # one of MODALITIES

    @property
    def tapers(self) -> bool:
        """Whether it shows organs, which are annotated where they are largest; neurites and videos are not."""
        return self.modality in ORGANS_IN_SLICES


class SequenceGenerator:
    """Draws clips; the same seed and index give the same clip."""

    def __init__(self, settings: SynthesisConfig, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self._tile_sets = [TileSet(seed, number) for number in range(TILE_SETS)]

    def clip(self, index: int) -> SyntheticClip:
        """The clip with this index, 0 or higher."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, index)))
        tiles = self._tile_sets[int(rng.integers(TILE_SETS))]
        shares = np.array(self.settings.shares)
        modality = MODALITIES[rng.choice(len(MODALITIES), p=shares / shares.sum())]
        if not self.settings.static:
            return self._sequence(rng, modality, self.settings, tiles)
        alone = replace(self.settings, frames=2, ending_share=0, thick_share=0)
        still = self._sequence(rng, modality, alone, tiles)
        frames, labels = deformed_copies(rng, still.frames[0], still.labels[0], self.settings.frames)
        return SyntheticClip(frames=frames, labels=labels, modality=modality)

    def _sequence(
        self, rng: np.random.Generator, modality: str, settings: SynthesisConfig, tiles: TileSet
    ) -> SyntheticClip:
        """A clip whose scene changes along the sequence."""
        thick = modality in ORGANS_IN_SLICES and rng.random() < settings.thick_share
        scene, chosen, studio = self._scene(rng, modality, settings, thick, tiles)
        labels = paint_labels(scene, chosen)[:: 2 if thick else 1]
        for _ in range(TAKES):
            image = APPEARANCES[modality](rng, scene, chosen, studio)
            image = through_slab(image) if thick else image
            largest = min(settings.largest_enlargement, LARGEST_ENLARGEMENT.get(modality, np.inf))
            image = enlarge(rng, image, random_enlargement(rng, labels, largest))
            image = regrade(rng, image, may_invert=modality in ("ct", "mr", "em"))
            visible = visible_objects(image[0], labels[0])
            if visible:
                labels = keep_labels(labels, visible)
                break
        return SyntheticClip(frames=as_channels(image), labels=labels, modality=modality)

    def _scene(
        self, rng: np.random.Generator, modality: str, settings: SynthesisConfig, thick: bool, tiles: TileSet
    ) -> tuple[Anatomy, list[Group], Studio]:
        """A scene with at least one object that is visible in frame 0; of 2 T - 1 slices where they are thick."""
        for _ in range(ATTEMPTS):
            tempo = float(np.exp(rng.uniform(*np.log(settings.correlation))))
            positions = random_positions(rng, settings, modality)
            if thick:
                positions = with_halves(positions)
            at = moving_coordinates(rng, positions, settings.size, random_motion(rng, modality, settings.size, tempo))
            screen = still_coordinates(positions, settings.size)
            scene = draw_scene(rng, modality, at, screen, tempo, settings.foreign_share)
            min_area = settings.min_area * float(np.exp(abs(rng.normal(0, 0.8))))
            chosen = choose_objects(rng, scene, max_objects=settings.max_objects, min_area=min_area)
            if chosen:
                break
        else:
            largest = int(np.bincount(scene.regions[0].ravel()).argmax())
            chosen = [(largest,)]
        chosen = patched(rng, scene, chosen, share=settings.patchwork_share)
        end_objects(rng, scene, chosen, share=settings.ending_share * ENDING.get(modality, 1.0))
        return scene, chosen, Studio(tile_set=tiles, screen=screen, tempo=tempo)


def random_positions(rng: np.random.Generator, settings: SynthesisConfig, modality: str) -> FloatArray:
    """Slice positions (T,) of the frames, at a gap of 1 to `max_gap` slices; electron microscopes lose some slices."""
    gaps = np.full(settings.frames - 1, rng.integers(1, settings.max_gap + 1))
    if modality == "em" and rng.random() < 0.2:
        gaps[rng.integers(len(gaps))] *= rng.integers(2, 4)
    return np.concatenate([[0], np.cumsum(gaps)]).astype(np.float32)


def with_halves(positions: FloatArray) -> FloatArray:
    """The same T positions with T - 1 more half-way between them."""
    halves = np.arange(2 * len(positions) - 1) / 2
    return np.interp(halves, np.arange(len(positions)), positions).astype(np.float32)


def random_motion(rng: np.random.Generator, modality: str, size: int, tempo: float) -> Motion:
    """From nearly still to several per cent of the frame between neighbouring frames."""
    strength = float(np.exp(rng.uniform(np.log(0.05), np.log(1.0))))
    video = modality in ("endoscopy", "ultrasound")
    jitter = {"endoscopy": 0.01, "em": 2.0 / size}.get(modality, 0.0)
    return Motion(
        correlation=max(tempo, 15.0),
        translation=strength * (0.2 if video else 0.1),
        rotation=strength * (0.35 if video else 0.15),
        log_scale=strength * 0.2,
        elastic=strength * 0.05,
        shake=jitter * rng.random() if rng.random() < 0.5 else 0.0,
        beat=strength * 0.12 if modality == "ultrasound" else 0.0,
        beat_period=float(rng.uniform(20, 40)),
    )


def draw_scene(
    rng: np.random.Generator, modality: str, at: Coordinates, screen: Coordinates, tempo: float, foreign_share: float
) -> Anatomy:
    """A scene of the modality's recipe, or sometimes of another's."""
    source = str(rng.choice(MODALITIES)) if rng.random() < foreign_share else modality
    scene = RECIPES[source](rng, at, tempo)
    if modality == "endoscopy":
        recipes.paint_instruments(rng, scene, screen)
    if modality == "ultrasound" and rng.random() < 0.5:
        recipes.paint_outside(rng, scene, screen, fan=True)
    if modality == "endoscopy" and rng.random() < 0.2:
        recipes.paint_outside(rng, scene, screen, fan=False)
    return scene


def random_enlargement(rng: np.random.Generator, labels: LabelArray, largest: float) -> float:
    """How many times coarser the pixels are; the smallest object keeps about ten coarse pixels."""
    if rng.random() < 0.4:
        return 1.0
    smallest = np.bincount(labels[0].ravel())[1:].min()
    limit = min(largest, float(np.sqrt(smallest / 10)))
    return float(np.exp(rng.uniform(0, np.log(limit)))) if limit > 1 else 1.0


def as_channels(image: FloatArray) -> FloatArray:
    """(T, H, W) or (T, H, W, 3) -> contiguous (T, 3, H, W)."""
    if image.ndim == 4:
        return np.ascontiguousarray(image.transpose(0, 3, 1, 2), np.float32)
    return np.repeat(image[:, None], 3, axis=1).astype(np.float32, copy=False)
