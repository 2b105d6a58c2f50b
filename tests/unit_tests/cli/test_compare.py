"""What `selectllm compare` prints of systems that one report alone has."""

from langchain_selectllm.cli.compare import in_families


def test_sizes_of_a_family_stand_together():
    names = ["oracle", "random:7", "fixed_best:2", "random:8", "random:9", "selectllm:0.001usd"]
    assert in_families(names) == ["oracle", "selectllm:0.001usd", "random:7 to 9", "fixed_best:2"]
