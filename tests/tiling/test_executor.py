import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.tiling.executor import ClientExecutor, LocalExecutor


def square(n: int) -> int:
    if n == 13:
        raise InputError("thirteen is not liked here")
    return n * n


EXECUTORS = [LocalExecutor(1), LocalExecutor(3)]


@pytest.mark.parametrize("executor", EXECUTORS, ids=["synchronous", "threads"])
@pytest.mark.parametrize("n", [1, 2, 9, 13])
def test_map_keeps_order_and_reduce_adds_up(executor, n):
    done = []
    assert executor.map(square, range(n), lambda *_: done.append(1)) == [i * i for i in range(n)]
    assert executor.reduce(square, range(n), sum, lambda *_: done.append(1)) == sum(i * i for i in range(n))
    assert len(done) == 2 * n


@pytest.mark.parametrize("executor", EXECUTORS, ids=["synchronous", "threads"])
def test_the_error_of_a_task_comes_through(executor):
    with pytest.raises(InputError, match="thirteen"):
        executor.map(square, range(20), lambda *_: None)
    with pytest.raises(InputError, match="thirteen"):
        executor.reduce(square, range(20), sum, lambda *_: None)


@pytest.mark.filterwarnings("default")
def test_a_client_maps_and_reduces_alike():
    from distributed import Client

    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        executor, done = ClientExecutor(client), []
        assert executor.slots == 2
        assert executor.map(square, range(12), lambda *_: done.append(1)) == [i * i for i in range(12)]
        assert executor.reduce(square, range(12), sum, lambda *_: done.append(1)) == sum(
            i * i for i in range(12)
        )
        assert len(done) == 24
        with pytest.raises(InputError, match="thirteen"):
            executor.map(square, range(20), lambda *_: None)
        with pytest.raises(InputError, match="thirteen"):
            executor.reduce(square, range(20), sum, lambda *_: None)
