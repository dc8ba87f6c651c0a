import pytest
import torch

from imos_engine.config import Precision
from imos_engine.training import Phase, TrainingConfig, ValidationConfig, train
from imos_engine.training.clip_step import clip_loss

from .conftest import MovingSquares

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(("precision", "tolerance"), [(Precision.FLOAT32, 0.02), (Precision.BFLOAT16, 0.1)])
def test_two_steps_on_a_gpu_lose_as_much_as_on_the_cpu(tmp_path, tiny_weights, monkeypatch, precision, tolerance):
    losses = {"cpu": [], "cuda": []}

    def noted(network, batch, conditions, **options):
        loss, followed = clip_loss(network, batch, conditions, **options)
        losses[batch.frames.device.type].append(float(loss.detach()))
        return loss, followed

    monkeypatch.setattr("imos_engine.training.loop.clip_loss", noted)
    config = TrainingConfig(
        phases=(Phase(steps=2, frames=3, size=64, batch=2, warm_up=0.0),),
        precision=precision,
        validation=ValidationConfig(every=2, clips=1, frames=3, size=64),
        workers=0,
    )
    for device in losses:
        path = train(config, output_dir=tmp_path / device, device=device, weights=tiny_weights, source=MovingSquares)
        assert path.is_file()
    assert len(losses["cuda"]) == 2
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=tolerance)
