"""What each field of a reply means; `params` is the JSON part, the label map is a file beside it."""

from __future__ import annotations

from collections.abc import Mapping

REPLY: Mapping[str, str] = {
    "label_names": "{name: value in the label map}, without background",
    "advice": "the sentence of `imos.advice`, first, where Slicer's console shows it",
    "imos.seeds": "[{slice, axis, label, mode: mask, scribble, points or box, pixels}]: what was carried",
    "imos.confidence": "{label: {slice: 0 to 1}} where the label is: the Dice that its mask is expected to have",
    "imos.slices": "{label: {first, confidence, presence}}: lists for every slice computed, empty ones included",
    "imos.extent": "{label: [first, last] slice}; null for one that is nowhere",
    "imos.recomputed": "{label: [first, last]}: slices computed anew; the others are as they were answered before",
    "imos.history": "where this request stands among the client's steps; null without a client",
    "imos.next_slice": "{slice, axis, label, reason, ...}: whose correction would help most; null when none would",
    "imos.advice": "the same in a sentence",
    "imos.network": "{name, version, sha256} of the weights",
    "imos.adapter": "{name, version, sha256} of the adapter",
    "imos.device": "where it was computed",
    "imos.timings": "seconds: queue, load, prompts, encode, read, decode, write, merge, file, total; counts of frames",
    "imos.warnings": "[sentence, ...]: odd voxel values, marks that gave nothing, a device that is not here",
    "imos.saved": "{label, tag, names: {name: value}, series: of the DICOM SEG or null}; absent if nothing was saved",
}
