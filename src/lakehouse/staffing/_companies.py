"""How a company's name is told from other words."""

from __future__ import annotations

import re

_COMPANY_WORD = re.compile(
    r"""\b(?:inc|incorporated|llc|l\.l\.c|corp|corporation|ltd|llp|lp|lc|co|company|companies|group|holdings|enterprises?|industries|
        industrial|services?|solutions|systems|partners|associates|staffing|freight|logistics|transport|transportation|
        trucking|warehousing|distribution|supply|manufacturing|mfg|fabrication|foods?|seafoods?|packing|
        construction|contracting|contractors|builders|roofing|masonry|concrete|paving|plumbing|painting|electric|
        landscap\w+|lawn\s?care|lawns|lawn|nursery|nurseries|tree|farms?|ranch|stables?|racing|forestry|reforestation|
        hotels?|resorts?|inns?|lodge|motel|club|restaurants?|grill|cafe|catering|hospitality|casino|
        amusements?|carnivals?|rides|shows|concessions|hospital|health|healthcare|clinic|medical|care|
        school|university|college|academy|county|city\s+of|town\s+of|properties|property|realty|management|
        maintenance|cleaning|janitorial|laundry|linen|international|america|usa|brothers|bros|sons|
        cent(?:er|re)|spa|golf|marina|camps?|market|bakery|diner|fisheries|orchards|growers|greenhouses?|irrigation|turf|
        excavati(?:on|ng)|entertainment|tours|lumber|timber|logging|mills?|sugar|drywall|fence|pools?|soccer|sports)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_LEGAL = re.compile(r"\b(?:inc|llc|l\.l\.c|l\.p|corp|corporation|ltd|llp|lp|lc|co|company)\b", re.IGNORECASE)


def is_legal_name(text: str) -> bool:
    """Tell whether a phrase has the legal form of a company in it ("Inc", "LLC")."""
    return _LEGAL.search(text) is not None


def is_form_only(text: str) -> bool:
    """Tell whether a phrase is no more than one word that companies have in their name ("Inc.", "Camps")."""
    words = text.split()
    return len(words) == 1 and _COMPANY_WORD.fullmatch(words[0].strip(".,")) is not None


def is_company(text: str) -> bool:
    """Tell whether a phrase has a word that only companies have in their name."""
    return _COMPANY_WORD.search(text) is not None
