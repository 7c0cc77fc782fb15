"""Who does what in the stress: three coordinators and their contracts, fresh specialists, an inbox; from one seed."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.errors import NotInstalled
from lakehouse.staffing import worker
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.demand import Location
from lakehouse.staffing.places import Places
from lakehouse.staffing.roles import Roles

# Roles that all three contracts ask for; what tells their people apart is the place.
SHARED = ("Warehouse Worker", "Administrative Assistant", "Heavy Equipment Operator")
PER_ROLE = 8


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A client's demand for several roles in one place, and the coordinator who fills it."""

    coordinator: str
    name: str
    client: str
    city: str
    state: str
    specialist: str

    @property
    def roles(self) -> tuple[str, ...]:
        """The shared roles, then the specialist."""
        return (*SHARED, self.specialist)

    def ask(self, role: str, count: int = PER_ROLE) -> str:
        """Return the demand as its coordinator writes it."""
        return f"Need {count} {role}s in {self.city} {self.state} for {self.client}"

    def ask_otherwise(self, role: str) -> str:
        """Return the same need as another coordinator would write it, the role in other words too."""
        return (
            f"{self.client} is looking for {PER_ROLE} {OTHER_WORDS[role]} in {self.city}, {self.state}, to start soon"
        )


CONTRACTS = (
    Contract(
        coordinator="alice", name="Milwaukee distribution", client="Lakeshore Freight",
        city="Milwaukee", state="WI", specialist="Industrial Electrician",
    ),
    Contract(
        coordinator="bob", name="Indianapolis manufacturing", client="Crossroads Machine Works",
        city="Indianapolis", state="IN", specialist="Bilingual Safety Coordinator",
    ),
    Contract(
        coordinator="carol", name="Chicago construction", client="Prairie State Builders",
        city="Chicago", state="IL", specialist="Drone Surveyor",
    ),
)  # fmt: skip

