"""What is known of the images of a datastore without opening them: accepted names, and how sure proposals are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

SCORES = "imos"  # entry of an image's info that scoring writes and strategies read


def accepted_names(datastore: Datastore) -> dict[str, set[str]]:
    """Names of the labels accepted on each image that has a final label; a name that nobody told is left out."""
    final = DefaultLabelTag.FINAL.value
    accepted = {}
    for image in datastore.list_images():
        label = datastore.get_label_by_image_id(image, final)
        if label:
            accepted[image] = set(_told_names(datastore.get_label_info(label, final) or {}))
    return accepted


def known_scores(datastore: Datastore, image: str) -> dict[str, Any]:
    """What scoring kept of an image, and how unsure its proposal is, as it is now; see `proposal_scores`."""
    original = DefaultLabelTag.ORIGINAL.value
    label = datastore.get_label_by_image_id(image, original)
    fresh = proposal_scores(datastore.get_label_info(label, original) or {}) if label else {}
    return {**(datastore.get_image_info(image).get(SCORES) or {}), **fresh}


def proposal_scores(info: Mapping[str, Any]) -> dict[str, Any]:
    """How unsure a saved reply is, from the confidence that it came with.

    Returns: {uncertainty: {label: 0 to 1}, weakest: {slice, axis, label, confidence}}; empty for another label's info.
    """
    reply = (info.get("params") or {}).get("imos") or {}
    confidence = {
        name: {int(index): float(value) for index, value in slices.items()}
        for name, slices in (reply.get("confidence") or {}).items()
        if slices
    }
    if not confidence:
        return {}
    axis = next((seed["axis"] for seed in reply.get("seeds") or ()), None)
    value, index, name = min((value, index, name) for name, of in confidence.items() for index, value in of.items())
    return {
        "uncertainty": {name: round(1 - sum(of.values()) / len(of), 4) for name, of in confidence.items()},
        "weakest": {"slice": index, "axis": axis, "label": name, "confidence": value},
    }


def _told_names(info: Mapping[str, Any]) -> list[str]:
    told = {**(info.get("params") or {}), **info}
    listed = [str(entry["name"]) for entry in told.get("label_info") or () if entry.get("name")]
    return [str(name) for name in told.get("label_names") or {}] or listed
