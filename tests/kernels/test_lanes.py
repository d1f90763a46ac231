"""Vectors in registers are what they say, lane by lane."""

from __future__ import annotations

import numpy as np

from polyfiber.kernels import jit, lanes


@jit.kernel
def _use_lanes(a, x, out):
    one = np.uint64(1)
    lanes.store(out, np.uint64(0), lanes.axpy(lanes.load8(a, one), -2.5, lanes.load_row8(x, 1, 2)))
    lanes.store(out, np.uint64(8), lanes.magnitude(lanes.first_of(lanes.load8(out, np.uint64(0)), 3, -7.0)))
    lanes.store(out, np.uint64(16), lanes.plus(lanes.load4(a, one), lanes.times(lanes.load4(a, one), lanes.zero4())))
    scaled = lanes.scaled(2.0, lanes.load8(a, one))
    out[20] = lanes.above8(scaled, lanes.zero8())
    return lanes.total(lanes.plus(lanes.load8(out, np.uint64(8)), lanes.zero8()))


def test_lanes_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    a, x, out = rng.normal(size=12), rng.normal(size=(3, 12))[:, :11], np.zeros(21)
    total = _use_lanes(a, x, out)
    first = a[1:9] + -2.5 * np.asarray(x.base)[1, 2:10]
    second = np.abs(np.r_[first[:3], -7.0, np.zeros(4)])
    assert np.array_equal(out[:8], first)
    assert np.array_equal(out[8:16], second)
    assert np.array_equal(out[16:20], a[1:5])
    assert out[20] == sum(1 << i for i in range(8) if a[1 + i] > 0)
    assert total == ((second[0] + second[4]) + (second[2] + second[6])) + (
        (second[1] + second[5]) + (second[3] + second[7])
    )


@jit.kernel
def _keep_lanes(bits, a, out):
    one = np.uint64(1)
    lanes.store(out, one, lanes.where8(bits, lanes.load8(a, one)))


@jit.kernel
def _signs(signs, out):
    lanes.store(out, np.uint64(0), lanes.signs8(signs, np.uint64(1)))


def test_lanes_are_kept_by_bits_whatever_the_others_hold() -> None:
    a = np.random.default_rng(0).normal(size=9)
    a[3], a[6] = np.inf, np.nan
    for bits in (0, 255, 0b10010011, 0b01101100, 0xABCD00 | 0b11011011):
        out = np.zeros(9)
        _keep_lanes(np.uint64(bits), a, out)
        kept = np.array([bool(bits >> i & 1) for i in range(8)])
        assert np.array_equal(out[1:], np.where(kept, a[1:], 0.0), equal_nan=True)


def test_signs_are_doubles_in_lanes() -> None:
    signs, out = np.array([9, -1, 0, 1, 1, -1, -128, 127, 0], dtype=np.int8), np.zeros(8)
    _signs(signs, out)
    assert out.tolist() == signs[1:].tolist()


@jit.kernel
def _use_words(ids, words, out):
    one = np.uint64(1)
    lanes.store(
        out, one, lanes.either(lanes.load2(words, one), lanes.pair(np.uint64(5), np.uint64(1) << np.uint64(63)))
    )
    return lanes.equal16(ids, one, np.int32(-3)), lanes.reach16(ids, one, np.int32(2))


def test_tests_of_sixteen_and_pairs_of_words_are_what_they_say() -> None:
    rng = np.random.default_rng(1)
    words, out = rng.integers(0, 1 << 63, size=4, dtype=np.uint64), np.zeros(4, dtype=np.uint64)
    for _ in range(20):
        ids = rng.integers(-4, 5, size=18).astype(np.int32)
        equal, above = _use_words(ids, words, out)
        assert equal == sum(1 << i for i in range(16) if ids[1 + i] == -3)
        assert above == sum(1 << i for i in range(16) if ids[1 + i] >= 2)
    assert out.tolist() == [0, int(words[1]) | 5, int(words[2]) | 1 << 63, 0]
