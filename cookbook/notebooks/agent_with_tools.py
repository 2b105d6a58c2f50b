# %% [markdown]
# # An agent with tools
#
# An agent whose model is a router: at each step several members propose tool calls, the proposals are voted on, and the call with
# the most support is executed. The members below are scripted, so that the notebook needs no key and no network; yours are chat
# models with `bind_tools`.

# %%
import random
import re

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter
from langchain_selectllm.testing import ReplayChatModel

# %% [markdown]
# ## Tools and members
#
# A shop has two tools. Each clerk is good at one of them, and otherwise often exchanges two digits of the number.

# %%


def order_status(number: int) -> str:
    """Status of an order."""
    return f"order {number} was shipped"


def items_in_stock(number: int) -> str:
    """How many pieces of an item are in stock."""
    return f"{number % 40} pieces of item {number}"


TOOLS = {"order": order_status, "item": items_in_stock}
SKILLS = {
    "orders clerk": {"order": 0.95, "item": 0.5},
    "stock clerk": {"order": 0.5, "item": 0.95},
    "trainee": {"order": 0.7, "item": 0.7},
}


def propose(member, question):
    """Name and argument of the tool call that a member proposes."""
    kind, number = re.search(r"(order|item) (\d+)", question).groups()
    chance = random.Random(f"{member} {question}")
    if chance.random() > SKILLS[member][kind]:
        place = chance.randrange(3)
        number = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    return TOOLS[kind].__name__, int(number)


class Clerk(ReplayChatModel):
    """Proposes a tool call, then repeats the tool's result."""

    def bind_tools(self, tools, **kwargs):
        return self

    def _result(self, messages):
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage(f"The answer is: {messages[-1].text}.")
        else:
            name, number = propose(self.model, messages[-1].text)
            message = AIMessage("", tool_calls=[{"name": name, "args": {"number": number}, "id": self.model}])
        return ChatResult(generations=[ChatGeneration(message=message)])


# %% [markdown]
# ## Train on recorded proposals
#
# The outcome of a proposal is whether it is the right call. Here all proposals for 200 questions are recorded and compared with the
# right one.

# %%
numbers = random.Random(0).sample(range(1000, 10000), 300)
questions = []
for i, number in enumerate(numbers):
    if i % 2:
        questions.append((f"Where is order {number}?", f"order_status {number}"))
    else:
        questions.append((f"How many pieces of item {number} do we have?", f"items_in_stock {number}"))

queries, replies = [], []
for i, (question, right_call) in enumerate(questions[:200]):
    queries.append({"query_id": f"q{i}", "query": question, "reference": right_call, "answer_type": "text"})
    for member in SKILLS:
        name, number = propose(member, question)
        replies.append({"query_id": f"q{i}", "model": member, "sample": 0, "response": f"{name} {number}"})
classifier = SelectLLMClassifier(seed=0).fit(OutcomeTable.from_records(queries, replies))
router = SelectLLMRouter(
    classifier=classifier,
    models={member: Clerk(model=member) for member in SKILLS},
    policy="learned:3",
)

# %% [markdown]
# ## Ask the agent
#
# `SelectLLMRouter` is passed as the model; `router.as_chat_model()` is the same where a `BaseChatModel` is required.

# %%
agent = create_agent(router, list(TOOLS.values()))
question = questions[203][0]
result = agent.invoke({"messages": [("user", question)]})
for message in result["messages"]:
    print(f"{message.type:6}", message.text or [(call["name"], call["args"]) for call in message.tool_calls])

# %% [markdown]
# ## The vote over tool calls
#
# Two members agree if they call the same tools with equal arguments. The metadata of the first reply lists the proposals.

# %%
vote = result["messages"][1].response_metadata["selectllm"]
for member, answer in vote["answers"].items():
    print(f"{member:13} P(correct) {vote['probabilities'][member]:.2f}  {answer}")
print("voted:", vote["answer"], "by", vote["supporters"], f"support {vote['support']:.2f}")

# %% [markdown]
# ## Accuracy on new questions

# %%
right_calls = dict.fromkeys([*SKILLS, "vote"], 0)
for question, right_call in questions[200:]:
    called = agent.invoke({"messages": [("user", question)]})["messages"][1].tool_calls[0]
    right_calls["vote"] += f"{called['name']} {called['args']['number']}" == right_call
    for member in SKILLS:
        name, number = propose(member, question)
        right_calls[member] += f"{name} {number}" == right_call
print(right_calls, "of 100 calls right")
assert right_calls["vote"] > max(right_calls[member] for member in SKILLS)
