# %% [markdown]
# # A router in a LlamaIndex query engine
#
# `SelectLLM` is a LlamaIndex LLM over a router: it answers inside any query engine.

# %%
from llama_index.core import SummaryIndex
from llama_index.core.schema import TextNode

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.embedded import embedded_models, generate_tasks, read_answer, sample_outcomes
from langchain_selectllm.integrations.llama_index import SelectLLM

tasks = generate_tasks(260, seed=0)
models = embedded_models(seed=0)
outcomes = OutcomeTable.from_records(*sample_outcomes(tasks[:240], models, n=5))
classifier = SelectLLMClassifier(seed=0).fit(outcomes)
parser = VotingOutputParser(answer=read_answer)
router = SelectLLMRouter(classifier=classifier, models=models, policy="selectllm:3", parser=parser)

# %% [markdown]
# ## Bare questions
#
# A query engine writes the question and the context into a template. The members of this pool answer bare
# questions, so that the template of this engine holds the question alone.

# %%
from llama_index.core.prompts import PromptTemplate

llm = SelectLLM(router=router)
engine = SummaryIndex([TextNode(text="Numbers add up.")]).as_query_engine(
    llm=llm, text_qa_template=PromptTemplate("{query_str}"), response_mode="simple_summarize"
)
for task in tasks[240:243]:
    print(task.text, "->", engine.query(task.text), "right:", task.reference)

# %%
response = llm.complete(tasks[243].text)
metadata = response.additional_kwargs["selectllm"]
print(metadata["selection"]["members"], metadata["answers"])
assert metadata["winner"] in metadata["selection"]["members"]
