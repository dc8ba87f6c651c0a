"""What is refused, with which status, and the test over HTTP that holds the sentence to its words."""

from __future__ import annotations

from dataclasses import dataclass

BAD = "test_bad_requests.py::"


@dataclass(frozen=True)
class Refusal:
    """One kind of request that cannot be served."""

    status: int
    when: str
    test: str  # file in tests/app, and the test in it


NONSENSE = f"{BAD}test_a_request_that_makes_no_sense_is_refused_with_a_remedy"
NO_VOLUME = f"{BAD}test_an_image_that_is_no_volume_is_refused"
OTHER_LABEL = f"{BAD}test_a_label_file_that_does_not_fit_is_refused"
REFUSALS = (
    Refusal(400, "`params` is no JSON object", f"{BAD}test_params_that_are_no_json_object_are_refused"),
    Refusal(400, "no image is named", f"{BAD}test_a_request_without_an_image_is_refused"),
    Refusal(404, "an unknown model", f"{BAD}test_an_unknown_model_is_refused_with_the_names_of_those_offered"),
    Refusal(404, "an unknown image", f"{BAD}test_an_unknown_image_is_refused"),
    Refusal(404, "a session that has expired", f"{BAD}test_a_session_that_has_expired_is_refused"),
    Refusal(
        404, "a path of the server's disk in place of an id", f"{BAD}test_a_path_is_not_read_even_if_the_file_exists"
    ),
    Refusal(415, "a label file without a grid (`.bin`)", f"{BAD}test_a_label_file_that_is_no_image_is_refused"),
    Refusal(422, "no seed at all", NONSENSE),
    Refusal(422, "marks outside the volume", NONSENSE),
    Refusal(422, "an unknown option, window, adapter, device, or a value that it does not take", NONSENSE),
    Refusal(422, "a label file on another grid, with fractions, or blank", OTHER_LABEL),
    Refusal(422, "a two-dimensional, empty or unreadable image", NO_VOLUME),
    Refusal(
        422,
        "a reply to be saved that has no name, or one name for several structures",
        "test_saving.py::test_ohif_which_sends_no_name_chooses_one",
    ),
    Refusal(
        422,
        "a reply to be saved for an image that the datastore does not hold",
        "test_saving.py::test_an_image_that_the_datastore_does_not_hold_has_no_label",
    ),
    Refusal(
        422, "a saved label on another grid", "test_saving.py::test_a_saved_label_on_another_grid_is_not_overwritten"
    ),
)