OTHER_WORDS = {
    "Warehouse Worker": "warehouse laborers",
    "Administrative Assistant": "admin assistants",
    "Heavy Equipment Operator": "heavy machinery operators",
    "Industrial Electrician": "plant electricians",
    "Bilingual Safety Coordinator": "safety coordinators who speak Spanish and English",
    "Drone Surveyor": "surveyors with drones",
}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An email or text message that asks for people; `fillable` is whether the roster has anybody good for it."""

    type: str
    sender: str
    subject: str
    body: str
    priority: str
    tag: str
    fillable: bool


# Most urgent first, as they are worked off.
INBOX = (
    Message(
        type="email", sender="ops@beacon.example", subject="Forklift tomorrow", priority="urgent", tag="forklift",
        body="Hi, we need 5 forklift operators in Cleveland OH, day shift. Two called in sick.", fillable=True,
    ),
    Message(
        type="email", sender="plant2@crossroads.example", subject="Line 4 is short", priority="urgent",
        tag="production", fillable=True,
        body="Crossroads Machine Works needs 6 Production Workers in Indianapolis, IN. Line 4 stands still.",
    ),
    Message(
        type="email", sender="site@prairie.example", subject="Operators for the tower", priority="high",
        tag="equipment",
        body="Looking for 2 Heavy Equipment Operators in Chicago IL. Ground works begin Monday.", fillable=True,
    ),
    Message(
        type="sms", sender="+1 317 555 0142", subject="", priority="high", tag="safety",
        body="Need 1 Bilingual Safety Coordinator in Indianapolis IN", fillable=True,
    ),
    Message(
        type="sms", sender="+1 312 555 0177", subject="", priority="medium", tag="drone",
        body="Need 1 Drone Surveyor in Chicago IL", fillable=False,
    ),
    Message(
        type="email", sender="dock@lakeshore.example", subject="FYI next week", priority="medium", tag="warehouse",
        body="FYI: Lakeshore Freight needs 4 Warehouse Workers in Milwaukee, WI from next week on.", fillable=True,
    ),
)  # fmt: skip

# Title, certifications, skills, and what sets the person apart from everybody in a roster of everyday roles.
_SPECIALTIES = (
    ("Rigger", "NCCCO; Rigger", "tower crane rigging; signaling",
     "rigged and signaled tower cranes on high-rise cores, flew precast panels blind, jumped the climbing frame"),
    ("Bilingual Safety Coordinator", "OSHA-30; First Aid", "Spanish; toolbox talks",
     "taught safety orientation in Spanish and English, rewrote lift plans for both and looked into every near miss"),
    ("Millwright", "OSHA-10", "laser alignment; gearboxes",
     "aligned turbine shafts by laser, scraped babbitt bearings and rebuilt the gearboxes of a paper machine"),
    ("Refrigeration Mechanic", "EPA 608", "ammonia compressors; evaporators",
     "kept ammonia screw compressors running in a meat plant, drained oil pots and led two evacuation drills"),
    ("Glazier", "OSHA-10; Aerial Lift", "curtain wall; suction cups",
     "hung unitized curtain wall from the twentieth floor up with a vacuum lifter and sealed it in sleet"),
    ("Pile Driver Operator", "NCCCO; OSHA-30", "hydraulic hammers; sheet piles",
     "drove sheet piles for cofferdams with a vibratory hammer and logged every blow of the test piles"),
    ("Diver", "First Aid", "underwater welding; hull inspection",
     "burned and welded underwater on lock gates, inspected intakes by touch and kept the dive log"),
    ("Piano Tuner", "", "pitch raising; action regulation",
     "tuned concert grands between rehearsals, voiced hammers and restrung a bass bridge overnight"),
    ("Locksmith", "", "master keying; safe opening",
     "master keyed a hospital of four hundred doors and opened safes after a flood without drilling"),
    ("Beekeeper", "Pesticide Applicator", "swarm removal; queen rearing",
     "moved two hundred hives to orchards at night, reared queens and cut swarms out of walls"),
    ("Boilermaker", "AWS Welder; Confined Space", "tube rolling; pressure tests",
     "rolled boiler tubes in confined drums, lit off after hydrostatic tests and patched refractory"),
    ("Farrier", "First Aid", "hot shoeing; hoof care",
     "shod draft horses hot for the mounted police and forged bar shoes from stock"),
    ("Court Reporter", "", "stenography; realtime captions",
     "wrote realtime captions at two hundred forty words a minute and certified transcripts of depositions"),
    ("Sign Language Interpreter", "", "American Sign Language; plant tours",
     "interpreted in American Sign Language at shift meetings, medical visits and two jury trials"),
    ("Stone Mason", "OSHA-10", "limestone carving; lime mortar",
     "cut replacement limestone for a courthouse cornice, repointed in lime mortar and set a spiral stair"),
    ("Elevator Mechanic", "OSHA-30", "traction machines; door operators",
     "modernized gearless traction elevators, hung new ropes and adjusted door operators until they whispered"),
    ("Avionics Technician", "", "bench repair; wiring harnesses",
     "repaired transponders at the bench, laced wiring harnesses and signed off static port checks"),
    ("Taxidermist", "", "mounting; habitat dioramas",
     "mounted birds for a natural history museum and rebuilt a prairie diorama leaf by leaf"),
    ("Blaster", "OSHA-30", "shot design; vibration logs",
     "designed shots for a quarry face, wired electronic detonators and read the seismographs of the neighbors"),
    ("Sommelier", "ServSafe Alcohol", "cellar inventory; tastings",
     "built a cellar of nine hundred labels, trained servers in blind tastings and decanted old vintages by candle"),
    ("Bookbinder", "", "leather binding; paper repair",
     "rebound parish registers in leather, washed foxed paper and tooled titles in gold leaf"),
    ("Watch Repairer", "", "escapements; case polishing",
     "replaced balance staffs under the loupe, poised balances and polished cases without losing an edge"),
    ("Arborist", "ISA Arborist; Chainsaw", "rope climbing; storm damage",
     "climbed on rope to dismantle storm oaks over roofs and cabled split maples for a cemetery"),
    ("Cheese Maker", "HACCP; Food Handler", "curd cutting; affinage",
     "cut curd by hand in copper vats, washed rinds and turned six hundred wheels a week"),
    ("Projectionist", "", "35 mm film; platters",
     "threaded 35 mm film on platters, spliced trailers and lined up lenses for a silent film festival"),
)  # fmt: skip
# How those of one specialty came to it, in one city each.
_WAYS = (
    "Learned it in the Navy and still keeps a logbook.",
    "Took over a family shop after night classes, speaks Polish.",
    "Began as a volunteer, later taught apprentices at a community college.",
)
_YEARS = {"six": 6, "nine": 9, "eleven": 11, "fourteen": 14, "seventeen": 17, "twenty-one": 21}


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A specialist who comes in while the others work.

    Attributes:
        text: What is embedded.
        metadata: As of a roster row.
        query: A line that a coordinator who has read the resume would search with.
    """

    id: str
    resume: str
    text: str
    metadata: dict[str, Any]
    query: str


