from __future__ import annotations

from lakehouse import operations


def test_review_refuses_what_it_cannot_review(run, tmp_path) -> None:
    (tmp_path / "big.diff").write_text("x" * 100_001)
    code, _, err = run("review", "big.diff", "--model", "ollama/nobody")
    assert (code, "--force" in err) == (2, True)
    (tmp_path / "small.diff").write_text("x")
    code, _, err = run("review", "small.diff", "--model", "a", "--lineage", "nonsense")
    assert (code, "MODEL=NAME" in err) == (2, True)
    assert run("review", "none.diff", "--model", "a")[0] == 3


def test_review_without_an_answer_fails(run, tmp_path) -> None:
    (tmp_path / "small.diff").write_text("x")
    code, out, err = run("review", "small.diff", "--model", "nowhere/nobody", "--lake", tmp_path / "lake")
    assert code == 1
    if any(operation.name == "chat.complete" for operation in operations.OPERATIONS):
        assert "0 lineages answered" in out
    else:
        assert "has no chat" in err
