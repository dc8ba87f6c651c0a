"""Images that one test has for itself, on the server that all tests share."""

import itertools

NUMBERS = itertools.count()


def new_image(server, like="plain"):
    """Upload a copy of a stored image; returns its id."""
    name = f"{like}_{next(NUMBERS)}"
    server.client.upload_image(str(server.studies / f"{like}.nii.gz"), name)
    return name
