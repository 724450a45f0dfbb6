"""helpers/networks/training.py: trained once, resumed exactly, and good enough to be explained."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from helpers import networks, pictures
from helpers.errors import CourseError
from helpers.networks import augment, state, training
from helpers.networks.training import Objective, Recipe, train


@pytest.fixture
def small(data_home):
    """A small set of scenes: ten classes, 160 pictures to train on."""
    from data_scripts.drawn import scenes

    return pictures.load(scenes.prepare(data_home, images=200, size=48, name="small"))


@pytest.fixture
def noise(tmp_path, data_home):
    """Two classes of noise, 16 pictures of each to train on: two batches of TINY, read in no time."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "noise" / label).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "noise" / label / f"{i}.png")
    return pictures.divided(pictures.load(tmp_path / "noise"))


TINY = Recipe("compact_vgg", size=42, epochs=3, batch=16)
ONCE = replace(TINY, epochs=1)


def beginning():
    """First weights with a head for two classes."""
    torch.manual_seed(7)
    return networks.build("compact_vgg", 2).state_dict()


def changed(classifier, start) -> set[str]:
    """The entries of the state dict that differ from those it began with."""
    return {key for key, value in classifier.net.state_dict().items() if not torch.equal(value, start[key])}


def weights(classifier):
    return networks.fingerprint(classifier.net.state_dict())


def test_a_training_is_not_repeated(small, monkeypatch):
    first = train(TINY, small)
    monkeypatch.setattr(training, "_fit", lambda *_: pytest.fail("trained again"))
    assert weights(train(TINY, small)) == weights(first)


def test_another_seed_or_other_data_are_another_training(small):
    keys = [training._key(TINY, small, None, None), training._key(replace(TINY, seed=1), small, None, None)]
    keys.append(training._key(TINY, pictures.divided(small, seed=1), None, None))
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "thirds"},
        {"weight_decay": 0.1},
        {"free": "classifier"},
        {"normalise": "imagenet"},
        {"optimiser": "sgd"},
        {"augment": "cropped"},
    ],
)
def test_another_way_to_train_is_another_training(noise, change):
    assert training._key(replace(TINY, **change), noise, None, None) != training._key(TINY, noise, None, None)


