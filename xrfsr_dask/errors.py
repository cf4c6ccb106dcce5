"""Every exception a user can meet. Each message names the thing, what was found and what to do."""


class XrfsrError(Exception):
    """Base of all errors of this package; the command line prints its text and exits with status 1.

    Examples
    --------
    >>> try:
    ...     xs.open_result("bedroom.zarr", "jiont")
    ... except xs.XrfsrError as error:
    ...     print(error)
    bedroom.zarr holds no result 'jiont'; it holds: joint, truth.
    """


class OptionError(XrfsrError):
    """An option has a value that cannot work."""


class InputError(XrfsrError):
    """A file or array given by the user cannot be used."""


class StoreError(XrfsrError):
    """The painting store is not one, is of another version, or lacks what was asked for."""


class DamagedStoreError(StoreError):
    """A chunk of the store is missing, or its checksum does not match."""


class TilingError(XrfsrError):
    """Tiles, cells and the image do not fit each other."""


class MemoryBudgetError(XrfsrError):
    """A task would need more memory than it may have; raised before anything is submitted."""


class ResumeError(XrfsrError):
    """A run cannot go on from what an earlier one left."""


class ClusterError(XrfsrError):
    """No scheduler answers, or the cluster was lost."""


class ClusterWarning(UserWarning):
    """A run waits for a cluster that has no workers left; raised by nobody, given by `warnings.warn`."""


class PlacementWarning(UserWarning):
    """A scan does not lie where it was placed; raised by nobody, given by `warnings.warn`."""


class MissingPackageError(XrfsrError):
    """An optional package is needed for what was asked."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text without its full stop, or its class where it has none."""
    return (str(error) or type(error).__name__).splitlines()[0][:200].rstrip(".")
