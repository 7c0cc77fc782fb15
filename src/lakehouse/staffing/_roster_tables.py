"""What the synthetic roster knows that no public file says: staffing demand by role, certifications, pay, shifts.

Tables go by O*NET-SOC code or a prefix of one; where several prefixes fit, the longest decides, but for
certifications, where all of them add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

# Roles that staffing agencies fill every day, with rough relative frequencies.
COMMON = {
    "53-7062.00": 60, "53-7065.00": 52, "53-7051.00": 44, "53-7064.00": 36, "51-9199.00": 30, "51-2092.00": 30,
    "53-3032.00": 30, "53-3033.00": 20, "51-9161.00": 22, "51-4121.00": 24, "51-9061.00": 14, "51-4041.00": 12,
    "49-9071.00": 18, "49-9041.00": 12, "51-4031.00": 8, "51-4072.00": 7, "51-9111.00": 12, "51-9192.00": 6,
    "43-5071.00": 14, "47-2061.00": 34, "47-2111.00": 18, "47-2031.00": 16, "47-2152.00": 12, "47-2073.00": 12,
    "47-2051.00": 8, "47-2141.00": 10, "47-2181.00": 8, "47-2081.00": 8, "47-3013.00": 7, "47-2211.00": 6,
    "47-2221.00": 5, "49-9021.00": 10, "49-3031.00": 8, "49-3023.00": 10, "37-3011.00": 26, "37-2012.00": 28,
    "37-2011.00": 28, "35-2014.00": 28, "35-2021.00": 18, "35-3031.00": 24, "35-9021.00": 14, "35-9011.00": 10,
    "35-3023.00": 14, "35-3011.00": 8, "43-4081.00": 8, "39-3091.00": 6, "31-1131.00": 28, "31-1121.00": 16,
    "31-1122.00": 14, "29-1141.00": 16, "29-2061.00": 12, "31-9092.00": 10, "31-9097.00": 6, "43-4051.00": 22,
    "43-9061.00": 16, "43-9021.00": 8, "43-4171.00": 10, "43-6014.00": 10, "33-9032.00": 20, "41-2031.00": 10,
    "41-2011.00": 8, "25-9042.00": 5, "25-3031.00": 5, "51-6011.00": 6, "51-3022.00": 6, "47-2231.00": 4,
    "53-7021.00": 3, "49-9051.00": 2, "33-9092.00": 3, "53-2012.00": 2, "53-5011.00": 2, "37-3013.00": 5,
}  # fmt: skip
# Major groups that the rest of the roster comes from, each occupation as likely as the next.
RARE = (
    "17-3",
    "27-1",
    "27-4",
    "29-2",
    "31-",
    "33-9",
    "35-",
    "37-",
    "39-",
    "41-2",
    "43-",
    "45-",
    "47-",
    "49-",
    "51-",
    "53-",
)
# Occupations without tools and tasks of their own, and the one whose they take.
LIKE = {
    "51-9199.00": "51-9198.00",
    "51-2099.00": "51-2092.00",
    "37-3019.00": "37-3011.00",
    "35-2019.00": "35-2014.00",
    "45-2099.00": "45-2092.00",
    "47-3019.00": "47-2061.00",
    "53-7199.00": "53-7062.00",
    "35-9099.00": "35-9011.00",
    "51-3099.00": "51-3092.00",
    "37-2019.00": "37-2011.00",
}
# Work on ships and their electronics is found where the ships are.
AFLOAT = ("53-50", "53-7031", "49-2093", "49-2094", "49-2095", "49-3051", "45-3031", "17-2121")
COAST = frozenset(
    "AK AL CA CT DC DE FL GA GU HI IL LA MA MD ME MI MN MP MS NC NH NJ NY OH OR PA PR RI SC TX VA VI WA WI".split()
)

_LOGISTICS = ("53-7051.00", "53-7062.00", "53-7065.00", "53-7064.00", "53-3032.00")
_TRUCKS = ("53-7051.00",)
_FACTORY = ("51-9161.00", "51-4121.00", "51-9199.00", "51-2092.00", "51-9061.00", "49-9041.00")
_BUILDING = ("47-2061.00", "47-2111.00", "47-2031.00", "47-2073.00", "47-2152.00")
_HOTEL = ("37-2012.00", "35-2014.00", "35-3031.00", "35-9021.00", "35-2021.00")
_CARE = ("31-1131.00", "31-1121.00", "29-1141.00", "29-2061.00")
_GROUNDS = ("37-3011.00", "37-3013.00", "47-2061.00")
_OFFICE = ("43-4051.00", "43-9061.00", "43-9021.00")
# Branch offices, where an agency has many people of a kind: city, state, kinds of work, weight of each role.
BRANCHES = (
    ("Cleveland", "OH", (_TRUCKS, _TRUCKS, _LOGISTICS, _FACTORY, ("35-2014.00", "31-1131.00", "47-2111.00")), 2.0),
    ("Columbus", "OH", (_LOGISTICS,), 1.2),
    ("Chicago", "IL", (_LOGISTICS, _HOTEL), 1.2),
    ("Indianapolis", "IN", (_LOGISTICS, _CARE), 1.0),
    ("Memphis", "TN", (_LOGISTICS,), 1.2),
    ("Dallas", "TX", (_LOGISTICS, _BUILDING), 1.0),
    ("Houston", "TX", (_BUILDING, _FACTORY), 1.0),
    ("Detroit", "MI", (_FACTORY, ("53-7051.00", "53-7062.00")), 1.2),
    ("Atlanta", "GA", (_LOGISTICS, _OFFICE), 1.0),
    ("Phoenix", "AZ", (_BUILDING, _OFFICE), 1.0),
    ("Los Angeles", "CA", (_LOGISTICS,), 1.0),
    ("Orlando", "FL", (_HOTEL,), 1.2),
    ("Las Vegas", "NV", (_HOTEL,), 1.2),
    ("Milwaukee", "WI", (_FACTORY,), 1.0),
    ("Philadelphia", "PA", (_CARE, ("37-2011.00", "33-9032.00")), 1.0),
    ("Denver", "CO", (_GROUNDS, _BUILDING), 1.0),
    ("Austin", "TX", (_GROUNDS, _HOTEL), 1.0),
    ("Nashville", "TN", (_CARE, _HOTEL), 0.9),
)  # fmt: skip

# Certification and the share of people in the occupation who hold it.
_FORKLIFT = (("Forklift", 0.8), ("Reach Truck", 0.25), ("Order Picker", 0.12), ("OSHA-10", 0.25), ("OSHA-30", 0.35))
CERTIFICATIONS: dict[str, tuple[tuple[str, float], ...]] = {
    "17-3": (("OSHA-10", 0.2),),
    "25-": (("CPR", 0.5), ("First Aid", 0.5)),
    "29-1141": (("RN", 1.0), ("BLS", 0.9), ("ACLS", 0.5), ("PALS", 0.2)),
    "29-2": (("BLS", 0.5), ("HIPAA", 0.3)),
    "29-2042": (("EMT", 1.0), ("CPR", 0.6)),
    "29-2043": (("Paramedic", 1.0), ("ACLS", 0.7)),
    "29-2052": (("CPhT", 0.8),),
    "29-2055": (("CST", 0.8),),
    "29-2061": (("LPN", 1.0), ("BLS", 0.5), ("CPR", 0.3)),
    "31-": (("CPR", 0.5), ("First Aid", 0.35), ("HIPAA", 0.25)),
    "31-1121": (("HHA", 0.8), ("CNA", 0.15)),
    "31-1122": (("HHA", 0.3), ("CPI", 0.1)),
    "31-1131": (("CNA", 1.0), ("BLS", 0.4), ("CMT", 0.08)),
    "31-9011": (("Massage Therapy License", 1.0),),
    "31-9092": (("CMA", 0.7), ("BLS", 0.4), ("Phlebotomy", 0.2)),
    "31-9093": (("Sterile Processing", 0.8),),
    "31-9097": (("Phlebotomy", 0.95), ("BLS", 0.3)),
    "33-9": (("First Aid", 0.3), ("CPR", 0.35)),
    "33-9032": (("Guard Card", 0.85), ("Armed Guard", 0.1), ("Security Clearance", 0.04)),
    "33-9092": (("Lifeguard", 0.95), ("AED", 0.4), ("WSI", 0.15)),
    "35-1": (("ServSafe", 0.6), ("Food Protection Manager", 0.4), ("Allergen Awareness", 0.2)),
    "35-2": (("ServSafe", 0.45), ("Food Handler", 0.5), ("Allergen Awareness", 0.12), ("HACCP", 0.06)),
    "35-3": (("Food Handler", 0.55), ("TIPS", 0.25)),
    "35-3011": (("ServSafe Alcohol", 0.5), ("Alcohol Server", 0.3)),
    "35-9": (("Food Handler", 0.6),),
    "37-1": (("OSHA-10", 0.3), ("First Aid", 0.2)),
    "37-2": (("OSHA-10", 0.15), ("First Aid", 0.1)),
    "37-3": (("Driver's License", 0.5), ("Pesticide Applicator", 0.15), ("OSHA-10", 0.12), ("Irrigation", 0.08)),
    "37-3013": (("ISA Arborist", 0.35), ("Chainsaw", 0.5), ("Aerial Lift", 0.3)),
    "39-": (("CPR", 0.35), ("First Aid", 0.3)),
    "39-3011": (("Gaming License", 0.9),),
    "39-5": (("Cosmetology License", 0.9),),
    "39-9011": (("Child Development Associate", 0.25),),
    "41-": (("Food Handler", 0.08), ("First Aid", 0.08)),
    "43-4081": (("CPR", 0.15),),
    "43-5071": (("Forklift", 0.35), ("OSHA-10", 0.15)),
    "45-": (("Pesticide Applicator", 0.25), ("Driver's License", 0.3), ("First Aid", 0.15)),
    "45-4": (("Chainsaw", 0.5), ("Red Card", 0.2)),
    "47-": (("OSHA-10", 0.45), ("OSHA-30", 0.25), ("Fall Protection", 0.25), ("First Aid", 0.1)),
    "47-2051": (("ACI Flatwork", 0.3),),
    "47-2061": (("Flagger", 0.2), ("Confined Space", 0.12), ("Scissor Lift", 0.15)),
    "47-2073": (("NCCCO", 0.15), ("Skid Steer", 0.3), ("Telehandler", 0.25)),
    "47-2111": (("Journeyman Electrician", 0.5), ("NFPA 70E", 0.3), ("Master Electrician", 0.08)),
    "47-2152": (("Journeyman Plumber", 0.5), ("Backflow", 0.2), ("Master Plumber", 0.08)),
    "47-2211": (("AWS Welder", 0.15),),
    "47-2221": (("AWS D1.1", 0.3), ("Rigger", 0.25), ("Signal Person", 0.15)),
    "47-2231": (("NFPA 70E", 0.25),),
    "47-4041": (("Asbestos", 0.6), ("Lead RRP", 0.35), ("HAZWOPER 40", 0.5)),
    "47-5": (("MSHA", 0.45), ("H2S", 0.3), ("SafeLand", 0.3)),
    "49-": (("OSHA-10", 0.35), ("Lockout/Tagout", 0.3), ("OSHA-30", 0.12)),
    "49-3": (("ASE", 0.55), ("Driver's License", 0.3)),
    "49-3011": (("A&P", 0.85),),
    "49-3031": (("CDL-A", 0.15),),
    "49-9021": (("EPA 608", 0.8), ("NATE", 0.3)),
    "49-9041": (("NFPA 70E", 0.15),),
    "49-9051": (("CDL-A", 0.5), ("NFPA 70E", 0.3)),
    "49-9096": (("Rigger", 0.8), ("Signal Person", 0.4)),
    "51-": (("OSHA-10", 0.3), ("Lockout/Tagout", 0.2), ("First Aid", 0.08)),
    "51-2022": (("IPC-A-610", 0.4), ("J-STD-001", 0.3)),
    "51-3": (("Food Handler", 0.4), ("HACCP", 0.25)),
    "51-4121": (("AWS D1.1", 0.5), ("AWS Welder", 0.3), ("6G Pipe", 0.15), ("ASME IX", 0.08)),
    "51-9061": (("Lean Six Sigma", 0.15), ("IPC-A-610", 0.1)),
    "51-9161": (("NCCER", 0.05),),
    "53-2012": (("FAA Part 107", 0.9),),
    "53-3": (("DOT Medical Card", 0.5), ("Driver's License", 0.35)),
    "53-3032": (("CDL-A", 0.9), ("CDL-B", 1.0), ("Hazmat", 0.3), ("Tanker", 0.2), ("TWIC", 0.12)),
    "53-3052": (("CDL-B", 0.8), ("Passenger", 0.8), ("Air Brakes", 0.3)),
    "53-3051": (("CDL-B", 0.8), ("School Bus", 0.8), ("Passenger", 0.6)),
    "53-5": (("TWIC", 0.8), ("Merchant Mariner Credential", 0.6), ("STCW", 0.4)),
    "53-7021": (("NCCCO", 0.9), ("Signal Person", 0.4), ("Rigger", 0.3)),
    "53-7051": _FORKLIFT,
    "53-7062": (("Forklift", 0.25), ("OSHA-10", 0.25), ("TWIC", 0.06)),
    "53-7064": (("OSHA-10", 0.15), ("Forklift", 0.1)),
    "53-7065": (("Order Picker", 0.25), ("Forklift", 0.2), ("Reach Truck", 0.1), ("OSHA-10", 0.12)),
}  # fmt: skip
# Who holds the first has no use for the second.
EXCLUSIVE = (
    ("CDL-A", "CDL-B"), ("CDL-A", "CDL"), ("CDL-B", "CDL"), ("OSHA-30", "OSHA-10"), ("BLS", "CPR"),
    ("Master Electrician", "Journeyman Electrician"), ("Master Plumber", "Journeyman Plumber"),
    ("ServSafe", "Food Handler"), ("Armed Guard", "Guard Card"),
)  # fmt: skip
# Licences of one state only.
OF_STATE = {
    "TX": (("35-3", "TABC", 0.6),),
    "CA": (("35-3", "RBS", 0.6),),
    "IL": (("35-3", "BASSET", 0.6),),
    "NJ": (("33-9032", "SORA", 0.7),),
}
# Years from one renewal to the next; three where nothing stands here.
RENEWAL = {
    "OSHA-10": 5,
    "OSHA-30": 5,
    "CDL-A": 5,
    "CDL-B": 5,
    "TWIC": 5,
    "ServSafe": 5,
    "ASE": 5,
    "NCCCO": 5,
    "Driver's License": 6,
}

# Hourly pay in US dollars, from beginners to the most experienced.
PAY: dict[str, tuple[float, float]] = {
    "": (17, 28),
    "11-": (28, 60), "13-": (24, 48), "15-": (28, 60), "17-": (22, 42), "19-": (20, 38), "21-": (18, 30),
    "23-": (20, 40), "25-": (15, 24), "27-": (18, 36), "29-": (20, 36), "29-1141": (34, 52), "29-2061": (25, 36),
    "31-": (15, 23), "31-1131": (16, 24), "31-9092": (17, 24), "33-": (15.5, 25), "35-": (13.5, 21), "35-1": (18, 32),
    "37-": (14, 22), "37-1": (18, 30), "39-": (13.5, 21), "41-": (14, 23), "43-": (16, 25), "45-": (14, 21),
    "47-": (20, 38), "47-2061": (17, 28), "47-2111": (25, 46), "47-2152": (24, 45), "47-3": (16, 23), "49-": (21, 38),
    "51-": (16, 25), "51-4041": (21, 35), "51-4121": (20, 34), "51-9161": (18.5, 29), "53-": (16, 25),
    "53-2": (28, 60), "53-3032": (23, 36), "53-7021": (26, 44), "53-7051": (17.5, 25), "53-7062": (15.5, 22),
}  # fmt: skip
DEAR_STATES = frozenset("AK CA CT DC HI MA NJ NY WA".split())
DEAR = 1.12

# Share of people who take each shift: day, evening, night, weekend, swing, rotating.
SHIFT_SHARES: dict[str, tuple[float, ...]] = {
    "": (0.85, 0.3, 0.12, 0.2, 0.05, 0.06),
    "29-": (0.62, 0.35, 0.35, 0.35, 0.05, 0.15),
    "31-": (0.62, 0.4, 0.35, 0.4, 0.05, 0.12),
    "33-": (0.55, 0.45, 0.45, 0.4, 0.1, 0.2),
    "35-": (0.6, 0.6, 0.12, 0.6, 0.08, 0.05),
    "37-2": (0.7, 0.4, 0.15, 0.5, 0.03, 0.05),
    "47-": (0.95, 0.08, 0.06, 0.2, 0.02, 0.03),
    "51-": (0.65, 0.4, 0.3, 0.2, 0.15, 0.18),
    "53-": (0.68, 0.4, 0.3, 0.25, 0.12, 0.12),
}

# Kinds of sites people have worked at.
SITES: dict[str, tuple[str, ...]] = {
    "": (
        "a regional service firm", "a family business", "a national chain", "a county contractor", "a start-up",
        "a family-owned shop", "a university campus", "a public agency", "a busy storefront", "an events company",
    ),
    "25-": (
        "a charter school", "an elementary school", "a suburban district", "a preschool",
        "a special education program",
    ),
    "29-": (
        "a skilled nursing facility", "a community hospital", "an outpatient clinic", "a rehab unit",
        "an urgent care center",
        "a dialysis center", "a memory care wing", "a veterans hospital", "a surgical center", "a hospice program",
    ),
    "31-": (
        "an assisted living community", "a skilled nursing facility", "a memory care unit", "private homes",
        "a rehab center",
        "a hospice program", "a family practice", "a hospital medical floor", "an adult day program", "a group home",
    ),
    "33-": (
        "a hospital campus", "an office tower", "a distribution yard", "a shopping mall",
        "a gated community", "a stadium",
    ),
    "35-": (
        "a resort restaurant", "a hotel banquet kitchen", "a steakhouse", "a hospital cafeteria", "a country club",
        "a corporate dining hall", "a seafood house", "a casino buffet", "a neighborhood bistro",
        "a stadium concession",
    ),
    "37-2": (
        "a convention hotel", "a beach resort", "a hospital", "an office park", "a ski lodge", "a casino hotel",
        "vacation rentals", "an airport terminal", "a university dorm", "an extended-stay motel",
    ),
    "37-3": (
        "a golf course", "apartment communities", "a tree nursery", "city parks", "corporate campuses", "large estates",
        "a cemetery", "highway medians", "sports fields", "homeowner associations",
    ),
    "27-": (
        "a youth sports club", "a resort village", "a design studio", "a theater company", "a summer academy",
        "a local broadcaster",
    ),
    "39-2": (
        "a racing stable", "a boarding kennel", "an animal shelter", "a riding school", "a thoroughbred farm", "a zoo",
        "a pet hotel",
    ),
    "39-9": ("a daycare center", "a summer camp", "a fitness club", "a residential program", "a community center"),
    "39-": (
        "an amusement park", "a traveling carnival", "a summer camp", "a cruise terminal",
        "a casino floor", "a stable",
    ),
    "43-": (
        "an insurance office", "a call center", "a medical billing firm", "a law office", "a utility company",
        "a freight broker", "a school district", "a county clerk", "a property manager", "a bank back office",
    ),
    "45-": ("a reforestation crew", "a berry farm", "a plant nursery", "a dairy", "an oyster farm", "a fishing fleet"),
    "47-": (
        "high-rise projects", "highway work", "a hospital addition", "apartment construction", "a refinery turnaround",
        "school renovations", "data center builds", "custom homes", "bridge repair", "a solar farm",
        "tenant build-outs",
    ),
    "49-": (
        "a food plant", "a paper mill", "a fleet garage", "a hospital plant", "an apartment portfolio",
        "an auto dealership",
        "a steel mill", "a transit depot", "a chemical plant", "a school district", "a cold storage operator",
    ),
    "51-": (
        "an auto parts plant", "an aerospace supplier", "a furniture factory", "a plastics molder",
        "a medical device maker",
        "a food plant", "a job shop", "a packaging plant", "a foundry", "an appliance maker", "a bottling line",
    ),
    "53-": (
        "a grocery distribution center", "an e-commerce warehouse", "a cold storage dock", "a parcel hub",
        "an import cross-dock",
        "a beverage distributor", "a lumber yard", "an auto parts warehouse", "a paper mill", "a furniture depot",
        "a pharmaceutical warehouse", "a port container yard", "a tire warehouse", "a retail returns center",
    ),
}  # fmt: skip


def longest_prefix(table: Mapping[str, Value], code: str) -> Value:
    """Return the entry of the longest key that `code` begins with.

    Raises:
        KeyError: No key fits.
    """
    return table[max((key for key in table if code.startswith(key)), key=len, default=code)]
