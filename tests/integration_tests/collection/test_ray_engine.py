"""The Ray engine on a local cluster, beside the local engine: the same rows."""

import asyncio
import json

import pytest

from langchain_selectllm import acollect_outcomes, collect_outcomes
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.exceptions import PoolFileError, StoreError
from tests.support import postgres
from tests.support.chat_server import ChatServer
from tests.support.live_models import CountingModel

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
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        yield ray
        ray.shutdown()


@pytest.fixture
def pool(tmp_path):
    def pool(server, **settings):
        entry = {"base_url": server.url, "timeout_s": 3, "max_concurrency": 5, **settings}
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


def test_a_cluster_collects_the_same_rows_within_the_same_limits(cluster, pool, postgres_url, tmp_path):
    prices = {"price_input_usd_per_million": 1.0, "price_output_usd_per_million": 2.0}
    local = f"sqlite:///{tmp_path}/local.db"
    with ChatServer(fault_share=0.05, hang_s=30, retry_after_s=0.1) as server:
        collect_outcomes(pool(server, **prices), QUERIES, local, samples=2)
    distributed = postgres.new_database(postgres_url)
    with ChatServer(fault_share=0.05, hang_s=30, retry_after_s=0.1, delay_s=0.02) as server:
        seen = []
        collected = collect_outcomes(
            pool(server, **prices),
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
        again = collect_outcomes(pool(server, **prices), QUERIES, distributed, samples=2, engine="ray")
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
