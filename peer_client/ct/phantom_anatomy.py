"""The inside of a chest phantom, in Hounsfield units: body, lungs, vessels, bones, findings.

A phantom is geometry with numbers drawn from a generator; it is no picture of anybody. HU levels
follow common tables (air -1000, lung -860, fat -100, muscle 50, blood 45, trabecular bone 250,
cortical bone 600; ground glass -640 to -400, consolidation -60 to 40). The finding looked for is
ground glass and consolidation, mostly at the back and the rim of both lungs, as the Fleischner
Society's glossary (Hansell et al. 2008) defines the terms. Other findings (nodules, effusion,
emphysema) change the picture without changing the label.

Coordinates are mm from the middle of the body: x to the picture's right, y to the back, and z
from 0 at the lungs' apex to 1 at their base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.grid import resized
from peer_client.ct.mask_values import CONSOLIDATION, GROUND_GLASS

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

AIR_HU: Final = -1000.0
#: Height of the lungs, mm.
LUNG_HEIGHT_MM: Final = 250.0


@dataclass(frozen=True, slots=True)
class Blob:
    """An ellipsoid with an uneven rim.

    Attributes:
        centre: x, y in mm and z in shares of the lungs' height.
        radii_mm: Along x, y, z.
        level_hu: What it is filled with.
        kind: "ground_glass", "consolidation", "nodule" or "bulla".
        roughness: How uneven its rim is, as a share of the radius.
        seed: Of its rim and texture.
    """

    centre: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    level_hu: float
    kind: str
    roughness: float
    seed: int


@dataclass(frozen=True, slots=True)
class Vessel:
    """A straight piece of a vessel: two ends (x, y, z in mm) and a radius in mm."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius_mm: float


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One phantom patient.

    Attributes:
        half_width_mm: Of the body.
        half_depth_mm: Of the body.
        fat_mm: Thickness of the fat under the skin.
        lung_hu: Level of sound lung at the front; the back is denser by `gravity_hu`.
        gravity_hu: How much denser the lungs' back is.
        heart_shift_mm: How far the heart lies to the (picture's) right.
        effusion_mm: Depth of fluid behind each lung (picture's left and right), 0 for none.
        vessels: All pieces.
        blobs: All findings but effusion.
        seed: Of the textures.
    """

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    lung_hu: float
    gravity_hu: float
    heart_shift_mm: float
    effusion_mm: tuple[float, float]
    vessels: tuple[Vessel, ...]
    blobs: tuple[Blob, ...]
    seed: int


def draw_anatomy(rng: np.random.Generator, findings: np.random.Generator, kind: str) -> Anatomy:
    """Draw a patient.

    Two generators, so that the same body can be drawn with and without a finding: nothing but the
    findings depends on `kind`.

    Args:
        rng: Of the body.
        findings: Of the findings.
        kind: "pneumonia", "sound", "nodules", "effusion" or "emphysema".
    """
    half_width = float(rng.uniform(145, 190))
    half_depth = float(half_width * rng.uniform(0.62, 0.74))
    body = Anatomy(
        half_width_mm=half_width,
        half_depth_mm=half_depth,
        fat_mm=float(rng.uniform(6, 22)),
        lung_hu=float(rng.normal(-865, 18)),
        gravity_hu=float(rng.uniform(30, 120)),
        heart_shift_mm=float(rng.uniform(12, 24)),
        effusion_mm=(0.0, 0.0),
        vessels=(),
        blobs=(),
        seed=int(rng.integers(2**31)),
    )
    vessels = _draw_vessels(rng, body)
    blobs: list[Blob] = []
    effusion = (0.0, 0.0)
    if kind == "pneumonia":
        blobs += _draw_pneumonia(findings, body)
    # Some patients of every kind have nodules or a little fluid too.
    beside = findings.random(2)
    if kind == "nodules" or beside[0] < 0.1:
        blobs += _draw_nodules(findings, body)
    if kind == "effusion" or beside[1] < 0.1:
        effusion = (float(findings.uniform(5, 45)), float(findings.uniform(0, 35)))
        if findings.random() < 0.5:
            effusion = (effusion[1], effusion[0])
    if kind == "emphysema":
        blobs += _draw_bullae(findings, body)
    return Anatomy(
        half_width_mm=body.half_width_mm,
        half_depth_mm=body.half_depth_mm,
        fat_mm=body.fat_mm,
        lung_hu=body.lung_hu,
        gravity_hu=body.gravity_hu,
        heart_shift_mm=body.heart_shift_mm,
        effusion_mm=effusion,
        vessels=vessels,
        blobs=tuple(blobs),
        seed=body.seed,
    )


def slice_hu(anatomy: Anatomy, x: Floats, y: Floats, z: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Draw one axial slice.

    Args:
        anatomy: The patient.
        x: float32, shape `(h, w)`: mm from the middle, to the picture's right.
        y: float32, shape `(h, w)`: mm from the middle, to the back.
        z: 0 at the apex of the lungs, 1 at their base.

    Returns:
        float32 HU and uint8 lesion classes (0, 1, 2), both of shape `(h, w)`.
    """
    a, b = anatomy.half_width_mm, anatomy.half_depth_mm
    texture = np.random.default_rng([anatomy.seed, int((z + 1) * 10_000)])
    hu = np.full(x.shape, AIR_HU, np.float32)
    # The table: a thin shell below the back.
    hu[np.abs(y - b - 12 - (x / 150) ** 2 * -14) < 2.5] = -700
    body = _power_ellipse(x, y, a, b) < 1
    hu[body] = -100 + 12 * _cloud(texture, x.shape, 12)[body]
    wall = _power_ellipse(x, y, a - anatomy.fat_mm, b - anatomy.fat_mm) < 1
    hu[wall] = 48 + 14 * _cloud(texture, x.shape, 20)[wall]
    _draw_bones(hu, anatomy, x, y, z)
    lungs = lung_region(anatomy, x, y, z)
    _draw_middle(hu, anatomy, x, y, z, wall)
    back = (y / b + 0.6) / 1.2
    sound = anatomy.lung_hu + anatomy.gravity_hu * np.clip(back, 0, 1) ** 2
    hu[lungs] = (sound + 18 * _cloud(texture, x.shape, 24))[lungs]
    mask = np.zeros(x.shape, np.uint8)
    for blob in anatomy.blobs:
        _draw_blob(hu, mask, lungs, blob, x, y, z)
    for vessel in anatomy.vessels:
        _draw_vessel(hu, lungs, vessel, x, y, z * LUNG_HEIGHT_MM)
    for side, depth in zip((-1, 1), anatomy.effusion_mm, strict=True):
        if depth > 0 and z > 0.35:
            reach = depth * min(1.0, (z - 0.35) * 2.5)
            rear = _lung_rear(anatomy, z)
            # A meniscus: the fluid stands higher at the chest wall.
            level = rear - reach - 12 * np.clip((np.abs(x) / a - 0.45) / 0.3, 0, 1) ** 2
            fluid = lungs & (x * side > 0) & (y > level)
            hu[fluid] = 12
            mask[fluid] = 0
    return hu, mask


def lung_region(anatomy: Anatomy, x: Floats, y: Floats, z: float) -> Bools:
    """Return where the lungs are in a slice, with everything inside them."""
    a, b = anatomy.half_width_mm, anatomy.half_depth_mm
    scale = _profile(z)
    if scale <= 0.05:
        return np.zeros(x.shape, np.bool_)
    width, depth = 0.37 * a * scale, 0.66 * b * (0.35 + 0.65 * scale)
    centre = 0.42 * a
    tilt = 0.12 * (y / b)
    lungs = np.zeros(x.shape, np.bool_)
    for side in (-1, 1):
        across = (x * side - centre - tilt * 10) / width
        along = (y - 0.04 * b) / depth
        lungs |= np.abs(across) ** 2.3 + np.abs(along) ** 2.3 < 1
    heart = _heart(anatomy, x, y, z)
    middle = np.abs(x) < 16 + 6 * z
    return lungs & ~heart & ~middle


def _profile(z: float) -> float:
    """Width of the lungs along the height: narrow at the apex, widest at two thirds."""
    if not -0.02 <= z <= 1.02:
        return 0.0
    rise = np.sqrt(max(0.0, 1 - ((0.62 - z) / 0.66) ** 2)) if z < 0.62 else 1.0
    fall = np.sqrt(max(0.0, 1 - ((z - 0.62) / 0.45) ** 2)) if z >= 0.62 else 1.0
    return float(min(rise, 0.35 + 0.65 * fall))


def _lung_rear(anatomy: Anatomy, z: float) -> float:
    b = anatomy.half_depth_mm
    return 0.04 * b + 0.66 * b * (0.35 + 0.65 * _profile(z))


def _heart(anatomy: Anatomy, x: Floats, y: Floats, z: float) -> Bools:
    grown = float(np.clip((z - 0.4) / 0.3, 0, 1))
    if grown <= 0:
        return np.zeros(x.shape, np.bool_)
    a, b = anatomy.half_width_mm, anatomy.half_depth_mm
    across = (x - anatomy.heart_shift_mm) / (0.34 * a * (0.5 + 0.5 * grown))
    along = (y + 0.24 * b) / (0.36 * b * (0.6 + 0.4 * grown))
    return np.asarray(across**2 + along**2 < 1)


def _draw_middle(hu: Floats, anatomy: Anatomy, x: Floats, y: Floats, z: float, wall: Bools) -> None:
    """Mediastinum, heart, aorta, windpipe."""
    b = anatomy.half_depth_mm
    middle = (np.abs(x) < 24) & (np.abs(y) < 0.55 * b) & wall
    hu[middle & (hu < 200)] = -20
    hu[_heart(anatomy, x, y, z) & wall] = 42
    if z > 0.25:
        hu[np.hypot(x - 16, y - 0.36 * b) < 12] = 46
        hu[np.hypot(x - 4, y - 0.26 * b) < 6] = 30
    else:
        hu[np.hypot(x - 14, y + 0.12 * b) < 13] = 46
    if z < 0.45:
        apart = max(0.0, z - 0.3) * 160
        for side in (-1, 1) if apart else (0,):
            hu[np.hypot(x - side * apart, y + 0.02 * b) < (7 if apart else 9)] = AIR_HU


def _draw_bones(hu: Floats, anatomy: Anatomy, x: Floats, y: Floats, z: float) -> None:
    a, b = anatomy.half_width_mm - anatomy.fat_mm, anatomy.half_depth_mm - anatomy.fat_mm
    spine = np.hypot(x / 19, (y - 0.60 * b) / 15)
    hu[spine < 1] = 600
    hu[spine < 0.86] = 230
    arch = np.hypot(x / 15, (y - 0.60 * b - 24) / 11)
    hu[arch < 1] = 450
    hu[np.hypot(x, y - 0.60 * b - 21) < 8] = 25
    hu[(np.abs(x) < 4) & (y > 0.60 * b + 30) & (y < 0.60 * b + 46)] = 500
    hu[((np.abs(x) / 20) ** 2 + ((y + 0.93 * b) / 6) ** 2) < 1] = 420
    # A rib slopes downward from back to front, so each slice cuts several, at angles that
    # move along with z.
    for side in (-1, 1):
        for number in range(7):
            angle = np.pi * ((number + (z * 9) % 1) / 7 * 0.86 + 0.07) - np.pi / 2
            middle_x = side * np.cos(angle) * a * 0.93
            middle_y = np.sin(angle) * b * 0.93
            along = (x - middle_x) * -side * np.sin(angle) * a + (y - middle_y) * np.cos(angle) * b
            across = (x - middle_x) * side * np.cos(angle) * b + (y - middle_y) * np.sin(angle) * a
            norm = np.hypot(np.sin(angle) * a, np.cos(angle) * b)
            rib = (along / norm / 12) ** 2 + (across / norm / 4.5) ** 2
            hu[rib < 1] = 600
            hu[rib < 0.5] = 280


def _draw_blob(
    hu: Floats, mask: NDArray[np.uint8], lungs: Bools, blob: Blob, x: Floats, y: Floats, z: float
) -> None:
    off_z = (z - blob.centre[2]) * LUNG_HEIGHT_MM / blob.radii_mm[2]
    if abs(off_z) >= 1.3:
        return
    distance = np.sqrt(
        ((x - blob.centre[0]) / blob.radii_mm[0]) ** 2
        + ((y - blob.centre[1]) / blob.radii_mm[1]) ** 2
        + off_z**2
    )
    rng = np.random.default_rng(blob.seed)
    if blob.roughness > 0:
        distance = distance + blob.roughness * _cloud(rng, x.shape, 10)
    inside = lungs & (distance < 1)
    if not inside.any():
        return
    if blob.kind == "ground_glass":
        # Hazy: fades towards the rim and lets vessels through (they are drawn later).
        share = np.clip((1.1 - distance) * 2.2, 0.35, 1).astype(np.float32)
        level = blob.level_hu + 45 * _cloud(rng, x.shape, 40)
        hu[inside] = (hu + share * np.maximum(level - hu, 0))[inside]
        mask[inside & (mask == 0)] = GROUND_GLASS
    elif blob.kind == "consolidation":
        hu[inside] = (blob.level_hu + 20 * _cloud(rng, x.shape, 40))[inside]
        mask[inside] = CONSOLIDATION
    else:
        hu[inside] = blob.level_hu


def _draw_vessel(
    hu: Floats, lungs: Bools, vessel: Vessel, x: Floats, y: Floats, z_mm: float
) -> None:
    radius = vessel.radius_mm
    low, high = sorted((vessel.start[2], vessel.end[2]))
    if not low - radius <= z_mm <= high + radius:
        return
    # Only the window around the piece is computed: there are some hundred pieces.
    columns = np.flatnonzero(
        (x[0] > min(vessel.start[0], vessel.end[0]) - radius - 1)
        & (x[0] < max(vessel.start[0], vessel.end[0]) + radius + 1)
    )
    rows = np.flatnonzero(
        (y[:, 0] > min(vessel.start[1], vessel.end[1]) - radius - 1)
        & (y[:, 0] < max(vessel.start[1], vessel.end[1]) + radius + 1)
    )
    if not columns.size or not rows.size:
        return
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    start, end = np.array(vessel.start), np.array(vessel.end)
    line = end - start
    points = (x[window] - start[0], y[window] - start[1], z_mm - start[2])
    along = np.clip(
        (points[0] * line[0] + points[1] * line[1] + points[2] * line[2]) / (line @ line), 0, 1
    )
    distance = np.sqrt(
        (points[0] - along * line[0]) ** 2
        + (points[1] - along * line[1]) ** 2
        + (points[2] - along * line[2]) ** 2
    )
    # Thinner than a pixel: fill by the share of the pixel that the vessel covers.
    step = float(abs(x[0, 1] - x[0, 0]))
    share = np.clip((radius - distance) / step + 0.5, 0, 1) * lungs[window]
    hu[window] += (share * np.maximum(40 - hu[window], 0)).astype(np.float32)


def _draw_vessels(rng: np.random.Generator, body: Anatomy) -> tuple[Vessel, ...]:
    """Grow a tree in each lung from the hilum outwards, halving the cross-section as it forks."""
    pieces: list[Vessel] = []
    a, b = body.half_width_mm, body.half_depth_mm
    for side in (-1, 1):
        hilum = np.array([side * 0.16 * a, 0.0, 0.5 * LUNG_HEIGHT_MM])
        tips = []
        for _ in range(9):
            target = np.array(
                [
                    side * a * rng.uniform(0.35, 0.75),
                    b * rng.uniform(-0.5, 0.6),
                    LUNG_HEIGHT_MM * rng.uniform(0.05, 0.95),
                ]
            )
            tips.append((hilum, target, float(rng.uniform(4.0, 6.0))))
        while tips:
            start, target, radius = tips.pop()
            middle = start + (target - start) * rng.uniform(0.35, 0.55)
            middle = middle + rng.normal(0, 6, 3)
            pieces.append(Vessel(_point(start), _point(middle), radius))
            if radius < 1.3:
                continue
            for _ in range(2):
                reach = target + rng.normal(0, 24, 3)
                tips.append((middle, reach, radius * float(rng.uniform(0.55, 0.78))))
    return tuple(pieces)


def _draw_pneumonia(rng: np.random.Generator, body: Anatomy) -> list[Blob]:
    blobs: list[Blob] = []
    count = int(rng.integers(3, 9))
    for _ in range(count):
        side = -1 if rng.random() < 0.5 else 1
        centre = _place(rng, body, side, back=0.75)
        radius = float(rng.uniform(12, 36))
        radii = (radius * float(rng.uniform(0.7, 1.3)), radius, radius * float(rng.uniform(1, 2)))
        level = float(rng.uniform(-640, -400))
        seed = int(rng.integers(2**31))
        blobs.append(Blob(centre, radii, level, "ground_glass", 0.28, seed))
        if rng.random() < 0.5:
            core = tuple(part * float(rng.uniform(0.4, 0.75)) for part in radii)
            shifted = (centre[0] + float(rng.normal(0, 5)), centre[1] + 4.0, centre[2])
            blobs.append(
                Blob(
                    shifted,
                    (core[0], core[1], core[2]),
                    float(rng.uniform(-60, 40)),
                    "consolidation",
                    0.25,
                    int(rng.integers(2**31)),
                )
            )
    return blobs


def _draw_nodules(rng: np.random.Generator, body: Anatomy) -> list[Blob]:
    blobs: list[Blob] = []
    for _ in range(int(rng.integers(2, 7))):
        side = -1 if rng.random() < 0.5 else 1
        radius = float(rng.uniform(4, 13))
        blobs.append(
            Blob(
                _place(rng, body, side, back=0.5),
                (radius, radius, radius * 1.6),
                float(rng.uniform(0, 60)),
                "nodule",
                0.06,
                int(rng.integers(2**31)),
            )
        )
    return blobs


def _draw_bullae(rng: np.random.Generator, body: Anatomy) -> list[Blob]:
    blobs: list[Blob] = []
    for _ in range(int(rng.integers(20, 50))):
        side = -1 if rng.random() < 0.5 else 1
        radius = float(rng.uniform(4, 15))
        blobs.append(
            Blob(
                _place(rng, body, side, back=0.4),
                (radius, radius, radius * 1.5),
                float(rng.uniform(-985, -950)),
                "bulla",
                0.15,
                int(rng.integers(2**31)),
            )
        )
    return blobs


def _place(
    rng: np.random.Generator, body: Anatomy, side: int, *, back: float
) -> tuple[float, float, float]:
    """Draw a place in a lung, nearer to the rim than to the hilum; at the back with a chance."""
    angle = rng.uniform(0, np.pi / 2) if rng.random() < back else rng.uniform(-np.pi / 2, 0)
    radius = float(np.sqrt(rng.uniform(0.2, 0.95)))
    x = 0.42 * body.half_width_mm + 0.34 * body.half_width_mm * radius * float(np.cos(angle)) * (
        1 if rng.random() < 0.75 else -1
    )
    y = 0.04 * body.half_depth_mm + 0.62 * body.half_depth_mm * radius * float(np.sin(angle))
    return side * float(x), float(y), float(rng.uniform(0.25, 0.9))


def _cloud(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> Floats:
    """Smooth noise of mean 0 and unit order: a random grid of `cells` a side, enlarged."""
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    return resized(grid, (shape[0], shape[1]))


def _power_ellipse(x: Floats, y: Floats, a: float, b: float) -> Floats:
    return np.asarray(np.abs(x / a) ** 2.4 + np.abs(y / b) ** 2.4, np.float32)


def _point(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])
