"""Open demands in the console as a browser without scripts sees them: plain forms, from the queue to the packet."""

import email
import re
from collections import Counter
from urllib.parse import unquote

import httpx
import pytest

from lakehouse.serve.console import distances
from lakehouse.serve.console.form import fingerprint
from lakehouse.staffing.demand import Location
from serve_rooms import Browser, text_of

ASK = "Need 3 Welders in Toledo, OH starting 2090-03-04 for Foundry Row"
EMAIL = "Hello,\n\nKestrel Mills needs 4 welders in Toledo, OH starting 2090-05-05.\n\nThanks,\nKestrel\n"


@pytest.fixture(scope="module")
def lake(rooms_lake):
    return rooms_lake


@pytest.fixture
def client(rooms_url):
    cookies = {"coordinator": "iris"}
    with Browser(base_url=rooms_url, timeout=60, headers={"Origin": rooms_url}, cookies=cookies) as client:
        yield client


def shown(answer: httpx.Response, status: int = 200) -> str:
    assert answer.status_code == status, text_of(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return text_of(answer.text)


def opened(lake, text=ASK, **more) -> str:
    return lake.demands.open(text, **more).created[0]


def who(*ids: str) -> list[str]:
    return [f'["workers","{id}"]' for id in ids]


def found(lake, id, k=6) -> list[str]:
    return [match.id for match in lake.demands.candidates(id, k=k).results]


def test_pasted_email_becomes_an_open_demand_of_whoever_pasted_it(client, lake):
    said = {"body": EMAIL, "subject": "Kestrel", "sender": "k@example.com", "priority": "urgent", "keep": "on"}
    page = client.post("/queue", data=said)
    assert "A demand is open" in shown(page)
    address = re.search(r'href="(/queue/demands/[^"]+)">4 welders in Toledo, OH', page.text)[1]
    demand = shown(client.get(address))
    assert "0 of 4 filled" in demand
    assert "for Kestrel Mills" in demand
    one = lake.demands.get(address.rpartition("/")[2])
    assert (one.owner, one.namespace, one.urgency, bool(one.message)) == ("iris", "iris", "urgent", True)


def test_message_is_kept_as_open_demands_only_once(client, lake):
    receipt = lake.inbox.receive(type="sms", body="Need 2 welders in Toledo OH", sender="1", message_id="<keep-1>")
    first, second = (client.post("/queue/open", data={"message": receipt.id}) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert "not found" not in shown(client.get(first.headers["location"]))
    assert "in-none" in shown(client.post("/queue/open", data={"message": "in-none"}), 404)


def test_csv_is_opened_line_by_line_pasted_or_as_a_file(client):
    data = "role,count,city,state,ref\nWelder,2,Toledo,OH,c-1\nWelder,lots,Toledo,OH,\nWelder,2,Nowhere,,\n"
    page = shown(client.post("/queue", data={"body": data}))
    assert "1 demand opened" in page
    assert "Line 3: count 'lots' is not a whole number" in page
    again = shown(client.post("/queue/files", files={"file": ("d.csv", data.encode(), "text/csv")}))
    assert "0 demands opened, 1 was here already" in again
    wrong = shown(client.post("/queue/files", files={"file": ("d.csv", b"roll\ncook\n")}), 400)
    assert "did you mean 'role'" in wrong


def test_queue_stands_by_urgency_then_start_and_can_be_one_owners(client, lake):
    for urgency, start in (("low", "2090-01-01"), ("urgent", "2090-02-02"), ("urgent", "2090-01-01")):
        opened(lake, f"Need 1 Welder in Toledo OH starting {start}", owner="queue-owner", urgency=urgency)
    page = shown(client.get("/queue", params={"owner": "queue-owner"}))
    order = [page.index(f"starts 2090-0{month}") for month in (1, 2)]
    assert order == sorted(order)
    assert page.rindex("starts 2090-01-01") > order[1]
    assert "Foundry Row" not in page


def test_demand_is_worked_from_the_call_list_until_it_is_filled(client, lake):
    id = opened(lake, namespace="iris", owner="iris")
    path = f"/queue/demands/{id}"
    page = client.get(path)
    assert "Backups" in shown(page)
    assert "Propose the first 3 who fit" in text_of(page.text)
    assert "3 people proposed, best first" in shown(client.post(path, data={"act": "propose_first"}))
    proposed = [each.id for each in lake.demands.get(id).people]
    done = shown(client.post(path, data={"act": "fill", "who": who(proposed[0])}))
    assert "1 of 3 filled" in done
    released = shown(client.post(path, data={"act": "release", "id": proposed[0]}))
    assert "is free again" in released
    assert "3 of 3 filled" in shown(client.post(path, data={"act": "fill"}))
    assert "too many" in shown(client.post(path, data={"act": "fill", "who": who(*_new(lake, client, path, id))}), 409)


def test_somebody_ticked_in_the_call_list_is_filled_at_once(client, lake):
    id = opened(lake, ASK.replace("2090-03-04", "2090-03-05"))
    page = client.post(f"/queue/demands/{id}", data={"act": "fill", "who": who(found(lake, id)[0])})
    assert "1 of 3 filled" in shown(page)


def _new(lake, client, path, id):
    people = [one for one in found(lake, id, 10) if one not in {each.id for each in lake.demands.get(id).people}][:1]
    shown(client.post(path, data={"act": "shortlist", "who": who(*people)}))
    return people


def test_somebody_is_replaced_left_out_and_barred(client, lake):
    id = opened(lake, ASK.replace("Foundry Row", "Barring Works"))
    path = f"/queue/demands/{id}"
    a, b, c = found(lake, id)[:3]
    shown(client.post(path, data={"act": "propose", "who": who(a)}))
    assert "in place of" in shown(client.post(path, data={"act": "replace", "id": a, "by_whom": who(b)[0]}))
    assert {each.id: each.stage for each in lake.demands.get(id).people} == {a: "excluded", b: "proposed"}
    shown(client.post(path, data={"act": "bar", "who": who(c), "reason": "asked by the yard"}))
    other = opened(lake, ASK.replace("Foundry Row", "Barring Works"))
    page = shown(client.post(f"/queue/demands/{other}", data={"act": "propose", "who": who(c)}), 409)
    assert "does not want" in page
    assert "Tick somebody first" in shown(client.post(path, data={"act": "propose"}), 400)
    assert shown(client.post(path, data={"act": "propose", "who": "nonsense"}), 400)
    assert "w-9999" in shown(client.post(path, data={"act": "propose", "who": who("w-9999")}), 404)


def test_fields_are_changed_and_what_was_not_understood_stays_typed(client, lake):
    path = f"/queue/demands/{opened(lake)}"
    fields = {"act": "edit", "role": "Welder", "count": "5", "city": "Parma", "state": "OH", "urgency": "high"}
    page = shown(client.post(path, data={**fields, "owner": "noor", "shift": "night"}))
    assert "5 Welders in Parma, OH" in page
    assert "night" in page
    refused = client.post(path, data={**fields, "shift": "blue"})
    assert "shift 'blue' was not understood" in shown(refused, 400)
    assert 'name="shift" value="blue"' in refused.text
    assert "Written: gate B" in shown(client.post(path, data={"act": "note", "text": "Written: gate B"}))


def test_two_people_are_compared_and_not_one(client, lake):
    id = opened(lake)
    path = f"/queue/demands/{id}"
    a, b = found(lake, id)[:2]
    page = client.post(path, data={"act": "compare", "who": who(a, b)})
    assert "Side by side" in shown(page)
    assert page.text.count("Certifications</th>") == 1
    assert "Tick two people" in shown(client.post(path, data={"act": "compare", "who": who(a)}), 400)


def test_distance_stands_beside_the_rating_of_those_who_were_found_and_of_nobody_else(client, lake):
    id = opened(lake)
    path = f"/queue/demands/{id}"
    first, second = lake.demands.candidates(id, k=10).results[:2]
    page = client.get(path).text
    beside = f'<td class="n">{first.distance:.3f}</td><td class="n"><b class="r{first.rating}">{first.rating}</b></td>'
    assert beside in page[page.index(f'data-id="{first.id}"') :].partition("</tr>")[0]
    client.post(path, data={"act": "exclude", "who": who(second.id)})
    compared = shown(client.post(path, data={"act": "compare", "who": who(first.id, second.id)}))
    assert f"Distance not found by the search {first.distance:.3f}" in compared


def test_relaxations_and_why_not_are_asked_for_real(client, lake):
    id = opened(lake, "Need 3 Welders in Toledo OH, night shift, OSHA-30")
    page = shown(client.get(f"/queue/demands/{id}", params={"relax": "on"}))
    told = {one.what: one.more for one in lake.demands.relax(id).relaxations}
    assert told["on any shift"] > 0
    assert f"{told['on any shift']} more on any shift" in page
    why = shown(client.get(f"/queue/demands/{id}", params={"why": "w-1"}))
    assert "against this demand" in why
    assert "Nobody on the roster" in shown(client.get(f"/queue/demands/{id}", params={"why": "zzzz"}), 404)


def test_outcome_tells_what_memory_learned_and_is_undone(client, lake):
    id = opened(lake, namespace="outcome-iris")
    path = f"/queue/demands/{id}"
    person = found(lake, id)[0]
    shown(client.post(path, data={"act": "propose", "who": who(person)}))
    said = {"act": "outcome", "id": person, "outcome": "completed", "why": "on time"}
    assert "Memory now gives 67 in 100" in shown(client.post(path, data=said))
    assert lake.playbooks.list("outcome-iris").entries[0].why == "on time"
    assert "Taken back" in shown(client.post(path, data={"act": "undo", "id": person}))
    assert lake.playbooks.list("outcome-iris").entries == []
    assert "Choose what came of it" in shown(client.post(path, data={**said, "outcome": "fine"}), 400)


def test_draft_that_passes_gets_its_links_and_one_that_fails_none(client, lake):
    id = opened(lake)
    person = found(lake, id)[0]
    path = f"/queue/demands/{id}/outreach"
    wanted = {"corpus": "workers", "to": person, "kind": "email"}
    assert "put them on the shortlist first" in shown(client.get(path, params=wanted), 404)
    lake.demands.place(id, [{"corpus": "workers", "id": person}], "shortlisted")
    page = client.get(path, params=wanted)
    assert "It may go" in shown(page)
    row = lake.vectors.get("workers", person).metadata
    assert f"mailto:{row['email']}?subject=" in page.text
    sms = client.get(path, params={**wanted, "kind": "sms"})
    assert "sms:" in sms.text
    assert "Are you free?" in unquote(sms.text)
    said = {"corpus": "workers", "to_id": person, "kind": "email", "address": row["email"], "subject": "Work"}
    for body, says in (
        ("Hello {{first_name}}, are you free?", "placeholder"),
        ("My SSN is 123-45-6789, are you free?", "social security"),
        ("Work for w-2, are you free?", "another worker"),
    ):
        for headers in ({}, {"HX-Request": "true"}):
            refused = client.post(path, data={**said, "body": body}, headers=headers)
            assert "It may not go like this" in text_of(refused.text)
            assert says in text_of(refused.text)
            assert "mailto:" not in refused.text
            assert ("<html" in refused.text) is not headers
    wrong = client.post(path, data={**said, "address": "other@example.com", "body": "Are you free?", "export": "on"})
    assert "neither the worker" in shown(wrong)
    file = client.post(path, data={**said, "body": "Are you free?", "export": "on"})
    assert file.headers["content-disposition"] == 'attachment; filename="message.eml"'
    message = email.message_from_bytes(file.content)
    assert (message["To"], message["Subject"]) == (row["email"], "Work")


def test_audit_has_one_row_for_each_text_that_could_leave_and_none_for_what_is_only_typed(client, lake):
    id = opened(lake)
    person, beside = (match.id for match in lake.demands.candidates(id, k=2).results)
    for each in (person, beside):
        lake.demands.place(id, [{"corpus": "workers", "id": each}], "shortlisted")
    row = lake.vectors.get("workers", person).metadata
    path = f"/queue/demands/{id}/outreach"
    said = {"corpus": "workers", "to_id": person, "kind": "email", "address": row["email"], "subject": "Work"}

    def done(about: str = person) -> Counter:
        return Counter(row.action for row in lake.subjects.audit(about, limit=1_000).rows)

    before, others = done(), done(beside)
    typed = {"HX-Request": "true"}
    for body in ("Are you fr", "Are you free", "Are you free?"):
        assert "mailto:" in client.post(path, data={**said, "body": body}, headers=typed).text
    assert done() == before
    for _ in range(2):
        client.post(path, data={**said, "body": "Are you free?", "leaves": "on"}, headers=typed)
    assert done() - before == {"message": 1}
    # The same text as a file is the same message; another one is not, and a whole page shows whom it is to.
    client.post(path, data={**said, "body": "Are you free?", "export": "on"})
    assert done() - before == {"message": 1, "view": 1}
    client.post(path, data={**said, "body": "Are you free today?", "export": "on"})
    assert done() - before == {"message": 2, "view": 2}
    for _ in range(2):
        client.get(path, params={"corpus": "workers", "to": person, "kind": "sms"})
    assert done() - before == {"message": 3, "view": 4}
    client.post(path, data={**said, "body": "My SSN is 123-45-6789", "leaves": "on"}, headers=typed)
    assert done()["message"] - before["message"] == 3
    assert done(beside) == others


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Need 2 Welders in Toledo OH starting 2092-01-01 for Straight Yards", 1),
        ("demand\nNeed 1 Welder in Toledo OH for Lines\nNeed 2 Line Cooks in Parma OH for Lines\n", 2),
    ],
)
def test_first_page_opens_demands_straight_from_its_box(client, lake, text, count):
    before = {one.id for one in lake.demands.list(limit=1_000).demands}
    answer = client.post("/queue/demands", data={"text": text, "coordinator": "straight"})
    new = [one for one in lake.demands.list(limit=1_000).demands if one.id not in before]
    assert [(one.owner, one.namespace) for one in new] == [("straight", "straight")] * count
    if count == 1:
        assert (answer.status_code, answer.headers["location"]) == (303, f"/queue/demands/{new[0].id}")
    else:
        assert "2 demands opened" in shown(answer)
    assert "coordinator=straight" in answer.headers["set-cookie"]