CODE = """def rate(step):
    '''A tenth of it.'''
    return step / 10  # up and up
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [("A tenth of it", "Ten times less", True), ("  # up and up", "", True), ("/ 10", "/ 11", False)],
)
def test_other_words_about_the_code_are_the_same_training_and_other_code_is_not(tmp_path, old, new, same):
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(CODE)
    after.write_text(CODE.replace(old, new))
    assert (state.code_of(str(before)) == state.code_of(str(after))) == same


def test_all_of_the_code_that_trains_is_found():
    code = state.code_of(training.__file__, training.DECIDES)
    assert all(f"\n{start}" in f"\n{code}" for start in training.DECIDES)
    assert "def _trainable" not in code


def test_an_interrupted_training_goes_on_to_the_same_weights(small, monkeypatch, tmp_path, interrupted_after):
    whole = weights(train(TINY, small))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "elsewhere"))
    saved = interrupted_after(2, state, "keep")
    with pytest.raises(KeyboardInterrupt):
        train(TINY, small)
    epochs, run = [], training._epoch
    monkeypatch.setattr(training, "_epoch", lambda epoch, *rest: epochs.append(epoch) or run(epoch, *rest))
    assert weights(train(TINY, small)) == whole
    assert epochs == [len(saved)] == [3]


def test_snapshots_are_the_network_after_each_epoch(small):
    classifier = train(TINY, small, snapshots=True)
    assert len(classifier.snapshots) == len(classifier.history) == 3
    last = networks.load("compact_vgg", str(classifier.snapshots[-1]), pictures.own_outputs(small))
    assert weights(last) == weights(classifier)
    assert last.normalise == "half"


def test_a_training_can_start_from_weights_with_another_head(small):
    start = networks.build("compact_vgg", 1000).state_dict()
    recipe = Recipe("compact_vgg", size=42, epochs=1, batch=16, lr=1e-9)  # a step too small to see
    net = train(recipe, small, start=start).net
    assert torch.allclose(net.features[0].weight, start["features.0.weight"], atol=1e-6)
    assert net.classifier[-1].weight.shape == (10, 128)


def test_without_free_everything_learns(noise):
    start = beginning()
    assert changed(train(ONCE, noise, start=start), start) == set(start)


def test_only_the_free_parameters_learn_and_no_batch_statistics(noise):
    start = beginning()
    found = changed(train(replace(ONCE, free=r"^classifier\.3"), noise, start=start), start)
    assert found == {"classifier.3.weight", "classifier.3.bias"}


def test_free_parameters_of_a_batch_norm_learn_without_its_statistics(noise):
    start = beginning()
    found = changed(train(replace(ONCE, free=r"^features\.1\."), noise, start=start), start)
    assert found == {"features.1.weight", "features.1.bias"}


def test_a_network_trained_in_part_can_be_explained_whole(noise):
    net = train(replace(ONCE, free=r"^classifier\.3"), noise).net
    assert all(p.requires_grad for p in net.parameters())  # gradients with respect to a frozen layer would be None


def test_free_that_finds_no_parameter_is_refused(noise):
    with pytest.raises(CourseError, match="free is 'fc'; no parameter of compact_vgg has such a name"):
        train(replace(ONCE, free="fc"), noise)


@pytest.mark.parametrize("schedule", ["thirds", "cycle", "constant"])
def test_the_learning_rate_of_every_batch_is_the_schedules(noise, monkeypatch, schedule):
    """Six batches: two at each third."""
    begin, optimisers, rates = training._beginning, [], []

    def watched(*given):
        parts = begin(*given)
        optimisers.append(parts[1])
        return parts

    def loss(net, images, labels):
        rates.append(optimisers[0].param_groups[0]["lr"])
        return F.cross_entropy(net(images), labels)

    monkeypatch.setattr(training, "_beginning", watched)
    train(replace(TINY, schedule=schedule, lr=0.01), noise, objective=Objective(loss, "watched"))
    if schedule == "thirds":
        assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])
    elif schedule == "constant":
        assert rates == [1e-2] * 6
    else:
        assert rates[0] < max(rates) > rates[-1]
        assert max(rates) <= 0.01


@pytest.mark.parametrize("schedule", ["thirds", "cycle", "constant"])
def test_a_schedule_goes_on_where_it_was_interrupted(noise, monkeypatch, tmp_path, schedule):
    recipe = replace(TINY, schedule=schedule)
    whole = weights(train(recipe, noise))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "elsewhere"))
    keep = state.keep

    def interrupted(*given):
        keep(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(state, "keep", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, noise)
    monkeypatch.setattr(state, "keep", keep)
    assert weights(train(recipe, noise)) == whole


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_weight_decay_alone_pulls_the_weights_to_zero(noise, decay):
    start = beginning()
    nothing = Objective(lambda net, images, labels: 0 * net(images).sum(), "nothing")  # its gradients are zero
    net = train(replace(ONCE, weight_decay=decay), noise, start=start, objective=nothing).net
    kept = {name: p.abs().mean() / start[name].abs().mean() for name, p in net.named_parameters() if start[name].any()}
    assert {(share < 1 - 1e-5).item() for share in kept.values()} == {decay > 0}  # 1e-5: sums in another order


@pytest.mark.parametrize("normalise", networks.NORMALISE)
def test_the_normalisation_is_kept_with_the_weights(noise, normalise):
    classifier = train(replace(ONCE, normalise=normalise), noise, snapshots=True)
    assert classifier.normalise == normalise
    saved = [classifier.snapshots[0], classifier.snapshots[0].with_name("weights.safetensors")]
    assert [networks.load("compact_vgg", str(file), noise).normalise for file in saved] == [normalise] * 2


def test_the_network_sees_the_normalisation_of_its_recipe(noise):
    highest = []

    def loss(net, images, labels):
        highest.append(images.max().item())
        return F.cross_entropy(net(images), labels)

    train(replace(ONCE, normalise="imagenet"), noise, objective=Objective(loss, "watched"))
    assert max(highest) > 1.5  # "half" ends at 1, "imagenet" at 2.2 to 2.6


@pytest.mark.parametrize("normalise", networks.NORMALISE)
def test_the_history_ends_with_what_the_network_scores(noise, normalise):
    classifier = train(replace(ONCE, normalise=normalise), noise)
    val = noise.split("val")
    accuracy, loss = networks.evaluate(classifier, val, pictures.reader(val, ONCE.size, "squash_crop"))
    last = classifier.history[-1]
    assert (last["accuracy"], last["val_loss"]) == (pytest.approx(accuracy), pytest.approx(loss, rel=1e-4))


def test_an_objective_takes_the_place_of_cross_entropy(noise):
    asked = []

    def seven(net, images, labels):
        asked.append((images.shape, labels.tolist()))
        return 7 + 0 * net(images).sum()

    history = train(ONCE, noise, objective=Objective(seven, "seven")).history
    assert history[0]["loss"] == 7
    assert [shape for shape, _ in asked] == [(16, 3, 42, 42)] * 2
    assert sorted(label for _, labels in asked for label in labels) == [0] * 16 + [1] * 16


def test_cross_entropy_given_as_an_objective_trains_the_same_network(noise):
    same = Objective(lambda net, images, labels: F.cross_entropy(net(images), labels), "cross-entropy")
    assert weights(train(TINY, noise, objective=same)) == weights(train(TINY, noise))


def test_weights_of_one_objective_are_not_used_for_another(noise):
    backwards = Objective(lambda net, images, labels: F.cross_entropy(net(images), 1 - labels), "backwards")
    first, second, third = (train(ONCE, noise, objective=o) for o in (None, backwards, replace(backwards, key="b")))
    assert len({first.source, second.source, third.source}) == 3  # a folder each, whose name is in the source
    assert weights(first) != weights(second)
    assert weights(second) == weights(third)


def test_a_training_with_an_objective_is_not_repeated(noise, monkeypatch):
    seven = Objective(lambda net, images, labels: 7 + 0 * net(images).sum(), "seven")
    first = train(ONCE, noise, objective=seven)
    monkeypatch.setattr(training, "_fit", lambda *_: pytest.fail("trained again"))
    assert weights(train(ONCE, noise, objective=seven)) == weights(first)


def test_the_parts_of_a_loss_are_in_the_history_as_means_over_the_batches(noise):
    batches = []

    def parted(net, images, labels):
        batches.append(1)
        loss = F.cross_entropy(net(images), labels)
        return 2 * loss, {"half": loss.detach(), "count": len(batches)}

    history = train(TINY, noise, objective=Objective(parted, "parted")).history
    assert [h["count"] for h in history] == [1.5, 3.5, 5.5]  # two batches an epoch
    assert [h["half"] for h in history] == pytest.approx([h["loss"] / 2 for h in history])
    assert {"epoch", "loss", "half", "count", "val_loss", "accuracy"} == set(history[0])


def test_a_part_changes_nothing_but_the_history(noise):
    alone = Objective(lambda net, images, labels: F.cross_entropy(net(images), labels), "alone")
    parted = Objective(lambda *given: (alone.loss(*given), {"seven": 7.0}), "parted")
    assert weights(train(ONCE, noise, objective=parted)) == weights(train(ONCE, noise, objective=alone))


@pytest.mark.parametrize(
    ("optimiser", "theirs"),
    [
        ("sgd", lambda p: torch.optim.SGD([p], lr=0.01, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam([p], lr=0.01)),
        ("amsgrad", lambda p: torch.optim.Adam([p], lr=0.01, amsgrad=True)),
    ],
)
def test_every_optimiser_makes_the_steps_it_is_named_for(noise, optimiser, theirs):
    """The gradient of every weight is 3, then 0: Adam forgets, a thousandth a step, the 3 that AMSGrad remembers."""
    gradients, asked = [3.0] + [0.0] * 5, []
    expected = torch.zeros((), requires_grad=True)
    steps = theirs(expected)
    for gradient in gradients:
        expected.grad = torch.tensor(gradient)
        steps.step()

    def loss(net, images, labels):
        asked.append(1)
        return gradients[len(asked) - 1] * sum(p.sum() for p in net.parameters())

    start, recipe = beginning(), replace(TINY, optimiser=optimiser, schedule="constant", lr=0.01)
    net = train(recipe, noise, start=start, objective=Objective(loss, "steps")).net
    for name, p in net.named_parameters():
        assert torch.allclose(p - start[name], expected, rtol=0, atol=1e-6)  # a weight near 1 is rounded by 6e-8 a step


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("optimiser", "amsgrad, adam, sgd"),
        ("schedule", "cycle, thirds, constant"),
        ("augment", "turned, cropped, none"),
        ("fit", "squash_crop, squash, cover, pad"),
    ],
)
def test_a_recipe_with_an_unknown_word_is_refused_before_any_training(name, known):
    with pytest.raises(CourseError, match=f"{name} is 'best'; expected one of {known}"):
        Recipe("compact_vgg", **{name: "best"})


# boxes


@pytest.fixture
def squares(tmp_path, data_home):
    """Two classes of dark noise with a bright square near the middle; and the training pictures' squares, in shares."""
    rng, boxes = np.random.default_rng(0), {}
    for label in ("a", "b"):
        (tmp_path / "squares" / label).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 80, (48, 48, 3), dtype=np.uint8)
            (x, y), (w, h) = rng.integers(14, 20, 2), rng.integers(10, 16, 2)
            pixels[y : y + h, x : x + w] = 255
            Image.fromarray(pixels).save(tmp_path / "squares" / label / f"{i}.png")
            boxes[f"{label}/{i}.png"] = torch.tensor([x, y, x + w, y + h]) / 48
    photos = pictures.divided(pictures.load(tmp_path / "squares"))
    return photos, torch.stack([boxes[file] for file in photos.split("train").table["image"]])


