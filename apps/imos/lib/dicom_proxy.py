"""`/proxy/dicom`, OHIF's way to the DICOMweb server: what OHIF asks for is asked there, word by word, in a thread.

MONAI Label 0.8.5 asks for something else, and while it waits for the answer the whole server waits:

- It drops the query of every address. A search for one patient then answers with the studies of all, and OHIF lists
  other people's studies beside the one that is open.
- It drops `Accept`. OHIF takes slices as they are stored, and decompresses them itself; a DICOMweb server that is not
  told so must decompress them first, and Debian's Orthanc cannot for JPEG 2000: such series stayed grey.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import monailabel.endpoints.proxy as host
import requests
from anyio import to_thread
from fastapi import Request
from fastapi.responses import Response
from monailabel.config import settings

from lib.errors import RequestError

logger = logging.getLogger(__name__)

FORWARDED = ("accept", "content-type")  # headers of a request that the DICOMweb server needs to see
RETURNED = ("content-type", "etag", "last-modified", "warning")
SECONDS_TO_ANSWER = (10, 300)  # to connect, and between two pieces of an answer
GOOGLE = "googleapis.com"  # MONAI Label knows how to log in there


def forward_requests() -> None:
    """Put our proxy in place of MONAI Label's; once is enough, twice changes nothing."""
    theirs = getattr(host.proxy_dicom, "in_place_of", host.proxy_dicom)  # after `/reload`: not ours of before

    async def proxy_dicom(request: Request, op: str, path: str) -> Any:
        if GOOGLE in settings.MONAI_LABEL_STUDIES:
            query = request.url.query
            return await theirs(request, op, f"{path}?{query}" if query else path)
        body = await request.body() if request.method == "POST" else None
        return await to_thread.run_sync(partial(_ask, request, address_of(op, path), body))

    proxy_dicom.in_place_of = theirs  # type: ignore[attr-defined]
    host.proxy_dicom = proxy_dicom


def address_of(op: str, path: str) -> str:
    """Where the DICOMweb server answers this: a site may have one prefix for each service."""
    prefixes = {
        "wado": settings.MONAI_LABEL_WADO_PREFIX,
        "qido": settings.MONAI_LABEL_QIDO_PREFIX,
        "stow": settings.MONAI_LABEL_STOW_PREFIX,
    }
    service = "wado" if op == "qido" and path.endswith("metadata") else op  # OHIF asks for metadata at the search
    parts = (settings.MONAI_LABEL_STUDIES.rstrip("/"), (prefixes.get(service) or "").strip("/"), path)
    return "/".join(part for part in parts if part)


def _ask(request: Request, address: str, body: bytes | None) -> Response:
    name, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
    try:
        answer = requests.request(
            request.method,
            address,
            params=request.url.query,
            data=body,
            headers={header: request.headers[header] for header in FORWARDED if header in request.headers},
            auth=(name, password) if name and password else None,
            timeout=SECONDS_TO_ANSWER,
        )
    except requests.RequestException as error:
        raise RequestError(
            f"the DICOMweb server {settings.MONAI_LABEL_STUDIES} did not answer ({type(error).__name__}); "
            "see that it runs, then load the page again",
            status=502,
        ) from error
    headers = {header: answer.headers[header] for header in RETURNED if header in answer.headers}
    return Response(content=answer.content, status_code=answer.status_code, headers=headers)
