"""A saved router over the members of a pool file, or over embedded members."""

from pathlib import Path
from typing import Any

from langchain_selectllm.classifier.folder import read_config
from langchain_selectllm.embedded.names import EMBEDDED_PREFIX
from langchain_selectllm.exceptions import MemberMismatchError
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.routing.output_parser import VotingOutputParser
from langchain_selectllm.routing.router import SelectLLMRouter


def load_router(folder: Path, pool: Path | None, **fields: Any) -> SelectLLMRouter:
    """The router of an artefact; nobody is called.

    Args:
        folder: Folder that `selectllm train` or `selectllm demo --out` wrote.
        pool: Pool file with the members; the members are embedded ones when None.
        fields: Further fields of the router, such as `policy`.

    Raises:
        ArtefactError: If the folder cannot be trusted or read.
        MemberMismatchError: If the members of the artefact and those of the pool file differ.
        PoolFileError: If the pool file is malformed.
        PolicyError: If the policy is unknown or does not fit the pool.
    """
    members = read_config(folder)["members"]
    if pool is None:
        return _embedded_router(folder, members, fields)
    models = ModelRegistry.from_file(pool)
    # A pool file may hold more, such as a judge.
    known = [name for name in models if name in members] or list(models)
    return SelectLLMRouter.from_pretrained(folder, models.subset(known), **fields)


def _embedded_router(folder: Path, members: list[str], fields: dict[str, Any]) -> SelectLLMRouter:
    # Before torch is loaded for nothing.
    check_embedded(members)

    from langchain_selectllm.embedded import embedded_models, read_answer

    parser = VotingOutputParser(answer=read_answer)
    return SelectLLMRouter.from_pretrained(folder, embedded_models(members), parser=parser, **fields)


def check_embedded(members: list[str]) -> None:
    """Whether every member is an embedded one.

    Raises:
        MemberMismatchError: If another model is among them; it could not be called without a pool file.
    """
    others = [name for name in members if not name.startswith(EMBEDDED_PREFIX)]
    if others:
        raise MemberMismatchError(
            f"This router's members {', '.join(map(repr, others))} are not embedded models. Give the pool "
            "file that describes them (--pool pool.yaml), or make a router of the embedded pool: "
            "selectllm demo --out FOLDER."
        )
