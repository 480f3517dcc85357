"""From the drawn scene to the picture: shadows, light, haze, lens and sensor."""

from __future__ import annotations

import math

import numpy as np

from weft_geo.datasets.synthetic.canvas import Canvas
from weft_geo.datasets.synthetic.canvas import rgb as colour
from weft_geo.datasets.synthetic.noise import FloatArray


def shadow(canvas: Canvas) -> FloatArray:
    """Find what lies in the shadow of something higher.

    Every pixel is compared with the horizon towards the sun: H(p) = max over k of height(p + k s) - k t, where s is a
    step of one pixel towards the sun and t what a ray rises over it. Doubling the reach each time takes log2 steps.

    Returns:
        float32 [H, W], 0 in the light to 1 in full shadow, soft over 30 cm of height.
    """
    height, width = canvas.shape
    rise = canvas.gsd_m * math.tan(canvas.sun.elevation)
    horizon = canvas.height_m.copy()
    reach, steps = float(canvas.height_m.max()) / rise, 1
    while steps < 2 * reach:
        dx, dy = round(canvas.sun.x * steps), round(canvas.sun.y * steps)
        if abs(dx) >= width or abs(dy) >= height:
            break
        here = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
        there = (slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx)))
        lifted = horizon[there] - np.float32(steps * rise)
        target = horizon[here]
        np.maximum(target, lifted, out=target)
        steps *= 2
    dark: FloatArray = np.clip((horizon - canvas.height_m) / np.float32(0.3) - np.float32(0.2), 0, 1)
    return dark


def _smooth(plane: FloatArray, weights: FloatArray) -> FloatArray:
    """Filter a plane with a short symmetric kernel in both directions, edges repeated."""
    reach = len(weights) // 2
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (reach, reach)
        wide = np.pad(plane, pad, mode="edge")
        length = plane.shape[axis]
        total = np.zeros_like(plane)
        for offset, weight in enumerate(weights):
            total += weight * (wide[offset : offset + length] if axis == 0 else wide[:, offset : offset + length])
        plane = total
    return plane


def _gaussian(sigma_px: float) -> FloatArray:
    """Weights of a Gaussian, cut at two sigma and at least three taps."""
    reach = max(1, math.ceil(2 * sigma_px))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    weights: FloatArray = (taps / taps.sum()).astype(np.float32)
    return weights


def _block_transform() -> FloatArray:
    """The orthonormal 8-point DCT-II matrix."""
    k, n = np.arange(8)[:, None], np.arange(8)[None, :]
    matrix = np.cos(math.pi * (2 * n + 1) * k / 16) * math.sqrt(0.25)
    matrix[0] *= math.sqrt(0.5)
    return np.asarray(matrix, np.float32)


def _compress(rng: np.random.Generator, rgb: FloatArray) -> FloatArray:
    """Soften like JPEG: coarse chroma, and the luma's 8 x 8 blocks rounded in frequency."""
    height, width = rgb.shape[1:]
    luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    difference = rgb - luma
    rows, columns = height // 8, width // 8
    if rows and columns:
        matrix = _block_transform()
        blocks = luma[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
        step = np.float32(rng.uniform(2, 9)) * (
            1 + np.add.outer(np.arange(8), np.arange(8)).astype(np.float32) * np.float32(0.5)
        )
        frequencies = np.rint(matrix @ blocks @ matrix.T / step) * step
        luma[: rows * 8, : columns * 8] = (
            (matrix.T @ frequencies @ matrix).transpose(0, 2, 1, 3).reshape(rows * 8, columns * 8)
        )
    for band in range(3):
        coarse = difference[band][: height // 2 * 2, : width // 2 * 2]
        mean = coarse.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        coarse[...] = np.repeat(np.repeat(mean, 2, axis=0), 2, axis=1)
    return np.asarray(luma + difference, np.float32)


def expose(rng: np.random.Generator, canvas: Canvas) -> FloatArray:
    """Take the picture.

    Returns:
        uint8 [3, H, W] as float32 values 0 … 255, not yet rounded.
    """
    height, width = canvas.shape
    rgb = canvas.rgb
    dark = shadow(canvas) * np.float32(rng.uniform(0.45, 0.72))
    sky = colour(1.06, 1.0, 0.9)  # light in the shadow is bluer, so red is lost more
    light = 1 + np.float32(rng.uniform(0.0, 0.06)) * canvas.noise.broad
    gain = np.float32(rng.uniform(0.82, 1.15)) * (1 + rng.normal(0, 0.035, 3).astype(np.float32))
    contrast, haze = np.float32(rng.uniform(0.85, 1.2)), np.float32(rng.choice([0, rng.uniform(0.02, 0.2)]))
    colourfulness = np.float32(rng.uniform(0.6, 1.15))
    veil = colour(196, 204, 212)
    for band in range(3):
        plane = rgb[band]
        plane *= (1 - dark * sky[band]) * light * gain[band]
    grey = rgb.mean(axis=0)
    sigma = rng.uniform(0.25, 1.0)
    weights = _gaussian(sigma) if sigma > 0.35 else None
    grain = np.float32(rng.uniform(0.5, 5.0))
    common = rng.standard_normal((height, width), dtype=np.float32)
    for band in range(3):
        plane = grey + colourfulness * (rgb[band] - grey)
        plane = (plane - 118) * contrast + 118
        plane += haze * (veil[band] - plane)
        if weights is not None:
            plane = _smooth(plane, weights)
        plane += grain * (
            np.float32(0.7) * common + np.float32(0.5) * rng.standard_normal((height, width), dtype=np.float32)
        )
        rgb[band] = plane
    return _compress(rng, rgb) if rng.random() < 0.6 else rgb
