# %% [markdown]
# # Cost-aware routing over providers
#
# The same code over two pool files: first the embedded models, for development without keys, then models of OpenAI, Anthropic and
# Ollama. A budget in US dollars per query limits the mean cost. Here a server on this machine stands in for the providers: without
# the `base_url` entries, and with keys in the environment, the same file calls the real ones.
#
# The skills of the stand-ins and all prices are examples, not measurements of the named models.

# %%
import json
import os
import random
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from langchain_selectllm import (
    ModelRegistry,
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    collect_outcomes,
    evaluate,
    export_outcomes,
)
from langchain_selectllm.embedded import generate_tasks

TASKS = generate_tasks(240, seed=0, categories=["addition", "word problems", "sequences"])
NEW = TASKS[220:]
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## One function for any pool
#
# It collects one reply per member and query, trains on half of the queries, and compares systems on the other half.
# Then the router answers new queries within the budget.

# %%
QUERIES = [
    {"query_id": f"q{i}", "query": task.text, "reference": task.reference, "answer_type": task.answer_type}
    for i, task in enumerate(TASKS[:220])
]


def route(pool, queries, budget):
    outcomes = pool.with_suffix("")
    store = f"sqlite:///{outcomes}.db"
    # A notebook has an event loop of its own; the calls run in the one of another thread.
    with ThreadPoolExecutor(1) as thread:
        collected = thread.submit(collect_outcomes, pool, queries, store, samples=1).result()
    assert collected.left == 0
    export_outcomes(store, outcomes)
    train, test = OutcomeTable.from_folders(outcomes).split(0.5, seed=0)
    classifier = SelectLLMClassifier(seed=0).fit(train)
    report = evaluate(classifier, test, policies=[budget, "single_best", "all_members"])
    for system in report.systems:
        low, high = system.accuracy_ci95
        print(
            f"{system.name:22} {system.accuracy:.3f} [{low:.3f}, {high:.3f}]  "
            f"{system.calls:.2f} calls  {system.cost_usd:.6f} USD per query"
        )
    router = SelectLLMRouter(classifier=classifier, models=ModelRegistry.from_file(pool), policy=budget)
    right, cost = 0, 0.0
    for task in NEW:
        metadata = router.invoke(task.text).response_metadata["selectllm"]
        right += metadata["answer"] == task.reference
        cost += metadata["cost_usd"]
    print(f"live: {right} of {len(NEW)} new queries right, {cost / len(NEW):.6f} USD per query")
    return {system.name: system for system in report.systems}


# %% [markdown]
# ## The embedded pool
#
# These models run on this machine; 130 queries show that the code works.

# %%
embedded = folder / "embedded.yaml"
embedded.write_text("""
members:
  first: {model: "embedded:arithmetic", price_input_usd_per_million: 1, price_output_usd_per_million: 4}
  other: {model: "embedded:hasty", price_input_usd_per_million: 5, price_output_usd_per_million: 20}
""")
systems = route(embedded, QUERIES[:130], "selectllm:0.0003usd")

# %% [markdown]
# ## A server in place of the providers
#
# It answers in the formats of OpenAI, Anthropic and Ollama, and counts tokens.

# %%
SKILLS = {
    "gpt-4.1": {"addition": 0.9, "word problems": 0.9, "sequences": 0.9},
    "claude-haiku-4-5": {"addition": 0.5, "word problems": 0.9, "sequences": 0.8},
    "llama3.2": {"addition": 0.95, "word problems": 0.5, "sequences": 0.4},
}
TASK_OF = {task.text: task for task in TASKS}
INPUT, OUTPUT = 60, 250


def answer(model, text):
    task = TASK_OF[text]
    chance = random.Random(f"{model} {text}")
    number = task.reference
    if chance.random() > SKILLS[model][task.category]:
        number = str(chance.randrange(100))
    return f"The answer is {number}."


class Providers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        if not isinstance(content, str):
            content = content[0]["text"]
        reply = {"model": body["model"]}
        message = {"role": "assistant", "content": answer(body["model"], content)}
        if self.path.endswith("/chat/completions"):  # OpenAI
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
            reply |= {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "choices": [choice],
                "usage": usage,
            }
        elif self.path.endswith("/messages"):  # Anthropic
            blocks = [{"type": "text", "text": message["content"]}]
            usage = {"input_tokens": INPUT, "output_tokens": OUTPUT}
            reply |= {"id": "1", "type": "message", "role": "assistant", "content": blocks, "usage": usage}
            reply |= {"stop_reason": "end_turn", "stop_sequence": None}
        else:  # Ollama
            reply |= {"created_at": "2026-01-01T00:00:00Z", "message": message, "done": True}
            reply |= {"done_reason": "stop", "prompt_eval_count": INPUT, "eval_count": OUTPUT}
        sent = f"{json.dumps(reply)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Providers)
threading.Thread(target=server.serve_forever, daemon=True).start()
# The clients insist on keys; these never leave the machine.
os.environ |= {"OPENAI_API_KEY": "unused", "ANTHROPIC_API_KEY": "unused", "NO_PROXY": "127.0.0.1"}

# %% [markdown]
# ## The same code with the other pool file

# %%
address = f"http://127.0.0.1:{server.server_port}"
providers = folder / "providers.yaml"
providers.write_text(f"""
members:
  gpt:    {{model: "openai:gpt-4.1", base_url: "{address}/v1",
           price_input_usd_per_million: 2.0, price_output_usd_per_million: 8.0}}
  claude: {{model: "anthropic:claude-haiku-4-5", base_url: "{address}",
           price_input_usd_per_million: 1.0, price_output_usd_per_million: 5.0}}
  llama:  {{model: "ollama:llama3.2", base_url: "{address}",
           price_input_usd_per_million: 0.0, price_output_usd_per_million: 0.0}}
""")
systems = route(providers, QUERIES, "selectllm:0.001usd")
server.shutdown()
server.server_close()

# %% [markdown]
# Cost against the two controls. The budget holds on average over queries like those of training, not for every single one.
# Intervals of 110 queries are wide: measure on your own.

# %%
budget = systems["selectllm:0.001usd"]
for name in ("single_best", "all_members"):
    control = systems[name]
    print(
        f"against {name:12} {100 * (budget.accuracy - control.accuracy):+.1f} points of accuracy, "
        f"{budget.cost_usd / control.cost_usd - 1:+.0%} cost"
    )
assert budget.cost_usd < 0.5 * systems["all_members"].cost_usd
