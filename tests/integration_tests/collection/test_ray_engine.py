"""Ray on a local cluster, beside this process: the same rows, decisions and answers."""

import asyncio
import gzip
import json
from dataclasses import replace

import psutil
import pytest

from langchain_selectllm import acollect_outcomes, collect_outcomes
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.exceptions import OutcomeError, PoolFileError, StoreError
from langchain_selectllm.integrations.answer_file import answer_file
from langchain_selectllm.integrations.route_on_ray import RayDecider
from langchain_selectllm.routing.route_file import Decider, route_file
from langchain_selectllm.selection.policy_names import parse_policy
from tests.support import postgres
from tests.support.chat_server import ChatServer
from tests.support.live_models import CountingModel
from tests.support.waiting import LONG_S, until

# Ray warns of its own deprecations and leaves sockets to the end of the process.
pytestmark = pytest.mark.filterwarnings("ignore")
QUERIES = [{"query_id": f"q{i:03d}", "query": f"question {i} " + "x" * (i % 17)} for i in range(100)]


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine."""
    ray = pytest.importorskip("ray", reason="ray is not installed (extra `ray`)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "from the environment")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # By default workers give way to every other process, and would starve beside the other tests.
        patch.setenv("RAY_worker_niceness", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        yield ray
        ray.shutdown()


@pytest.fixture
def pool(tmp_path):
    def pool(server, **settings):
        entry = {"base_url": server.url, "timeout_s": LONG_S, "max_concurrency": 5, **settings}
        members = {name: {"model": f"openai:{name}", **entry} for name in ("small", "tiny")}
        (tmp_path / "pool.yaml").write_text(json.dumps({"members": members}))
        return tmp_path / "pool.yaml"

    return pool


def rows(store):
    """What was collected, without what differs from run to run."""
    names = (
        "member",
        "parameters",
        "query_id",
        "sample",
        "text",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "finish_reason",
    )
    with open_store(store) as opened:
        return sorted(tuple(row[name] for name in names) for row in opened.read_replies())


def test_a_cluster_collects_the_same_rows_within_the_same_limits(
    cluster, pool, postgres_url, tmp_path, monkeypatch
):
    settings = {"price_input_usd_per_million": 1.0, "price_output_usd_per_million": 2.0}
    # Calls that hang miss their time; long enough that a busy machine gives up no reply that the server has answered.
    settings["timeout_s"] = 10
    local = f"sqlite:///{tmp_path}/local.db"
    with ChatServer(fault_share=0.05, hang_s=30, retry_after_s=0.1) as server:
        collect_outcomes(pool(server, **settings), QUERIES, local, samples=2)
    distributed = postgres.new_database(postgres_url)
    with ChatServer(fault_share=0.05, hang_s=30, retry_after_s=0.1, delay_s=0.02) as server:
        seen = []
        # Progress asks nothing of the store, which may hold millions of rows.
        monkeypatch.setattr("langchain_selectllm.collection.ray_engine.count_answered", None)
        collected = collect_outcomes(
            pool(server, **settings),
            QUERIES,
            distributed,
            samples=2,
            engine="ray",
            progress=lambda m: seen.append(m[0].done),
        )
        assert (collected.left, collected.stopped) == (0, None)
        assert [member.done for member in collected.members] == [200, 200]
        assert rows(distributed) == rows(local)
        assert server.most_in_flight["small"] <= 5
        assert server.most_in_flight["tiny"] <= 5
        assert len(server.answered) == 400
        again = collect_outcomes(pool(server, **settings), QUERIES, distributed, samples=2, engine="ray")
        assert again.left == 0
        assert len(server.answered) == 400
        assert seen == sorted(seen)


async def test_stopping_a_cluster_keeps_what_has_arrived(cluster, pool, postgres_url):
    store = postgres.new_database(postgres_url)
    # All of it would take a minute, however late a busy machine looks.
    with ChatServer(delay_s=0.6) as server:
        stop = asyncio.Event()

        def look(members):
            if sum(member.done for member in members) > 20:
                stop.set()

        collected = await acollect_outcomes(
            pool(server), QUERIES, store, samples=5, engine="ray", stop=stop, progress=look
        )
        assert collected.stopped == "interrupted"
        assert 20 < len(rows(store)) < 1000
        # No more is lost than was in flight.
        assert len(server.answered) - len(rows(store)) <= 10


def test_a_cluster_keeps_to_the_budget(cluster, pool, postgres_url):
    prices = {"price_input_usd_per_million": 150.0, "price_output_usd_per_million": 600.0, "max_tokens": 20}
    with ChatServer() as server:
        store = postgres.new_database(postgres_url)
        collected = collect_outcomes(
            pool(server, **prices), QUERIES, store, samples=2, engine="ray", max_cost_usd=1.0
        )
        assert collected.stopped == "max_cost_usd"
        # Two pieces; each may stop one call short, which costs 0.035 at most.
        assert 1.0 - 2 * 0.035 < collected.spent_usd <= 1.0


def test_what_cannot_travel_to_a_cluster_is_refused(cluster, pool, postgres_url, tmp_path):
    with pytest.raises(PoolFileError, match="m: chat models cannot travel to a cluster"):
        collect_outcomes({"m": CountingModel()}, QUERIES, postgres.new_database(postgres_url), engine="ray")
    with (
        ChatServer() as server,
        pytest.raises(StoreError, match="is a file, which a cluster cannot share. Use PostgreSQL"),
    ):
        collect_outcomes(pool(server), QUERIES, f"sqlite:///{tmp_path}/outcomes.db", engine="ray")


POLICY = parse_policy("weighted_max_conf:2")


@pytest.fixture(scope="module")
def router(fitted, tmp_path_factory):
    """A saved router, with its files of prompts: one with lines that hold none, one packed."""
    folder = tmp_path_factory.mktemp("router")
    fitted.save_pretrained(folder / "router")
    (folder / "prompts").mkdir()
    lines = [json.dumps({"query_id": f"q{i}", "query": f"What is {i} * 7?"}) for i in range(5000)]
    lines[2500] = "no prompt"
    (folder / "prompts" / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "prompts" / "b.jsonl.gz").write_bytes(gzip.compress(b'{"query": "One more?"}\n' * 1500))
    return folder


def outputs(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_cluster_routes_a_folder_as_this_process_does_and_continues_it(cluster, router, fitted, tmp_path):
    decider = Decider(classifier=fitted, policy=POLICY)
    local = route_file(decider, router / "prompts", tmp_path / "local")
    on_ray = RayDecider(router=router / "router", policy=POLICY, piece_lines=1000)
    seen = []
    wide = route_file(decider, router / "prompts", tmp_path / "ray", engine=on_ray, on_progress=seen.append)
    assert wide == local
    assert (wide.n_lines, wide.n_unreadable) == (6500, 1)
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "local")
    assert seen == [1000, 2000, 3000, 4000, 5000, 6000, 6500]
    # A killed run leaves a part of the first file, its last line cut off.
    whole = (tmp_path / "ray" / "a.jsonl").read_bytes()
    (tmp_path / "ray" / "a.jsonl").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "ray" / "b.jsonl").unlink()
    again = route_file(decider, router / "prompts", tmp_path / "ray", engine=on_ray)
    assert (again.n_lines, again.n_earlier > 3000) == (6500, True)
    selections = [json.loads(line).get("selection") for line in whole.splitlines()]
    assert [
        json.loads(line).get("selection") for line in outputs(tmp_path / "ray")["a.jsonl"].splitlines()
    ] == selections


def test_input_that_is_cut_off_is_the_same_error_on_a_cluster(cluster, router, fitted, tmp_path):
    packed = tmp_path / "prompts.jsonl.gz"
    packed.write_bytes((router / "prompts" / "b.jsonl.gz").read_bytes()[:-20])
    engine = RayDecider(router=router / "router", policy=POLICY)
    with pytest.raises(
        OutcomeError, match=r"prompts.jsonl.gz cannot be read: .* Is it complete, and gzip\?$"
    ):
        route_file(
            Decider(classifier=fitted, policy=POLICY), packed, tmp_path / "decisions.jsonl", engine=engine
        )


PRICES = {"price_input_usd_per_million": 150.0, "price_output_usd_per_million": 600.0, "max_tokens": 20}
QUICK = RetryPolicy(base_s=0.01, max_s=0.05)


class Answers:
    """A file of prompts, and its answers by either engine; every tenth prompt is asked twice, far apart."""

    def __init__(self, router, fitted, server, folder, n=120, **settings):
        # No time-out on a busy machine: its reply would be bought, and not arrive.
        entry = {"base_url": server.url, "timeout_s": LONG_S, "max_concurrency": 6, **PRICES, **settings}
        members = {name: {"model": f"openai:{name}", **entry} for name in fitted.members}
        self.router, self.folder, self.pool = router / "router", folder, folder / "pool.yaml"
        self.pool.write_text(json.dumps({"members": members}))
        asked = [*range(n), *range(0, n, 10)]
        lines = [json.dumps({"query_id": f"q{i:03d}", "query": f"What is {i} * 7?"}) for i in asked]
        self.lines = [*lines, "no prompt"]
        (folder / "prompts.jsonl").write_text("\n".join(self.lines) + "\n")

    async def run(self, store, output, engine, **options):
        return await answer_file(
            self.router,
            self.pool,
            self.folder / "prompts.jsonl",
            self.folder / output,
            store,
            policy="max_conf:2",
            engine=engine,
            block_lines=20,
            retry=QUICK,
            **options,
        )

    def read(self, output):
        """What was answered, without what differs from run to run."""
        lines = [json.loads(line) for line in (self.folder / output).read_text().splitlines()]
        return [
            [line.get(name) for name in ("line", "query_id", "reply", "called", "error")] for line in lines
        ]


async def test_a_cluster_answers_as_this_process_does_and_buys_nothing_twice(
    cluster, router, fitted, postgres_url, tmp_path
):
    faults = ("rate_limit", "server_error", "truncated", "cut_off")
    with ChatServer(fault_share=0.05, faults=faults, retry_after_s=0.1, delay_s=0.01) as server:
        job = Answers(router, fitted, server, tmp_path)
        local = await job.run(f"sqlite:///{tmp_path}/local.db", "local.jsonl", "local")
        bought = len(server.answered)
        server.most_in_flight.clear()
        distributed = postgres.new_database(postgres_url)
        wide = await job.run(distributed, "ray.jsonl", "ray")
        assert replace(wide, cost_usd=0) == replace(local, cost_usd=0)
        assert (wide.n_lines, wide.n_errors, wide.stopped) == (len(job.lines), 1, None)
        assert job.read("ray.jsonl") == job.read("local.jsonl")
        # Also of the prompts that are asked twice, by different workers.
        assert len(server.answered) == 2 * bought
        assert wide.cost_usd == pytest.approx(local.cost_usd, rel=1e-9)
        assert max(server.most_in_flight.values()) <= 6


async def test_a_cluster_answers_within_the_budget_and_goes_on_with_a_higher_one(
    cluster, router, fitted, postgres_url, tmp_path
):
    with ChatServer() as server:
        job = Answers(router, fitted, server, tmp_path)
        store = postgres.new_database(postgres_url)
        # A block of 20 prompts costs 0.49, and all of them 2.95; two workers begin with the half of 1.5 each.
        stopped = await job.run(store, "ray.jsonl", "ray", max_cost_usd=1.5)
        assert stopped.stopped == "max_cost_usd"
        assert 0 < stopped.cost_usd <= 1.5
        assert 0 < stopped.n_lines < len(job.lines)
        done = await job.run(store, "ray.jsonl", "ray", max_cost_usd=100.0)
        assert (done.stopped, done.n_lines, done.n_earlier) == (None, len(job.lines), stopped.n_lines)
        assert [line[0] for line in job.read("ray.jsonl")] == list(range(1, len(job.lines) + 1))
        assert len(server.answered) == 240


async def test_a_stopped_cluster_keeps_the_replies_that_are_under_way(
    cluster, router, fitted, postgres_url, tmp_path
):
    # All of it would take a minute, however late a busy machine looks.
    with ChatServer(delay_s=1.0) as server:
        job, stop = Answers(router, fitted, server, tmp_path), asyncio.Event()
        store = postgres.new_database(postgres_url)
        running = asyncio.create_task(job.run(store, "ray.jsonl", "ray", stop=stop))
        await until(lambda: server.requests)
        stop.set()
        assert (await running).stopped == "interrupted"
    with open_store(store) as opened:
        assert 0 < len(list(opened.read_replies())) == len(server.answered) < 240


@pytest.mark.soak
async def test_a_lost_worker_loses_no_more_than_its_calls_in_flight(
    cluster, router, fitted, postgres_url, tmp_path
):
    with ChatServer(delay_s=0.1) as server:
        job = Answers(router, fitted, server, tmp_path)
        store = postgres.new_database(postgres_url)
        running = asyncio.create_task(job.run(store, "ray.jsonl", "ray"))
        await until(lambda: len(server.answered) > 30)
        workers = [one for one in psutil.Process().children(recursive=True) if "MapWorker" in one.name()]
        workers[0].kill()
        done = await running
        assert (done.n_lines, done.n_errors, done.stopped) == (len(job.lines), 1, None)
        assert [line[0] for line in job.read("ray.jsonl")] == list(range(1, len(job.lines) + 1))
        # Of the five members three calls each.
        assert 240 <= len(server.answered) <= 240 + 15


async def test_answers_of_a_cluster_need_a_store_that_it_can_share(cluster, router, fitted, tmp_path):
    with ChatServer() as server:
        job = Answers(router, fitted, server, tmp_path)
        with pytest.raises(StoreError, match="is a file, which a cluster cannot share. Use PostgreSQL"):
            await job.run(f"sqlite:///{tmp_path}/answers.db", "ray.jsonl", "ray")
        with pytest.raises(ValueError, match="engine is 'spark'. Use one of local, ray"):
            await job.run(f"sqlite:///{tmp_path}/answers.db", "ray.jsonl", "spark")
        assert not server.requests
