"""Numbers and names of calls, where a member is called several times."""

from langchain_selectllm.voting.call_numbers import (
    in_pool_order,
    label_calls,
    member_of_label,
    members_of,
    number_calls,
)


def test_numbers_are_member_indices_where_each_member_is_called_once():
    assert number_calls((0, 2, 3), 4) == [0, 2, 3]


def test_every_call_of_a_member_has_its_own_number():
    # Four members: the second call of member 1 is 1 + 4, its third one 1 + 8.
    assert number_calls((1, 1, 1, 3), 4) == [1, 5, 9, 3]
    assert number_calls((1, 3), 4, called=(1, 5)) == [9, 3]
    assert members_of([1, 5, 9, 3], 4) == [1, 1, 1, 3]


def test_pool_order_puts_the_calls_of_one_member_side_by_side():
    assert in_pool_order([3, 9, 0, 5, 1], 4) == [0, 1, 5, 9, 3]
    assert in_pool_order([4, 3], 4) == [4, 3]
    assert (in_pool_order({3: "", 0: ""}, 4), in_pool_order([], 4)) == ([0, 3], [])


def test_further_calls_of_a_member_are_labelled_by_their_order():
    labels = label_calls([1, 9, 3, 5], ("a", "b", "c", "d"))
    assert labels == {1: "b", 9: "b#2", 3: "d", 5: "b#3"}


def test_a_label_leads_back_to_its_member():
    assert member_of_label("b#2", ("a", "b")) == "b"
    assert member_of_label("b", ("a", "b")) == "b"
    # A member may have such a name itself.
    assert member_of_label("gpt#4", ("a", "gpt#4")) == "gpt#4"