def test_first_page_opens_a_demand_as_it_was_corrected(client, lake):
    text = "Need 2 Welders in Toledo OH for Corrected Yards"
    fields = {"count": "3", "role": "Welder", "city": "Toledo", "state": "OH", "client": "Corrected Yards"}
    answer = client.post("/queue/demands", data={"text": text, "read": fingerprint(text), **fields})
    assert lake.demands.get(answer.headers["location"].rpartition("/")[2]).demand.count == 3
    for refused, says in (("", "Paste what the client wrote"), ("Hello there", "nobody is asked for")):
        page = client.post("/queue/demands", data={"text": refused})
        assert says in shown(page, 400)
        assert refused in page.text
    assert "Keep open" in shown(client.post("/", data={"text": "role,count\nWelder,2"}), 400)


def test_mail_file_opens_its_demands_when_told_to(client, lake):
    mail = "".join(
        f"From x\nFrom: pat@example.com\nSubject: {name}\nMessage-ID: <{name}@example.com>\n\n{body}\n\n"
        for name, body in (("ask", "Need 2 Welders in Toledo OH for Mailed Yards."), ("thanks", "Thank you, Pat."))
    )
    said = shown(client.post("/queue/files", files={"file": ("m.mbox", mail.encode())}, data={"keep": "on"}))
    assert "2 new in the queue. 1 demand is open." in said
    assert [one.demand.client for one in lake.demands.list().demands if one.demand.client == "Mailed Yards"]


