# SPDX-License-Identifier: MIT
"""What every store of dead letters does; a new kind of store is added to ``KINDS`` and passes as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
import pytest

from stanchion.dead_letters import Attempt, DeadLetter, Key, LetterFilter, MemoryStore, SqlStore, State, Store, Write
from stanchion.errors import StoreRejectedError
from tests.dead_letters.support import letter

KINDS: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda request: SqlStore(f"sqlite:///{request.getfixturevalue('tmp_path')}/letters.db"),
    "postgres": lambda request: SqlStore(request.getfixturevalue("postgres_url")),
}


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Store:
    return KINDS[request.param](request)


@asynccontextmanager
async def holding(store: Store, *letters: DeadLetter) -> AsyncGenerator[Store]:
    """Open the store with these letters in it."""
    await store.open()
    try:
        await store.write([Write(letter) for letter in letters])
        yield store
    finally:
        await store.close()


async def claimed(
    store: Store, now: float, limit: int, *, per_recipient: int | None = None, room: Mapping[str, int] | None = None
) -> list[str]:
    """Claim letters until 1000, and return their ids."""

    def change(letter: DeadLetter) -> DeadLetter:
        changes = {"state": "retrying", "claimed_until": 1000.0, "revision": letter.revision + 1}
        return msgspec.structs.replace(letter, **changes)

    letters = await store.claim(now, limit, change, per_recipient=per_recipient, room=room or {})
    assert [await store.get(letter.id) for letter in letters] == letters
    assert all(letter.state == "retrying" for letter in letters)
    return [letter.id for letter in letters]


async def ids(store: Store, filter: LetterFilter | None = None, **options: object) -> list[str]:
    arguments: dict[str, object] = {"cursor": None, "limit": 100, "newest_first": False, **options}
    return [found.id for found in await store.page(filter or LetterFilter(), **arguments)]  # type: ignore[arg-type]


# --- writing -------------------------------------------------------------------------------------


async def test_a_store_gives_back_every_field_as_it_was_written(store: Store) -> None:
    full = DeadLetter(
        id="letter-0001",
        recipient="Lager „Süd“ 🐘",
        message_type="shop.reserve",
        version=3,
        payload=b"\x00\xff\x93",
        preview="Reserve('A-1')",
        reason="timeout",
        error="no reply\nin 5 s",
        state="retrying",
        attempts=(Attempt(1.25, "noproc"), Attempt(2.5, "timeout", "no reply\nin 5 s")),
        attempt_count=27,
        redeliveries=2,
        next_attempt_at=None,
        created_at=1700000000.123456,
        updated_at=1700000001.5,
        metadata={"order": 17, "tags": ["a", None], "deep": {"x": 1.5, "y": True}},
        message_id="m-1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        replay_of="letter-0000",
        redeliverable=False,
        claimed_by="host:1:abc",
        claimed_until=1700000060.25,
        note="why",
        revision=9,
    )
    async with holding(store, full):
        assert await store.get("letter-0001") == full


async def test_a_store_keeps_nothing_where_a_field_has_nothing(store: Store) -> None:
    bare = msgspec.structs.replace(letter(), payload=None)
    async with holding(store, bare):
        assert await store.get("letter-0001") == bare


async def test_a_store_says_none_when_the_id_is_unknown(store: Store) -> None:
    async with holding(store, letter(1)):
        assert await store.get("letter-0002") is None


async def test_a_store_replaces_a_letter_when_the_revision_is_the_stored_one(store: Store) -> None:
    async with holding(store, letter(1)):
        changed = letter(1, state="discarded", revision=1)
        assert await store.write([Write(changed, replaces=0)]) == [True]
        assert await store.get("letter-0001") == changed


async def test_a_store_changes_nothing_when_another_revision_is_stored(store: Store) -> None:
    async with holding(store, letter(1, revision=1)):
        stale = letter(1, state="discarded", revision=1)
        assert await store.write([Write(stale, replaces=0)]) == [False]
        assert await store.get("letter-0001") == letter(1, revision=1)


async def test_a_store_changes_nothing_when_the_letter_is_gone(store: Store) -> None:
    async with holding(store):
        assert await store.write([Write(letter(1, revision=1), replaces=0)]) == [False]
        assert await store.get("letter-0001") is None


async def test_a_store_makes_the_first_of_two_changes_of_the_same_revision(store: Store) -> None:
    async with holding(store, letter(1)):
        first, second = letter(1, state="discarded", revision=1), letter(1, state="delivered", revision=1)
        assert await store.write([Write(first, replaces=0), Write(second, replaces=0)]) == [True, False]
        assert await store.get("letter-0001") == first


async def test_a_store_adds_the_other_letter_only_with_the_change_it_belongs_to(store: Store) -> None:
    async with holding(store, letter(1), letter(2, revision=1)):
        made = Write(letter(1, state="discarded", revision=1), replaces=0, also=letter(3))
        not_made = Write(letter(2, state="discarded", revision=1), replaces=0, also=letter(4))
        assert await store.write([made, not_made]) == [True, False]
        assert await ids(store) == ["letter-0001", "letter-0002", "letter-0003"]


async def test_a_store_writes_nothing_of_a_batch_when_an_id_in_it_is_taken(store: Store) -> None:
    async with holding(store, letter(1)):
        with pytest.raises(StoreRejectedError):
            await store.write([Write(letter(2)), Write(letter(1, state="discarded"))])
        with pytest.raises(StoreRejectedError):
            await store.write([Write(letter(3)), Write(letter(3))])
        assert await ids(store) == ["letter-0001"]
        assert await store.get("letter-0001") == letter(1)


@pytest.mark.parametrize("size", [0, 1, 3, 99, 101, 388])
async def test_a_store_writes_batches_of_any_size(store: Store, size: int) -> None:
    async with holding(store):
        assert await store.write([Write(letter(number)) for number in range(size)]) == [True] * size
        assert await ids(store, limit=1000) == [f"letter-{number:04d}" for number in range(size)]


async def test_a_store_keeps_its_letters_when_it_is_closed_and_opened_again(store: Store) -> None:
    async with holding(store, letter(1)):
        pass
    async with holding(store):
        assert await store.get("letter-0001") == letter(1)


def test_a_store_has_a_name_that_says_where_the_letters_are(store: Store) -> None:
    assert store.name.startswith(("memory:", "sqlite:///", "postgresql://"))


async def test_a_store_does_not_mind_when_it_is_closed_twice(store: Store) -> None:
    await store.close()
    await store.open()
    await store.close()
    await store.close()


# --- pages ---------------------------------------------------------------------------------------


async def test_a_store_lists_by_id_beyond_the_cursor(store: Store) -> None:
    async with holding(store, *(letter(number) for number in (3, 1, 4, 2))):
        assert await ids(store, limit=2) == ["letter-0001", "letter-0002"]
        assert await ids(store, limit=2, cursor="letter-0002") == ["letter-0003", "letter-0004"]
        assert await ids(store, limit=2, cursor="letter-0004") == []


async def test_a_store_lists_backwards_when_the_newest_come_first(store: Store) -> None:
    async with holding(store, *(letter(number) for number in (3, 1, 4, 2))):
        assert await ids(store, limit=2, newest_first=True) == ["letter-0004", "letter-0003"]
        assert await ids(store, limit=9, newest_first=True, cursor="letter-0003") == ["letter-0002", "letter-0001"]


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (LetterFilter(), [1, 2, 3]),
        (LetterFilter(state="waiting"), [1]),
        (LetterFilter(state=("waiting", "exhausted")), [1, 2]),
        (LetterFilter(recipient="orders"), [2]),
        (LetterFilter(reason="timeout"), [3]),
        (LetterFilter(message_type="data"), [2]),
        (LetterFilter(since=200), [2, 3]),
        (LetterFilter(until=300), [1, 2]),
        (LetterFilter(since=200, until=300), [2]),
        (LetterFilter(changed_before=300), [1, 2]),
        (LetterFilter(changed_before=300, state=("exhausted", "delivered")), [2]),
        (LetterFilter(changed_before=301, state=("waiting", "delivered")), [1, 3]),
        (LetterFilter(replay_of="letter-0002"), [3]),
        (LetterFilter(state=("delivered", "waiting", "delivered")), [1, 3]),
        (LetterFilter(state="waiting", recipient="orders"), []),
    ],
)
async def test_a_store_lists_what_fits_every_field_of_the_filter(
    store: Store, filter: LetterFilter, found: list[int]
) -> None:
    async with holding(
        store,
        letter(1, created_at=100, updated_at=100),
        letter(2, created_at=200, updated_at=200, state="exhausted", recipient="orders", message_type="data"),
        letter(3, created_at=300, updated_at=300, state="delivered", reason="timeout", replay_of="letter-0002"),
    ):
        assert await ids(store, filter) == [f"letter-{number:04d}" for number in found]


# --- claiming what is due ------------------------------------------------------------------------


async def test_a_store_lets_due_letters_be_claimed_the_longest_due_first(store: Store) -> None:
    async with holding(
        store,
        letter(1, next_attempt_at=30),
        letter(2, next_attempt_at=10),
        letter(3, next_attempt_at=20.5),
        letter(4, next_attempt_at=31),
    ):
        assert await claimed(store, 9.9, 9) == []
        assert await claimed(store, 30, 2) == ["letter-0002", "letter-0003"]
        assert await claimed(store, 30, 9) == ["letter-0001"]
        assert await claimed(store, 30, 9) == []


async def test_a_store_lets_letters_be_claimed_again_when_their_claim_ran_out(store: Store) -> None:
    async with holding(store, letter(1, state="retrying", claimed_until=20)):
        assert await claimed(store, 19, 9) == []
        assert await claimed(store, 20, 9) == ["letter-0001"]
        assert await claimed(store, 999, 9) == []
        assert await claimed(store, 1000, 9) == ["letter-0001"]


@pytest.mark.parametrize("state", ["exhausted", "delivered", "discarded"])
async def test_a_store_lets_nothing_be_claimed_when_the_state_ends_all_attempts(store: Store, state: State) -> None:
    async with holding(store, letter(1, state=state, next_attempt_at=1, claimed_until=1)):
        assert await claimed(store, 100, 9) == []
        assert await store.next_due() is None


async def test_a_store_lets_a_letter_be_claimed_when_it_was_made_due_meanwhile(store: Store) -> None:
    async with holding(store, letter(1, next_attempt_at=10)):
        await store.write([Write(letter(1, next_attempt_at=50, revision=1), replaces=0)])
        assert await claimed(store, 49, 9) == []
        assert await claimed(store, 50, 9) == ["letter-0001"]


async def test_a_store_lets_no_recipient_take_more_than_its_places(store: Store) -> None:
    many = [letter(number, recipient="busy", next_attempt_at=1) for number in range(20)]
    async with holding(
        store, *many, letter(30, recipient="shut", next_attempt_at=1), letter(40, recipient="free", next_attempt_at=2)
    ):
        taken = await claimed(store, 10, 9, per_recipient=3, room={"shut": 0})
        assert taken[3:] == ["letter-0040"]
        assert set(taken[:3]) < {f"letter-{number:04d}" for number in range(20)}
        assert len(await claimed(store, 10, 9, per_recipient=3, room={"busy": 1})) == 2
        assert await store.next_due() == 1


async def test_a_store_claims_as_many_as_are_wanted_when_many_are_due(store: Store) -> None:
    many = [letter(number, recipient=f"r{number % 7}", next_attempt_at=1) for number in range(100)]
    async with holding(store, *many):
        assert len(await claimed(store, 10, 50, per_recipient=5)) == 35
        assert len(await claimed(store, 10, 50)) == 50
        assert len(await claimed(store, 10, 50)) == 15


async def test_two_who_claim_at_once_get_different_letters(store: Store) -> None:
    many = [letter(number, next_attempt_at=1) for number in range(40)]
    async with holding(store, *many):
        parts = await asyncio.gather(*(claimed(store, 10, 10) for _ in range(4)))
        assert sorted(id for part in parts for id in part) == [f"letter-{number:04d}" for number in range(40)]


async def test_a_store_knows_when_the_next_letter_is_due(store: Store) -> None:
    async with holding(store, letter(1, next_attempt_at=30), letter(2, state="retrying", claimed_until=20), letter(3)):
        assert await store.next_due() == 20
        await store.write([Write(letter(2, state="delivered", revision=1), replaces=0)])
        assert await store.next_due() == 30


# --- counting and deleting -----------------------------------------------------------------------


async def test_a_store_counts_by_state(store: Store) -> None:
    async with holding(store, letter(1), letter(2), letter(3, state="exhausted")):
        assert {state: number for state, number in (await store.count()).items() if number} == {
            "waiting": 2,
            "exhausted": 1,
        }


async def test_a_store_deletes_what_fits_up_to_the_limit(store: Store) -> None:
    async with holding(store, *(letter(number, state="delivered") for number in (1, 2, 3)), letter(4)):
        delivered = LetterFilter(state="delivered")
        assert await store.delete(delivered, limit=2) == 2
        assert await store.delete(delivered, limit=2) == 1
        assert await ids(store) == ["letter-0004"]


async def test_a_store_deletes_only_what_did_not_change_since(store: Store) -> None:
    async with holding(store, letter(1, updated_at=10), letter(2, updated_at=20)):
        assert await store.delete(LetterFilter(changed_before=20), limit=9) == 1
        assert await ids(store) == ["letter-0002"]


async def test_a_store_deletes_what_is_settled_for_long_and_nothing_else(store: Store) -> None:
    states: list[State] = ["waiting", "retrying", "exhausted", "delivered", "discarded"]
    old = [letter(number, state=state, updated_at=10) for number, state in enumerate(states)]
    async with holding(store, *old, letter(9, state="delivered", updated_at=20)):
        filter = LetterFilter(state=("delivered", "discarded"), changed_before=20)
        assert await store.delete(filter, limit=1) == 1
        assert await store.delete(filter, limit=9) == 1
        assert await ids(store) == ["letter-0000", "letter-0001", "letter-0002", "letter-0009"]


async def test_a_store_removes_letters_that_are_as_they_were(store: Store) -> None:
    async with holding(store, letter(1), letter(2, revision=1), letter(3)):
        seen = [Key.of(letter(number)) for number in (1, 2, 4)]
        assert await store.remove(seen) == [True, False, False]
        assert await store.remove([]) == []
        assert await ids(store) == ["letter-0002", "letter-0003"]


async def test_a_store_finds_the_letters_that_are_there(store: Store) -> None:
    async with holding(store, letter(1), letter(2), letter(3)):
        found = await store.find(["letter-0003", "letter-0001", "letter-0009"])
        assert sorted(found, key=lambda letter: letter.id) == [letter(1), letter(3)]
        assert await store.find([]) == []


async def test_a_store_lists_keys_as_it_lists_letters(store: Store) -> None:
    pid = msgspec.structs.replace(letter(2, state="exhausted", revision=7), payload=None, redeliverable=False)
    async with holding(store, letter(1), pid, letter(3, state="delivered"), letter(4)):
        wanted = LetterFilter(state=("waiting", "exhausted"))
        assert await store.keys(wanted, cursor=None, limit=2) == [
            Key("letter-0001", 0, "waiting", True, True),
            Key("letter-0002", 7, "exhausted", False, False),
        ]
        assert [key.id for key in await store.keys(wanted, cursor="letter-0002", limit=9)] == ["letter-0004"]


async def test_a_store_finds_nothing_due_of_what_is_deleted(store: Store) -> None:
    async with holding(store, letter(1, next_attempt_at=10)):
        await store.delete(LetterFilter(), limit=9)
        assert await claimed(store, 10, 9) == []
        assert await store.next_due() is None
