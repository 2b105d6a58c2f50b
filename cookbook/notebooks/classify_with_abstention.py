# %% [markdown]
# # Classification with abstention
#
# The everyday business case: sort messages into classes, answer only where the vote is certain enough, and pass the rest on to
# a person. The recorded outcomes say beforehand how many messages that will be, and how many of the answers will be right.

# %%
import tempfile
from pathlib import Path

from langchain_selectllm import (
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    evaluate,
    write_demo_outcomes,
)
from langchain_selectllm.testing import replay_models

folder = Path(tempfile.mkdtemp()) / "outcomes"
write_demo_outcomes(folder, n_queries=500)
train, rest = OutcomeTable.from_folders(folder).split(0.5, seed=0)
validation, new = rest.split(0.4, seed=0)
classifier = SelectLLMClassifier(seed=0).fit(train)

# %% [markdown]
# ## Choose the threshold on validation queries

# %%
report = evaluate(classifier, validation, policies=["selectllm:3"]).to_dict()
curve = report["figures"]["confidence"]["curve"]
wanted = 0.93
point = next((point for point in curve if point["accuracy"] >= wanted), curve[-1])
print(
    f"from confidence {point['threshold']:.2f}: answers {point['coverage']:.0%} of the queries, "
    f"{point['accuracy']:.1%} of them right [{point['ci95'][0]:.1%}, {point['ci95'][1]:.1%}]"
)

# %% [markdown]
# ## Answer or abstain on new ones

# %%
router = SelectLLMRouter(
    classifier=classifier,
    models=replay_models(new),
    policy="selectllm:3",
    min_confidence=point["threshold"],
    below_confidence="abstain",
)
answered = right = 0
for text, reference in zip(new.texts, new.references, strict=True):
    message = router.invoke(text)
    metadata = message.response_metadata["selectllm"]
    if metadata["confidence"] >= point["threshold"]:
        answered += 1
        right += metadata["answer"] == reference
    else:
        assert message.text == ""
print(f"{answered} of {len(new)} answered, {right} of them right; {len(new) - answered} for a person")
assert right / answered > 0.85
