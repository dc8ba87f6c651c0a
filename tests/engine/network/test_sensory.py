from __future__ import annotations

import torch
import torch.nn.functional as F

from imos_engine.network.sensory import DecoderUpdate, gated_update


def random_gates(channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    gates = torch.randn(2, 3 * channels, 4, 5, generator=random)
    return gates, torch.rand(2, channels, 4, 5, generator=random) * 2 - 1


def test_gated_update_matches_its_definition_number_by_number():
    gates, hidden = random_gates()
    updated = gated_update(gates, hidden)
    for place in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3)]:
        batch, channel, row, column = place
        forget, update, new = (float(gates[batch, part * 3 + channel, row, column]) for part in range(3))
        forget, update = 1 / (1 + 2.718281828459045**-forget), 1 / (1 + 2.718281828459045**-update)
        expected = forget * float(hidden[place]) * (1 - update) + update * float(torch.tanh(torch.tensor(new)))
        torch.testing.assert_close(float(updated[place]), expected, atol=1e-6, rtol=1e-6)


def test_a_closed_update_gate_keeps_the_state_and_an_open_one_replaces_it():
    gates, hidden = random_gates()
    forget, update, new = gates.chunk(3, dim=1)
    keep = torch.cat((torch.full_like(forget, 40), torch.full_like(update, -40), new), dim=1)
    replace = torch.cat((forget, torch.full_like(update, 40), new), dim=1)
    torch.testing.assert_close(gated_update(keep, hidden), hidden)
    torch.testing.assert_close(gated_update(replace, hidden), torch.tanh(new))


def test_a_state_between_minus_1_and_1_stays_there_however_often_it_is_updated():
    gates, hidden = random_gates()
    for step in range(50):
        hidden = gated_update(gates.roll(step, dims=0) * 3, hidden)
    assert hidden.abs().max() <= 1


def test_the_state_keeps_its_own_precision_whatever_the_gates_have():
    gates, hidden = random_gates()
    assert gated_update(gates.bfloat16(), hidden).dtype == torch.float32


def test_the_decoders_update_averages_finer_strides_down_to_the_coarsest():
    torch.manual_seed(0)
    update = DecoderUpdate((6, 5, 4), 7, 3)
    g16, g8, g4 = torch.randn(2, 6, 2, 3), torch.randn(2, 5, 4, 6), torch.randn(2, 5, 8, 12)
    hidden = torch.randn(2, 3, 2, 3)
    summed = update.g16_conv(g16)
    for finer, convolution in ((g8, update.g8_conv), (g4, update.g4_conv)):
        summed = summed + F.interpolate(convolution(finer), size=(2, 3), mode="area")
    expected = gated_update(update.transform(torch.cat((summed, hidden), dim=1)), hidden)
    torch.testing.assert_close(update(g16, g8, g4, hidden), expected)
