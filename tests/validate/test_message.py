import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import ValidationFailed
from lakehouse.validate.sms import measure

MARIA = {"worker_ids": ["w-1"]}
TO_MARIA = {"to": "216-555-0001"}


def codes(lake, artifact, payload, context=None):
    try:
        lake.validate.check(artifact, payload, context or {})
    except ValidationFailed as error:
        return [finding["code"] for finding in error.detail["findings"]]
    return []


@pytest.mark.parametrize(
    ("body", "context", "found"),
    [
        ("Hi Maria, the shift at Beacon Freight starts Monday 06:00. Reply YES.", MARIA, []),
        ("Hi Dwayne, the shift starts Monday 06:00.", MARIA, ["wrong_name"]),
        ("Hi Maria, Dwayne Carter is off, can you come?", MARIA, ["other_worker"]),
        ("Hi Maria, Dwayne Carter is off, can you come?", {"worker_ids": ["w-1", "w-2"]}, []),
        ("Hi Maria, call Dwayne: (216) 555-0002", MARIA, ["other_worker"]),
        ("Hi Maria, mail person2@example.com", MARIA, ["other_worker"]),
        ("Hi Maria, we still have 216.555.0001 for you, right?", MARIA, []),
        ("Hi Maria, w-2 comes along", MARIA, ["other_worker"]),
        ("Hi Maria, w-77 comes along", MARIA, ["phantom_worker"]),
        ("Hi Maria, with Dwayne Gomez on Monday", MARIA, ["unknown_name"]),
        ("Hi Maria, with Dwayne Gomez on Monday", {**MARIA, "names": ["Dwayne Gomez"]}, []),
        ("Hi Maria, bring your TWIC card", MARIA, ["untrue_certification"]),
        ("Hi Maria, your OSHA-10 is fine", MARIA, []),
        ("Hi Maria, with your 9 years of experience", MARIA, ["untrue_years"]),
        ("Hi Maria, with your 4 years of experience", MARIA, []),
        ("Hi Maria, it pays $30/hr", MARIA, ["untrue_pay"]),
        ("Hi Maria, it pays $30/hr", {**MARIA, "facts": ["$30/hr"]}, []),
        ("Hi Maria, in Detroit, MI", MARIA, ["untrue_place"]),
        ("Hi Maria, in Detroit, MI", {**MARIA, "demand": {"location": {"city": "Detroit"}}}, []),
        ("Hi Maria, in St. Louis, MO", {**MARIA, "demand": {"location": {"city": "Saint Louis"}}}, []),
        ("Hi [Name], come Monday", {}, ["placeholder"]),
        ("Hi {{first_name}}, come Monday", {}, ["placeholder"]),
        ("Start is TBD", {}, ["placeholder"]),
        ("Your SSN 219-09-9999 is on file", {}, ["secret_ssn"]),
        ("Paid to card 4111 1111 1111 1111", {}, ["secret_card"]),
        (" ", {}, ["no_body"]),
        ("x" * 160, {}, []),
        ("x" * 161, {}, ["too_long"]),
        ("x" * 159 + "\u20ac", {}, []),
        ("\u4f60" * 160, {}, []),
        ("\u4f60" * 161, {}, ["too_long"]),
        ("x" * 160 + "\u2019", {}, ["too_long"]),
    ],
)
def test_sms_body_gives_findings(roster_lake, body, context, found):
    assert codes(roster_lake, "sms", {**TO_MARIA, "body": body}, context) == found


@pytest.mark.parametrize(
    ("body", "segments", "says"),
    [
        ("x" * 160, 1, None),
        ("x" * 159 + "\u20ac", 1, "2 segments (161 units of GSM-7), not as 1"),
        ("\u2019" + "x" * 69, 1, None),
        ("\u2019" + "x" * 70, 1, "2 segments (71 units of UCS-2), not as 1; '\\u2019' is not in GSM-7"),
        ("x" * 320, 2, "3 segments (320 units of GSM-7), not as 2"),
    ],
)
def test_sms_of_more_segments_than_its_characters_need_passes_with_a_warning(open_copy, body, segments, says):
    lake = open_copy(validatord={"sms_segments": segments})
    findings = lake.validate.check("sms", {**TO_MARIA, "body": body}, MARIA).findings
    assert [(each.code, each.severity) for each in findings] == ([("many_segments", "warning")] if says else [])
    assert not says or says in findings[0].reason


