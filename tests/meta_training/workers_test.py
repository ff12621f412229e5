"""Pairs that others run: the same updates, and every window counted once."""

import socket
import threading

import numpy as np
import pytest
import tensorflow as tf
from support.clusters import coordinated, together
from support.training import imitating_trainer, same, small_trainer

from l2o_tf.estimators.smoothed import EvolutionStrategies, MergedGradient
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.asynchronous import AsynchronousPairs
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.synchronous import SynchronousPairs
from l2o_tf.meta_training.workers import Counted, Ledger, join
from l2o_tf.runtime.tf_config import ClusterError
from l2o_tf.unroll.growing_windows import GrowingWindows
from l2o_tf.unroll.schedules import FixedHorizon


def trainer_of(
    workers=None,
    link=None,
    horizon=9,
    pairs=4,
    kind=EvolutionStrategies,
    **changes,
):
    window = TruncatedBackpropagation(4)
    made = small_trainer(
        **{
            "cell": LearnableSGD(0.05),
            "estimator": kind(window, 2 * pairs, 0.05, horizon),
            "schedule": GrowingWindows(3, 6, 2, 4, updates=10, jitter=0.0),
            "workers": workers,
            **changes,
        }
    )
    if link is not None:
        join(workers, link)
    return made


def trained(trainer, episodes, state=None):
    state = trainer.initial_state() if state is None else state
    reports = []
    for _ in range(episodes):
        state, report = trainer.train_one(state)
        state = state.replace(phase=Phase.EPISODE)
        reports.append(report)
    return state, reports


def assert_equal(found, expected):
    assert same(found[0].meta, expected[0].meta)
    assert same(found[0].population, expected[0].population)
    # Not a number is what variances without a backward pass are.
    reports = (tf.nest.flatten(run[1]) for run in (found, expected))
    np.testing.assert_array_equal(*reports)


@pytest.fixture(scope="module")
def one_process():
    """Return what three episodes in one process come to."""
    return trained(trainer_of(), 3)


@pytest.fixture(scope="module")
def traced():
    """Make two trainers, of batches of all pairs and of two of four."""
    made = {}
    for batch_size in (None, 2):
        workers, link = AsynchronousPairs(batch_size, None, 4), coordinated()
        trainer = trainer_of(workers, link)
        made[batch_size] = trainer, workers, link.coordinator
    return made


def renewed(trainer, workers, coordinator):
    """Forget what other tests did."""
    coordinator.release()
    coordinator.__init__()
    workers.counted = Counted()
    workers.staleness_limit = None
    return trainer, workers, coordinator


@pytest.fixture
def whole(traced):
    """Return `(trainer, workers, coordinator)`; all pairs make an update."""
    return renewed(*traced[None])


@pytest.fixture
def half(traced):
    """Return `(trainer, workers, coordinator)`; two of four make an update."""
    return renewed(*traced[2])


def test_a_batch_of_all_pairs_is_what_one_process_does(one_process, whole):
    trainer, workers, coordinator = whole
    assert_equal(trained(trainer, 3), one_process)
    assert workers.counted == (36, 0)
    assert coordinator.calls == 36


def test_merged_gradients_are_those_of_one_process():
    found, expected = (
        trained(trainer_of(workers, link, kind=MergedGradient), 2)
        for workers, link in (
            (AsynchronousPairs(in_flight=1), coordinated()),
            (None, None),
        )
    )
    assert_equal(found, expected)


def test_pairs_that_begin_with_the_episode_are_as_in_one_process():
    found, expected = (
        trained(trainer_of(workers, link, None, schedule=FixedHorizon(8)), 2)
        for workers, link in (
            (AsynchronousPairs(), coordinated()),
            (None, None),
        )
    )
    assert_equal(found, expected)


def test_what_is_sent_has_no_data_in_it(whole):
    trainer, _, coordinator = whole
    trained(trainer, 1)
    assert coordinator.calls == 12
    assert coordinator.captured == []


def test_samples_held_back_do_not_hold_up_the_others(half):
    # The first pair never comes back; the others go on without it.
    trainer, workers, coordinator = half
    coordinator.hold = lambda call: call == 0
    state, _ = trained(trainer, 4)
    windows = state.population.window.numpy()
    assert windows[0] == 0
    assert sum(windows) == workers.counted.used == 2 * 12
    assert int(state.meta.step) == 12
    coordinator.release()
    state, _ = trained(trainer, 4, state)
    windows = state.population.window.numpy()
    assert windows[0] > 0
    assert sum(windows) == workers.counted.used == 2 * 24


