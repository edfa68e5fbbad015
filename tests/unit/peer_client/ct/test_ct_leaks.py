from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from peer_client.ct.errors import SplitLeakError
from peer_client.ct.fingerprint import NEAR_BITS, fingerprint, nearest
from peer_client.ct.image import Image2D, decode_image
from peer_client.ct.leaks import check_apart_from_training, check_pictures_apart
from peer_client.ct.phantoms import phantom_volume


@pytest.fixture(scope="module")
def slices() -> list[Image2D]:
    """The middle slices of six phantoms, in a lung window."""
    found = []
    for seed in range(6):
        volume, _ = phantom_volume(seed, slices=3, size_px=128)
        pixels = np.clip((volume.voxels[1].astype(np.float32) + 1350) / 1500, 0, 1)
        found.append(Image2D(pixels))
    return found


def prints(images: list[Image2D]) -> np.ndarray:
    return np.stack([np.frombuffer(fingerprint(image), np.uint8) for image in images])


def digests(images: list[Image2D]) -> np.ndarray:
    return np.stack([np.frombuffer(bytes.fromhex(one.digest()), np.uint8) for one in images])


def changed(image: Image2D, how: str) -> Image2D:
    picture = Image.fromarray((image.pixels * 255).astype(np.uint8))
    if how == "jpeg":
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        return decode_image(buffer.getvalue(), name="x")
    if how == "enlarged":
        return Image2D(np.asarray(picture.resize((256, 256)), np.float32) / 255)
    return Image2D(image.pixels**0.7)


@pytest.mark.parametrize("how", ["jpeg", "enlarged", "bent grey scale"])
def test_a_picture_saved_again_is_near_itself(slices, how: str) -> None:
    again = prints([changed(image, how) for image in slices])

    position, distance = nearest(again, prints(slices))

    assert position.tolist() == list(range(6))
    assert distance.max() <= NEAR_BITS


def test_other_patients_are_not_near(slices) -> None:
    for row, image in enumerate(slices):
        others = slices[:row] + slices[row + 1 :]
        _, distance = nearest(prints([image]), prints(others))
        assert distance[0] > NEAR_BITS


def check(slices, judged, *, patients=("new",), trained_patients=frozenset({"old"})) -> None:
    check_apart_from_training(
        patients,
        [f"{number}.png" for number in range(len(judged))],
        digests(judged),
        prints(judged),
        trained_patients=trained_patients,
        trained_digests=digests(slices),
        trained_fingerprints=prints(slices),
    )


def test_new_pictures_of_new_patients_pass(slices) -> None:
    check(slices[:3], slices[3:])


def test_a_known_patient_is_named(slices) -> None:
    with pytest.raises(SplitLeakError, match="1 patients were in the model's training: old"):
        check(slices[:3], slices[3:], patients=("new", "old", "new"))


def test_a_known_picture_is_named(slices) -> None:
    with pytest.raises(SplitLeakError, match=r"1 pictures were in the model's training: 1\.png"):
        check(slices[:3], [slices[4], slices[2]])


def test_a_nearly_identical_picture_is_named(slices) -> None:
    with pytest.raises(SplitLeakError, match=r"nearly identical .*: 0\.png") as caught:
        check(slices[:3], [changed(slices[1], "jpeg"), slices[5]])

    assert caught.value.names == ("0.png",)


def test_the_same_picture_at_two_hospitals_is_named(slices) -> None:
    rows = digests([slices[0], slices[1], slices[0]])

    check_pictures_apart(rows, ["north", "south", "north"], ["a", "b", "c"])
    with pytest.raises(SplitLeakError, match=r"a \(north\) and c \(south\) are the same picture"):
        check_pictures_apart(rows, ["north", "south", "south"], ["a", "b", "c"])
