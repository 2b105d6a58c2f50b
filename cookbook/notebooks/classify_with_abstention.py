# %% [markdown]
# # Classification with abstention
#
# The everyday business case: sort messages of customers into classes, answer only where the vote is certain enough, and pass the
# rest on to a person. The recorded outcomes say beforehand how many messages that will be, and how many of the answers will be
# right. The members below are scripted, so that the notebook needs no key and no network; yours are chat models.

# %%
import random

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter, evaluate
from langchain_selectllm.testing import replay_models

# %% [markdown]
# ## Messages and members
#
# Each member knows one or two classes well and guesses more often in the others. Three of them are asked about each message.

# %%
MESSAGES = {
    "billing": (
        "I was charged twice for {item} {number}.",
        "The invoice for {item} {number} shows the wrong amount.",
    ),
    "delivery": ("My {item} {number} has not arrived yet.", "Where is the parcel with my {item} {number}?"),
    "returns": (
        "I want to send {item} {number} back.",
        "The {item} {number} is too small, can I exchange it?",
    ),
    "technical": ("The {item} {number} does not switch on.", "My {item} {number} loses its connection."),
}
SKILLS = {
    "accounts model": {"billing": 0.95, "returns": 0.9, "delivery": 0.6, "technical": 0.5},
    "logistics model": {"billing": 0.55, "returns": 0.85, "delivery": 0.95, "technical": 0.5},
    "support model": {"billing": 0.5, "returns": 0.6, "delivery": 0.65, "technical": 0.95},
    "small model": {"billing": 0.7, "returns": 0.7, "delivery": 0.7, "technical": 0.7},
}
ITEMS = ("kettle", "headset", "lamp", "router", "jacket", "keyboard")


def classify(member, text, right_class):
    """The class that a member names, with its mistakes."""
    chance = random.Random(f"{member} {text}")
    if chance.random() < SKILLS[member][right_class]:
        return right_class
    return chance.choice([name for name in MESSAGES if name != right_class])


chance = random.Random(0)
queries, replies = [], []
for i in range(900):
    right_class = chance.choice(list(MESSAGES))
    text = chance.choice(MESSAGES[right_class]).format(
        item=chance.choice(ITEMS), number=chance.randrange(1000, 9999)
    )
    queries.append({"query_id": f"q{i}", "query": text, "reference": right_class, "answer_type": "text"})
    for member in SKILLS:
        reply = classify(member, text, right_class)
        replies.append({"query_id": f"q{i}", "model": member, "sample": 0, "response": reply})
train, rest = OutcomeTable.from_records(queries, replies).split(0.6, seed=0)
validation, new = rest.split(0.5, seed=0)
classifier = SelectLLMClassifier(seed=0).fit(train)
print(len(train), "messages for training,", len(validation), "for the threshold,", len(new), "new")

# %% [markdown]
# ## Choose the threshold on validation messages
#
# The lowest threshold that gives the wanted share of right answers. The interval says how well that share is known.

# %%
report = evaluate(classifier, validation, policies=["weighted_max_conf:3"]).to_dict()
curve = report["figures"]["confidence"]["curve"]
wanted = 0.97
point = next((point for point in curve if point["accuracy"] >= wanted), curve[-1])
for name, shown in (("no threshold", curve[0]), ("threshold", point)):
    print(
        f"{name}, from confidence {shown['threshold']:.2f}: {shown['coverage']:.0%} of the messages answered, "
        f"{shown['accuracy']:.1%} of them right [{shown['ci95'][0]:.1%}, {shown['ci95'][1]:.1%}]"
    )

# %% [markdown]
# ## Answer or abstain on new ones

# %%
router = SelectLLMRouter(
    classifier=classifier,
    models=replay_models(new),
    policy="weighted_max_conf:3",
    min_confidence=point["threshold"],
    below_confidence="abstain",
)
right, for_a_person = [], []
for text, reference in zip(new.texts, new.references, strict=True):
    message = router.invoke(text)
    metadata = message.response_metadata["selectllm"]
    if metadata["confidence"] >= point["threshold"]:
        right.append(metadata["answer"] == reference)
    else:
        # The message is empty; the metadata still says what the members voted for.
        assert message.text == ""
        for_a_person.append((text, metadata["answers"]))
print(
    f"{len(right)} of {len(new)} messages answered, {sum(right)} of them right; {len(for_a_person)} for a person:"
)
for text, answers in for_a_person[:3]:
    print("-", text, answers)
assert sum(right) / len(right) > 0.9
