"""One factor an image for hue, saturation and value, within its gain; measured with colorsys."""

import colorsys

import numpy as np
import pytest

from sparse_rcnn_ext.datasets.transforms import HSVJitter

# Colours of middling saturation and value, so that the factors do not push them over the edge.
RNG = np.random.default_rng(0)
COLORS = [colorsys.hsv_to_rgb(h, s, v) for h, s, v in RNG.uniform((0.2, 0.3, 0.4), (0.9, 0.55, 0.7), (200, 3))]
IMAGE = np.rint(np.array(COLORS)[None, :, ::-1] * 255).astype(np.uint8)  # (1, 200, 3) BGR


def hsv(image: np.ndarray) -> np.ndarray:
    """(200, 3), each 0 to 1."""
    return np.array([colorsys.rgb_to_hsv(*pixel[::-1] / 255) for pixel in image[0]])


def jitter(seed: int, hue: float = 0.0, saturation: float = 0.0, value: float = 0.0) -> np.ndarray:
    np.random.seed(seed)
    return HSVJitter(hue, saturation, value)({'img': IMAGE.copy()})['img']


def factors(channel: int, **gain) -> list[float]:
    """The factor of each of 120 images; all pixels must agree, and the other channels stay."""
    found = []
    for seed in range(120):
        after, before = hsv(jitter(seed, **gain)), hsv(IMAGE)
        ratios = after[:, channel] / before[:, channel]
        found.append(float(np.median(ratios)))
        # 8 bits, of which hue has 180 levels.
        np.testing.assert_allclose(ratios, found[-1], atol=0.07)
        for other in {0, 1, 2} - {channel}:
            np.testing.assert_allclose(after[:, other], before[:, other], atol=0.025)
    return found


@pytest.mark.parametrize(('channel', 'name', 'gain'), [(1, 'saturation', 0.68), (2, 'value', 0.36), (0, 'hue', 0.08)])
def test_factor(channel, name, gain):
    found = np.array(factors(channel, **{name: gain}))
    assert (abs(found - 1) < gain + 0.01).all()
    assert found.min() < 1 - 0.9 * gain and found.max() > 1 + 0.9 * gain
    assert found.mean() == pytest.approx(1, abs=0.12 * gain)


def test_defaults():
    """The gains of the recipe; each factor is uniform and on its own."""
    np.random.seed(0)
    jitter = HSVJitter()
    drawn = np.stack([jitter._draw_factors() for _ in range(2000)]) - 1
    np.testing.assert_allclose(abs(drawn).max(axis=0), (0.014, 0.68, 0.36), rtol=0.01)
    np.testing.assert_allclose(drawn.std(axis=0), np.array([0.014, 0.68, 0.36]) / 3**0.5, rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(3), atol=0.07)


def test_no_gain_changes_nothing_to_speak_of():
    difference = np.abs(jitter(0).astype(int) - IMAGE)
    assert difference.max() <= 6 and difference.mean() < 1.5, 'only what OpenCV rounds'


def test_extremes_saturate_and_hue_goes_round():
    edge = np.zeros((1, 200, 3), np.uint8)
    edge[..., 2] = 255  # red: hue 0, all else full
    edge[:, 100:, 0] = 9  # its other side: hue 359
    for seed in range(20):
        np.random.seed(seed)
        result = HSVJitter(0.014, 0.68, 0.36)({'img': edge.copy()})['img'][0].astype(int)
        assert (result[:, 2] > result[:, :2].max(axis=1) + 60).all(), 'red it stays'


def test_seed_decides():
    strong = dict(hue=0.014, saturation=0.68, value=0.36)
    np.testing.assert_array_equal(jitter(1, **strong), jitter(1, **strong))
    assert (jitter(1, **strong) != jitter(2, **strong)).any()
