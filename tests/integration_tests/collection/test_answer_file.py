"""Files of prompts answered through the real langchain-openai client by a server that fails on schedule."""

import contextlib
import json
import sqlite3

import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.store import OutcomeStore
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.integrations.answer_file import answer_file
from tests.support.chat_server import ChatServer
from tests.support.killed import PRICES, cost, kill_and_finish
from tests.support.waiting import LONG_S
from tests.support.worlds import reply_table

MEMBERS = ["small", "tiny", "third"]
QUICK = RetryPolicy(base_s=0.01, max_s=0.05)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    folder = tmp_path_factory.mktemp("router") / "router"
    table = reply_table(["123", "113", "212", "111"] * 15, ["1"] * 60, MEMBERS, answer_type="number")
    SelectLLMClassifier().fit(table, allow_unreadable=True).save_pretrained(folder)
    return folder


class Job:
    """Files of one job, and the books of its store."""

    def __init__(self, folder, server, n, **settings):
        self.folder, self.pool = folder, folder / "pool.yaml"
        entry = {"base_url": server.url, "timeout_s": LONG_S, "max_tokens": 50, **PRICES, **settings}
        members = {name: {"model": f"openai:{name}", **entry} for name in MEMBERS}
        # JSON is YAML.
        self.pool.write_text(json.dumps({"members": members}))
        self.prompts, self.answers = folder / "prompts.jsonl", folder / "answers.jsonl"
        self.store = f"sqlite:///{folder}/answers.db"
        with self.prompts.open("w") as prompts:
            for i in range(n):
                prompts.write(json.dumps({"query_id": f"q{i:05d}", "query": self.text(i)}) + "\n")

    @staticmethod
    def text(i):
        return f"question {i} " + "x" * (i % 17)

    def lines(self):
        return [json.loads(line) for line in self.answers.read_text().splitlines()]

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.folder / "answers.db")) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM selectllm_replies")]

    async def run(self, router, **options):
        return await answer_file(
            router,
            self.pool,
            self.prompts,
            self.answers,
            self.store,
            retry=QUICK,
            policy="max_conf:2",
            **options,
        )


@pytest.mark.parametrize(
    ("n", "kill_at", "parallel"),
    [(200, (0.4,), 6), pytest.param(5000, (0.2, 0.45, 0.7), 16, marks=pytest.mark.soak)],
)
def test_sigkills_and_a_tenth_of_faults_end_with_every_prompt_answered_once(
    tmp_path, router, n, kill_at, parallel
):
    """Two calls per prompt: nothing is bought twice but what was in flight, and the cost is the server's."""
    with ChatServer(fault_share=0.1, hang_s=30, retry_after_s=0.1) as server:
        # Long enough that a busy machine gives up no reply that the server has answered.
        job = Job(tmp_path, server, n, max_concurrency=parallel, timeout_s=10)
        arguments = ["answer", router, "--pool", job.pool, "--input", job.prompts, "--output", job.answers]
        arguments += ["--store", job.store, "--policy", "max_conf:2", "--json"]
        kills = [share * 2 * n for share in kill_at]
        done, lost = kill_and_finish(server, arguments, kills, job.rows, parallel * len(MEMBERS))
        assert done.returncode == 0, done.stderr
    lines, rows = job.lines(), job.rows()
    assert [line["line"] for line in lines] == list(range(1, n + 1))
    assert [line["reply"] for line in lines] == [f"The answer is {len(job.text(i))}." for i in range(n)]
    # A call that failed after all attempts was replaced by one of the third member.
    replied = [row for row in rows if row["error"] is None]
    assert len({(row["query_id"], row["member"], row["sample"]) for row in rows}) == len(rows)
    assert len(server.answered) == len(replied) + lost
    recorded = sum(cost(server.answered[row["reply_id"]]) for row in replied)
    assert sum(row["cost_usd"] for row in replied) == pytest.approx(recorded, rel=1e-12)
    assert json.loads(done.stdout)["cost_usd"] == pytest.approx(recorded, rel=1e-12)


async def test_a_budget_stops_the_job_and_a_higher_one_goes_on_without_buying_again(tmp_path, router):
    with ChatServer() as server:
        job = Job(tmp_path, server, 30)
        stopped = await job.run(router, max_cost_usd=0.3, block_lines=7)
        assert stopped.stopped == "max_cost_usd"
        assert stopped.cost_usd <= 0.3
        assert 0 < stopped.n_lines < 30
        before = len(server.answered)
        done = await job.run(router, max_cost_usd=100.0, block_lines=7)
        assert (done.stopped, done.n_lines, done.n_earlier) == (None, 30, stopped.n_lines)
        assert len(server.answered) == 60
        assert before < 60
    assert [line["query_id"] for line in job.lines()] == [f"q{i:05d}" for i in range(30)]


async def test_no_call_waits_for_a_query_that_reads_the_whole_store(tmp_path, router, monkeypatch):
    """The sums over all replies are made at the beginning and at the end, whatever the number of blocks."""
    read = []
    for name in ("cost_usd", "count_unpriced"):
        counted = getattr(OutcomeStore, name)
        monkeypatch.setattr(
            OutcomeStore, name, lambda store, counted=counted: read.append(1) or counted(store)
        )
    with ChatServer() as server:
        job = Job(tmp_path, server, 12)
        await job.run(router, block_lines=3)
    assert len(read) == 2


async def test_a_member_that_is_down_is_replaced_by_the_reserve(tmp_path, router):
    with ChatServer(statuses={"small": 400, "tiny": 400}) as server:
        job = Job(tmp_path, server, 6)
        done = await job.run(router)
        assert (done.n_lines, done.n_errors) == (6, 0)
    assert [line["reply"] for line in job.lines()] == [f"The answer is {len(job.text(i))}." for i in range(6)]


async def test_prompts_that_nobody_answers_and_lines_without_a_prompt_are_errors_of_their_lines(
    tmp_path, router
):
    with ChatServer(statuses=dict.fromkeys(MEMBERS, 400)) as server:
        job = Job(tmp_path, server, 1)
        job.prompts.write_text(job.prompts.read_text() + "nothing\n")
        done = await job.run(router)
        assert (done.n_lines, done.n_errors, done.stopped) == (2, 2, None)
    first, second = job.lines()
    assert "400" in first["error"]
    assert "no JSON" in second["error"]


async def test_an_output_of_another_input_is_refused(tmp_path, router):
    with ChatServer() as server:
        job = Job(tmp_path, server, 3)
        job.answers.write_text('{"line": 1, "query_id": "other"}\n')
        with pytest.raises(OutcomeError, match="answers.jsonl:1 is no answer to"):
            await job.run(router)
        assert not server.answered
