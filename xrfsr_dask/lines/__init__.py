"""Lines of elements: where they lie, what they look like on an axis, how spectra are taken apart by them."""
