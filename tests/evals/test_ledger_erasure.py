from lakehouse.evals import ledger_erasure


def test_erasure_leaves_nothing_of_anybody():
    looked, wrong = ledger_erasure.run(40, 6, 3)
    assert looked > 30
    assert wrong == []
