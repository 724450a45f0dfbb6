"""helpers/training.py: trained once, resumed exactly, and good enough to be explained."""

import subprocess
import sys

import pytest
import torch

from helpers import data, models, training
from helpers.errors import CourseError
from helpers.training import Recipe, train


@pytest.fixture
def small(data_home):
    """A small set of scenes: ten classes, 160 pictures to train on."""
    from data_scripts import scenes

    return data.load(scenes.prepare(data_home, images=200, size=48, name="small"))


TINY = Recipe("compact_vgg", size=42, epochs=3, batch=16)


def weights(classifier):
    return models.fingerprint(classifier.net.state_dict())


def test_a_training_is_not_repeated(small, monkeypatch):
    first = train(TINY, small)
    monkeypatch.setattr(training, "_fit", lambda *_: pytest.fail("trained again"))
    assert weights(train(TINY, small)) == weights(first)


def test_another_seed_or_other_data_are_another_training(small):
    keys = [training._key(TINY, small, None), training._key(Recipe("compact_vgg", seed=1), small, None)]
    keys.append(training._key(TINY, data.divided(small, seed=1), None))
    assert len(set(keys)) == 3


def test_an_interrupted_training_goes_on_to_the_same_weights(small, monkeypatch, tmp_path):
    whole = weights(train(TINY, small))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "elsewhere"))
    save, saved = training._keep, []

    def interrupted(*arguments):
        save(*arguments)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, small)
    monkeypatch.setattr(training, "_keep", save)
    epochs, run = [], training._epoch
    monkeypatch.setattr(training, "_epoch", lambda epoch, *rest: epochs.append(epoch) or run(epoch, *rest))
    assert weights(train(TINY, small)) == whole
    assert epochs == [3]


def test_snapshots_are_the_network_after_each_epoch(small):
    classifier = train(TINY, small, snapshots=True)
    assert len(classifier.snapshots) == len(classifier.history) == 3
    last = models.load("compact_vgg", str(classifier.snapshots[-1]), data.own_outputs(small))
    assert weights(last) == weights(classifier)
    assert last.normalise == "half"


def test_a_training_can_start_from_weights_with_another_head(small):
    start = models.build("compact_vgg", 1000).state_dict()
    recipe = Recipe("compact_vgg", size=42, epochs=1, batch=16, lr=1e-9)  # a step too small to see
    net = train(recipe, small, start=start).net
    assert torch.allclose(net.features[0].weight, start["features.0.weight"], atol=1e-6)
    assert net.classifier[-1].weight.shape == (10, 128)


def test_augmented_pictures_stay_inside_the_range_and_differ():
    images = torch.rand(4, 3, 64, 64)
    out = training.augmented(images, 56, torch.Generator().manual_seed(0))
    assert out.shape == (4, 3, 56, 56)
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.allclose(out, training.augmented(images, 56, torch.Generator().manual_seed(1)))


def test_augmentation_flips_half_of_the_pictures():
    images = torch.zeros(400, 1, 32, 32)
    images[..., :16] = 1  # the left half; rotation within 30 degrees keeps it mostly left
    out = training.augmented(images.expand(-1, 3, -1, -1), 28, torch.Generator().manual_seed(0))
    left = (out[..., :14].mean((1, 2, 3)) > out[..., 14:].mean((1, 2, 3))).float().mean()
    assert 0.4 < left < 0.6  # four standard deviations of a fair coin thrown 400 times


def test_too_few_pictures_are_told(album):
    with pytest.raises(CourseError, match="training needs at least 32"):
        train(Recipe("compact_vgg"), data.divided(data.load(album)))


def test_two_runs_that_want_the_same_network_train_it_once(small, data_home):
    code = f"""
from helpers import data
from helpers.training import Recipe, train
if __name__ == "__main__":
    train(Recipe("compact_vgg", size=42, epochs=2, batch=16), data.load({str(small.root)!r}))"""
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len([p for p in (data_home / "models").iterdir() if p.is_dir()]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", models.COMPACT)
def test_a_compact_network_learns_the_embedded_set(name, shared_home):
    classifier = train(Recipe(name), data.load("scenes"), snapshots=name == "compact_resnet")
    assert classifier.history[-1]["accuracy"] >= 0.9
