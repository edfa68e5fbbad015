"""Every way in which scanners and archives store a slice gives the same Hounsfield units."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    MPEG2MPML,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from peer_client.ct.codestreams import CodestreamError, unpacked
from peer_client.ct.errors import VolumeError
from peer_client.ct.volume_files import read_volume

LOSSLESS = {
    "JPEG Lossless, first order": (
        JPEGLosslessSV1,
        lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=1, bitspersample=16),
    ),
    "JPEG Lossless, process 14": (
        JPEGLossless,
        lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=6, bitspersample=16),
    ),
    "JPEG-LS": (JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000": (
        JPEG2000Lossless,
        lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True),
    ),
    "JPEG 2000 in the boxes of a file": (
        JPEG2000Lossless,
        lambda a: imagecodecs.jpeg2k_encode(a, codecformat="jp2", reversible=True),
    ),
    "high-throughput JPEG 2000": (HTJ2KLossless, imagecodecs.htj2k_encode),
}


def stored(dataset, dtype: str = "<u2") -> np.ndarray:
    return np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)


def packed(dataset, syntax: str, frames: list[bytes]) -> None:
    """Put encapsulated frames into a data set."""
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


@pytest.mark.parametrize("kind", LOSSLESS)
def test_compressed_slices_are_read_exactly(kind: str, dicom_folder, scan) -> None:
    syntax, encode = LOSSLESS[kind]

    folder = dicom_folder(change=lambda d, _: packed(d, syntax, [encode(stored(d).copy())]))

    np.testing.assert_array_equal(read_volume(folder).voxels, scan[0].voxels[::-1])


def test_run_lengths_and_big_endian_are_read_exactly(dicom_folder, scan, tmp_path) -> None:
    run_lengths = dicom_folder(change=lambda d, _: d.compress(RLELossless))
    np.testing.assert_array_equal(read_volume(run_lengths).voxels, scan[0].voxels[::-1])

    big = tmp_path / "big"
    big.mkdir()
    for file in run_lengths.iterdir():
        dataset = dcmread(file)
        dataset.decompress()
        dataset.PixelData = stored(dataset).astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
        with (big / file.name).open("wb") as out:
            dcmwrite(out, dataset, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read_volume(big).voxels, scan[0].voxels[::-1])


@pytest.mark.parametrize(
    ("syntax", "bits"), [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 12)], ids=["8 bits", "12 bits"]
)
def test_lossy_jpeg_is_read_to_within_what_it_loses(syntax, bits, dicom_folder, scan) -> None:
    top = 2**bits - 1

    def change(dataset, number) -> None:
        values = np.rint(np.clip(stored(dataset) / 4095, 0, 1) * top)
        values = values.astype(np.uint8 if bits == 8 else np.uint16)
        frame = imagecodecs.jpeg8_encode(values, level=98, bitspersample=bits)
        dataset.BitsAllocated, dataset.BitsStored = (8 if bits == 8 else 16), bits
        dataset.HighBit = bits - 1
        dataset.RescaleSlope = 4095 / top
        packed(dataset, syntax, [frame])

    voxels = read_volume(dicom_folder(change=change)).voxels

    off = np.abs(voxels.astype(int) - scan[0].voxels[::-1])
    assert float(off.mean()) < (12 if bits == 8 else 2)


def test_a_compression_that_is_not_read_is_named_with_how_to_undo_it(dicom_folder) -> None:
    folder = dicom_folder(change=lambda d, _: packed(d, MPEG2MPML, [b"\0" * 64]))

    with pytest.raises(VolumeError, match=r"000\.dcm .*MPEG2") as caught:
        read_volume(folder)

    assert "gdcmconv --raw" in caught.value.hint


@pytest.mark.parametrize("kind", ["JPEG Lossless, first order", "JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize("side", [65, 32768])
def test_a_frame_of_another_size_than_its_file_is_refused_unopened(
    kind: str, side: int, dicom_folder
) -> None:
    syntax, encode = LOSSLESS[kind]

    def change(dataset, number) -> None:
        frame = bytearray(encode(stored(dataset).copy()))
        if kind == "JPEG 2000":
            struct.pack_into(">II", frame, 8, side, side)
        else:
            marker = frame.index(b"\xff\xf7" if kind == "JPEG-LS" else b"\xff\xc3")
            struct.pack_into(">HH", frame, marker + 5, side, side)
        packed(dataset, syntax, [bytes(frame)])

    with pytest.raises(VolumeError, match=rf"000\.dcm is compressed .* {side} x {side} pixels"):
        read_volume(dicom_folder(change=change))


DAMAGE = """
import random, sys
from pathlib import Path
from peer_client.ct.codestreams import CodestreamError, unpacked
frame, syntax = Path(sys.argv[1]).read_bytes(), sys.argv[2]
chance = random.Random(syntax)
refused = 0
for _ in range(int(sys.argv[3])):
    damaged = bytearray(frame)
    for _ in range(chance.randrange(1, 6)):
        reach = 80 if chance.random() < 0.6 else len(damaged)
        damaged[chance.randrange(min(reach, len(damaged)))] = chance.randrange(256)
    if chance.random() < 0.2:
        del damaged[chance.randrange(1, len(damaged)):]
    try:
        unpacked(bytes(damaged), syntax, (64, 64))
    except CodestreamError:
        refused += 1
