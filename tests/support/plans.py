"""Plans of calls to members that reply with their number."""

from langchain_core.messages import AIMessage

from langchain_selectllm.fanout.call_plan import CallPlan


class SettledBy:
    """Counts replies, and is settled by a given number of them."""

    is_slow = False

    def __init__(self, number):
        self.number, self.counted = number, {}

    def add(self, member, reply):
        self.counted[member] = reply

    def is_settled(self, outstanding, *, are_late):
        return len(self.counted) >= self.number

    def next_round(self, called):
        return ()


def plan_for(selected, reserve=(), min_replies=1, settled_by=None):
    counter = None if settled_by is None else SettledBy(settled_by)
    return CallPlan(
        selected=tuple(selected), reserve=tuple(reserve), min_replies=min_replies, counter=counter
    )


def reply(k):
    return AIMessage(str(k))