def test_stale_samples_are_made_again_and_counted_once(half):
    trainer, workers, coordinator = half
    coordinator.hold = lambda call: call == 0
    workers.staleness_limit = 1
    state, _ = trained(trainer, 1)  # three updates: two too many for the first
    coordinator.release()
    for _ in range(100):
        state, _ = trained(trainer, 1, state)
        if workers.counted.stale:
            break
    assert workers.counted.stale == 1
    state, _ = trained(trainer, 5, state)
    windows = state.population.window.numpy()
    assert sum(windows) == workers.counted.used == 2 * int(state.meta.step)
    assert windows[0] > 0


@pytest.mark.parametrize("staleness_limit", [0, 2])
def test_whoever_is_slow_every_window_is_counted_once(half, staleness_limit):
    random = np.random.default_rng(staleness_limit)
    trainer, workers, coordinator = half
    workers.staleness_limit = staleness_limit

    def hold(call):
        del call
        if len(coordinator.held) == 2 or random.random() < 0.2:
            coordinator.release()
        return len(coordinator.held) < 2 and random.random() < 0.5

    coordinator.hold = hold
    state, reports = trained(trainer, 30)
    windows = state.population.window.numpy()
    assert int(state.meta.step) == 90
    assert sum(report.skipped for report in reports) == 0
    assert sum(windows) == workers.counted.used == 180
    assert workers.counted.stale > 0
    assert coordinator.calls >= 180 + workers.counted.stale


def test_without_a_limit_no_sample_is_stale(half):
    trainer, workers, coordinator = half
    coordinator.hold = lambda call: call == 0
    state, _ = trained(trainer, 2)
    coordinator.release()
    trained(trainer, 10, state)
    assert workers.counted.stale == 0


def test_a_resumed_state_goes_on_as_it_did(one_process, whole):
    trainer, _, _ = whole
    first, _ = trained(trainer, 1)
    trained(trainer, 1, first)
    # Back to the state after one episode, as after a restart.
    again = first.from_arrays(*first.to_arrays())
    state, reports = trained(trainer, 2, again)
    assert_equal((state, reports), (one_process[0], one_process[1][1:]))


def test_tickets_of_a_population_before_come_to_nothing(half):
    trainer, _, coordinator = half
    coordinator.hold = lambda call: call == 0
    first, _ = trained(trainer, 1)
    again = first.from_arrays(*first.to_arrays())
    coordinator.release()
    state, _ = trained(trainer, 3, again)
    before, after = first.population.window, state.population.window
    assert int(tf.reduce_sum(after - before)) == 2 * 3 * 3


def test_an_error_of_a_worker_is_told_with_its_window(whole):
    trainer, _, coordinator = whole
    coordinator.fail = lambda call: call == 2
    with pytest.raises(RuntimeError, match="Received: pair 2, window 0: no"):
        trained(trainer, 1)
    coordinator.broken = tf.errors.UnknownError(None, None, "no more")
    with pytest.raises(RuntimeError, match="one sent before: .*no more"):
        trained(trainer, 1)


def test_a_sample_lost_on_its_way_is_waited_for(one_process, whole):
    trainer, _, coordinator = whole
    coordinator.lose = lambda call: 3 * (call == 7)
    assert_equal(trained(trainer, 3), one_process)


def test_without_any_worker_the_learner_gives_up():
    link = coordinated(hold=lambda call: call == 5)
    trainer = trainer_of(AsynchronousPairs(patience=0.1), link)
    with pytest.raises(
        ClusterError, match="0.1 s: 127.0.0.1:1, 127.0.0.1:1. Start.*=0.1"
    ):
        trained(trainer, 1)


