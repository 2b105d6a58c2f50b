# %% [markdown]
# # Collect, train, evaluate, serve
#
# The whole way on the embedded pool: sample every member on queries with known answers, learn who answers what, compare all
# systems on other queries, and answer new prompts.

# %%
import tempfile
from pathlib import Path

from langchain_selectllm import (
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    VotingOutputParser,
    evaluate,
)
from langchain_selectllm.embedded import embedded_models, generate_tasks, read_answer, sample_outcomes

tasks = generate_tasks(460, seed=0)
models = embedded_models(seed=0)
queries, replies = sample_outcomes(tasks[:440], models, n=5)
print(len(queries), "queries,", len(replies), "replies")

# %% [markdown]
# ## Train on one part, measure on the other

# %%
train, test = OutcomeTable.from_records(queries, replies).split(0.4, seed=0)
classifier = SelectLLMClassifier(seed=0).fit(train)
report = evaluate(classifier, test, policies=["selectllm:3", "weighted_max_conf:3", "fixed_best:3"])
for system in report.systems:
    low, high = system.accuracy_ci95
    print(f"{system.name:22} {system.accuracy:.3f} [{low:.3f}, {high:.3f}] {system.calls:.2f} calls")
print(report.verdict)
assert report.n_training_queries == 0

# %% [markdown]
# ## Save, load, serve

# %%
folder = Path(tempfile.mkdtemp()) / "router"
classifier.save_pretrained(folder)
router = SelectLLMRouter.from_pretrained(
    folder, models, policy="selectllm:3", parser=VotingOutputParser(answer=read_answer)
)
right = 0
for task in tasks[440:]:
    right += router.invoke(task.text).response_metadata["selectllm"]["answer"] == task.reference
print(right, "of 20 new prompts answered correctly")
assert right >= 8
