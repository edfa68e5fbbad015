"""Write a drawn volume as a DICOM series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from peer_client.ct.volume import CtVolume


def write_dicom(
    folder: Path,
    volume: CtVolume,
    *,
    change: Callable[[FileDataset, int], None] = lambda dataset, number: None,
    names: list[str] | None = None,
) -> Path:
    """Write a volume as a DICOM series, slices from the feet to the head.

    `change` may alter each file's dataset before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, frame = generate_uid(), generate_uid()
    towards_head = volume.voxels[::-1]
    for number, pixels in enumerate(towards_head):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        name = names[number] if names else f"{number:03d}.dcm"
        dataset = FileDataset(str(folder / name), {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.Modality = "CT"
        dataset.SeriesInstanceUID = series
        dataset.FrameOfReferenceUID = frame
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-100.0, -80.0, number * volume.spacing_mm[0]]
        dataset.PixelSpacing = [volume.spacing_mm[1], volume.spacing_mm[2]]
        dataset.SliceThickness = volume.spacing_mm[0]
        dataset.InstanceNumber = number + 1
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (pixels.astype(np.int32) + 1024).astype("<u2").tobytes()
        change(dataset, number)
        dataset.save_as(folder / name, enforce_file_format=True)
    return folder