def fresh_workers(number: int, seed: int, prefix: str, text_columns: Sequence[str]) -> list[Fresh]:
    """Draw specialists, each specialty in one city before any comes twice, at most 75.

    Their texts are put together as those of the corpus they come into. No drone surveyor is among them: for one
    message of the inbox nobody good must be there.
    """
    chooser = random.Random(seed)
    roles, places, certifications = Roles.shipped(), Places.shipped(), Certifications.shipped()
    pairs = [
        (specialty, CONTRACTS[(at + turn) % len(CONTRACTS)], _WAYS[turn])
        for turn in (1, 0, 2)
        for at, specialty in enumerate(_SPECIALTIES)
    ]
    found = []
    for at, ((title, certs, skills, story), contract, way) in enumerate(pairs[:number], 1):
        role = roles.resolve(title)
        place = _place(places, contract)
        held = f" Holds {certs.replace('; ', ', ')}." if certs else ""
        # Not at the beginning: there "Nine years as rigger" is read as a demand for nine people.
        years = chooser.choice(list(_YEARS))
        resume = f"{story.capitalize()}: {years} years as {title.lower()} around {contract.city}. {way}{held}"
        row = {
            "name": f"Fresh Specialist {at}",
            "role": title,
            "role_code": role.code if role else "",
            "skills": skills,
            "certs": "; ".join(certifications.canonical(name) or name for name in certs.split("; ") if name),
            "years": _YEARS[years],
            "city": contract.city,
            "state": contract.state,
            "lat": place.lat,
            "lon": place.lon,
            "resume": resume,
        }
        found.append(
            Fresh(
                id=f"{prefix}fresh-{seed}-{at:03d}",
                resume=resume,
                text=". ".join(str(row[column]).rstrip(".") for column in text_columns if row.get(column)),
                metadata=worker.metadata(row, list(row)),
                query=f"Need 1 {title} in {contract.city} {contract.state}, {skills.replace('; ', ', ')}",
            )
        )
    return found


def _place(places: Places, contract: Contract) -> Location:
    found = places.lookup(contract.city, contract.state)
    if found is None:
        raise NotInstalled(f"the gazetteer does not know {contract.city} {contract.state}; run `make install` again")
    return found


def open_branches(files: dict[str, Path], per_role: int, seed: int) -> int:
    """Move people of the shared roles to the contracts' cities, in place: an agency has a branch where it has a client.

    Args:
        files: Roster CSVs by corpus.
        per_role: How many people of each shared role each city gets, as far as there are so many.
        seed: Of who it is.

    Returns:
        How many were moved.
    """
    rosters = {}
    for name, file in files.items():
        with file.open(encoding="utf-8", newline="") as opened:
            rosters[name] = list(csv.DictReader(opened))
    roles, places = Roles.shipped(), Places.shipped()
    by_code: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in (row for rows in rosters.values() for row in rows):
        by_code[row["role_code"]].append(row)
    moved = 0
    for title in SHARED:
        role = roles.resolve(title)
        people = by_code[role.code] if role else []
        random.Random(seed).shuffle(people)
        for at, person in enumerate(people[: per_role * len(CONTRACTS)]):
            contract = CONTRACTS[at % len(CONTRACTS)]
            place = _place(places, contract)
            person |= {"city": contract.city, "state": contract.state, "lat": str(place.lat), "lon": str(place.lon)}
            moved += 1
    for name, file in files.items():
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, list(rosters[name][0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rosters[name])
    return moved
