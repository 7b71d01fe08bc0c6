"""Who may go and who waits: pure decisions, over plain data."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtell.errors import BadLimit, LimitDeadlock
from flowtell.limits import book as rules
from flowtell.limits.book import Book, Page, Request
from flowtell.limits.names import checked_limit, checked_name, of_run
from flowtell.limits.stated import configured

SECOND = 1_000_000


class Desk:
    """A book under limits, and a clock that stands."""

    def __init__(self, **limits):
        self.book, self.limits, self.now = Book(pages={}, waiting=[], seen={}), limits, 1_000 * SECOND

    def ask(self, ticket, *names, owner="", slots=1, under=()):
        request = Request(
            ticket=ticket,
            owner=owner or f"process of {ticket}",
            run=f"run {ticket}",
            limits=dict.fromkeys(names),
            slots=slots,
            under=under,
        )
        (answer,) = rules.ask_all(self.book, [request], self.limits, self.now)
        return answer

    def takes(self, *arguments, **options):
        return self.ask(*arguments, **options).granted

    def leave(self, *tickets, owner=""):
        rules.leave(self.book, tickets, owner)

    def held(self, name):
        return [place.chain for place in self.book.pages.get(name, Page(limit=0)).holders]


def test_as_many_as_the_limit_says_go_on_at_a_time():
    desk = Desk(db=2)
    assert [desk.takes(ticket, "db") for ticket in "abc"] == [True, True, False]
    desk.leave("a")
    assert desk.takes("c", "db")


def test_those_asked_for_together_go_by_their_turns_and_not_by_the_order_given():
    """Threads that come at once may enter their turns in one order and be told of in another."""
    desk = Desk(db=2)
    assert [desk.takes(ticket, "db") for ticket in "abcde"] == [True, True, False, False, False]
    desk.leave("a", "b")
    requests = [Request(ticket=ticket, owner="here", limits={"db": None}) for ticket in "edcf"]
    answers = rules.ask_all(desk.book, requests, desk.limits, desk.now)
    assert [answer.granted for answer in answers] == [False, True, True, False]
    assert [turn.request.ticket for turn in desk.book.waiting] == ["e", "f"]


def test_who_asks_again_under_the_same_ticket_holds_one_place():
    desk = Desk(db=1)
    assert desk.takes("a", "db")
    assert desk.takes("a", "db")
    assert desk.held("db") == [["a"]]


def test_who_waits_is_told_which_runs_hold_what_it_waits_for():
    desk = Desk(db=2, disk=5)
    desk.takes("a", "db")
    desk.takes("b", "db", "disk")
    (on,) = desk.ask("c", "db", "disk").on
    assert (on.kind, on.name, on.runs) == ("limit", "db", ("run a", "run b"))


def test_who_waits_while_a_place_is_free_is_told_whose_turn_is_before():
    desk = Desk(db=1)
    desk.takes("a", "db")
    desk.takes("b", "db")
    desk.leave("a")
    assert desk.ask("c", "db").on[0].runs == ("run b",)


def test_they_go_in_the_order_in_which_they_came():
    desk = Desk(db=1)
    desk.takes("a", "db")
    assert not any(desk.takes(ticket, "db") for ticket in "bcd")
    desk.leave("a")
    assert [desk.takes(ticket, "db") for ticket in "dcb"] == [False, False, True]


def test_all_its_limits_are_taken_at_once_or_none():
    desk = Desk(db=1, disk=1)
    desk.takes("a", "db")
    assert not desk.takes("b", "db", "disk")
    assert desk.held("disk") == []


def test_who_waits_for_two_limits_keeps_its_turn_in_both():
    """Else those who want one of them would pass it for ever."""
    desk = Desk(db=1, disk=1)
    desk.takes("a", "db")
    assert not desk.takes("b", "db", "disk")
    assert not desk.takes("c", "disk")
    desk.leave("a")
    assert not desk.takes("c", "disk")
    assert desk.takes("b", "db", "disk")


def test_those_who_wait_for_something_else_do_not_stand_in_the_way():
    desk = Desk(db=1, disk=1)
    desk.takes("a", "db")
    assert not desk.takes("b", "db")
    assert desk.takes("c", "disk")


def test_several_places_are_taken_at_once():
    desk = Desk(db=3)
    assert desk.takes("a", "db", slots=2)
    assert not desk.takes("b", "db", slots=2)
    assert not desk.takes("c", "db")  # b's turn is before
    desk.leave("a")
    assert desk.takes("b", "db", slots=2)
    assert desk.takes("c", "db")


def test_more_than_there_are_is_refused_rather_than_waited_for():
    answer = (desk := Desk(db=3)).ask("a", "db", slots=4)
    assert answer.error == "too much"
    with pytest.raises(BadLimit):
        rules.refuse(Request(ticket="a", owner="a", slots=4), answer)
    assert not desk.book.waiting


def test_a_limit_of_nought_lets_nothing_start_until_it_is_raised():
    desk = Desk(db=0)
    assert not desk.takes("a", "db")
    desk.limits["db"] = 1
    assert desk.takes("a", "db")


def test_a_limit_that_is_lowered_stops_nobody_and_lets_the_next_wait():
    desk = Desk(db=3)
    assert all(desk.takes(ticket, "db") for ticket in "abc")
    desk.limits["db"] = 1
    desk.leave("a", "b")
    assert not desk.takes("d", "db")
    desk.leave("c")
    assert desk.takes("d", "db")


def test_a_limit_that_is_taken_back_holds_nobody_up():
    desk = Desk(db=1)
    desk.takes("a", "db")
    assert not desk.takes("b", "db")
    del desk.limits["db"]
    assert desk.takes("b", "db")
    assert not desk.book.waiting


# --- inside a holder ----------------------------------------------------------------------------------------------


def test_a_run_inside_a_holder_uses_its_place_one_at_a_time():
    desk = Desk(db=2)
    assert desk.takes("flow", "db")
    assert desk.takes("task 1", "db", under=("flow",))
    assert desk.held("db") == [["flow", "task 1"]]
    assert desk.takes("task 2", "db", under=("flow",))
    assert desk.held("db") == [["flow", "task 1"], ["task 2"]]
    assert not desk.takes("task 3", "db", under=("flow",))
    desk.leave("task 1")
    assert desk.takes("task 3", "db", under=("flow",))


def test_a_run_inside_a_run_inside_a_holder_uses_the_same_place():
    desk = Desk(db=1)
    assert desk.takes("flow", "db")
    assert desk.takes("subflow", "db", under=("flow",))
    assert desk.takes("task", "db", under=("flow", "subflow"))
    assert not desk.takes("stranger", "db")
    desk.leave("task")
    desk.leave("subflow")
    assert desk.takes("another", "db", under=("flow",))
    desk.leave("another")
    desk.leave("flow")
    assert desk.takes("stranger", "db")


def test_a_run_inside_a_holder_goes_before_those_who_hold_nothing():
    """The holder cannot end before."""
    desk = Desk(db=1, disk=1)
    desk.takes("flow", "db")
    desk.takes("other", "disk")
    assert not desk.takes("stranger", "db", "disk")
    desk.leave("other")
    assert desk.takes("task", "disk", under=("flow",))


def test_runs_that_wait_for_each_other_are_told_so():
    desk = Desk(db=1, disk=1)
    desk.takes("one", "db")
    desk.takes("two", "disk")
    assert desk.ask("in one", "disk", under=("one",)).error == ""
    answer = desk.ask("in two", "db", under=("two",))
    assert answer.error == "deadlock"
    with pytest.raises(LimitDeadlock, match="db is held by runs"):
        rules.refuse(Request(ticket="in two", owner="x"), answer)
    desk.leave("two")  # it failed
    assert desk.takes("in one", "disk", under=("one",))


def test_three_in_a_ring_are_told_so_and_two_of_them_go_on():
    desk = Desk(a=1, b=1, c=1)
    for name in "abc":
        desk.takes(name, name)
    assert not desk.ask("in a", "b", under=("a",)).error
    assert not desk.ask("in b", "c", under=("b",)).error
    assert desk.ask("in c", "a", under=("c",)).error == "deadlock"


def test_it_is_no_deadlock_while_any_holder_can_end():
    desk = Desk(db=2, disk=1)
    desk.takes("one", "db")
    desk.takes("free", "db")
    desk.takes("two", "disk")
    assert not desk.ask("in one", "disk", under=("one",)).error
    assert not desk.ask("in two", "db", under=("two",), slots=1).error
    desk.leave("free")
    assert desk.takes("in two", "db", under=("two",))


def test_a_place_that_a_sibling_uses_comes_back_and_is_no_deadlock():
    desk = Desk(db=1)
    desk.takes("flow", "db")
    desk.takes("task 1", "db", under=("flow",))
    assert desk.ask("task 2", "db", under=("flow",)).error == ""
    desk.leave("task 1")
    assert desk.takes("task 2", "db", under=("flow",))


def test_a_sibling_that_waits_for_what_is_never_free_makes_it_a_deadlock():
    desk = Desk(db=1, disk=1)
    desk.takes("flow", "db")
    desk.takes("other", "disk")
    desk.takes("task 1", "db", under=("flow",))
    assert not desk.ask("in task 1", "disk", under=("flow", "task 1")).error
    assert desk.ask("in other", "db", under=("other",)).error == "deadlock"


def test_more_than_the_place_around_it_that_never_will_be_free_is_a_deadlock():
    desk = Desk(db=2)
    desk.takes("flow", "db")
    assert desk.ask("in it", "db", under=("flow",), slots=2).error == "deadlock"


# --- the dead and the forgotten -----------------------------------------------------------------------------------


def test_what_the_dead_held_is_free_and_their_turns_are_gone():
    desk = Desk(db=1)
    desk.takes("a", "db", owner="dead")
    desk.takes("b", "db", owner="dead")
    assert not desk.takes("c", "db", owner="alive")
    assert rules.drop_dead(desk.book, lambda owner: owner == "alive", desk.now) == {"dead"}
    assert desk.takes("c", "db", owner="alive")


def test_who_asks_no_more_loses_its_turn_and_not_what_it_holds():
    desk = Desk(db=1)
    desk.takes("a", "db")
    desk.takes("b", "db")
    desk.takes("c", "db")
    desk.now += 20 * SECOND
    desk.takes("c", "db")
    desk.now += 20 * SECOND
    rules.drop_dead(desk.book, lambda _: True, desk.now)
    assert [turn.request.ticket for turn in desk.book.waiting] == ["c"]
    assert desk.held("db") == [["a"]]


def test_a_process_gives_back_only_what_is_its_own():
    desk = Desk(db=1)
    desk.takes("a", "db", owner="one")
    desk.leave("a", owner="two")
    assert desk.held("db") == [["a"]]
    desk.leave("a", owner="one")
    assert desk.held("db") == []


def test_what_somebody_says_to_hold_is_noted_whatever_the_limit_and_once():
    """A book that was lost with its home learns who holds what from those who do."""
    desk = Desk(db=1)
    held = [
        Request(ticket="flow", owner="a", run="run", limits={"db": None}),
        Request(ticket="task", owner="a", run="run", limits={"db": None}, under=("flow",)),
        Request(ticket="other", owner="b", run="run b", limits={"db": None}),
    ]
    for _ in range(2):
        rules.restore(desk.book, held, desk.limits, desk.now)
    assert desk.held("db") == [["flow", "task"], ["other"]]
    assert not desk.takes("c", "db")


def test_a_closed_book_lets_nobody_in_and_keeps_their_turns():
    desk = Desk(db=1)
    desk.book.closed_until = desk.now + 5 * SECOND
    assert not desk.takes("a", "db")
    assert not desk.takes("b", "db")
    desk.now += 5 * SECOND
    assert not desk.takes("b", "db")
    assert desk.takes("a", "db")


# --- what is told -------------------------------------------------------------------------------------------------


def test_use_is_told_once_a_second_and_at_once_when_it_is_free_again():
    desk = Desk(db=2)
    desk.takes("a", "db")
    (first,) = rules.observe(desk.book, desk.now)
    assert (first.name, first.limit, first.used, [holder.run for holder in first.holders]) == ("db", 2, 1, ["run a"])
    desk.takes("b", "db")
    assert rules.observe(desk.book, desk.now) == []
    desk.now += SECOND
    (second,) = rules.observe(desk.book, desk.now)
    assert (second.used, second.holders[0].since) == (2, desk.now - SECOND)
    desk.leave("a", "b")
    (third,) = rules.observe(desk.book, desk.now)
    assert third.used == 0
    assert rules.observe(desk.book, desk.now) == []


def test_a_place_that_is_handed_on_is_not_told_as_free():
    """A limit that is always full looks full, whenever it is told."""
    desk = Desk(db=1)
    desk.takes("a", "db")
    rules.observe(desk.book, desk.now)
    for one, other in pairwise("abcdef"):
        desk.takes(other, "db")
        desk.now += 2 * SECOND
        desk.leave(one)
        assert rules.observe(desk.book, desk.now) == []
        assert desk.takes(other, "db")
        assert [found.used for found in rules.observe(desk.book, desk.now)] == [1]


def test_a_limit_that_nobody_holds_leaves_the_book_once_that_was_told():
    desk = Desk(db=1)
    desk.takes("a", "db")
    rules.observe(desk.book, desk.now)
    desk.leave("a")
    rules.observe(desk.book, desk.now)
    assert msgspec.json.encode(desk.book) == b"{}"


# --- for all histories --------------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["ask", "leave", "die"]),
        st.integers(0, 7),
        st.sets(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=2),
        st.integers(1, 2),
    ),
    max_size=60,
)


@given(moves=MOVES)
@settings(max_examples=300, deadline=None)
def test_no_limit_is_ever_passed_and_all_get_their_turn(moves):
    """Whatever asks, leaves and dies: never more than the limit; and once all holders leave, everybody gets in."""
    desk = Desk(x=1, y=2, z=3)
    asked: dict[str, tuple[set[str], int]] = {}
    for move, number, wanted, most in moves:
        ticket = str(number)
        if move == "ask":
            names, slots = asked.setdefault(ticket, (wanted, 1 if "x" in wanted else most))
            desk.ask(ticket, *sorted(names), slots=slots)
        elif move == "leave":
            desk.leave(ticket)
            asked.pop(ticket, None)
        else:
            rules.drop_dead(desk.book, lambda owner, ticket=ticket: owner != f"process of {ticket}", desk.now)
            asked.pop(ticket, None)
        assert all(page.used <= desk.limits[name] for name, page in desk.book.pages.items())
        for chains in (desk.held(name) for name in "xyz"):
            assert len({tuple(chain) for chain in chains}) == len(chains)
    waiting = [turn.request.ticket for turn in desk.book.waiting]
    for _ in range(len(asked) + 1):
        desk.leave(*{ticket for name in "xyz" for chain in desk.held(name) for ticket in chain})
        waiting = [one for one in waiting if not desk.takes(one, *sorted(asked[one][0]), slots=asked[one][1])]
    assert not waiting


NESTED = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["x", "y", "z"])), min_size=1, max_size=24)


@given(steps=NESTED)
@settings(max_examples=500, deadline=None)
def test_runs_inside_runs_end_or_are_told_that_they_never_would(steps):
    """Four programs nest blocks in any order of limits of one: none is left waiting once all that can go on have."""
    desk = Desk(x=1, y=1, z=1)
    programs: dict[int, list[str]] = {}
    for number, name in steps:
        programs.setdefault(number, []).append(name)
    stacks: dict[int, list[str]] = {number: [] for number in programs}
    ended: set[int] = set()
    refused = 0
    for _ in range(200):
        moved = False
        for number, names in programs.items():
            if number in ended:
                continue
            stack = stacks[number]
            if len(stack) == len(names):
                desk.leave(*reversed(stack))
                ended.add(number)
                moved = True
                continue
            ticket = f"{number}.{len(stack)}"
            answer = desk.ask(ticket, names[len(stack)], under=tuple(stack), owner=str(number))
            if answer.error:
                refused += 1
                desk.leave(*reversed(stack))
                ended.add(number)
            elif answer.granted:
                stack.append(ticket)
            moved |= bool(answer.granted or answer.error)
        if not moved:
            break
    assert ended == set(programs)
    assert refused == 0 or len(programs) > 1
    assert not any(page.holders for page in desk.book.pages.values())


# --- names and numbers --------------------------------------------------------------------------------------------


def test_what_a_run_may_be_limited_by():
    assert of_run("nightly", ("db", "eu")) == ["flow:nightly", "tag:db", "tag:eu"]
    assert of_run("", ("db",)) == ["tag:db"]


@pytest.mark.parametrize("name", ["", "tag:", "flow:", " db", "a\nb", "x" * 201])
def test_a_name_that_no_limit_can_have_is_refused(name):
    with pytest.raises(BadLimit):
        checked_name(name)


@pytest.mark.parametrize("limit", [-1, 1.5, True, "3", 1_000_001, None])
def test_a_number_that_no_limit_can_be_is_refused(limit):
    with pytest.raises(BadLimit):
        checked_limit("db", limit)


def test_the_tables_of_the_configuration_name_limits():
    tables = {"flow": {"nightly": 1}, "tag": {"db": 3}, "name": {"warehouse": 2}}
    assert configured(tables) == {"flow:nightly": 1, "tag:db": 3, "warehouse": 2}
    for wrong in ({"tags": {"db": 3}}, {"tag": {"db": "three"}}, {"tag": {"db": -1}}):
        with pytest.raises(BadLimit):
            configured(wrong)
