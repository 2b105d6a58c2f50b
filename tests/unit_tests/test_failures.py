"""Members that hang, return nonsense or have no async form: the reply comes on time, and so does the end of the process."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_selectllm.testing import ReplayChatModel
from tests.unit_tests.test_router import LETTERS, call, every_mode, make
from tests.worlds import scripted


def test_a_deadline_returns_on_time_with_the_others(fitted):
    models = scripted(LETTERS)
    release = threading.Event()

    class Stuck(ReplayChatModel):
        def _generate(self, *args, **kwargs):
            release.wait(10)
            return super()._generate(*args, **kwargs)

    models["reader"] = Stuck(model="reader", default="late")
    start = time.perf_counter()
    told = make(fitted, models, deadline_s=0.2).invoke("x").response_metadata["selectllm"]
    release.set()
    assert time.perf_counter() - start < 2
    assert told["failures"]["reader"]["error"] == "DeadlineError"
    assert told["answer"] == "A"


def test_a_hanging_member_does_not_hold_up_the_end_of_the_process(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    code = f"""
import time
from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from langchain_selectllm.testing import ReplayChatModel
models = {{name: ReplayChatModel(model=name, default="(A)", delay_s=60 if name == "reader" else 0) for name in {list(LETTERS)!r}}}
router = SelectLLMRouter.from_pretrained({str(tmp_path / "router")!r}, models, policy="all_members", deadline_s=0.2,
    early_stop=False, parser=VotingOutputParser(answer="choice"))
print(router.invoke("x").response_metadata["selectllm"]["failures"]["reader"]["error"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30, env=os.environ)
    assert done.stdout.strip() == "DeadlineError"


def test_a_hanging_member_without_an_async_form_does_not_hold_up_the_end_of_the_loop(fitted):
    release = threading.Event()

    class Stuck(ReplayChatModel):
        async def _agenerate(self, *args, **kwargs):
            raise NotImplementedError

        def _generate(self, *args, **kwargs):
            release.wait(20)
            return super()._generate(*args, **kwargs)

    models = {**scripted(LETTERS), "reader": Stuck(model="reader", default="late")}
    start = time.perf_counter()
    told = asyncio.run(make(fitted, models, deadline_s=0.2).ainvoke("x")).response_metadata["selectllm"]
    assert time.perf_counter() - start < 5
    release.set()
    assert told["failures"]["reader"]["error"] == "DeadlineError"


@every_mode
@pytest.mark.parametrize("returned", ["The answer is (A).", None])
def test_a_member_that_returns_no_message_has_failed_and_no_more(fitted, mode, returned):
    models = {**scripted(LETTERS), "reader": RunnableLambda(lambda _: returned)}
    told = call(make(fitted, models), "x", mode).response_metadata["selectllm"]
    assert told["answer"] == "A"
    assert told["failures"]["reader"]["message"].startswith(f"The member returned a {type(returned).__name__}.")