status = Path("/proc/self/status").read_text()
print(refused, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.parametrize("kind", LOSSLESS)
def test_damaged_frames_are_refused_and_never_end_the_process(kind: str, scan, tmp_path) -> None:
    syntax, encode = LOSSLESS[kind]
    frame = encode((scan[0].voxels[4].astype(np.int32) + 1024).astype(np.uint16))
    (tmp_path / "frame").write_bytes(frame)

    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, str(tmp_path / "frame"), syntax, "150"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert done.returncode == 0, done.stderr[-500:]
    refused, peak_mib = map(int, done.stdout.split())
    assert refused > 30
    assert peak_mib < 300


def test_run_lengths_are_unpacked_into_no_more_room_than_their_size_needs(dicom_folder) -> None:
    """Two bytes of run lengths may unpack to 128."""

    def change(dataset, number) -> None:
        segment = bytes([129, 0]) * 1_000_000
        offsets = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
        packed(dataset, RLELossless, [offsets + segment * 2])

    with pytest.raises(VolumeError, match=r"000\.dcm is compressed \(RLE Lossless\)"):
        read_volume(dicom_folder(change=change))


def test_damaged_run_lengths_are_refused_or_read(dicom_folder) -> None:
    path = sorted(dicom_folder(change=lambda d, _: d.compress(RLELossless)).iterdir())[3]
    whole = path.read_bytes()
    begin = whole.index(b"\xfe\xff\x00\xe0", whole.index(b"\xe0\x7f\x10\x00OB"))
    chance = random.Random(4)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(begin + 16, len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            read_volume(path)
        except VolumeError:
            continue


@pytest.mark.parametrize("kind", ["JPEG Lossless, first order", "JPEG 2000"])
def test_what_is_no_codestream_is_said_so(kind: str) -> None:
    for frame in (b"", b"\xff", b"\xff\xd8\xff\xc3", b"\xff\x4f\xff\x51\0", random.randbytes(99)):
        with pytest.raises(CodestreamError):
            unpacked(frame, LOSSLESS[kind][0], (64, 64))


@pytest.mark.parametrize("high", [11, 13, 15])
def test_values_lie_below_the_high_bit_and_what_else_is_in_the_word_is_cut(
    high: int, dicom_folder, scan
) -> None:
    def change(dataset, number) -> None:
        values = stored(dataset).astype(np.int64) << (high - 11)
        noise = np.random.default_rng(number).integers(0, 1 << 16, values.shape)
        value_bits = 0xFFF << (high - 11)
        dataset.PixelData = ((values & value_bits) | (noise & ~value_bits)).astype("<u2").tobytes()
        dataset.BitsStored, dataset.HighBit = 12, high

    voxels = read_volume(dicom_folder(change=change)).voxels

    np.testing.assert_array_equal(voxels, scan[0].voxels[::-1])


@pytest.mark.parametrize("slope", [1.0, -1.0])
@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_is_read_as_hounsfield_units_written_inverted_or_not(
    slope: float, signed: bool, dicom_folder, scan
) -> None:
    def hounsfield(dataset, number) -> None:
        hu = stored(dataset).astype(np.int32) - 1024
        intercept = 0 if signed else -1024 if slope > 0 else 3071
        values = ((hu - intercept) * slope).astype(np.int32)
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.PixelRepresentation = int(signed)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = values.astype("<i2" if signed else "<u2").tobytes()

    def inverted(dataset, number) -> None:
        hounsfield(dataset, number)
        values = stored(dataset, "<i2" if signed else "<u2").astype(np.int32)
        top = -1 if signed else 65535
        dataset.PixelData = (top - values).astype("<i2" if signed else "<u2").tobytes()

    for change in (hounsfield, inverted):
        voxels = read_volume(dicom_folder(change=change)).voxels
        np.testing.assert_array_equal(voxels, scan[0].voxels[::-1])


def test_monochrome1_that_shows_no_air_either_way_is_refused(dicom_folder) -> None:
    def change(dataset, number) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.RescaleIntercept = 5000

    with pytest.raises(VolumeError, match="MONOCHROME1 and shows no air and tissue"):
        read_volume(dicom_folder(change=change))


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("value", "limit", "written"),
    [
        (63536, None, [63536]),
        (60000, 63536, [60000, 61234, 63536]),  # a range, its ends in rising order
        (63536, 60000, [60000, 63536]),  # or falling
    ],
)
def test_a_range_of_padding_becomes_air(
    value, limit, written, implicit: bool, dicom_folder, tmp_path
) -> None:
    def change(dataset, number) -> None:
        dataset.add_new(0x00280120, "US", value)
        if limit is not None:
            dataset.add_new(0x00280121, "US", limit)
        values = stored(dataset).copy()
        for row, each in enumerate(written):
            values[row] = each
        dataset.PixelData = values.tobytes()
        if implicit:
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"

    voxels = read_volume(dicom_folder(change=change)).voxels

    assert (voxels[:, : len(written)] == -1024).all()
    assert voxels.max() < 3072


def test_signed_padding_is_known_whatever_its_sign_is_written_as(dicom_folder) -> None:
    for kind, value in (("SS", -2000), ("US", 63536)):

        def change(dataset, number, kind=kind, value=value) -> None:
            dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
            dataset.add_new(0x00280120, kind, value)
            dataset.add_new(0x00280121, "SS", -1500)
            values = stored(dataset).astype("<i2") - 1024
            values[0], values[1] = -2000, -1700
            dataset.PixelData = values.astype("<i2").tobytes()

        voxels = read_volume(dicom_folder(change=change)).voxels
        assert (voxels[:, :2] == -1024).all()


def test_padding_wider_than_the_values_is_known(dicom_folder) -> None:
    def change(dataset, number) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelPaddingValue = 63536
        values = stored(dataset).copy()
        values[0] = 63536
        dataset.PixelData = values.tobytes()

    voxels = read_volume(dicom_folder(change=change)).voxels

    assert (voxels[:, 0] == -1024).all()


@pytest.mark.parametrize("hu", ["hu", " HU", "US"])
def test_units_may_be_written_in_small_letters(hu: str, dicom_folder) -> None:
    assert read_volume(dicom_folder(change=lambda d, _: setattr(d, "RescaleType", hu))).is_hu


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("little_endian", [True, False])
def test_files_without_preamble_and_suffix_are_slices_like_the_others(
    implicit: bool, little_endian: bool, dicom_folder, scan
) -> None:
    if implicit and not little_endian:
        return  # there is no such transfer syntax
    folder = dicom_folder(names=[f"IM{number:04d}" for number in range(8)])
    for name in ("IM0005", "IM0006", "IM0007"):
        dataset = dcmread(folder / name)
        if not little_endian:
            dataset.PixelData = stored(dataset).astype(">u2").tobytes()
        with (folder / name).open("wb") as file:
            out = DicomFileLike(file)
            out.is_little_endian, out.is_implicit_VR = little_endian, implicit
            write_dataset(out, dataset)

    np.testing.assert_array_equal(read_volume(folder).voxels, scan[0].voxels[::-1])


def test_a_file_that_begins_as_dicom_and_is_damaged_is_named(dicom_folder) -> None:
    folder = dicom_folder(names=[f"IM{number:04d}" for number in range(8)])
    (folder / "IM0007").write_bytes(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100")

    with pytest.raises(VolumeError, match="IM0007"):
        read_volume(folder)
