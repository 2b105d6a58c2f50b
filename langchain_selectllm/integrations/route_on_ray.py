"""Decisions for files of prompts on a Ray cluster; the output is that of this process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.collection.ray_cluster import ray_cluster
from langchain_selectllm.integrations.ray_data import Work, Workers, cut_all, work_on_ray
from langchain_selectllm.routing.prompt_files import Piece
from langchain_selectllm.routing.route_file import BLOCK_LINES, Decider, RoutedBlock
from langchain_selectllm.selection.policies import Policy

PIECE_LINES = 10 * BLOCK_LINES
"""Lines that a worker reads at once; it decides a block of them at a time."""


@dataclass(frozen=True, kw_only=True)
class RayDecider:
    """Decides for pieces of files on the Ray cluster that this process belongs to, or on a local one."""

    router: Path
    policy: Policy
    encoder_model: str | None = None
    piece_lines: int = PIECE_LINES
    """A multiple of `BLOCK_LINES`, so that the same prompts are decided together as in one process."""

    def __call__(self, pieces: Sequence[Piece]) -> Iterator[RoutedBlock]:
        """Yields the decisions in order of the pieces.

        Raises:
            OutcomeError: If an input cannot be read.
            MissingDependencyError: If Ray is not installed.
        """
        parts = cut_all(pieces, self.piece_lines)
        encoder = self.encoder_model
        if encoder is not None and Path(encoder).exists():
            encoder = str(Path(encoder).resolve())
        workers = Workers(make=_decider, arguments=(self.router.resolve(), self.policy, encoder))
        with ray_cluster() as ray:
            for block in work_on_ray(ray, workers, parts):
                if isinstance(block, Exception):
                    raise block
                yield block


def _decider(router: Path, policy: Policy, encoder_model: str | None) -> Work:
    """A worker, with the router loaded once; runs on a machine of the cluster."""
    classifier = SelectLLMClassifier.from_pretrained(router, encoder_model=encoder_model)
    decider = Decider(classifier=classifier, policy=policy)
    return lambda piece: decider([piece])
