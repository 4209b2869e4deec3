"""Who is alive, judged by times that are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rl_sim_env.learning.liveness import Liveness, Peer, Row, Verdict

INTERVAL_S, LIMIT_S = 2.0, 50.0


class Ranks:
    """Two ranks or more of one host each, or of one, which all run unless a test says otherwise."""

    def __init__(self, *nodes: int | None, own: int = 0) -> None:
        self.rows = [Row(place="update", is_watched=True) for _ in nodes]
        self.now_s = 100.0
        peers = [Peer(node, f"host{node}", 1000 + rank) for rank, node in enumerate(nodes)]
        self.liveness = Liveness(peers, own, LIMIT_S, INTERVAL_S, self.now_s)

    def run(
        self,
        seconds: float,
        *,
        asleep: int | None = None,
        still: bool = False,
        store_s: float = 0.0,
        is_silent: bool = False,
        gone: tuple[int, ...] = (),
    ) -> Verdict | None:
        """Let time pass until there is a verdict.

        Args:
            seconds: How much.
            asleep: Rank that does nothing.
            still: Whether all run and none takes a step.
            store_s: Time that an answer takes.
            is_silent: Whether there are no answers.
            gone: Ranks that are no more.
        """
        end_s, verdict = self.now_s + seconds, None
        while verdict is None and self.now_s < end_s:
            asked_s = self.now_s + INTERVAL_S
            self.now_s = asked_s + store_s
            self.rows = [
                row
                if rank == asleep
                else replace(row, beats=row.beats + 1, steps=row.steps + (not still))
                for rank, row in enumerate(self.rows)
            ]
            rows = None if is_silent else self.rows
            verdict = self.liveness.look(rows, gone, asked_s, self.now_s)
        return verdict


def test_who_shows_no_sign_of_life_is_named_within_the_limit() -> None:
    ranks = Ranks(0, 0)
    assert ranks.run(100.0) is None
    begin_s = ranks.now_s
    verdict = ranks.run(100.0, asleep=1)
    assert verdict is not None
    assert verdict.lost == (1,)
    assert "rank 1 (process 1001 on host0) stopped: no sign of life for 50 s" in verdict.reason
    assert ranks.now_s - begin_s <= LIMIT_S + 2 * INTERVAL_S


def test_who_waits_for_one_that_hangs_is_ahead_of_it() -> None:
    ranks = Ranks(0, 0)
    ranks.rows[0].steps += 1
    assert ranks.run(20.0) is None
    verdict = ranks.run(100.0, still=True)
    assert verdict is not None
    assert verdict.hanging == verdict.lost == (1,)
    assert "rank 1 (process 1001 on host0) hangs in the update: no step for 50 s" in verdict.reason


def test_where_all_wait_for_each_other_nobody_is_lost() -> None:
    verdict = Ranks(0, 0).run(100.0, still=True)
    assert verdict is not None
    assert (verdict.hanging, verdict.lost) == ((0, 1), ())
    assert "all ranks wait for each other in the update" in verdict.reason


def test_who_compiles_or_saves_may_take_its_time() -> None:
    ranks = Ranks(0, 0)
    ranks.rows = [replace(row, is_watched=False) for row in ranks.rows]
    assert ranks.run(300.0, still=True) is None


@pytest.mark.parametrize(
    ("end", "reason"),
    [(None, "was killed or crashed"), ("", None), ("rank 1 ended: no", "rank 1 ended: no")],
)
def test_who_is_gone_without_a_word_was_killed(end: str | None, reason: str | None) -> None:
    ranks = Ranks(0, 0)
    ranks.rows[1].end = end
    verdict = ranks.run(10.0, asleep=1, gone=(1,))
    assert (verdict is None) == (reason is None)
    if verdict is not None:
        assert str(reason) in verdict.reason
        assert verdict.lost == (1,)


@pytest.mark.parametrize("store_s", [6.0, 25.0])
def test_a_slow_store_hides_nobody(store_s: float) -> None:
    ranks = Ranks(0, 0)
    assert ranks.run(300.0, store_s=store_s) is None
    verdict = ranks.run(200.0, store_s=store_s, asleep=1)
    assert verdict is not None
    assert verdict.lost == (1,)


@pytest.mark.parametrize("listening", [False, True])
def test_who_was_suspended_knows_nothing_about_the_others(listening: bool) -> None:
    # The whole host was: nobody has given a sign of life meanwhile, nor has yet.
    ranks = Ranks(0, 0)
    assert ranks.run(20.0) is None
    asked_s, heard_s = ranks.now_s + INTERVAL_S, ranks.now_s + 1000.0
    if not listening:
        asked_s = heard_s
    assert ranks.liveness.look(ranks.rows, (), asked_s, heard_s) is None
    ranks.now_s = heard_s
    assert ranks.run(45.0, asleep=1) is None
    assert ranks.run(10.0, asleep=1) is not None


def test_an_answer_that_failed_while_suspended_is_no_silence() -> None:
    ranks = Ranks(0, 1)
    asked_s = ranks.now_s + INTERVAL_S
    assert ranks.liveness.look(None, (), asked_s, asked_s + 1000.0) is None


@pytest.mark.parametrize("own", [0, 1, 2])
def test_where_the_store_is_silent_everybody_saves(own: int) -> None:
    ranks = Ranks(0, 0, 1, own=own)
    assert ranks.run(20.0) is None
    begin_s = ranks.now_s
    verdict = ranks.run(200.0, is_silent=True, store_s=LIMIT_S / 2 + INTERVAL_S)
    assert verdict is not None
    assert "the store of torchrun, on the host of rank 0, does not answer" in verdict.reason
    assert ranks.now_s - begin_s <= LIMIT_S + 30.0 + 3 * INTERVAL_S
    assert ranks.liveness.must_save(verdict)


def test_who_is_gone_while_the_store_is_silent_is_named() -> None:
    ranks = Ranks(0, 0, own=1)
    verdict = ranks.run(200.0, is_silent=True, gone=(0,))
    assert verdict is not None
    assert "rank 0 (process 1000 on host0) is gone" in verdict.reason


@pytest.mark.parametrize(
    ("nodes", "lost", "saving"),
    [
        ((0, 0, 0), (2,), [0]),
        ((0, 0, 0), (0,), [1]),
        ((0, 0, 1, 1), (2,), [0, 3]),
        ((0, 0, 1, 1), (0, 1), [2]),
        ((None, None, None), (1,), [0, 2]),
        ((0, 0), None, [0, 1]),
    ],
)
def test_the_lowest_rank_left_of_each_host_saves(
    nodes: tuple[int | None, ...], lost: tuple[int, ...] | None, saving: list[int]
) -> None:
    verdict = Verdict("a rank is lost", lost=lost)
    ranks = range(len(nodes))
    assert [r for r in ranks if Ranks(*nodes, own=r).liveness.must_save(verdict)] == saving
