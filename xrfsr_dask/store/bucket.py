"""Who talks to an S3 bucket, as Zarr needs it and as places do; what goes wrong is told in one sentence.

Endpoint, region and credentials come from the environment (``AWS_…``); they are never stored or passed on.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from zarr.storage import ObjectStore

from xrfsr_dask.errors import MissingPackageError, StoreError

SCHEME = "s3://"

# A server that is gone is told after seconds, one that accepts and never answers after `timeout`.
_CLIENT = {"connect_timeout": "5s", "timeout": "120s"}
_RETRIES = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2},
}


def client(bucket: str) -> Any:
    """Who talks to a bucket; found again unless the environment has changed."""
    return _new_client(bucket, tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))))


@functools.lru_cache(maxsize=16)
def _new_client(bucket: str, environment: tuple[tuple[str, str], ...]) -> Any:
    with asking(bucket) as obs:
        plain = any(k.startswith("AWS_ENDPOINT") and v.startswith("http://") for k, v in environment)
        options = _CLIENT | ({"allow_http": True} if plain else {})
        return obs.store.S3Store(bucket, client_options=options, retry_config=_RETRIES)


def _told(method: Callable[..., Awaitable[Any]]) -> Any:
    """A method of `Prefix` that takes a key, from that of its base."""

    @functools.wraps(method)
    async def asked(self: Prefix, key: str, *args: Any, **kwargs: Any) -> Any:
        with asking(self.bucket):
            return await method(self, self.whole(key), *args, **kwargs)

    return asked


class Prefix(ObjectStore[Any]):
    """What lies below a key of a bucket, as Zarr reads and writes it; its failures are told in our words.

    Zarr is shown nothing of what lies above. Pickled, it is its names alone: whoever unpickles it has their own
    credentials.
    """

    def __init__(self, bucket: str, key: str, *, read_only: bool = False) -> None:
        super().__init__(client(bucket), read_only=read_only)
        self.bucket, self.key = bucket, key

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and str(self) == str(other)

    def __reduce__(self) -> Any:
        return functools.partial(Prefix, read_only=self.read_only), (self.bucket, self.key)

    def with_read_only(self, read_only: bool = False) -> Prefix:
        """The same, to be written to or not."""
        return Prefix(self.bucket, self.key, read_only=read_only)

    def whole(self, key: str) -> str:
        """A key below the prefix as the bucket has it."""
        return f"{self.key}/{key}".rstrip("/")

    get = _told(ObjectStore.get)
    exists = _told(ObjectStore.exists)
    set = _told(ObjectStore.set)
    set_if_not_exists = _told(ObjectStore.set_if_not_exists)
    delete = _told(ObjectStore.delete)
    getsize = _told(ObjectStore.getsize)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> Any:
        """Parts of values."""
        with asking(self.bucket):
            return await super().get_partial_values(prototype, [(self.whole(k), r) for k, r in key_ranges])

    async def delete_dir(self, prefix: str) -> None:
        """Remove all below a prefix."""
        with asking(self.bucket) as obs:
            found = await obs.list(self.store, f"{self.whole(prefix)}/").collect_async()
            if found:
                await obs.delete_async(self.store, [told["path"] for told in found])

    async def list(self) -> AsyncIterator[str]:  # type: ignore[override]
        """All keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:  # type: ignore[override]
        """All keys below a prefix."""
        with asking(self.bucket):
            async for key in super().list_prefix(f"{self.whole(prefix)}/"):
                yield key.removeprefix(f"{self.key}/")

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:  # type: ignore[override]
        """Names right below a prefix."""
        with asking(self.bucket):
            async for key in super().list_dir(self.whole(prefix)):
                yield key


@contextlib.contextmanager
def asking(bucket: str, place: object = None) -> Iterator[Any]:
    """The package `obstore`; what it raises in the block becomes one sentence.

    Raises
    ------
    FileNotFoundError
        There is no such object.
    StoreError
        No such bucket, credentials refused or missing, nobody answers, or a failure of the object store.
    """
    try:
        import obstore
    except ImportError as error:
        raise MissingPackageError(
            f"{place or SCHEME + bucket} lies on an object store, which needs obstore; "
            "`pip install 'xrfsr_dask[s3]'`."
        ) from error
    try:
        yield obstore
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StoreError(_sentence(bucket, error)) from error
        raise FileNotFoundError(errno.ENOENT, "there is no such object", str(place or bucket)) from error
    except obstore.exceptions.BaseError as error:
        raise StoreError(_sentence(bucket, error)) from error


def _sentence(bucket: str, error: Exception) -> str:
    text, endpoint = str(error), os.environ.get("AWS_ENDPOINT_URL", "Amazon S3")
    code = re.search(r"<Code>(\w+)</Code>", text)
    reason = code[1] if code else text.partition("\n")[0].rpartition(" - ")[2][:120]
    if reason == "NoSuchBucket":
        return (
            f"there is no bucket '{bucket}' at {endpoint}; create it, or check its name and AWS_ENDPOINT_URL."
        )
    if "Missing AccessKeyId" in text or "169.254.169.254" in text:
        return (
            f"no credentials were found for the bucket '{bucket}'; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment."
        )
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return (
            f"{endpoint} refuses these credentials for the bucket '{bucket}' ({reason}); check "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do."
        )
    return (
        f"the bucket '{bucket}' at {endpoint} cannot be reached or failed ({reason}); check AWS_ENDPOINT_URL, "
        "AWS_REGION and the network, and repeat the same command: a run goes on from its last checkpoint."
    )