def seen_by_a_loss(recipe, photos, boxes):
    """Bright pixels (N, H, W), labels (N,) and boxes (N, 4) that a loss was given in one training."""
    batches = []

    def watching(net, images, labels, B):
        batches.append((images.amin(1) > 0.2, labels, B))
        return F.cross_entropy(net(images), labels)

    train(recipe, photos, objective=Objective(watching, "watching", boxes))
    return (torch.cat(part) for part in zip(*batches, strict=True))


@pytest.mark.parametrize("way", augment.WAYS)
def test_the_boxes_that_a_loss_is_given_lie_around_the_objects_of_the_pictures_it_is_given(squares, way):
    bright, _, B = seen_by_a_loss(replace(TINY, batch=8, augment=way), *squares)
    assert len(B) == 3 * 16
    assert B.isfinite().all()
    for picture, (x0, y0, x1, y1) in zip(bright, B.tolist(), strict=True):
        y, x = picture.nonzero().T.tolist()
        found = [min(x), min(y), max(x) + 1, max(y) + 1]
        # blurred by half a pixel or so; around a turned square the box is exact, too, but a corner is a point
        assert found == pytest.approx([x0, y0, x1, y1], abs=1.2 if way == "cropped" else 2.5)


def test_pictures_without_a_box_have_none_in_any_batch(squares):
    photos, boxes = squares
    boxes[photos.split("train").labels == 1] = torch.nan
    _, labels, B = seen_by_a_loss(replace(TINY, batch=8, augment="cropped"), photos, boxes)
    assert torch.equal(B.isnan().all(1), labels == 1)
    assert torch.equal(B.isnan().any(1), labels == 1)


