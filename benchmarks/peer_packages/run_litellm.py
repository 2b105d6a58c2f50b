"""LiteLLM's router: strategies for load and price, and its rules for the complexity of a prompt. Nothing is trained."""

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOG", "ERROR")

import random

from exchange import Choice, Choose, Exchange, Run

STRATEGIES = {"simple-shuffle": "simple-shuffle", "cost-based": "cost-based-routing"}
TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")


def deployment(group: str, member: str, cost: float) -> dict[str, object]:
    """One member under the name of a group; its replies are mocked."""
    parameters = {"model": f"openai/{member}", "api_key": "unused", "mock_response": "unused"}
    price = {"input_cost_per_token": cost, "output_cost_per_token": cost}
    return {"model_name": group, "litellm_params": {**parameters, **price}, "model_info": {"id": member}}


def train(system: str, exchange: Exchange, router_class: type) -> Choose:
    """The router over the pool; `complexity` has the four strongest members as tiers, the strongest for the hardest."""
    random.seed(0)
    costs = dict(zip(exchange.members, exchange.pool["mean_costs"], strict=True))
    if system == "complexity":
        tiers = dict(zip(reversed(TIERS), exchange.strongest_first(), strict=False))
        models = [deployment(name, name, costs[name]) for name in exchange.members]
        rules = {"model": "auto_router/complexity_router", "complexity_router_config": {"tiers": tiers}}
        models.append({"model_name": "pool", "litellm_params": rules})
        router = router_class(model_list=models)
    else:
        models = [deployment("pool", name, costs[name]) for name in exchange.members]
        router = router_class(model_list=models, routing_strategy=STRATEGIES[system])

    async def choose(text: str) -> Choice:
        picked = await router.select("pool", {}, messages=[{"role": "user", "content": text}])
        member = picked["model_info"]["id"]
        return Choice(calls=[member], winner=member)

    return choose


def main() -> None:
    run = Run()
    (litellm,) = run.imported("litellm")
    for system in run.given.systems:
        run.measure(system, lambda system=system: train(system, run.exchange, litellm.Router))
    run.finish()


if __name__ == "__main__":
    main()
