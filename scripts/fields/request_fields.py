"""What each field of a request accepts and means, and the test over HTTP that holds it to that.

The names come from the code that reads them: a field without an entry here, or the reverse, is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestField:
    """One field of `params`."""

    accepts: str
    means: str
    test: str  # file in tests/app, and the test in it


POINTS = "[[i, j, k], ...], or a table of such lists by structure"
MARKS: Mapping[str, RequestField] = {
    "foreground": RequestField(
        POINTS, "points on the structure", "test_slicer.py::test_smart_edit_uses_the_points_of_every_slice"
    ),
    "background": RequestField(
        POINTS,
        "points on anything else",
        "test_clicks_and_options.py::test_background_clicks_on_a_carried_slice_correct_it",
    ),
    "roi": RequestField(
        "[imin, imax, jmin, jmax, kmin, kmax], or []",
        "a box: a prompt if it is alone, else a limit",
        "test_slicer.py::test_scribbles_stay_inside_their_region",
    ),
    "label": RequestField(
        "a name",
        "the structure worked on (the form's field `label` is the file)",
        "test_bad_requests.py::test_a_label_in_the_json_is_a_name_and_never_a_path",
    ),
    "selected_label_name": RequestField(
        "a name",
        "the same, as Scribbles send it",
        "test_slicer.py::test_scribbles_belong_to_the_selected_segment_whatever_its_place",
    ),
    "label_info": RequestField(
        '[{"name", "id"}, ...]',
        "names of the values in the label file",
        "test_slicer.py::test_painted_slices_come_back_as_they_were_painted",
    ),
}
REPLY_FILE: Mapping[str, RequestField] = {
    "result_extension": RequestField(
        "`.nii.gz`, `.nii`, `.nrrd`, `.mha`",
        "kind of the label map's file; by default that of the image",
        "test_clicks_and_options.py::test_ohif_gets_an_uncompressed_nrrd_of_bytes_on_the_grid",
    ),
    "result_dtype": RequestField(
        "`uint8`, `uint16`, `int16`, `int32`, `float32`",
        "number type in it; by default the smallest that holds all ids",
        "test_clicks_and_options.py::test_ohif_gets_an_uncompressed_nrrd_of_bytes_on_the_grid",
    ),
    "result_compress": RequestField(
        "true, false",
        "whether NRRD and MetaImage are compressed",
        "test_clicks_and_options.py::test_ohif_gets_an_uncompressed_nrrd_of_bytes_on_the_grid",
    ),
    "restore_label_idx": RequestField(
        "anything",
        "OHIF's; ids are never changed, so nothing depends on it",
        "test_clicks_and_options.py::test_ohif_gets_an_uncompressed_nrrd_of_bytes_on_the_grid",
    ),
}
CLIENT: Mapping[str, RequestField] = {
    "client_id": RequestField(
        "a text",
        "who asks: earlier marks of another client are never seen",
        "test_sessions.py::test_two_clients_on_one_image_never_see_each_others_state",
    ),
    "session_id": RequestField(
        "a session's id",
        "the image that was uploaded with PUT /session/ (in the address)",
        "test_slicer.py::test_an_image_of_a_session_is_segmented",
    ),
    "save_label": RequestField(
        "true, false",
        "keep the reply's file as a label of its own, as MONAI Label does; `save_as` adds to the final label",
        "test_serving.py::test_a_request_may_save_its_own_result",
    ),
    "label_tag": RequestField(
        "letters, digits, - and _",
        "the tag of that label",
        "test_serving.py::test_a_request_may_save_its_own_result",
    ),
    "logging": RequestField("anything", "MONAI Label's; ignored", "test_fields.py::test_every_field_can_be_sent"),
}
OPTIONS: Mapping[str, RequestField] = {
    "seed_mode": RequestField(
        "",
        "what painted voxels mean; auto: strokes by name, masks otherwise",
        "test_label_files.py::test_a_label_file_of_strokes_becomes_masks",
    ),
    "slice_axis": RequestField(
        "",
        "array axis to carry along; auto: across which marks are planar, else the coarsest spacing",
        "test_slicer.py::test_an_option_that_a_person_changes_is_obeyed",
    ),
    "direction": RequestField(
        "", "where to, from each seed", "test_clicks_and_options.py::test_masks_are_carried_where_the_options_say"
    ),
    "slice_range": RequestField(
        "[first, last], both included",
        "slices to compute; all by default",
        "test_clicks_and_options.py::test_masks_are_carried_where_the_options_say",
    ),
    "window": RequestField(
        "also [level, width]",
        "grey values shown to the networks; auto: of a CT the window that shows what is marked, else percentiles",
        "test_clicks_and_options.py::test_a_ct_is_segmented_in_any_window_that_shows_the_object",
    ),
    "adapter": RequestField(
        "a version of the bank",
        "weights learned from accepted labels",
        "test_bad_requests.py::test_a_request_that_makes_no_sense_is_refused_with_a_remedy",
    ),
    "objects": RequestField(
        '{"liver": 1, ...}, or "liver=1, spleen=2"',
        "several structures in one request, and their values",
        "test_clicks_and_options.py::test_several_objects_can_be_clicked_in_one_request",
    ),
    "propagate": RequestField(
        "true, false",
        "false: the seed slices alone, for a look at the marks",
        "test_clicks_and_options.py::test_masks_are_carried_where_the_options_say",
    ),
    "device": RequestField(
        "what `/info/` lists",
        "where to compute; by default where the server does",
        "test_clicks_and_options.py::test_the_reply_says_what_was_done",
    ),
    "save_as": RequestField(
        "also any name",
        "make the reply part of the image's final label; its name: under the name of the segment",
        "test_saving.py::test_a_saved_reply_is_the_final_label_of_its_image",
    ),
    "save_over": RequestField(
        "true, false",
        "in a label map, take voxels that other saved structures hold; DICOM SEG keeps both",
        "test_saving.py::test_structures_that_overlap_keep_what_each_had_unless_one_takes_it",
    ),
    "history": RequestField(
        "",
        "undo goes back by one request of this client on this image, redo forward",
        "test_sessions.py::test_steps_can_be_undone_and_done_again",
    ),
    "accepted_slices": RequestField(
        "[slice, ...]",
        "right as they are: they come back unchanged",
        "test_corrections.py::test_accepted_slices_become_seeds_and_come_back_as_they_were",
    ),
    "protected": RequestField(
        "[name, ...]",
        "structures whose voxels nothing may change",
        "test_corrections.py::test_protected_labels_come_back_as_they_were_answered",
    ),
    "reset_state": RequestField(
        "true, false",
        "forget what this client marked on this image before",
        "test_sessions.py::test_a_session_can_start_over",
    ),
}
