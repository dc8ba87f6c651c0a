import pytest

from imos_engine.adapters import AdapterError
from imos_engine.adapters.split import REGISTRY, Role, SplitRegistry, validation_target


def roles(registry, names):
    return {name: registry.role(name) for name in names}


def grown(folder, count, labels=("liver",)):
    """One image after another, each time with a registry read from disk."""
    for number in range(count):
        SplitRegistry(folder).assign({f"{index:03}": labels for index in range(number + 1)})
    return SplitRegistry(folder)


def test_a_role_once_given_never_changes(tmp_path):
    names, seen = [f"{index:03}" for index in range(40)], {}
    for count in range(1, 41):
        registry = SplitRegistry(tmp_path)
        registry.assign(dict.fromkeys(names[:count], ("liver",)))
        now = roles(registry, names[:count])
        assert seen.items() <= now.items()
        seen = now


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 20])
def test_as_many_validate_as_should(tmp_path, count):
    registry = grown(tmp_path, count)
    given = [registry.role(f"{index:03}") for index in range(count)]
    assert given.count(Role.VALIDATION) == validation_target(count)


def test_images_that_come_together_are_split_like_images_that_come_one_by_one(tmp_path):
    registry = SplitRegistry(tmp_path)
    registry.assign({f"{index:03}": ("liver",) for index in range(5)})
    assert [registry.role(f"{index:03}") for index in range(5)].count(Role.VALIDATION) == 2


def test_every_label_gets_validation_images_and_is_trained_first(tmp_path):
    registry = SplitRegistry(tmp_path)
    images = {f"{index:03}": ("liver",) if index < 12 else ("spleen",) for index in range(18)}
    registry.assign(images)
    for label in ("liver", "spleen"):
        given = [registry.role(name) for name, labels in images.items() if label in labels]
        assert given[0] is Role.TRAINING
        assert given.count(Role.VALIDATION) >= 1


def test_a_label_that_is_not_trained_yet_never_validates(tmp_path):
    registry = grown(tmp_path, 4)
    registry.assign({f"{index:03}": ("liver",) for index in range(4)} | {"new": ("liver", "tumor")})
    assert registry.role("new") is Role.TRAINING


def test_a_registry_that_cannot_be_read_is_not_forgotten_in_silence(tmp_path):
    grown(tmp_path, 3)
    (tmp_path / REGISTRY).write_text('{"images": {"000": ')
    with pytest.raises(AdapterError, match="restore it"):
        SplitRegistry(tmp_path)
