# %% [markdown]
# # A router in a LangGraph graph
#
# One node asks the router, a second one decides by the confidence in the voted answer whether a person should look.

# %%
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.embedded import embedded_models, generate_tasks, read_answer, sample_outcomes

tasks = generate_tasks(260, seed=0)
models = embedded_models(seed=0)
outcomes = OutcomeTable.from_records(*sample_outcomes(tasks[:240], models, n=5))
classifier = SelectLLMClassifier(seed=0).fit(outcomes)
parser = VotingOutputParser(answer=read_answer)
router = SelectLLMRouter(classifier=classifier, models=models, policy="selectllm:3", parser=parser)

# %% [markdown]
# ## Nodes

# %%


class State(TypedDict, total=False):
    question: str
    answer: str | None
    confidence: float
    reviewed: bool


def ask(state: State) -> State:
    metadata = router.invoke(state["question"]).response_metadata["selectllm"]
    return {"answer": metadata["answer"], "confidence": metadata["confidence"]}


def review(state: State) -> State:
    return {"reviewed": True}


def is_certain(state: State) -> str:
    return END if state["confidence"] >= 0.9 else "review"


# %%
builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_node("review", review)
builder.add_edge(START, "ask")
builder.add_conditional_edges("ask", is_certain, ["review", END])
builder.add_edge("review", END)
graph = builder.compile()

for task in tasks[240:246]:
    result = graph.invoke({"question": task.text})
    print(
        task.text,
        "->",
        result["answer"],
        f"{result['confidence']:.2f}",
        "reviewed:",
        result.get("reviewed", False),
    )
    assert result.get("reviewed", False) == (result["confidence"] < 0.9)
