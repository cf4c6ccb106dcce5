"""Where tasks run, chosen from the resources asked for. The only file that imports `distributed`."""

from __future__ import annotations

import atexit
import contextlib
import functools
import ipaddress
import logging
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import psutil
from dask.system import CPU_COUNT

from xrfsr_dask.errors import ClusterError, OptionError, first_line
from xrfsr_dask.interrupts import delayed
from xrfsr_dask.options import RunOptions
from xrfsr_dask.tiling.budget import HEAP_VARIABLES, WORKER, one_heap
from xrfsr_dask.tiling.executor import ClientExecutor, Executor, LocalExecutor

_CONNECT_S = 10
_FINISH_S = 2.0  # that an interrupt leaves to a cluster which is being started
_KILL_ROUNDS, _KILL_S = 60, 0.02  # after that
_ENCRYPTED = ("tls", "wss")
_THIS_PROCESS = ("inproc",)
_PAGES = ("http", "https")

_Answers: TypeAlias = "queue.SimpleQueue[tuple[Any, BaseException | None]]"
"""What a call in another thread gave, or its error."""


def cores() -> int:
    """Cores that this process may use: of the machine, less what containers and affinities withhold."""
    return int(CPU_COUNT)


@contextlib.contextmanager
def executor_for(resources: RunOptions, client: Any = None) -> Iterator[Executor]:
    """An executor for the time of a run; a cluster that is started here is stopped at the end.

    Parameters
    ----------
    resources : RunOptions
        Threads by default; worker processes or the address of a scheduler where they say so.
    client : distributed.Client, optional
        Used as it is, whatever `resources` say.

    Raises
    ------
    ClusterError
        No scheduler answers at the address.
    OptionError
        The address would send unencrypted pickles off this machine.
    """
    threads = resources.workers or cores()
    if client is not None:
        yield ClientExecutor(client)
    elif resources.scheduler:
        with _quiet(), _connected(resources.scheduler) as found:
            yield ClientExecutor(found)
    elif resources.processes:
        with _local_cluster(threads, resources.memory) as found:
            yield ClientExecutor(found)
    else:
        one_heap()
        yield LocalExecutor(threads)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    from distributed import Client

    _refuse_unencrypted(address)
    _require_certificates(address)
    try:
        client = _within(2 * _CONNECT_S, lambda: Client(address, timeout=_CONNECT_S, set_as_default=False))
    except Exception as error:
        hint = "start one with `dask scheduler`, or check the address."
        if address.startswith(tuple(f"{name}://" for name in _ENCRYPTED)):
            hint = "check the address, and that Dask's TLS certificates are configured (distributed.comm.tls)."
        raise ClusterError(f"no Dask scheduler answers at {address} ({first_line(error)}); {hint}") from error
    with client:
        if not client.nthreads():
            raise ClusterError(f"the scheduler at {address} has no workers; start some with `dask worker`.")
        yield client


def _require_certificates(address: str) -> None:
    from distributed.security import Security

    encrypted = address.startswith(tuple(f"{name}://" for name in _ENCRYPTED))
    if encrypted and Security().get_connection_args("client").get("ssl_context") is None:
        raise ClusterError(
            f"{address} is encrypted, and no certificates are configured here; set "
            "distributed.comm.tls.ca-file and those of the client, in Dask's configuration."
        )


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What `call` gives, or `TimeoutError`: who listens but is no scheduler may never answer."""
    answers: _Answers = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(call, answers), daemon=True).start()
    try:
        return _answered(answers.get(timeout=seconds))
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds} s") from None


def _ask(call: Callable[[], Any], answers: _Answers) -> None:
    try:
        answers.put((call(), None))
    except BaseException as error:
        answers.put((None, error))


def _answered(answer: tuple[Any, BaseException | None]) -> Any:
    found, error = answer
    if error is not None:
        raise error
    return found


@contextlib.contextmanager
def _local_cluster(workers: int, memory: int) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    # A worker is never killed for memory that the plan has granted it.
    limit = 2 * memory // workers + 2 * WORKER
    environment = dask.config.get("distributed.nanny.pre-spawn-environ", {}) | HEAP_VARIABLES
    settings = {
        "distributed.worker.memory.terminate": False,
        "distributed.nanny.pre-spawn-environ": environment,
    }
    with dask.config.set(settings), _quiet(), contextlib.ExitStack() as stack:
        make = functools.partial(
            LocalCluster,
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=limit,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        cluster = stack.enter_context(_begun(make))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        try:
            yield client
        except BaseException:
            with delayed():  # a second Ctrl-C would leave what is closed here to its timeouts
                _kill_workers(cluster)
                stack.close()
            raise


def _begun(make: Callable[[], Any]) -> Any:
    """A cluster, made in a thread of its own. An interrupt meanwhile waits a few seconds for its end, so that
    it can be stopped in good order; after that, processes that it has started are killed."""
    from distributed.deploy import spec

    resource_tracker.ensure_running()  # started later, it would have the thread that starts it hear again
    answers: _Answers = queue.SimpleQueue()
    before = set(psutil.Process().children())
    asked = threading.Thread(target=_ask, args=(_deaf(make), answers), daemon=True)
    try:
        asked.start()
        return _answered(answers.get())
    except KeyboardInterrupt:
        with delayed():
            try:
                with _answered(answers.get(timeout=_FINISH_S)) as cluster:
                    _kill_workers(cluster)
            except Exception:  # its own failure, or that it took too long
                atexit.unregister(spec.close_clusters)  # it would wait for what is not yet begun
                _kill_until_ended(asked, before)
        raise


def _kill_until_ended(starting: threading.Thread, before: set[psutil.Process]) -> None:
    """Kill the processes that a thread starts, until it gives up: one that lived longer than this process would
    say on the terminal that it has lost its parent."""
    for _ in range(_KILL_ROUNDS):
        for child in set(psutil.Process().children()) - before:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        starting.join(_KILL_S)
        if not starting.is_alive():
            break


def _kill_workers(cluster: Any) -> None:
    """End worker processes at once: asked to, each would finish its task first, and no task needs to be."""
    for nanny in list(cluster.workers.values()):
        nanny.close_gracefully()  # else it would start another
        if pid := nanny.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()


def _deaf(call: Callable[[], Any]) -> Callable[[], Any]:
    """`call` for a thread: neither it nor threads and processes started from there, then or later, hear Ctrl-C;
    the main thread does, and stops them."""

    def without() -> Any:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return call()

    return without


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the cluster logs of its own end is not for the user, who gets one sentence."""
    loggers = [logging.getLogger(name) for name in ("distributed", "asyncio", "tornado")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _refuse_unencrypted(address: str) -> None:
    """A scheduler runs whatever reaches it: without TLS only loopback is accepted, whatever the protocol.

    Of Dask's protocols (`distributed.comm.registry`) tls:// and wss:// are encrypted and inproc:// stays in
    this process; tcp://, ws://, ucx:// and what others register are taken to be in plain.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in _PAGES:
        raise OptionError(
            f"{address} is the address of a web page, such as a dashboard; a scheduler's is like "
            "tls://host:8786 or tcp://127.0.0.1:8786."
        )
    if parts.scheme in (*_ENCRYPTED, *_THIS_PROCESS) or parts.hostname is None:
        return
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(parts.hostname, None)}
        loopback = all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found)
    except OSError as error:
        raise ClusterError(
            f"the scheduler's host '{parts.hostname}' is not known; check the address."
        ) from error
    if not loopback:
        raise OptionError(
            f"{address} is not encrypted and not on this machine: whoever reaches it can run code there. "
            "Use a tls:// or wss:// scheduler."
        )
