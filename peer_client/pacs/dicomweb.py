"""Import from a DICOMweb server (DICOM PS3.18): studies are searched, fetched and imported in turn.

CT series are fetched as they are stored (QIDO-RS, WADO-RS), into a folder that only its owner can
read and that is gone when the study has been imported; nothing else of a study is fetched. The
address is https, or this machine. A bearer token comes from the environment, never from the
command line. Proxies of the environment are not used: the server is in the house.
"""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient

from peer_client.ct.errors import CacheError
from peer_client.ct.folder_input import PassedOver
from peer_client.pacs.data_folder import Import, Told, check_any, import_some
from peer_client.pacs.errors import ExportError
from peer_client.pacs.patients_table import PatientsTable
from peer_client.pacs.pseudonyms import Pseudonyms

TOKEN_VARIABLE: Final = "HOSPITAL_DICOMWEB_TOKEN"  # noqa: S105 - the name of a variable
#: As stored, so that nothing is packed again on the way.
_AS_STORED: Final = (("application/dicom", "*"),)
_TIMEOUT_S: Final = 60
_ATTEMPTS: Final = 3
#: Studies asked for at a time.
_PAGE: Final = 200
#: More slices than any study of one visit has.
INSTANCES_MAX: Final = 20_000
_MODALITY: Final = "00080060"
_STUDY: Final = "0020000D"
_SERIES: Final = "0020000E"
_NUMBER: Final = "00200011"


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series that the server has.

    Attributes:
        uid: SeriesInstanceUID.
        number: SeriesNumber, or an empty text.
        modality: Modality.
    """

    uid: str
    number: str
    modality: str


class DicomwebServer:
    """A DICOMweb server, to search and fetch from.

    Args:
        url: Base address, e.g. `https://pacs.example/dicom-web`.
        token: Bearer token, or None.

    Raises:
        ExportError: The address is not https and not of this machine.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        _check_address(url)
        session = requests.Session()
        session.trust_env = False
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._client = DICOMwebClient(
                url, session=session, headers=headers, timeout=_TIMEOUT_S, permissive_uid=True
            )
        except (TypeError, ValueError) as error:
            raise ExportError(f"{url} is not the address of a DICOMweb server") from error
        self._client.set_http_retry_params(max_attempts=_ATTEMPTS, wait_exponential_multiplier=250)

    def studies(self, query: Mapping[str, str]) -> list[str]:
        """Return the StudyInstanceUIDs of studies with CT that match a query, in rising order."""
        filters = {"ModalitiesInStudy": "CT", **query}
        known: set[str] = set()
        while True:
            found = self._listed(
                partial(
                    self._client.search_for_studies,
                    search_filters=filters,
                    limit=_PAGE,
                    offset=len(known),
                ),
                _STUDY,
            )
            new = {_text(each, _STUDY) for each in found} - known
            known |= new
            # A server that ignores the offset gives the same studies again and again.
            if len(found) < _PAGE or not new:
                return sorted(known)

    def series(self, study: str) -> list[FoundSeries]:
        """Return the series of a study."""
        found = self._listed(
            partial(self._client.search_for_series, study, fields=["SeriesNumber", "Modality"]),
            _SERIES,
        )
        return [
            FoundSeries(_text(each, _SERIES), _text(each, _NUMBER), _text(each, _MODALITY))
            for each in found
        ]

    def instances(self, study: str, series: str) -> Iterator[pydicom.Dataset]:
        """Yield the instances of a series, one at a time."""
        fetched = self._asked(
            lambda: self._client.iter_series(study, series, media_types=_AS_STORED)
        )
        while True:
            one = self._asked(lambda: next(fetched, None))
            if one is None:
                return
            yield one

    def _listed(self, ask: Callable[[], Any], identifier: str) -> list[Mapping[str, Any]]:
        """Return a search's answer: a list of objects that have an identifier."""
        found = self._asked(ask)
        if not isinstance(found, list) or not all(
            isinstance(each, dict) and _text(each, identifier) for each in found
        ):
            raise ExportError(f"{self.url} answers a search with what is not DICOMweb")
        return found

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """Return a server's answer; what goes wrong on the way becomes a sentence."""
        try:
            return ask()
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else "unknown"
            raise ExportError(
                f"{self.url} answers with HTTP status {status}",
                f"Check the address and the rights; a token is given in {TOKEN_VARIABLE}.",
            ) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise ExportError(
                f"{self.url} cannot be reached ({type(error).__name__})",
                "Check the address, and that this machine may reach the server.",
            ) from error
        # What a server sends may be anything; the client's parsers fail in many ways.
        except Exception as error:
            raise ExportError(
                f"{self.url} answers with what is not DICOMweb ({type(error).__name__})"
            ) from error


