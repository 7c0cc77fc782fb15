from lakehouse.evals import ledger_erasure


def test_erasure_leaves_nothing_of_ten_people():
    looked, wrong = ledger_erasure.run(40, 6, 3)
    assert looked > 30
    assert wrong == []
