"""Numbers of calls: every call of a member has one of its own, so that a member may be called several times.

With K members the first call of a member has the member's own index k, its second one k + K, and so on.
Where no member is called twice, numbers of calls and indices of members are the same.
"""

from collections.abc import Collection, Iterable, Sequence


def number_calls(members: Iterable[int], n_members: int, called: Collection[int] = ()) -> list[int]:
    """A number per call.

    Args:
        members: Pool index of each call's member, once per call.
        n_members: Members of the pool, K.
        called: Numbers in use.
    """
    counts = [0] * n_members
    for call in called:
        counts[call % n_members] += 1
    numbers = []
    for member in members:
        numbers.append(member + n_members * counts[member])
        counts[member] += 1
    return numbers


def members_of(calls: Iterable[int], n_members: int) -> list[int]:
    """Pool index of each call's member."""
    return [call % n_members for call in calls]


def in_pool_order(calls: Iterable[int], n_members: int) -> list[int]:
    """The calls of the first member, then those of the second one, and so on."""
    ordered = sorted(calls)
    if not ordered or ordered[-1] < n_members:
        # Each is its member's first call.
        return ordered
    return sorted(ordered, key=lambda call: (call % n_members, call))


def label_calls(calls: Iterable[int], members: Sequence[str]) -> dict[int, str]:
    """A name per call: the member's own, then `member#2`, `member#3` and so on.

    Args:
        calls: In the order in which the calls of one member are numbered.
        members: Names of the pool's members.
    """
    counts = [0] * len(members)
    labels = {}
    for call in calls:
        k = call % len(members)
        counts[k] += 1
        labels[call] = members[k]
        if counts[k] > 1:
            labels[call] = f"{members[k]}#{counts[k]}"
    return labels


def member_of_label(label: str, members: Collection[str]) -> str:
    """The member of a call that `label_calls` named, given the members, or the labels of all replies."""
    name, _, number = label.rpartition("#")
    if number.isdecimal() and name in members:
        return name
    return label