@pytest.mark.parametrize(
    ("to", "context", "found"),
    [
        ("+1 (216) 555-0001", MARIA, []),
        ("216-555-0002", MARIA, ["wrong_recipient"]),
        ("216-555-0199", {"contacts": ["(216) 555-0199"]}, []),
        ("216-555-0001", {"contacts": ["(216) 555-0199"]}, ["wrong_recipient"]),
        ("maria", {}, ["bad_recipient"]),
        ("911", {}, ["bad_recipient"]),
    ],
)
def test_sms_recipient_gives_findings(roster_lake, to, context, found):
    assert codes(roster_lake, "sms", {"to": to, "body": "Shift Monday 06:00"}, context) == found


@pytest.mark.parametrize(
    ("changes", "context", "found"),
    [
        ({}, {}, []),
        ({"to": "Person1@Example.com"}, MARIA, []),
        ({"to": "person2@example.com"}, MARIA, ["wrong_recipient"]),
        ({"to": "not an address"}, {}, ["bad_recipient"]),
        ({"to": "a@b.com, c@d.com"}, {}, ["bad_recipient"]),
        ({"subject": ""}, {}, ["no_subject"]),
        ({"subject": "x" * 201}, {}, ["long_subject"]),
        ({"subject": "a\nBcc: everybody@example.com"}, {}, ["subject_lines"]),
        ({"subject": "SSN 219-09-9999"}, {}, ["secret_ssn"]),
        ({"cc": "x@example.com"}, {}, ["wrong_shape"]),
        ({"body": None}, {}, ["wrong_shape"]),
    ],
)
def test_email_gives_findings(roster_lake, changes, context, found):
    payload = {"to": "person1@example.com", "subject": "Monday", "body": "The shift starts at 06:00."}
    assert codes(roster_lake, "email", {**payload, **changes}, context) == found


def test_email_without_context_passes_with_a_warning(roster_lake):
    verdict = roster_lake.validate.check("email", {"to": "a@b.com", "subject": "Monday", "body": "At 06:00."})
    assert [finding.code for finding in verdict.findings] == ["recipient_unchecked"]


def test_message_needs_no_roster(tmp_path):
    with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(tmp_path / "lake")})) as lake:
        assert codes(lake, "sms", {**TO_MARIA, "body": "Hi Maria"}) == []


ENTRY = {"query_text": "Need 2 Forklift Operators in Cleveland OH", "answer_id": "w-1", "corpus": "workers", "score": 1}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"role": "forklift operators"}, []),
        ({"answer_id": "w-99"}, ["phantom_worker"]),
        ({"answer_id": "w-6"}, ["wrong_role"]),
        ({"answer_id": "w-6", "outcome": "rejected"}, []),
        ({"role": "Welder"}, ["wrong_role", "wrong_role"]),
        ({"role": "zzzz"}, ["unknown_role", "wrong_role", "wrong_role"]),
        ({"corpus": "nobody"}, ["unknown_corpus"]),
        ({"score": 1.01}, ["wrong_shape"]),
        ({"query_text": " "}, ["empty_query"]),
        ({"outcome": "great"}, ["wrong_shape"]),
    ],
)
def test_playbook_gives_findings(roster_lake, changes, found):
    assert codes(roster_lake, "playbook", {**ENTRY, **changes}) == found


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "GSM-7", 0, 1),
        ("x" * 160, "GSM-7", 160, 1),
        ("x" * 161, "GSM-7", 161, 2),
        ("x" * 306, "GSM-7", 306, 2),
        ("x" * 307, "GSM-7", 307, 3),
        ("{}", "GSM-7", 4, 1),
        ("\u2019", "UCS-2", 1, 1),
        ("\U0001f600" * 35, "UCS-2", 70, 1),
        ("\U0001f600" * 36, "UCS-2", 72, 2),
        ("\u00e9\u00c5\n", "GSM-7", 3, 1),
    ],
)
def test_sms_length_is_that_of_the_network(text, encoding, units, segments):
    length = measure(text)
    assert (length.encoding, length.units, length.segments) == (encoding, units, segments)
