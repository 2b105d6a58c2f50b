"""Pools of recorded real models that tests and benchmarks are run on."""

EIGHT = [
    "Phi-3-mini-4k-instruct",
    "mathstral-7B",
    "Meta-Llama-3_1-8B-Instruct",
    "Mixtral-8x7B-Instruct-v0.1",
    "Yi-34B",
    "c4ai-command-r-v01",
    "Meta-Llama-3-8B",
    "gemma-7b",
]