def import_from_server(
    server: DicomwebServer,
    target: Path,
    pseudonyms: Pseudonyms,
    *,
    part: str,
    query: Mapping[str, str],
    table: PatientsTable | None = None,
    wanted: Sequence[str] = (),
    add: bool = False,
    told: Told = lambda *_: None,
) -> Import:
    """Import the CT studies of a server.

    Args:
        server: The server.
        target: The data folder.
        pseudonyms: Names of patients and studies.
        part: Name of the data set.
        query: Attributes that studies must match, by keyword (PS3.18, 8.3.4.1).
        table: Labels and splits.
        wanted: See `series.ranked`.
        add: Whether to add to a data folder.
        told: Told how far it is.

    Raises:
        ExportError: The server does not answer, or nothing is imported.
    """
    studies = server.studies(query)
    done = Import((), (), (), ())
    for number, study in enumerate(studies, start=1):
        with tempfile.TemporaryDirectory(prefix="dicomweb-") as folder:
            passed = _fetched(server, study, Path(folder))
            one = import_some(
                Path(folder), target, pseudonyms, part=part, table=table, wanted=wanted,
                add=add or bool(done.volumes),
            )  # fmt: skip
        done = Import(
            volumes=(*done.volumes, *one.volumes),
            passed_over=(*done.passed_over, *passed, *one.passed_over),
            without_label=(*done.without_label, *one.without_label),
            unused_lines=one.unused_lines,
        )
        told("studies imported", number, len(studies))
    check_any(done, server.url)
    return done


def _fetched(server: DicomwebServer, study: str, folder: Path) -> list[PassedOver]:
    """Fetch the CT series of a study; return those that are not fetched."""
    passed = []
    count = 0
    for place, series in enumerate(server.series(study), start=1):
        name = f"study {study}, series {series.number or series.uid}"
        if series.modality != "CT":
            passed.append(PassedOver(name, f"of modality {series.modality or 'none'}, not CT"))
            continue
        into = folder / f"series{place}"
        into.mkdir()
        for dataset in server.instances(study, series.uid):
            count += 1
            if count > INSTANCES_MAX:
                raise ExportError(f"study {study} has more than {INSTANCES_MAX} instances")
            _keep(dataset, into / f"{count:05d}.dcm")
    return passed


def _keep(dataset: pydicom.Dataset, path: Path) -> None:
    try:
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    except OSError as error:
        raise CacheError(
            f"cannot write {path.parent}: {error.strerror or error}",
            "Free some space for temporary files, or set TMPDIR.",
        ) from error
    # An object that cannot be written again is damaged; it is named with the others.
    except Exception:
        path.write_bytes(b"")


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ExportError(
            "the address of the server holds a password",
            f"Give a token in the environment variable {TOKEN_VARIABLE}.",
        )
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _is_this_machine(parts.hostname or ""):
        raise ExportError(
            f"{url} is not an https address",
            "Patients' scans and the token are sent over TLS, or stay on this machine.",
        )


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(answer: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an attribute in DICOM JSON (PS3.18, F.2)."""
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""