def test_work_is_handed_over_with_memory_notes_and_a_packet(client, lake):
    text = "Need 2 Welders in Toledo OH for Larch Steel"
    id, other = (opened(lake, text.replace("Larch", name), owner="ann", namespace="ann") for name in ("Larch", "Birch"))
    person = found(lake, id)[0]
    lake.demands.place(id, [{"corpus": "workers", "id": person}], "proposed", why="knows the yard")
    lake.demands.outcome(id, person, "completed", by="ann", why="great welds")
    page = shown(client.get("/handover", params={"from": "ann", "client": "Larch Steel"}))
    assert "Open demands 1" in page
    said = {"from": "ann", "client": "Larch Steel", "to": "bo", "mode": "copy", "text": "Promised lunch."}
    assert "Say who receives" in shown(client.post("/handover", data={**said, "to": "ann"}), 400)
    assert shown(client.post("/handover", data={**said, "to": "not a name!"}), 400)
    assert lake.demands.get(id).owner == "ann"
    assert "bo now has 1 open demand of ann, and 1 entry" in shown(client.post("/handover", data=said))
    assert (lake.demands.get(id).owner, lake.demands.get(id).namespace) == ("bo", "bo")
    assert lake.demands.get(other).owner == "ann"
    packet = shown(client.get("/handover/packet", params={"from": "bo"}))
    for fact in ("Promised lunch.", "knows the yard", "great welds", person, "Larch Steel", "completed"):
        assert fact in packet
    assert "Larch Steel" in shown(client.get("/handover/packet", params={"demand": id}))


