"""How generated demand lines are worded: two sets the parser was built with, and two written after it.

A template's fields are `count`, `role`, `place`, `start`, `client`, and `more` for shift, certifications
and what else a line says. `start` and `client` bring their own lead-in word or are empty.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lakehouse.staffing.demand import Style

TemplateSet = Literal["first", "second", "third", "fourth"]


class Wording(msgspec.Struct, frozen=True):
    """One set of ways to put a demand."""

    templates: dict[Style, tuple[str, ...]]
    certs: dict[str, tuple[str, ...]]
    cert_lead: tuple[str, ...]
    shifts: dict[str, tuple[str, ...]]
    starts: tuple[str, ...]
    clients: tuple[str, ...]
    places: tuple[str, ...]
    noise: tuple[str, ...]
    letters: tuple[str, ...]


FIRST = Wording(
    templates={
        "need": (
            "Need {count} {role} in {place}{start}{client}{more}",
            "Need {count} {role} in {place}{client}{start}{more}",
            "We need {count} {role} in {place}{start}{client}{more}",
            "Need {count} {role} at {place}{start}{client}{more}",
            "I need {count} more {role} in {place}{client}{start}{more}",
            "{count} {role} needed in {place}{start}{client}{more}",
            "Please send {count} {role} to {place}{start}{client}{more}",
            "Need {count} {role}, {place}{start}{client}{more}",
        ),
        "client_first": (
            "{name} needs {count} {role} in {place}{start}{more}",
            "{name} needs {count} {role} at {place}{start}{more}",
            "{name} is looking for {count} {role} in {place}{start}{more}",
            "{name} requires {count} {role} in {place}{start}{more}",
            "{name} is hiring {count} {role} in {place}{more}{start}",
            "Our client {name} needs {count} {role} in {place}{start}{more}",
        ),
        "looking": (
            "Looking for {count} {role} in {place}{start}{client}{more}",
            "Looking for {count} {role} at {name} in {place}{start}{more}",
            "Looking for {count} {role} at {place}{start}{client}{more}",
            "Looking to hire {count} {role} in {place}{client}{start}{more}",
            "We are looking for {count} {role} in {place}{start}{client}{more}",
            "Seeking {count} {role} in {place}{start}{client}{more}",
        ),
        "shorthand": (
            "{count} {role} {place} {time} {name}{more}",
            "{count} {role} {place} {time}{more}",
            "{count} {role} in {place}{more}",
            "{count} {role}, {place}, {time}, {name}{more}",
            "{count} {role} {place}{more}",
            "{count}x {role} {place} {time} {name}{more}",
            "{count} {role} - {place} - {time} - {name}{more}",
        ),
    },
    certs={
        "OSHA-30": ("OSHA-30", "OSHA 30", "OSHA-30 card"),
        "OSHA-10": ("OSHA-10", "OSHA 10"),
        "Forklift": ("forklift cert", "forklift certified", "forklift license"),
        "CDL-A": ("CDL-A", "Class A CDL"),
        "CDL-B": ("CDL-B", "Class B CDL"),
        "Hazmat": ("hazmat", "hazmat endorsement"),
        "TWIC": ("TWIC", "TWIC card"),
        "ServSafe": ("ServSafe",),
        "Food Handler": ("food handler card", "food handlers permit"),
        "CPR": ("CPR",),
        "First Aid": ("First Aid",),
        "AWS D1.1": ("AWS D1.1",),
        "NCCCO": ("NCCCO",),
        "FAA Part 107": ("FAA Part 107", "Part 107"),
    },
    cert_lead=(
        ", {certs}",
        ", {certs} required",
        ", must have {certs}",
        " with {certs}",
        ". Must have {certs}.",
        ", {certs} a must",
    ),
    shifts={
        "day": (", day shift", " for the day shift", ", 1st shift", ", days"),
        "night": (", night shift", ", 3rd shift", ", nights", " on the night shift"),
        "evening": (", 2nd shift", ", evening shift", ", second shift"),
        "weekend": (", weekend shift", ", weekends"),
        "swing": (", swing shift",),
        "rotating": (", rotating shifts",),
    },
    starts=(" starting at {time}", " starting {day}", " starting {date}", " starting {day} at {time}", " on {date}"),
    clients=(" for {name}",),
    places=(
        "{city} {state}",
        "{city}, {state}",
        "{city}, {state_name}",
        "{city} {state_name}",
        "{city}, {state} {zip}",
    ),
    noise=("", "", "", ", ${pay}/hr", ", {hours} hours/week", ", pay ${pay} per hour", ", 2 years experience"),
    letters=(
        "{line}",
        "Hi,\n\n{line}.\n\nThanks,\nDana Whitfield",
        (
            "Subject: staffing request\n\nHello team,\n{line}.\nPlease call me at 216-555-0142.\n\nBest regards,\n"
            "Morgan Ellery\nOperations"
        ),
    ),
)

SECOND = Wording(
    templates={
        "need": (
            "We are in need of {count} {role} in {place}{client}{start}{more}",
            "We require {count} {role} near {place}{start}{client}{more}",
            "Can you get us {count} {role} in {place}{start}{client}{more}",
            "We could use {count} {role} in {place}{client}{start}{more}",
            "Requesting {count} {role} in {place}{client}{start}{more}",
            "{count} {role} wanted in {place}{start}{client}{more}",
            "Urgent: need {count} {role} in {place}{client}{start}{more}",
            "Need about {count} {role} in the {place} area{client}{start}{more}",
        ),
        "client_first": (
            "{name} wants {count} {role} in {place}{start}{more}",
            "{name} is seeking {count} {role} in {place}{start}{more}",
            "{name} will need {count} {role} in {place}{start}{more}",
            "{name} has requested {count} {role} in {place}{start}{more}",
            "{name} urgently needs {count} {role} in {place}{start}{more}",
            "{name} is in need of {count} {role} near {place}{start}{more}",
        ),
        "looking": (
            "Searching for {count} {role} in {place}{client}{start}{more}",
            "Looking to fill {count} {role} positions at {name} in {place}{start}{more}",
            "Hiring {count} {role} in {place}{client}{start}{more}",
            "Still looking for {count} {role} near {place}{start}{client}{more}",
            "In search of {count} {role} in {place}{client}{start}{more}",
            "We're looking for {count} additional {role} in {place}{start}{client}{more}",
        ),
        "shorthand": (
            "{count} x {role}, {place}{more}, {name}",
            "{count} {role} | {place} | {time} | {name}{more}",
            "{count} {role} @ {place} {time}{more}",
            "{role} x{count} {place} {time} {name}{more}",
            "{count} {role} {place} {date} {name}{more}",
            "{place}: {count} {role} {time}{more}",
            "{count} {role} ({place}) {time} {name}{more}",
        ),
    },
    certs={
        "OSHA-30": ("OSHA 30-hour", "30-hour OSHA card", "osha30"),
        "OSHA-10": ("10 hour OSHA", "OSHA 10-hour card"),
        "Forklift": ("forklift certification", "valid forklift license", "current forklift card"),
        "CDL-A": ("CDL A", "CDL class A"),
        "CDL-B": ("CDL class B", "class B CDL license"),
        "Hazmat": ("HazMat certification", "hazmat cert"),
        "TWIC": ("valid TWIC", "TWIC credential"),
        "ServSafe": ("ServSafe certification", "Serv Safe cert"),
        "Food Handler": ("food handler's card", "food handler certificate"),
        "CPR": ("CPR certification", "CPR card"),
        "First Aid": ("first aid cert", "first-aid certification"),
        "AWS D1.1": ("D1.1", "AWS D1.1 certification"),
        "NCCCO": ("NCCCO certification", "CCO card"),
        "FAA Part 107": ("part 107 license", "FAA 107"),
    },
    cert_lead=(
        "; {certs} needed",
        ", candidates need {certs}",
        ". {certs} is a must",
        ", {certs} preferred",
        " who have {certs}",
        ". They should hold {certs}",
        " w/ {certs}",
    ),
    shifts={
        "day": (", first shift", ". Day shift", " (day shift)", ", day-shift", ", AM shift"),
        "night": (", overnight shift", ", graveyard", ", third shift", ". They will work nights", " (3rd shift)"),
        "evening": (", PM shift", ", evenings", " for second shift"),
        "weekend": (", weekends only", " for a weekend shift"),
        "swing": (" on swing shift",),
        "rotating": (", rotating shift schedule",),
    },
    starts=(
        ", start {time}",
        ", start date {date}",
        " beginning {day}",
        ", report at {time} {day}",
        " from {date}",
        " by {day}",
    ),
    clients=(" on behalf of {name}", " for our client {name}", " for {name}"),
    places=(
        "{city} {state}",
        "{city}, {state}",
        "{city} ({state})",
        "{city}, {state} {zip}",
        "{city} {state_name}",
        "{city}/{state}",
    ),
    noise=("", "", "", " - paying ${pay}", ", ${pay} an hour", ", 8 hr days", ", 3+ yrs exp", ", long term"),
    letters=(
        "{line}",
        "Good morning,\n\n{line}.\n\nLet me know who you have.\n\nThank you,\nPriya Castellano\n(312) 555-0199",
        "Hey Chris - {line}. Thanks!",
        (
            "From: ops@example.com\nSubject: RE: staffing\n\nTeam,\n\n{line}.\n\nRegards,\n--\n"
            "Jo Hart | Site Lead | jo.hart@example.com"
        ),
    ),
)

# Written when the parser was done; `docs/evaluations.md` has what it first showed and what was then mended.
THIRD = Wording(
    templates={
        "need": (
            "Need {count} {role} for a job in {place}{start}{client}{more}",
            "We're going to need {count} {role} in {place}{client}{start}{more}",
            "Please get me {count} {role} in {place}{start}{client}{more}",
            "I'll need at least {count} {role} in {place}{start}{client}{more}",
            "{count} {role} are needed in {place}{start}{client}{more}",
            "Request for {count} {role} in {place}{client}{start}{more}",
            "Need {count} temporary workers as {role} in {place}{start}{client}{more}",
        ),
        "client_first": (
            "{name} needs another {count} {role} in {place}{start}{more}",
            "{name} is short {count} {role} in {place}{start}{more}",
            "{name} is currently seeking {count} {role} at {place}{start}{more}",
            "{name} is requesting {count} {role} for {place}{start}{more}",
            "{name} also needs {count} {role} in {place}{start}{more}",
        ),
        "looking": (
            "Looking for {count} {role} to work in {place}{start}{client}{more}",
            "We are now looking for {count} {role} for {name} in {place}{start}{more}",
            "Looking for about {count} {role} around {place}{client}{start}{more}",
            "Recruiting {count} {role} in {place}{start}{client}{more}",
            "Looking to bring on {count} {role} at {name} in {place}{start}{more}",
        ),
        "shorthand": (
            "({count}) {role} {place} {time} {name}{more}",
            "{count} {role} / {place} / {time} / {name}{more}",
            "{count} {role}, {place}, start {time}, {name}{more}",
            "{count} {role} {place} {day} {time} {name}{more}",
            "{count} {role} for {name} in {place}{more}",
            "{count} {role} near {place}{more}",
        ),
    },
    certs={
        "OSHA-30": ("OSHA 30 hr", "OSHA-30 certification"),
        "OSHA-10": ("OSHA 10 hr card", "OSHA-10 certification"),
        "Forklift": ("certified on forklift", "forklift ticket", "forklift operator certification"),
        "CDL-A": ("class A driver's license", "CDL-A license"),
        "CDL-B": ("CDL-B license", "class B driver's license"),
        "Hazmat": ("haz-mat", "hazardous materials endorsement"),
        "TWIC": ("active TWIC card", "a TWIC"),
        "ServSafe": ("ServSafe card", "SERVSAFE"),
        "Food Handler": ("food handler license", "food handlers cert"),
        "CPR": ("CPR certified", "current CPR"),
        "First Aid": ("First Aid certificate", "first aid card"),
        "AWS D1.1": ("AWS D1.1 cert", "AWS-D1.1"),
        "NCCCO": ("NCCCO card", "certified crane operator card"),
        "FAA Part 107": ("FAA part 107 certificate", "drone license"),
    },
    cert_lead=(
        ", requires {certs}",
        " - {certs}",
        ", with {certs}",
        "; must hold {certs}",
        ". Candidates must have {certs}",
        ", {certs} is required",
        " having {certs}",
    ),
    shifts={
        "day": (", shift: day", " on days", " on first shift", ", daytime shift"),
        "night": (", night shifts", " on nights", " for the graveyard shift", ", overnights"),
        "evening": (", on second shift", ", evening shifts", ", shift: evening"),
        "weekend": (", weekend shifts", " for the weekend shift"),
        "swing": (", swing shifts",),
        "rotating": (", rotating shift", ", rotating shifts"),
    },
    starts=(
        " starts {time}",
        " effective {date}",
        " starting on {day}",
        " for a {time} start",
        ", beginning {date}",
        " commencing {date}",
    ),
    clients=(" for {name}", ", client: {name}", " for our client {name}"),
    places=("{city} {state}", "{city}, {state}", "{city}, {state_name}", "{city} {state} {zip}"),
    noise=("", "", "", ", ${pay} per hr", ", Mon-Fri", ", 12 hour days", ", must have own transportation"),
    letters=(
        "{line}",
        "Hello,\n\nHope you are well. {line}.\n\nKind regards,\nRobin Alvarado\nAcme Staffing | 555.010.7788",
        "{line}. Please confirm by email to desk@example.org. Thank you, Lee",
    ),
)

# Written when the three sets above were right, by asking how a dispatcher, a client's foreman and a sales desk would
# put it; the first wording of each style is the one of the product's specification. See `docs/evaluations.md`.
FOURTH = Wording(
    templates={
        "need": (
            "Need {count} {role} in {place}{start}{client}{more}",
            "Do you have {count} {role} available in {place}{client}{start}{more}",
            "We have an immediate need for {count} {role} in {place}{start}{client}{more}",
            "Could you line up {count} {role} in {place}{client}{start}{more}",
            "We're short-staffed and need {count} {role} in {place}{start}{client}{more}",
            "There is a need for {count} {role} in {place}{client}{start}{more}",
            "Please arrange {count} {role} for our site in {place}{start}{client}{more}",
            "I have to have {count} {role} in {place}{start}{client}{more}",
        ),
        "client_first": (
            "{name} needs {count} {role} in {place}{start}{more}",
            "{name} has openings for {count} {role} in {place}{start}{more}",
            "{name} is asking for {count} {role} in {place}{start}{more}",
            "{name} would like {count} {role} in {place}{start}{more}",
            "{name} is trying to find {count} {role} in {place}{start}{more}",
            "{name} called and needs {count} {role} in {place}{start}{more}",
            "{name} has to hire {count} {role} in {place}{more}{start}",
        ),
        "looking": (
            "Looking for {count} {role} at {place}{start}{client}{more}",
            "On the lookout for {count} {role} in {place}{client}{start}{more}",
            "I'm looking for {count} {role} who can work in {place}{start}{client}{more}",
            "Trying to find {count} {role} in {place}{start}{client}{more}",
            "Currently looking for {count} qualified {role} in {place}{client}{start}{more}",
            "Looking for a crew of {count} {role} in {place}{start}{client}{more}",
            "We're hoping to hire {count} {role} in {place}{client}{start}{more}",
        ),
        "shorthand": (
            "{count} {role} {place}{more}",
            "{count} {role} {place} {time}{more}",
            "{count} - {role} - {place}{more}",
            "{name}: {count} {role}, {place}, {time}{more}",
            "{place} - {count} {role} - {time}{more}",
            "{date}: {count} {role} {place} {name}{more}",
            "{role} ({count}), {place}, {time}{more}",
            "{count} {role}; {place}; {name}{more}",
        ),
    },
    certs={
        "OSHA-30": ("OSHA30 card", "OSHA 30 certified", "30 hour OSHA"),
        "OSHA-10": ("OSHA 10hr", "OSHA10", "OSHA 10 certification"),
        "Forklift": ("forklift-certified", "fork lift license", "forklift operator card"),
        "CDL-A": ("CDL class-A license", "class A commercial license", "CDL Class A"),
        "CDL-B": ("class-B CDL", "class B commercial license"),
        "Hazmat": ("hazmat endorsed", "HAZMAT", "haz mat endorsement"),
        "TWIC": ("TWIC badge", "valid TWIC cards", "TWIC cert"),
        "ServSafe": ("ServSafe certified", "Serv-Safe"),
        "Food Handler": ("food handler permit", "food-handler card", "food handlers certification"),
        "CPR": ("CPR-certified", "CPR training", "valid CPR"),
        "First Aid": ("First Aid certified", "first aid training"),
        "AWS D1.1": ("AWS D1.1 certified", "D1.1 certification"),
        "NCCCO": ("NCCCO certified", "NCCCO license"),
        "FAA Part 107": ("Part 107 certificate", "FAA drone license", "Part 107 remote pilot certificate"),
    },
    cert_lead=(
        ", {certs} mandatory",
        ", need to have {certs}",
        ". Requirements: {certs}",
        " ({certs})",
        ". All must carry {certs}.",
        ", {certs} only",
        " and {certs}",
        ". {certs} please",
    ),
    shifts={
        "day": (", working days", ", day shift only", ". Shift is days", ", 1st shift hours"),
        "night": (", working nights", ", overnight", ", third shift only", ". This is a night shift"),
        "evening": (", working evenings", ", 2nd shift hours", ". It is an evening shift"),
        "weekend": (", weekend work", ", weekends", ", weekend shift only"),
        "swing": (", swing shift hours", " on the swing shift"),
        "rotating": (", on a rotating shift", ", rotating schedule"),
    },
    starts=(
        " starting at {time}",
        ", first day {date}",
        " - start {day} {time}",
        ", kicking off {date}",
        ", must be on site {day}",
        " starting {date} at {time}",
    ),
    clients=(" for {name}", " to work for {name}", ", the client is {name}", " (client: {name})"),
    places=(
        "{city} {state}",
        "{city}, {state}",
        "{city}, {state_name}",
        "{city}, {state}, {zip}",
        "{city} - {state}",
    ),
    noise=("", "", "", ", OT available", ", ${pay}/hour DOE", ", drug screen required", ", {hours} hrs a week"),
    letters=(
        "{line}",
        "Hi there - {line}. Thx, Sam",
        "Morning!\n\n{line}\n\nSent from my phone",
        (
            "To: dispatch@example.com\nSubject: more hands\n\nAll,\n\n{line}.\n\nCheers,\nAlex Romero\n"
            "Plant Manager\n440-555-0182"
        ),
    ),
)

WORDINGS: dict[TemplateSet, Wording] = {"first": FIRST, "second": SECOND, "third": THIRD, "fourth": FOURTH}
