"""One server for all tests over HTTP, with a network of our own that finds every object everywhere."""

import warnings

import pytest
import torch

with warnings.catch_warnings():
    # MONAI Label warns about the versions of its own dependencies while it is imported.
    warnings.simplefilter("ignore")
    import lib.endpoint  # noqa: F401
    from tests.app.server import running

from imos_engine.config import Block, NetworkConfig
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import save_network
from tests.app.images import AFFINES, save_nifti, write_studies

NARROW = NetworkConfig(
    key_block=Block.BASIC,
    key_depths=(1, 1, 1),
    value_depths=(1, 1, 1),
    width=8,
    key_channels=8,
    value_channels=16,
    hidden_channels=8,
    decoder_channels=(16, 8, 8),
    sensory_channels=8,
)
SMALL = {"size": 48, "precision": "float32", "threads": 1}  # of what a server computes


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A network whose answer is known: every object fills every slice it is carried to."""
    torch.manual_seed(0)
    network = ImosNetwork(NARROW)
    with torch.no_grad():
        network.decoder.pred.weight.zero_()
        network.decoder.pred.bias.fill_(6.0)
    path = tmp_path_factory.mktemp("weights") / "everywhere.safetensors"
    save_network(path, network)
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory, weights):
    """The real server process on a folder of small images."""
    folder = tmp_path_factory.mktemp("server")
    conf = {**SMALL, "weights": weights, "labels": "liver,spleen", "sessions": folder / "journals"}
    with running(folder, conf, write=write_studies) as server:
        yield server


@pytest.fixture
def label_file(tmp_path):
    """Write a label map on a grid; returns its path."""

    def write(labels, affine=AFFINES["plain"]):
        save_nifti(tmp_path / "label.nii.gz", labels, affine)
        return tmp_path / "label.nii.gz"

    return write