def test_contract_of_one_client_is_handed_over_and_what_is_of_others_stays(client, lake):
    texts = {name: f"Need 2 Welders in Toledo OH for {name} Mills" for name in ("Aspen", "Cedar")}
    ids = {name: opened(lake, text, owner="uma", namespace="uma") for name, text in texts.items()}
    for name, text in texts.items():
        lake.playbooks.record(text, found(lake, ids[name])[0], "workers", 1.0, namespace="uma", why=f"good for {name}")
    page = shown(client.get("/handover", params={"from": "uma", "client": "Aspen Mills"}))
    assert "What is of other clients stays where it is" in page
    said = {"from": "uma", "client": "Aspen Mills", "to": "vic", "text": "Gate code is with Jo."}
    assert "copy, move" in shown(client.post("/handover", data={**said, "mode": "share"}), 400)
    handed = shown(client.post("/handover", data={**said, "mode": "move"}))
    assert "vic now has 1 open demand of uma, and 1 entry of memory of Aspen Mills" in handed
    assert [entry.query_text for entry in lake.playbooks.list("vic").entries] == [texts["Aspen"]]
    assert [entry.query_text for entry in lake.playbooks.list("uma").entries] == [texts["Cedar"]]
    assert {name: lake.demands.get(id).owner for name, id in ids.items()} == {"Aspen": "vic", "Cedar": "uma"}
    packet = shown(client.get("/handover/packet", params={"from": "vic", "client": "Aspen Mills"}))
    assert "Gate code is with Jo." in packet
    assert "good for Aspen" in packet
    assert "Cedar" not in packet
    assert "Gate code" not in shown(client.get("/handover/packet", params={"from": "uma"}))


