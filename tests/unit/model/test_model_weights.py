"""The manifest and the initial weights: fixed bytes, owners, refusals; no TensorFlow."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from model.config import CapsNetConfig
from model.errors import ModelConfigError, WeightLayoutError
from model.weights import WeightSpec, get_vector, initial_vector, set_vector, specs


class PlainVariable:
    """An array with the two things that `set_vector` needs of a Keras variable."""

    def __init__(self, values):
        self.values = np.asarray(values, np.float32)
        self.shape = self.values.shape

    def assign(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype)


class PlainNetwork:
    def __init__(self, *arrays):
        self.ordered_variables = [PlainVariable(array) for array in arrays]


def test_initial_vector_is_the_same_bytes_on_every_machine():
    vector = initial_vector(specs(CapsNetConfig()), seed=2024)

    assert vector.dtype == np.float32
    assert (
        hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()
        == "57f0b25057bde8cb66c5fb974bc47afe2983e39f02048ce127e2c51bbdac3169"
    )


def test_initial_vector_draws_fill_their_range_evenly():
    spec = WeightSpec("layer/kernel", (100_000,), "all", centre=0.25, half_width=0.5)

    drawn = initial_vector([spec], seed=1)

    assert -0.25 <= drawn.min() < -0.2499
    assert 0.7499 < drawn.max() <= 0.75
    assert drawn.mean() == pytest.approx(0.25, abs=0.003)
    assert drawn.std() == pytest.approx(0.5 / math.sqrt(3), abs=0.003)


def test_initial_vector_of_another_seed_or_name_is_another():
    spec = WeightSpec("layer/kernel", (50,), "all", half_width=1.0)
    renamed = WeightSpec("other/kernel", (50,), "all", half_width=1.0)

    first = initial_vector([spec], seed=1)

    assert not np.array_equal(first, initial_vector([spec], seed=2))
    assert not np.array_equal(first, initial_vector([renamed], seed=1))


def test_initial_vector_of_a_tensor_does_not_depend_on_its_neighbours():
    before = WeightSpec("before/kernel", (7,), "all", half_width=1.0)
    spec = WeightSpec("layer/kernel", (5,), "all", half_width=1.0)

    assert np.array_equal(initial_vector([before, spec], 3)[7:], initial_vector([spec], 3))


def test_specs_of_the_default_network_have_about_280_000_values():
    listed = specs(CapsNetConfig())

    assert sum(spec.size for spec in listed) == 278_075
    assert sum(spec.size for spec in listed if spec.group == "masks") == 76_409


def test_specs_have_encoder_for_all_then_decoder_for_masks():
    groups = [spec.group for spec in specs(CapsNetConfig())]

    assert groups == sorted(groups)
    assert set(groups) == {"all", "masks"}


def test_specs_have_names_that_occur_once():
    names = [spec.name for spec in specs(CapsNetConfig())]

    assert len(set(names)) == len(names)


def test_specs_make_the_named_layers_personal():
    config = CapsNetConfig(personal=("class_capsules", "tissue"))

    personal = {spec.name for spec in specs(config) if spec.group == "personal"}

    assert personal == {
        "class_capsules/grid_kernel",
        "class_capsules/pooled_kernel",
        "class_capsules/bias",
        "tissue/kernel",
        "tissue/bias",
    }


def test_specs_with_a_personal_layer_that_does_not_exist_are_refused():
    with pytest.raises(WeightLayoutError, match="clas_capsules"):
        specs(CapsNetConfig(personal=("clas_capsules",)))


def test_set_vector_then_get_vector_gives_the_same_values():
    net = PlainNetwork(np.zeros((2, 3)), np.zeros(4))
    vector = np.arange(10, dtype=np.float32)

    set_vector(net, vector)

    assert net.ordered_variables[0].values.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert get_vector(net).tolist() == vector.tolist()


@pytest.mark.parametrize("length", [0, 9, 11])
def test_set_vector_of_another_length_is_refused(length):
    with pytest.raises(WeightLayoutError, match=r"shape \(10,\)"):
        set_vector(PlainNetwork(np.zeros((2, 3)), np.zeros(4)), np.zeros(length, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_set_vector_with_a_value_that_is_not_finite_is_refused_and_changes_nothing(value):
    net = PlainNetwork(np.zeros(2), np.ones(1))

    with pytest.raises(WeightLayoutError, match="finite"):
        set_vector(net, np.array([1, 2, value], np.float32))

    assert get_vector(net).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size_px", 100),
        ("size_px", 0),
        ("stem_channels", 12),
        ("stage_channels", 40),
        ("capsule_types", 0),
        ("primary_size", 3),
        ("decoder_size", 0),
        ("deep_size", 0),
        ("routing_iterations", 0),
        ("auxiliary_dropout", 1.0),
    ],
)
def test_config_that_cannot_be_built_is_refused(field, value):
    settings = {field: value}
    if field == "primary_size":
        settings["capsule_types"] = 1
    with pytest.raises(ModelConfigError, match="Received"):
        CapsNetConfig(**settings)


def test_config_survives_its_dictionary():
    config = CapsNetConfig(size_px=128, routing_iterations=2, personal=("auxiliary",))

    assert CapsNetConfig.from_dict(config.to_dict()) == config


def test_config_with_an_unknown_field_is_refused():
    with pytest.raises(ModelConfigError, match="depth"):
        CapsNetConfig.from_dict({"depth": 3})
