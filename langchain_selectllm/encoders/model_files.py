"""Models of Hugging Face libraries, loaded without their own code and without questions.

Loading a model folder can run Python files inside it (`auto_map`), unpickle weights, or ask on standard
input whether to do so. Everything here is loaded with `trust_remote_code=False` and from safetensors, and
folders are checked before a library reads them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import EncoderError

CODE_KEYS = frozenset({"auto_map", "custom_pipelines"})
"""Keys of configuration files by which transformers finds Python code in a model folder."""
_LIBRARIES = ("sentence_transformers.", "torch.nn.")
SAFE_LOADING: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}
"""Arguments of `from_pretrained` for every model."""


def check_model_folder(folder: Path, *, model_type: bool) -> None:
    """Refuse a model folder that brings code or pickled weights.

    Args:
        folder: Folder of a transformers or sentence-transformers model.
        model_type: Whether `config.json` has to name an architecture that the installed transformers knows.

    Raises:
        EncoderError: If a configuration file names code, modules of another library or another folder's
            model, the architecture is unknown, or there are no safetensors weights.
    """
    for file in sorted(folder.rglob("*.json")):
        if "config" in file.name or file.name == "modules.json":
            _check_configuration(file)
    if next(folder.rglob("adapter_config.json"), None) is not None:
        raise EncoderError(
            f"{folder} holds an adapter of another model. Merge the adapter into its model, and save that."
        )
    _check_weights(folder)
    if model_type:
        _check_model_type(folder)


def load_pretrained(
    auto_class: str, source: str, *, revision: str | None, needed_by: str, **kwargs: Any
) -> tuple[Any, Any]:
    """Tokenizer and model of a folder or a model id.

    Args:
        auto_class: Name of the class of transformers that loads the model, such as "AutoModel".
        source: Folder, which is checked first, or model id.
        revision: Revision of a model id.
        needed_by: Name of the encoder, for errors.
        kwargs: Further arguments for the model.

    Raises:
        EncoderError: If the folder is refused, or the model cannot be loaded.
        MissingDependencyError: If transformers is not installed.
    """
    is_folder = Path(source).is_dir()
    if is_folder:
        check_model_folder(Path(source), model_type=True)
    transformers = require("transformers", extra="fine-tune", needed_by=needed_by)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source, revision=revision, trust_remote_code=False, local_files_only=is_folder
        )
        model = getattr(transformers, auto_class).from_pretrained(
            source, revision=revision, local_files_only=is_folder, **SAFE_LOADING, **kwargs
        )
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"{needed_by} cannot be loaded: {error}. Use the id or folder of a transformers model with "
            "safetensors weights that this machine can reach."
        ) from error
    return tokenizer, model


def _check_configuration(file: Path) -> None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{file} cannot be read: {error}. Restore the model folder.") from error
    found: set[str] = set()
    modules = list(_named_classes(content))
    for fields in _objects(content):
        found |= CODE_KEYS & fields.keys()
    if found:
        raise EncoderError(
            f"{file} names Python code of its own ({', '.join(sorted(found))}), which is never run. Use a "
            "model whose architecture is part of transformers."
        )
    if file.name == "modules.json":
        modules += [str(module.get("type", "")) for module in content]
    for module in modules:
        if not module.startswith(_LIBRARIES):
            raise EncoderError(
                f"{file} names the module {module!r}. Only modules of sentence_transformers are loaded."
            )


def _objects(content: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value."""
    inner = content
    if isinstance(content, dict):
        yield content
        inner = list(content.values())
    if isinstance(inner, list):
        for item in inner:
            yield from _objects(item)


def _named_classes(content: Any) -> Iterator[str]:
    """Classes that sentence-transformers imports by their names in a configuration."""
    for fields in _objects(content):
        for name in ("tokenizer_class", "activation_function"):
            # Classes of transformers stand without a module.
            if "." in str(fields.get(name, "")):
                yield str(fields[name])
        if isinstance(fields.get("types"), dict):
            yield from map(str, fields["types"].values())


def _check_weights(folder: Path) -> None:
    """Each part of a model, such as a dense layer in a folder of its own, needs safetensors weights."""
    if next(folder.rglob("*.safetensors"), None) is None:
        raise _unsafe_weights(folder)
    for file in sorted(folder.rglob("pytorch_model*.bin")):
        if next(file.parent.glob("*.safetensors"), None) is None:
            raise _unsafe_weights(file.parent)


def _unsafe_weights(folder: Path) -> EncoderError:
    return EncoderError(
        f"{folder} holds no safetensors weights, and no other format is read. Save the model with "
        "save_pretrained."
    )


def _check_model_type(folder: Path) -> None:
    file = folder / "config.json"
    if not file.is_file():
        raise EncoderError(f"{folder} has no config.json. Give the folder of a transformers model.")
    transformers = require("transformers", extra="fine-tune", needed_by=f"The model in {folder}")
    model_type = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    if model_type not in transformers.CONFIG_MAPPING:
        raise EncoderError(
            f"{file}: model_type {model_type!r} is no architecture of transformers "
            f"{transformers.__version__}. Use another model, or upgrade transformers."
        )
