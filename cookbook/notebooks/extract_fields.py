# %% [markdown]
# # Fields of a text, with abstention
#
# Vendor, amount and due date of an invoice by `with_structured_output`. Members vote field by field, and a field with too little
# support is left to a person. The members below are scripted, so that the notebook needs no key and no network; yours are chat
# models that can call tools.

# %%
import json
import random
import re

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter
from langchain_selectllm.testing import ReplayChatModel


class Invoice(BaseModel):
    """An invoice."""

    vendor: str
    amount: float
    due: str


# %% [markdown]
# ## Texts and members
#
# Each member makes mistakes of its own: a wrong vendor, an amount without its last digits, the date of the invoice instead of the
# due date.

# %%
VENDORS = ("Nordwind GmbH", "Acme Ltd", "Blue Harbor Inc", "Lakeside Foods", "Orion Paper")
MISTAKES = {
    "reader": {"vendor": 0.02, "amount": 0.25, "due": 0.1},
    "accountant": {"vendor": 0.2, "amount": 0.03, "due": 0.15},
    "clerk": {"vendor": 0.1, "amount": 0.15, "due": 0.1},
    "trainee": {"vendor": 0.15, "amount": 0.2, "due": 0.3},
}


def write_invoice(chance):
    vendor, amount = chance.choice(VENDORS), f"{chance.randrange(20_000, 900_000) / 100:.2f}"
    month, day = chance.randrange(1, 12), chance.randrange(1, 29)
    issued, due = f"2026-{month:02}-{day:02}", f"2026-{month + 1:02}-{day:02}"
    text = f"Invoice of {issued}. {vendor} charges {amount} EUR for goods delivered; please pay by {due}."
    return text, Invoice(vendor=vendor, amount=float(amount), due=due)


def extract(member, text):
    """The fields that a member finds, with its mistakes."""
    issued, vendor, amount, due = re.search(
        r"Invoice of (\S+)\. (.+) charges (\S+) EUR .* by (\S+)\.", text
    ).groups()
    chance = random.Random(f"{member} {text}")
    if chance.random() < MISTAKES[member]["vendor"]:
        vendor = vendor.split()[0]
    if chance.random() < MISTAKES[member]["amount"]:
        amount = amount[: -chance.randrange(1, 5)].rstrip(".")
    if chance.random() < MISTAKES[member]["due"]:
        due = issued
    return {"vendor": vendor, "amount": float(amount), "due": due}


class Extractor(ReplayChatModel):
    """Calls the tool that stands for the schema."""

    def bind_tools(self, tools, **kwargs):
        return self

    def _result(self, messages):
        call = {"name": "Invoice", "args": extract(self.model, messages[-1].text), "id": self.model}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


# %% [markdown]
# ## Train on invoices whose fields are known

# %%
chance = random.Random(0)
invoices = [write_invoice(chance) for _ in range(400)]
queries, replies = [], []
for i, (text, fields) in enumerate(invoices[:150]):
    reference = fields.model_dump_json()
    queries.append({"query_id": f"q{i}", "query": text, "reference": reference, "answer_type": "json"})
    for member in MISTAKES:
        response = json.dumps(extract(member, text))
        replies.append({"query_id": f"q{i}", "model": member, "sample": 0, "response": response})
classifier = SelectLLMClassifier(seed=0).fit(OutcomeTable.from_records(queries, replies))
router = SelectLLMRouter(
    classifier=classifier,
    models={member: Extractor(model=member) for member in MISTAKES},
    policy="all_members",
)
extractor = router.with_structured_output(Invoice, include_raw=True)

# %% [markdown]
# ## One invoice
#
# `include_raw=True` returns the object with the message, whose metadata holds the support of each field: the share of the ballots
# that went to the value.

# %%
result = extractor.invoke(invoices[150][0])
print(result["parsed"])
print(result["raw"].response_metadata["selectllm"]["fields"])

# %% [markdown]
# ## Choose the least confidence on validation invoices
#
# The support of a field serves as its confidence. More confidence, fewer mistakes, more fields for a person.

# %%


def read_fields(part):
    """Pairs (support, whether the value is right) of all fields."""
    pairs = []
    for text, right in part:
        result = extractor.invoke(text)
        for name, support in result["raw"].response_metadata["selectllm"]["fields"].items():
            pairs.append((support, getattr(result["parsed"], name) == getattr(right, name)))
    return pairs


def summarize(pairs, least):
    kept = [right for support, right in pairs if support >= least]
    return len(kept) / len(pairs), sum(kept) / max(len(kept), 1)


validation, new = read_fields(invoices[150:275]), read_fields(invoices[275:])
for least in (0.0, 0.7, 0.9):
    coverage, accuracy = summarize(validation, least)
    print(f"support from {least:.1f}: {coverage:.0%} of the fields filled in, {accuracy:.1%} of them right")

# %% [markdown]
# The least support that gives 98 % right on the validation invoices is kept for new ones.

# %%
WANTED = 0.98
least = next(step / 20 for step in range(21) if summarize(validation, step / 20)[1] >= WANTED)
coverage, accuracy = summarize(new, least)
print(
    f"new invoices, support from {least:.2f}: {coverage:.0%} of the fields filled in, {accuracy:.1%} of them right"
)
assert accuracy > summarize(new, 0.0)[1]

# %% [markdown]
# ## Fill in, or leave to a person

# %%
for text, _ in invoices[275:281]:
    result = extractor.invoke(text)
    support = result["raw"].response_metadata["selectllm"]["fields"]
    filled = {
        name: value if support[name] >= least else "for a person"
        for name, value in result["parsed"].model_dump().items()
    }
    print(filled)
