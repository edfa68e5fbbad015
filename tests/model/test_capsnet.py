"""The network: manifest and variables agree, shapes, zero input, batch of one, files."""

from __future__ import annotations

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.blocks import residual
from model.capsnet import CapsNet, CapsNetConfig, build
from model.errors import ModelFileError, WeightLayoutError
from model.files import load, save
from model.weights import get_vector, initial_vector, set_vector, specs

pytestmark = pytest.mark.tensorflow


def pictures(count, size=32, seed=0):
    return np.random.default_rng(seed).random((count, size, size, 1), dtype=np.float32)


@pytest.mark.parametrize(
    "config",
    [CapsNetConfig(), CapsNetConfig(size_px=64)],
    ids=["default", "64 px"],
)
def test_manifest_names_every_tensor_of_the_built_network(config):
    net = build(config)  # refuses by itself where names or shapes differ

    assert len(net.ordered_variables) == len(specs(config))
    assert get_vector(net).shape == (sum(spec.size for spec in specs(config)),)


def test_manifest_of_another_architecture_is_refused(small_config):
    other = CapsNetConfig(size_px=32)
    net = build(small_config)

    with pytest.raises(WeightLayoutError, match="do not fit"):
        type(net).__mro__[1](small_config, net.encoder, net.decoder, specs(other))


def test_group_all_is_the_encoder_and_group_masks_the_decoder(small_net):
    groups = [spec.group for spec in small_net.manifest]

    assert groups.count("all") == len(small_net.encoder.trainable_variables)
    assert groups.count("masks") == len(small_net.decoder.trainable_variables)
    assert groups[: small_net.encoder_tensors] == ["all"] * small_net.encoder_tensors


def test_build_starts_from_the_initial_vector_of_its_seed(small_config):
    net = build(small_config, seed=9)

    assert np.array_equal(get_vector(net), initial_vector(specs(small_config), 9))


@pytest.mark.parametrize("count", [1, 3])
def test_network_answers_for_each_slice_of_a_batch(fresh_net, count):
    answer = fresh_net(pictures(count))

    assert answer["scores"].shape == (count, 2)
    assert answer["auxiliary"].shape == (count, 2)
    assert answer["tissue"].shape == (count, 32, 32, 3)
    assert np.allclose(answer["tissue"].numpy().sum(-1), 1, atol=1e-5)


def test_slice_answers_the_same_alone_and_in_a_batch(fresh_net):
    batch = pictures(4)

    together, alone = fresh_net(batch), fresh_net(batch[2:3])

    for key in ("scores", "auxiliary", "tissue"):
        assert np.allclose(together[key].numpy()[2:3], alone[key].numpy(), atol=1e-4)


def test_zero_pictures_have_finite_answers_and_gradients(small_config):
    net = build(small_config)
    zero = np.zeros((1, 32, 32, 1), np.float32)
    with tf.GradientTape() as tape:
        answer = net(zero, training=True)
        loss = sum(tf.reduce_sum(tf.square(value - 0.5)) for value in answer.values())
    variables = [variable.value for variable in net.ordered_variables]

    assert all(np.isfinite(value.numpy()).all() for value in answer.values())
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)


def test_class_lengths_of_an_untrained_network_are_apart_and_off_the_flat_part():
    # The old network's lengths differed by 0.008 and it hardly learnt (docs/model.md).
    net = build(CapsNetConfig())
    scores = net.encoder(pictures(16, 96))[0].numpy()

    assert np.abs(scores[:, 1] - scores[:, 0]).mean() > 1e-4
    assert scores.max() < 0.99


def test_saved_network_answers_the_same_when_loaded(small_config, tmp_path):
    net = build(small_config, seed=3)
    path = tmp_path / "hospital.keras"

    save(net, path)
    again = load(path)

    assert type(again) is type(net)
    assert again.config == small_config
    assert np.array_equal(get_vector(again), get_vector(net))
    batch = pictures(2)
    assert np.array_equal(net(batch)["tissue"].numpy(), again(batch)["tissue"].numpy())


def test_load_of_no_model_file_is_refused(tmp_path):
    path = tmp_path / "broken.keras"
    path.write_bytes(b"not a model")

    with pytest.raises(ModelFileError, match=r"broken\.keras is not a model file"):
        load(path)
    with pytest.raises(ModelFileError, match=r"absent.*: there is no such file"):
        load(tmp_path / "absent.keras")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_load_of_a_truncated_model_file_is_refused(share, fresh_net, tmp_path):
    path = tmp_path / "cut.keras"
    save(fresh_net, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(ModelFileError, match=r"cut\.keras"):
        load(path)


def test_load_of_a_model_file_with_a_changed_architecture_is_refused(fresh_net, tmp_path):
    path, other = tmp_path / "net.keras", tmp_path / "changed.keras"
    save(fresh_net, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'"size_px": 32', b'"size_px": 33'))

    with pytest.raises(ModelFileError, match=r"changed\.keras"):
        load(other)


def test_load_of_another_kind_of_model_is_refused(tmp_path):
    path = tmp_path / "other.keras"
    inputs = tf.keras.Input((2,))
    tf.keras.Model(inputs, tf.keras.layers.Dense(1)(inputs)).save(path)

    with pytest.raises(ModelFileError, match="it holds a Functional"):
        load(path)


def test_set_vector_changes_the_answers(fresh_net):
    batch = pictures(1)
    before = fresh_net(batch)["scores"].numpy()

    set_vector(fresh_net, get_vector(fresh_net) * np.float32(0.5))

    assert not np.allclose(fresh_net(batch)["scores"].numpy(), before)


def test_residual_of_an_untrained_network_is_its_input(fresh_net):
    block = {layer.name: layer for layer in fresh_net.encoder.layers}
    before = block["stage_2_norm"].output
    after = block["primary_capsules"].input
    stage = keras.Model(fresh_net.encoder.input, [keras.ops.relu(before), after])

    given, answer = stage(pictures(2))

    assert np.array_equal(given.numpy(), answer.numpy())


def test_residual_adds_what_two_convolutions_make_of_the_features():
    features = keras.Input((4, 4, 8))
    block = keras.Model(features, residual(features, name="block"))
    given = np.random.default_rng(5).random((2, 4, 4, 8), dtype=np.float32)
    norm = block.get_layer("block_2_norm")
    norm.beta.assign(np.arange(8) - 4.0)
    norm.gamma.assign(np.zeros(8))

    # The second normalisation's scale is zero, so what is added is its shift.
    assert np.allclose(block(given).numpy(), np.maximum(given + np.arange(8) - 4.0, 0), atol=1e-6)


def test_capsnet_takes_its_configuration_as_a_dictionary(small_config):
    assert CapsNet(small_config.to_dict()).config == small_config