def test_boxes_change_nothing_but_what_the_loss_is_given(squares):
    photos, boxes = squares
    recipe = replace(ONCE, batch=8)
    plain = Objective(lambda net, images, labels: F.cross_entropy(net(images), labels), "plain")
    boxed = Objective(lambda net, images, labels, B: F.cross_entropy(net(images), labels), "boxed", boxes)
    assert weights(train(recipe, photos, objective=boxed)) == weights(train(recipe, photos, objective=plain))


def test_other_boxes_are_another_training(squares):
    photos, boxes = squares
    objectives = [Objective(F.cross_entropy, "same words", B) for B in (None, boxes, boxes.flip(0), boxes.clone())]
    keys = [training._key(TINY, photos, None, objective) for objective in objectives]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


@pytest.mark.parametrize("rows", [0, 15, 20])
def test_boxes_that_are_not_one_for_each_training_picture_are_refused(squares, rows):
    """Twenty are as many as there are pictures, but four of those are for checking."""
    objective = Objective(lambda *given: pytest.fail("trained"), "never", torch.rand(rows, 4))
    with pytest.raises(CourseError, match=rf"{rows} boxes for 16 training pictures"):
        train(replace(TINY, batch=8), squares[0], objective=objective)


def test_cropped_pictures_are_checked_whole(noise):
    classifier = train(replace(ONCE, augment="cropped"), noise)
    val = noise.split("val")
    accuracy, loss = networks.evaluate(classifier, val, pictures.reader(val, ONCE.size, "squash"))
    last = classifier.history[-1]
    assert (last["accuracy"], last["val_loss"]) == (pytest.approx(accuracy), pytest.approx(loss, rel=1e-4))


