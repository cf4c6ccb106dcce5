import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xrfsr_dask.tiling.sums import merge, quantised


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 7))
def test_any_order_and_grouping_gives_the_same_bits(seed, n, fan_in):
    rng = np.random.default_rng(seed)
    parts = [{"a": quantised(rng.standard_normal((4, 3)) * 10.0 ** rng.integers(-6, 3), 1e6)} for _ in range(n)]
    expected = merge(parts)["a"]
    level = [parts[i] for i in rng.permutation(n)]
    while len(level) > 1:
        level = [merge(level[i : i + fan_in + 1]) for i in range(0, len(level), fan_in + 1)]
    np.testing.assert_array_equal(level[0]["a"], expected)


def test_rounding_is_far_below_what_is_summed():
    values = np.random.default_rng(0).random(1000)
    assert np.abs(quantised(values, 1e6) - values).max() < 1e-9


def test_merging_leaves_its_parts_alone():
    parts = [{"a": np.ones(2)}, {"a": np.ones(2)}]
    merge(parts)
    np.testing.assert_array_equal(parts[0]["a"], 1)