def test_client_in_two_spellings_is_handed_over_as_one(client, lake):
    ids = [
        opened(lake, f"Need 2 Welders in Toledo OH for {name}", owner="orin") for name in ("O'Hare Ltd.", "OHare Ltd")
    ]
    page = shown(client.get("/handover", params={"from": "orin", "client": "O\u2019Hare Ltd"}))
    assert "Open demands 2" in page
    said = {"from": "orin", "client": "OHare Ltd", "to": "quentin", "mode": "copy"}
    nothing = "quentin now has 2 open demands of orin. Nothing of OHare Ltd is in the memory of orin."
    assert nothing in shown(client.post("/handover", data=said))
    assert [lake.demands.get(id).owner for id in ids] == ["quentin", "quentin"]


def test_memory_page_hands_over_one_client(client, lake):
    for name in ("Fir", "Elm"):
        lake.playbooks.record(f"Need 1 Welder in Toledo OH for {name} Row", "w-101", "workers", 1.0, namespace="wes")
    page = client.get("/memory", params={"namespace": "wes"}).text
    assert re.findall(r"<option>(\w+ row)</option>", page) == ["elm row", "fir row"]
    said = {"namespace": "wes", "to": "xia", "of_client": "fir row", "handover": "on"}
    assert "only a whole memory can be shared" in shown(client.post("/memory", data={**said, "mode": "share"}), 400)
    slip = shown(client.post("/memory", data={**said, "of_client": "Firr Row", "mode": "move"}))
    assert "Nothing of Firr Row is in the memory of wes; of a name like it there is fir row." in slip
    assert "memory of wes for fir row: 1 entry" in shown(client.post("/memory", data={**said, "mode": "move"}))
    assert [entry.client for entry in lake.playbooks.list("xia").entries] == ["fir row"]
    assert [entry.client for entry in lake.playbooks.list("wes").entries] == ["elm row"]


def test_unknown_demand_is_not_found_on_every_page(client):
    for path in ("", "/outreach"):
        assert "d-none" in shown(client.get(f"/queue/demands/d-none{path}"), 404)
    assert "d-none" in shown(client.get("/handover/packet", params={"demand": "d-none"}), 404)


def test_form_from_another_site_is_refused(client, lake):
    id = opened(lake)
    for path in (f"/queue/demands/{id}", f"/queue/demands/{id}/outreach", "/handover", "/queue/open"):
        answer = client.post(path, data={"act": "note", "text": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403, path
        assert "page of another site" in text_of(answer.text)
    assert lake.demands.get(id).notes == []


def test_map_has_the_north_above_and_rings_that_hold_everybody():
    toledo = Location("Toledo", "OH", 41.65, -83.54)
    people = [
        ("North", {"location": {"lat": 42.65, "lon": -83.54}}, "call"),
        ("East", {"location": {"lat": 41.65, "lon": -82.54}}, "backup"),
        ("Nowhere", {}, "call"),
    ]
    drawn = distances.draw(toledo, people)
    north, east = drawn.dots
    middle = drawn.size / 2
    assert (north.x, north.y < middle) == (middle, True)
    assert east.x > middle
    assert drawn.elsewhere == 1
    assert all(((dot.x - middle) ** 2 + (dot.y - middle) ** 2) ** 0.5 <= drawn.rings[-1].radius for dot in drawn.dots)
    assert distances.draw(Location(None, "OH"), people) is None
    assert distances.draw(toledo, people[2:]) is None
