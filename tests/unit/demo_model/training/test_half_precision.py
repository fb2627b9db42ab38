import torch

from demo_model.training.half_precision import half_precision


def product(device: torch.device) -> torch.Tensor:
    with half_precision(device):
        return torch.ones(2, 2) @ torch.ones(2, 2)


def test_on_a_cpu_nothing_is_rounded() -> None:
    assert product(torch.device("cpu")).dtype == torch.float32


def test_on_a_gpu_it_is_bfloat16_and_no_cast_weight_is_kept() -> None:
    context = half_precision(torch.device("cuda"))
    assert context.fast_dtype == torch.bfloat16
    assert context._cache_enabled is False