def test_padded_pictures_are_padded_in_training_and_when_checked(tmp_path, data_home):
    for label, grey in (("a", 250), ("b", 200)):
        (tmp_path / "tall" / label).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (21, 42), (grey, grey, grey - i)).save(tmp_path / "tall" / label / f"{i}.png")
    photos, seen = pictures.divided(pictures.load(tmp_path / "tall")), []

    def watching(net, images, labels):
        seen.append(images)
        return F.cross_entropy(net(images), labels)

    recipe = replace(ONCE, batch=8, augment="none", fit="pad")
    classifier = train(recipe, photos, objective=Objective(watching, "watching"))
    black = torch.cat(seen).amax((0, 1, 2)) == -1  # (42,) columns, normalised by halves
    assert black.tolist() == [column < 10 or column >= 31 for column in range(42)]
    val = photos.split("val")
    accuracy, loss = networks.evaluate(classifier, val, pictures.reader(val, 42, "pad"))
    assert classifier.history[-1]["val_loss"] == pytest.approx(loss, rel=1e-4)


def test_too_few_pictures_are_told(album):
    with pytest.raises(CourseError, match="training needs at least 32"):
        train(Recipe("compact_vgg"), pictures.divided(pictures.load(album)))


def test_two_runs_that_want_the_same_network_train_it_once(small, data_home):
    code = f"""
from helpers import pictures
from helpers.networks.training import Recipe, train
if __name__ == "__main__":
    train(Recipe("compact_vgg", size=42, epochs=2, batch=16), pictures.load({str(small.root)!r}))"""
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len([p for p in (data_home / "models").iterdir() if p.is_dir()]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", networks.COMPACT)
def test_a_compact_network_learns_the_embedded_set(name, shared_home):
    classifier = train(Recipe(name), pictures.load("scenes"), snapshots=name == "compact_resnet")
    assert classifier.history[-1]["accuracy"] >= 0.9


def test_weights_of_another_input_begin_no_training_in_silence(noise):
    start = beginning()
    start["features.0.weight"] = start["features.0.weight"][:, :1]  # of a network for grey pictures
    with pytest.raises(
        CourseError, match=r"whose `features.0.weight` has shape \[16, 1, 3, 3\], expected \[16, 3, 3, 3\]"
    ):
        train(ONCE, noise, start=start)
