# %% [markdown]
# # A router in a chain
#
# Five small language models that come with the package stand for a pool of providers, so that everything runs offline. A
# router is a Runnable: it takes the place of a chat model in any LangChain expression.

# %%
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.embedded import embedded_models, generate_tasks, read_answer, sample_outcomes

tasks = generate_tasks(260, seed=0)
models = embedded_models(seed=0)
outcomes = OutcomeTable.from_records(*sample_outcomes(tasks[:240], models, n=5))
classifier = SelectLLMClassifier(seed=0).fit(outcomes)
parser = VotingOutputParser(answer=read_answer)
router = SelectLLMRouter(classifier=classifier, models=models, policy="selectllm:3", parser=parser)

# %% [markdown]
# ## Prompt, router, parser

# %%
chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | router | StrOutputParser()
print(chain.invoke({"question": tasks[240].text}))

# %% [markdown]
# ## Several prompts at once, and who answered

# %%
for task, message in zip(tasks[240:244], router.batch([task.text for task in tasks[240:244]]), strict=True):
    metadata = message.response_metadata["selectllm"]
    print(
        task.text, "->", metadata["answer"], "by", metadata["selection"]["members"], "right:", task.reference
    )
    assert metadata["answers"].keys() >= {metadata["winner"]}
