"""What a structure's name means in SNOMED CT, as DICOM wants it beside the name."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

# Names that people type, and the keyword of the code they mean.
SYNONYMS = {
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
    "metastasis": "NeoplasmSecondary",
    "clot": "BloodClot",
    "oesophagus": "Esophagus",
    "small bowel": "SmallIntestine",
    "urinary bladder": "Bladder",
    "left ventricle of heart": "LeftVentricle",
    "right ventricle of heart": "RightVentricle",
    "ventricles of brain": "BrainVentricle",
    "brainstem": "BrainStem",
    "thyroid gland": "Thyroid",
    "fat": "BodyFat",
    "vessel": "BloodVessel",
    "fluid": "BodyFluid",
    "air": "Gas",
}
SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
SUBSTANCE = Code("91720002", "SCT", "Body Substance")
# DICOM's lists of what a segment may be, each with its category; the first that knows a name counts.
LISTS = ((codes.cid7192, ANATOMY), (codes.cid7194, ABNORMAL), (codes.cid7191, TISSUE), (codes.cid7197, SUBSTANCE))


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Codes of one structure."""

    category: Code = TISSUE
    kind: Code = TISSUE  # DICOM has no code for "anything": tissue is what viewers write for it
    side: Code | None = None


def anatomy(name: str) -> Anatomy:
    """The codes that a name is known by; those of any tissue for a name that nobody has coded.

    "left kidney", "kidney left", "Left_Kidney" and "lateral ventricles" are understood.
    """
    words = name.lower().replace("_", " ").replace("-", " ").split()
    side = next((SIDES[word] for word in words if word in SIDES), None)
    rest = [word for word in words if word not in SIDES]
    for wording, found_side in ((words, None), (rest, side)):
        for spelt in _spellings(" ".join(wording)):
            for codes_of_list, category in LISTS:
                code = getattr(codes_of_list, spelt, None)
                if isinstance(code, Code):
                    return Anatomy(category=category, kind=code, side=found_side)
    return Anatomy()


def _spellings(words: str) -> list[str]:
    """Keywords that DICOM's lists may have for some words: as they are, and in the singular."""
    singular = words.removesuffix("s")
    return [SYNONYMS.get(one, one.title().replace(" ", "")) for one in (words, singular) if one]
