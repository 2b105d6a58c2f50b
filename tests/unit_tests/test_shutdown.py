import threading

from langchain_selectllm.embedded.shutdown import ShutdownGate


def test_closing_waits_for_the_running_step_and_lets_no_other_begin():
    gate, inside, leave, began = ShutdownGate(), threading.Event(), threading.Event(), threading.Event()

    def running():
        with gate:
            inside.set()
            leave.wait(5)

    def late():
        with gate:
            began.set()

    threading.Thread(target=running, daemon=True).start()
    assert inside.wait(5)
    assert not gate.close(timeout_s=0.01)
    threading.Thread(target=late, daemon=True).start()
    leave.set()
    assert gate.close(timeout_s=5)
    assert not began.wait(0.05)


def test_an_open_gate_lets_steps_run_side_by_side():
    gate = ShutdownGate()
    with gate, gate:
        pass
    assert gate.close(timeout_s=0)
