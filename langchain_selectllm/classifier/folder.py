"""Saved folders: JSON, safetensors and a card, written at once, read with every doubt spoken out.

FOLDER/config.json          what it is: format number, settings, checksums of every other file and of itself
FOLDER/model.safetensors    every learned array
FOLDER/README.md            the card
FOLDER/encoder/             files of the encoder, where it has any
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from langchain_selectllm.exceptions import (
    ArtefactCorruptError,
    ArtefactError,
    ArtefactFormatError,
    ArtefactMissingError,
    reason,
)

FORMAT = "langchain-selectllm"
FORMAT_VERSION = 12
ENCODER_FOLDER = "encoder"
_CONFIG = "config.json"
_ARRAYS = "model.safetensors"
_CARD = "README.md"


def save_folder(
    folder: str | Path, build: Callable[[Path], tuple[Mapping[str, Any], Mapping[str, NDArray[Any]], str]]
) -> None:
    """Write the folder beside its place and move it there, so that no one ever sees half of it.

    Args:
        folder: Where to save; an artefact that stands there is replaced.
        build: Returns configuration (JSON types only), arrays and card; may write further files into the
            folder that it
            is given.

    Raises:
        ArtefactError: If something else than an artefact stands there.
    """
    folder = Path(folder).absolute()
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (staging / ENCODER_FOLDER).mkdir()
        config, arrays, card = build(staging / ENCODER_FOLDER)
        if not any((staging / ENCODER_FOLDER).iterdir()):
            (staging / ENCODER_FOLDER).rmdir()
        _write_arrays(staging / _ARRAYS, arrays)
        (staging / _CARD).write_text(card, encoding="utf-8")
        files = {path.relative_to(staging).as_posix(): _digest(path) for path in _files(staging)}
        body = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **config,
            "sha256": dict(sorted(files.items())),
        }
        (staging / _CONFIG).write_text(
            _dump({**body, "sha256_config": _config_digest(body)}), encoding="utf-8"
        )
        staging.chmod(0o755)
        _move_into_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_target(folder: str | Path) -> None:
    """Whether an artefact may be saved there, asked before the work of making one.

    Raises:
        ArtefactError: If something else than an artefact stands there.
    """
    if Path(folder).exists() and not _is_ours(Path(folder)):
        raise ArtefactError(
            f"{folder} exists and is no artefact of this package. Give a new folder; nothing was written."
        )


def read_config(folder: str | Path) -> dict[str, Any]:
    """The checked configuration; no other file is read.

    Raises:
        ArtefactError: If it is missing, foreign, newer than this release, or changed since it was written.
    """
    path = Path(folder) / _CONFIG
    if not path.is_file():
        raise ArtefactMissingError(
            f"{folder} has no {_CONFIG}. Give a folder that `save_pretrained` or `selectllm train` wrote."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArtefactCorruptError(
            f"{path} cannot be read: {reason(error)}. Restore it, or train again."
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ArtefactFormatError(
            f"{path} is not a {FORMAT} artefact. Give a folder that `selectllm train` wrote."
        )
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        raise ArtefactFormatError(
            f"{folder} has format {version!r}; this release reads format {FORMAT_VERSION}. {_advice(version)}"
        )
    digest = config.pop("sha256_config", None)
    if digest != _config_digest(config) or not isinstance(config.get("sha256"), dict):
        raise ArtefactCorruptError(f"{path} was changed since it was written. Restore it, or train again.")
    return config


def load_folder(folder: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The checked configuration and arrays.

    Raises:
        ArtefactError: If anything is missing, foreign, newer than this release, truncated or changed.
    """
    config = read_config(folder)
    folder = Path(folder)
    for name, digest in config["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise ArtefactMissingError(f"{folder} has no {name}. Restore it, or train again.")
        # The card is for people, who may well edit it.
        if name != _CARD and _digest(path) != digest:
            raise ArtefactCorruptError(
                f"{path} is not the file that was saved: its checksum differs. Restore it, or train again."
            )
    from safetensors.numpy import load_file

    return config, load_file(folder / _ARRAYS)


def read_card(folder: str | Path) -> str:
    """The card's text; empty when it was removed."""
    path = Path(folder) / _CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _advice(version: object) -> str:
    if isinstance(version, int) and version > FORMAT_VERSION:
        return "It was written by a newer release: upgrade langchain-selectllm."
    return "It was written by an earlier release: train again, for instance with `selectllm train`."


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        return bool(json.loads((folder / _CONFIG).read_text(encoding="utf-8")).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def _move_into_place(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    folder.rename(retired / folder.name)
    try:
        staging.rename(folder)
    except OSError:
        (retired / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}, path)
    # safetensors writes for the owner alone; an artefact is meant to be handed on.
    path.chmod(0o644)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config_digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _dump(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