def test_with_one_worker_the_learner_waits_on(one_process):
    timers = []

    def hold(call):
        if call == 5:
            release = link.coordinator.release
            timers.append(threading.Timer(0.3, release))
            timers[0].start()
        return call == 5

    with socket.create_server(("127.0.0.1", 0)) as server:
        link = coordinated(hold=hold)
        alive = f"127.0.0.1:{server.getsockname()[1]}"
        link = link._replace(addresses=(link.addresses[0], alive))
        trainer = trainer_of(AsynchronousPairs(patience=0.1), link)
        assert_equal(trained(trainer, 3), one_process)
    assert timers[0].finished.is_set()


@pytest.mark.parametrize("count", [1, 2])
def test_equal_processes_are_as_one(one_process, count):
    def run(peers):
        workers = SynchronousPairs()
        workers.join(peers)
        trainer = trainer_of(workers)
        return trained(trainer, 3), workers.counted.used

    for found, used in together(count, run):
        assert_equal(found, one_process)
        assert used == 36


def test_a_window_is_entered_once_and_in_order():
    state = trainer_of().initial_state()
    pairs = [
        tf.nest.map_structure(lambda t: t[i], state.population)  # noqa: B023
        for i in range(4)
    ]
    ledger = Ledger(pairs)
    ledger.count(1, 0)
    for window in (0, 2):
        with pytest.raises(
            RuntimeError, match=f"window={window} of pair 1, where 1 is due"
        ):
            ledger.count(1, window)
    ledger.count(1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"staleness_limit": -1}, "Received: staleness_limit=-1"),
        ({"staleness_limit": 1.5}, "staleness_limit=1.5"),
        ({"in_flight": 0}, "in_flight=0"),
        ({"patience": 0.0}, "patience=0.0"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AsynchronousPairs(**changes)


def test_a_merged_gradient_needs_two_samples():
    with pytest.raises(ValueError, match="variances.* Received: batch_size=1"):
        trainer_of(AsynchronousPairs(batch_size=1), kind=MergedGradient)
    trainer_of(AsynchronousPairs(batch_size=1))


def test_a_batch_has_no_more_samples_than_there_are_pairs():
    with pytest.raises(
        ValueError, match="batch_size=5, num_particles=8, which are 4 pairs"
    ):
        trainer_of(AsynchronousPairs(batch_size=5))


def test_an_estimator_without_pairs_has_no_work_for_others():
    with pytest.raises(ValueError, match="Received: estimator=<.*TruncatedBa"):
        small_trainer(workers=AsynchronousPairs())
    with pytest.raises(ValueError, match="follow a teacher.* Received: imit"):
        imitating_trainer(
            workers=SynchronousPairs(),
            estimator=MergedGradient(TruncatedBackpropagation(2)),
        )
    with pytest.raises(ValueError, match="PairWorkers.*workers='two'"):
        small_trainer(workers="two")


def test_workers_and_cluster_must_be_of_one_kind():
    with pytest.raises(ClusterError, match='alone. Add a "chief" to it'):
        AsynchronousPairs().join(object())
    with pytest.raises(ClusterError, match='Received: a cluster with a "chi'):
        SynchronousPairs().join(coordinated())
    join(None, None)
    with pytest.raises(ClusterError, match="Received: Trainer.workers=None"):
        join(None, coordinated())
    with pytest.raises(ClusterError, match=r"workers=\w+\(\), TF_CONFIG unset"):
        join(SynchronousPairs(), None)


@pytest.mark.parametrize("kind", [AsynchronousPairs, SynchronousPairs])
def test_training_without_a_cluster_is_refused(kind):
    trainer = trainer_of(kind())
    with pytest.raises(ClusterError, match="there is none. Received: Trainer"):
        trainer.train_one(trainer.initial_state())


def test_pairs_that_cannot_be_divided_are_refused():
    def run(peers):
        workers = SynchronousPairs()
        trainer_of(workers, pairs=3)
        workers.join(peers)

    for error in together(2, run):
        assert isinstance(error, ClusterError)
        assert "Received: 3 pairs, 2 processes" in str(error)


def test_all_go_on_with_the_losses_of_the_first():
    def run(peers):
        workers = SynchronousPairs()
        workers.join(peers)
        return workers.agreed([1.0 + peers.index, 0.1])

    np.testing.assert_array_equal(together(3, run), 3 * [[1.0, 0.1]])
    with pytest.raises(ClusterError, match="there is none"):
        SynchronousPairs().agreed([1.0])
    assert AsynchronousPairs().agreed([0.5]) == [0.5]
