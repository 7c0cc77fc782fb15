from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse import decoding, operations, settings
from lakehouse.observe.modes import built_in


def worked_out(shape: object) -> int:
    """Count the Struct classes whose annotations msgspec reads to decode a type."""
    read = 0

    def watch(frame: object, event: str, _: object) -> None:
        nonlocal read
        read += event == "call" and frame.f_code.co_name == "get_class_annotations"  # type: ignore[attr-defined]

    sys.setprofile(watch)
    try:
        msgspec.json.Decoder(shape)
    except (NameError, TypeError):
        return 0
    finally:
        sys.setprofile(None)
    return read


def test_the_watch_sees_a_class_that_nobody_decoded_yet() -> None:
    class Inner(msgspec.Struct):
        number: int

    outer = msgspec.defstruct("Outer", [("inner", Inner)])
    assert worked_out(outer) == 2
    assert worked_out(outer) == 0


def test_every_loaded_shape_is_ready_once_a_lake_is_open(tmp_path: Path) -> None:
    lake = lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(tmp_path)}))
    try:
        shapes = [*decoding.loaded()]
        assert len(shapes) > 200
        assert [shape for shape in shapes if worked_out(shape)] == []
    finally:
        lake.close()


@pytest.mark.parametrize("kind", [operations.request_type, operations.answer_type])
def test_what_an_operation_takes_and_gives_is_ready(kind: Callable[[operations.Operation], object]) -> None:
    assert [operation.name for operation in operations.OPERATIONS if worked_out(kind(operation))] == []


def test_inputs_of_modes_are_ready() -> None:
    assert [mode.name for mode in built_in() if worked_out(mode.inputs)] == []


_LOADED = """
import sys, lakehouse, lakehouse.serve.run
from lakehouse import settings
with lakehouse.connect(config=settings.load(environ={}, overrides={"data": sys.argv[1]})):
    print(*sys.modules)
"""


def decoded_in(tree: ast.Module) -> set[str]:
    """Return the names of the types that a module decodes to by calls of `decode` and `convert`."""
    kinds: list[ast.expr] = []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr in {"decode", "convert"}:
                kinds += [keyword.value for keyword in call.keywords if keyword.arg == "type"]
            if call.func.attr == "convert":
                kinds += call.args[1:2]
    return {name.id for kind in kinds for name in ast.walk(kind) if isinstance(name, ast.Name)}


def test_shapes_of_modules_that_load_later_say_that_they_are_ready(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _LOADED, str(tmp_path)], check=True, capture_output=True, text=True)
    source = Path(lakehouse.__file__).parent.parent
    trees = {
        ".".join(file.relative_to(source).with_suffix("").parts): ast.parse(file.read_text())
        for file in source.glob("lakehouse/**/*.py")
        # One thread each.
        if "evals" not in file.parts
    }
    shapes = {
        (module, shape.name): [getattr(mark, "id", "") for mark in shape.decorator_list]
        for module, tree in trees.items()
        for shape in tree.body
        if isinstance(shape, ast.ClassDef)
    }
    late = set(trees) - set(done.stdout.split())
    missing, looked_at = [], 0
    for module, tree in trees.items():
        home = {
            alias.asname or alias.name: (line.module, alias.name)
            for line in ast.walk(tree)
            if isinstance(line, ast.ImportFrom)
            for alias in line.names
        }
        for name in decoded_in(tree):
            shape = home.get(name, (module, name))
            if shape in shapes and shape[0] in late:
                looked_at += 1
                missing += [shape] if "ready" not in shapes[shape] else []
    assert missing == []
    assert looked_at > 10


# In a process of its own: without the lock it ends by a signal.
_TOGETHER = """
import sys, threading, msgspec
from lakehouse.decoding import ready
sys.setswitchinterval(1e-6)
for number in range(100):
    inner = msgspec.defstruct("Inner", [("number", int)])
    fields = [(f"f{n}", dict[str, int] | None, None) for n in range(60)]
    shape = msgspec.defstruct("Outer", [*fields, ("inner", inner | None, None)])
    gate = threading.Barrier(4)
    def first():
        gate.wait()
        msgspec.convert({"f59": {"x": 1}, "inner": {"number": 1}}, ready(shape))
    threads = [threading.Thread(target=first) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_several_threads_decode_a_shape_for_the_first_time() -> None:
    done = subprocess.run([sys.executable, "-c", _TOGETHER], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
