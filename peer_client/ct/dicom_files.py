"""Open one DICOM file: its elements first, its pixels when they are asked for.

Bounded before anything is unpacked: the file's length, and what comes out of a deflated one. Large
values (pixels) stay in the file until they are asked for, so that a series is parsed once.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from peer_client.ct.byte_limits import (
    INFLATED_BYTES_MAX,
    MIB,
    VOLUME_BYTES_MAX,
    TooManyBytesError,
    inflate,
)
from peer_client.ct.errors import VolumeError
from peer_client.ct.folder_input import begins_like_dicom

#: The largest volume as one file of many frames, and its elements.
FILE_BYTES_MAX: Final = VOLUME_BYTES_MAX + 64 * MIB
#: What is looked at for the meta information; it has some hundred bytes.
_META_BYTES_MAX: Final = 64 * 1024
#: Values above this stay in the file until they are asked for.
_DEFERRED_BYTES: Final = 64 * 1024


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever reading a file's elements raises into a sentence that names the file.

    pydicom takes an element apart only when it is asked for; damaged ones fail then, with errors of
    every kind, and oddities of vendors are warnings that do not touch what is read here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except VolumeError:
        raise
    except TooManyBytesError as error:
        raise VolumeError(f"{path} is a deflated DICOM file: {error}") from error
    except (AttributeError, KeyError) as error:
        raise VolumeError(f"{path}: a DICOM element is missing ({error})") from error
    except Exception as error:
        raise VolumeError(
            f"{path} is not a readable DICOM file ({type(error).__name__})"
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class DicomFile:
    """One file, its elements read.

    Attributes:
        path: The file.
        elements: All of them; pixels are read from the file when they are asked for, and are
            not among the elements of a deflated file.
        syntax: The transfer syntax of its pixels.
        deflated: Whether the file is deflated as a whole.
    """

    path: Path
    elements: pydicom.Dataset
    syntax: str
    deflated: bool = False

    def whole(self, name: str) -> int:
        """Return an element that is a whole number.

        Raises:
            VolumeError: It is damaged or missing.
        """
        with reading(self.path):
            value = self.elements.get(name)
        if not isinstance(value, int):
            raise VolumeError(f"{self.path}: a DICOM element is missing ({name})")
        return int(value)

    def with_pixels(self) -> pydicom.Dataset:
        """Return the elements with the packed pixels among them."""
        return _read(self.path, pixels=True).elements if self.deflated else self.elements


def read_elements(path: Path) -> DicomFile:
    """Read one file's elements.

    Raises:
        VolumeError: It is empty, too large, packed or unpacked, or not readable.
    """
    return _read(path, pixels=False)


def _read(path: Path, *, pixels: bool) -> DicomFile:
    with reading(path):
        size = path.stat().st_size
        if size == 0:
            raise VolumeError(f"{path} is empty")
        if size > FILE_BYTES_MAX:
            raise VolumeError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        if not begins_like_dicom(path):
            raise VolumeError(f"{path} does not begin as a DICOM file")
        with path.open("rb") as file:
            # pydicom itself would inflate the whole file, whatever comes out.
            inflated = _inflated(file)
        if inflated is not None:
            elements = pydicom.dcmread(inflated, stop_before_pixels=not pixels)
            return DicomFile(path, elements, ExplicitVRLittleEndian, True)
        if _is_deflated(path):
            raise VolumeError(f"{path} is a deflated DICOM file without the usual header")
        # `force` lets files without the preamble in; they begin as DICOM all the same.
        elements = pydicom.dcmread(path, force=True, defer_size=_DEFERRED_BYTES)
        return DicomFile(path, elements, _syntax(elements))


def _syntax(elements: pydicom.Dataset) -> str:
    """Return the transfer syntax: as it is told, or as the elements were found to be written."""
    told = str(elements.file_meta.get("TransferSyntaxUID", "") or "")
    if told:
        return told
    implicit, little_endian = elements.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _is_deflated(path: Path) -> bool:
    """Return whether pydicom would inflate the file by itself."""
    with path.open("rb") as file:
        beginning = file.read(_META_BYTES_MAX)
    if beginning[128:132] != b"DICM":
        return DeflatedExplicitVRLittleEndian.encode("ascii") in beginning
    meta = read_file_meta_info(path)
    return str(meta.get("TransferSyntaxUID", "")) == str(DeflatedExplicitVRLittleEndian)


def _inflated(file: BinaryIO) -> BytesIO | None:
    """Return a deflated file as one that is not, or nothing where it is no deflated file.

    The meta information stays as long as it is: explicit VR, little-endian (PS3.5, A.5) is what
    comes out of a deflated data set, and its name is padded with zeros (PS3.5, 9.1).
    """
    beginning = file.read(_META_BYTES_MAX)
    if beginning[128:132] != b"DICM":
        return None
    group, element, kind, two = struct.unpack_from("<HH2sH", beginning, 132)
    if (group, element, kind, two) != (2, 0, b"UL", 4):
        return None
    end = 144 + int(struct.unpack_from("<I", beginning, 140)[0])
    name = DeflatedExplicitVRLittleEndian.encode("ascii")
    place = beginning.find(b"\x02\x00\x10\x00UI", 144, min(end, len(beginning)))
    if place < 0:
        return None
    length = struct.unpack_from("<H", beginning, place + 6)[0]
    if beginning[place + 8 : place + 8 + length].rstrip(b"\0 ") != name:
        return None
    if end > len(beginning):
        raise VolumeError(f"{file.name}: its meta information has {end} bytes")
    plain = ExplicitVRLittleEndian.encode("ascii").ljust(length, b"\0")
    meta = beginning[: place + 8] + plain + beginning[place + 8 + length : end]
    file.seek(end)
    return BytesIO(meta + inflate(file, INFLATED_BYTES_MAX))
