import contextlib
import functools
import os
import threading
import time

import numpy as np
import pytest
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

from xrfsr_dask.cluster import executor_for
from xrfsr_dask.errors import ClusterWarning, InputError
from xrfsr_dask.options import RunOptions
from xrfsr_dask.tiling import executor as executor_module
from xrfsr_dask.tiling.budget import HEAP_VARIABLES
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


def blas_threads(_: int = 0) -> set[int]:
    time.sleep(0.02)  # so that tasks come and go beside one another
    np.linalg.norm(scipy.linalg.solve(np.eye(3), np.eye(3)))
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("where", ["synchronous", "threads", "client"])
def test_a_task_has_one_thread_of_blas_whatever_its_process_was_told(where):
    from distributed import Client

    with threadpool_limits(3):
        if where == "client":
            with Client(processes=False, n_workers=2, threads_per_worker=2, dashboard_address=None) as client:
                found = ClientExecutor(client).map(blas_threads, range(20), lambda *_: None)
        else:
            executor = LocalExecutor(1 if where == "synchronous" else 3)
            found = executor.map(blas_threads, range(20), lambda *_: None)
        assert set.union(*found) == {1}
        assert blas_threads() == {3}


def number_in(path, task: int) -> int:
    """A task whose answer depends on what was written since."""
    return int(path.read_text()) + task


@pytest.mark.filterwarnings("default")
def test_a_client_never_answers_with_what_an_earlier_pass_found(tmp_path, monkeypatch):
    from distributed import Client

    task, found = functools.partial(number_in, tmp_path / "n"), []
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        submit, held = client.submit, []  # the scheduler keeps what somebody holds
        monkeypatch.setattr(client, "submit", lambda *a, **k: held.append(submit(*a, **k)) or held[-1])
        for n in (0, 10):
            (tmp_path / "n").write_text(str(n))
            found += ClientExecutor(client).map(task, range(3), lambda *_: None)
    assert found == [0, 1, 2, 10, 11, 12]


@pytest.mark.filterwarnings("default")
def test_a_run_whose_cluster_has_no_worker_left_says_so_and_waits(monkeypatch):
    from distributed import Client, LocalCluster

    monkeypatch.setattr(executor_module, "_ALONE_S", 0.5)
    monkeypatch.setattr(executor_module, "_POLL_S", 0.2)
    found = []
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        cluster.scale(0)
        while client.nthreads():
            time.sleep(0.05)
        run = threading.Thread(
            target=lambda: found.extend(ClientExecutor(client).map(square, range(3), lambda *_: None))
        )
        run.start()
        with pytest.warns(ClusterWarning, match=r"no worker left.*dask worker"):
            run.join(3.0)
        assert run.is_alive()
        cluster.scale(1)
        run.join(30)
    assert found == [0, 1, 4]


@pytest.mark.filterwarnings("default")
def test_a_run_whose_workers_are_all_paused_says_so(monkeypatch):
    from distributed import Client, LocalCluster

    monkeypatch.setattr(executor_module, "_ALONE_S", 0.5)
    monkeypatch.setattr(executor_module, "_POLL_S", 0.2)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, memory_limit="1MB"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        while client.scheduler_info(n_workers=-1)["workers"].popitem()[1]["status"] != "paused":
            time.sleep(0.1)

        def wait():
            with contextlib.suppress(Exception):  # it waits until its client is closed
                ClientExecutor(client).map(square, range(3), lambda *_: None)

        run = threading.Thread(target=wait)
        run.start()
        with pytest.warns(ClusterWarning, match=r"no worker left but such as Dask has paused.*dask worker"):
            run.join(5.0)
        client.close()
        run.join(30)
        assert not run.is_alive()


def _environment(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_of_ours_keep_what_they_free():
    """Dask's own threshold, 64 KiB, would have every array fetched anew from the system."""
    with executor_for(RunOptions(workers=1, processes=True)) as executor:
        found = executor.map(_environment, list(HEAP_VARIABLES), lambda *_: None)
    assert found == list(HEAP_VARIABLES.values())
    assert int(HEAP_VARIABLES["MALLOC_TRIM_THRESHOLD_"]) > 2**20
