"""`/proxy/dicom`, OHIF's way to the DICOMweb server: what it asks for is asked there, not only where.

MONAI Label 0.8.5 drops the query of every address. A search for one patient then answers with the studies of all, and
OHIF lists other people's studies beside the one that is open.
"""

from __future__ import annotations

from typing import Any

import monailabel.endpoints.proxy as host
from fastapi import Request


def forward_queries() -> None:
    """Have MONAI Label's proxy send queries along; once is enough, twice changes nothing."""
    forward = getattr(host.proxy_dicom, "forwards_to", host.proxy_dicom)  # after `/reload`: not ours of before

    async def proxy_dicom(request: Request, op: str, path: str) -> Any:
        query = request.url.query
        return await forward(request, op, f"{path}?{query}" if query else path)

    proxy_dicom.forwards_to = forward  # type: ignore[attr-defined]
    host.proxy_dicom = proxy_dicom
