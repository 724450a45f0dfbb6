from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from data_scripts.drawn import faces
from data_scripts.drawn.face_hair import LOOKS, STYLES
from data_scripts.drawn.face_paint import FACE, ID, REGIONS
from data_scripts.drawn.faces import ATTRIBUTES, COINS, face, layers, prepare
from data_scripts.drawn.scenes import box_of

REGION_OF = {"Eyeglasses": "eye_g", "Wearing_Hat": "hat", "Wearing_Earrings": "ear_r", "Wearing_Necklace": "neck_l"}
ALWAYS = ("background", "skin", "nose", "u_lip", "l_lip", "hair", "neck", "cloth")


@pytest.fixture(scope="module")
def drawn():
    """300 faces at the smallest size, where a region is lost first."""
    return [face(seed=seed, size=64) for seed in range(300)]


@pytest.fixture(scope="module")
def coins():
    """What 4,000 faces are to have, without drawing them."""
    return pd.DataFrame([faces._drawn_attributes(np.random.default_rng([seed, 0])) for seed in range(4000)])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), images=100, size=64)


def read(folder):
    return pd.read_csv(folder / "index.csv", keep_default_na=False)


def centre(mask, region):
    return np.argwhere(mask == ID[region])[:, 1].mean() / mask.shape[1]


# --- one face ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_face():
    one, two, other = face(seed=3), face(seed=3), face(seed=4)
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.mask, two.mask)
    assert (one.attributes, one.boxes) == (two.attributes, two.boxes)
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("size", [64, 97, 160])
def test_a_face_has_the_promised_types(size):
    picture = face(seed=1, size=size)
    assert (picture.image.dtype, picture.image.shape) == (np.uint8, (size, size, 3))
    assert (picture.mask.dtype, picture.mask.shape) == (np.uint8, (size, size))
    assert list(picture.attributes) == [*ATTRIBUTES, "skin_tone", "hair"]


def test_a_face_at_another_size_is_the_same_face():
    small, large = face(seed=5, size=64), face(seed=5, size=128)
    # only pixels that a region's rim crosses may differ, about one in eight at 64 pixels
    assert (small.mask == large.mask[::2, ::2]).mean() > 0.85
    assert small.attributes == large.attributes


def test_masks_hold_the_19_regions_and_nothing_else(drawn):
    assert len(REGIONS) == 19
    seen = set().union(*(np.unique(picture.mask).tolist() for picture in drawn))
    assert seen == set(range(19)), "every region occurs somewhere, the necktie has no id of its own"


def test_what_every_face_has_is_in_every_mask(drawn):
    for picture in drawn:
        assert {ID[region] for region in ALWAYS} <= set(np.unique(picture.mask).tolist())


@pytest.mark.parametrize(("attribute", "region"), REGION_OF.items())
def test_a_worn_thing_has_pixels_just_when_it_is_worn(drawn, attribute, region):
    for picture in drawn:
        assert (picture.mask == ID[region]).any() == picture.attributes[attribute]


def test_boxes_are_there_just_when_hat_and_necktie_are(drawn):
    for picture in drawn:
        assert ("hat" in picture.boxes) == picture.attributes["Wearing_Hat"]
        assert ("necktie" in picture.boxes) == picture.attributes["Wearing_Necktie"]


def test_the_hats_box_is_tight_around_its_region(drawn):
    for picture in drawn:
        if "hat" in picture.boxes:
            assert picture.boxes["hat"] == box_of(picture.mask == ID["hat"])


def test_the_neckties_box_lies_on_clothes_and_frames_what_a_tie_paints():
    for seed in range(12):
        tied = face({"Wearing_Necktie": 1}, seed)
        x0, y0, x1, y1 = tied.boxes["necktie"]
        inside = tied.mask[y0:y1, x0:x1] == ID["cloth"]
        assert inside.any(0).all()
        assert inside.any(1).all()
        assert y1 == 128, "a tie hangs down to the lower edge"
        assert 5 <= x1 - x0 <= 32


def test_the_persons_right_is_on_the_viewers_left(drawn):
    for picture in drawn:
        for part in ("eye", "brow", "ear"):
            sides = [f"{side}_{part}" for side in "lr"]
            if all((picture.mask == ID[side]).any() for side in sides):
                assert centre(picture.mask, sides[0]) > centre(picture.mask, sides[1])


@pytest.mark.parametrize("part", ["eye", "brow"])
def test_left_and_right_mean_what_they_mean_in_celebamask(real_data, part):
    folder, sides = real_data / "celebamask512", [f"{side}_{part}" for side in "lr"]
    assert dict(pd.read_csv(folder / "regions.csv").itertuples(index=False)) == dict(enumerate(REGIONS))
    masks = [np.asarray(Image.open(file)) for file in sorted((folder / "masks").iterdir())[:40]]
    masks = [mask for mask in masks if all((mask == ID[side]).any() for side in sides)]
    assert len(masks) >= 20
    # a turned head may show one eye alone, and some masks have the two mixed up: chance would be one half
    assert np.mean([centre(mask, sides[0]) > centre(mask, sides[1]) for mask in masks]) >= 0.8


def test_no_region_has_pixels_of_its_own(drawn):
    nose = np.mean([picture.mask == ID["nose"] for picture in drawn], 0)
    assert nose.max() < 0.9, "the same pixel is not always nose"
    assert np.std([centre(picture.mask, "nose") for picture in drawn]) > 0.03


# --- layers, where regions overlap ------------------------------------------------------------------------------------


def test_layers_contain_the_exclusive_mask_and_no_background(drawn):
    for seed in range(60):
        found, mask = layers(seed=seed, size=64), drawn[seed].mask
        assert (found.dtype, found.shape) == (bool, (19, 64, 64))
        assert not found[ID["background"]].any()
        assert all(found[k][mask == k].all() for k in range(1, 19))


def test_there_is_skin_behind_every_part_of_the_face():
    for seed in range(20):
        found = layers(seed=seed, size=64)
        assert found[ID["l_eye"]].any()
        assert not (found[list(FACE)].any(0) & ~found[ID["skin"]]).any()


@pytest.mark.parametrize(
    ("attribute", "parts"),
    [
        ("Eyeglasses", ["skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow"]),
        ("Wearing_Earrings", ["l_ear", "r_ear", "skin", "hair", "neck", "cloth"]),
        ("Wearing_Necklace", ["neck", "cloth"]),
    ],
)
def test_what_is_worn_hides_nothing_in_layers(attribute, parts):
    for seed in range(10):
        off, on = (layers({attribute: value}, seed, size=64) for value in (0, 1))
        for part in parts:
            # a pixel that three regions share may go to another one when a fourth takes some of it
            assert (off[ID[part]] ^ on[ID[part]]).sum() <= 2


def test_hair_and_hats_hide_the_skull_and_what_is_hidden_altogether_has_no_layer():
    for seed in range(6):
        found = layers({"hair": "wavy", "Wearing_Hat": 1, "Eyeglasses": 0}, seed, size=64)
        below = found[ID["hat"]] & found[ID["skin"]]
        assert not (below & ~found[list(FACE[1:])].any(0)).any()
        assert not found[ID["eye_g"]].any()


def test_layers_on_disk_are_the_layers_of_the_test_pictures(small):
    index = read(small)
    assert (index.layers.ne("") == index.split.eq("test")).all()
    assert len(list((small / "layers").iterdir())) == 15
    for row in index[index.split == "test"].itertuples():
        found = {file.stem: np.asarray(Image.open(file)) for file in (small / row.layers).iterdir()}
        wanted = layers(seed=row.Index, size=64)
        assert set(found) == {region for region, pixels in zip(REGIONS, wanted, strict=True) if pixels.any()}
        assert all(np.array_equal(pixels, wanted[ID[region]]) for region, pixels in found.items())
        assert all(Image.open(file).mode == "1" for file in (small / row.layers).iterdir())


# --- one attribute flipped --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "regions"),
    [
        ("Eyeglasses", ["eye_g"]),
        ("Wearing_Hat", ["hat", "hair"]),  # a hat presses the hair down
        ("Wearing_Earrings", ["ear_r"]),
        ("Wearing_Necklace", ["neck_l"]),
        ("Wearing_Necktie", ["cloth"]),  # and brings its collar
        ("Wearing_Lipstick", ["u_lip", "l_lip"]),
        ("Smiling", ["u_lip", "l_lip", "mouth", "l_eye", "r_eye"]),
    ],
)
def test_a_flip_changes_pixels_near_its_part_alone(attribute, regions):
    for seed in range(6):
        off, on = face({attribute: 0}, seed), face({attribute: 1}, seed)
        part = np.isin(on.mask, [ID[r] for r in regions]) | np.isin(off.mask, [ID[r] for r in regions])
        changed = np.abs(on.image.astype(int) - off.image).max(2) > 8  # the light on what is near may shift a little
        assert changed.any()
        # 16 px are an eighth of the picture: how far a hat's soft shadow, a dimple or a collar's flap reaches
        assert not changed[~binary_dilation(part, iterations=16)].any()
        others = {k: v for k, v in on.attributes.items() if k != attribute}
        assert others == {k: v for k, v in off.attributes.items() if k != attribute}


@pytest.mark.parametrize("attribute", ["Male", "Young"])
def test_a_flip_of_male_or_young_leaves_background_and_things_worn(attribute):
    for seed in range(6):
        off, on = face({attribute: 0}, seed), face({attribute: 1}, seed)
        assert (off.image != on.image).any()
        assert off.boxes.get("hat") == on.boxes.get("hat")
        # jaw and shoulders move by a few pixels: the background beyond their soft shadow stays as it is
        far = ~binary_dilation((off.mask > 0) | (on.mask > 0), iterations=30)
        assert far.any()
        assert np.array_equal(off.image[far], on.image[far])


@pytest.mark.parametrize("style", STYLES)
def test_every_hair_style_shows_hair_with_and_without_a_hat(style):
    for hat in (0, 1):
        for seed in range(3):
            assert (face({"hair": style, "Wearing_Hat": hat}, seed, size=64).mask == ID["hair"]).any()


def test_a_hair_colour_replaces_the_drawn_one():
    for name in LOOKS:
        drawn = face({name: 1}, seed=0, size=64).attributes
        assert {other: drawn[other] for other in LOOKS} == {other: int(other == name) for other in LOOKS}


# --- what depends on what ---------------------------------------------------------------------------------------------


def test_every_coin_is_fair(coins):
    # four standard deviations of a share of 4,000 fair coins: 0.032
    assert (abs(coins[list(COINS)].mean() - 0.5) < 4 * 0.5 / np.sqrt(len(coins))).all()


def test_attributes_do_not_tell_each_other(coins):
    free = [*COINS, "Blond_Hair", "Black_Hair", "skin_tone"]
    pairs = [pair for pair in combinations(free, 2) if pair != ("Blond_Hair", "Black_Hair")]
    phi = [abs(np.corrcoef(coins[a], coins[b])[0, 1]) for a, b in pairs]
    # phi of independent attributes spreads by 1 / sqrt(4000) = 0.016; five of these are safe for 65 pairs
    assert max(phi) < 5 / np.sqrt(len(coins))


def test_hair_style_does_not_tell_male_or_young(coins):
    for name in ("Male", "Young"):
        share = coins.groupby("hair")[name].mean()
        # about 330 faces a style: a share spreads by 0.0275, four of these
        assert (abs(share - 0.5) < 0.11).all()


def test_grey_hair_and_beards_depend_as_the_docstring_says(coins):
    assert coins[list(LOOKS)].sum(axis=1).eq(1).all()
    assert not (coins.Gray_Hair & coins.Young).any()
    assert coins.No_Beard[coins.Male == 0].all()
    # 2,000 faces each: shares of 0.2 spread by 0.009, four of these
    assert abs(coins.Gray_Hair[coins.Young == 0].mean() - 0.2) < 0.036
    assert abs(1 - coins.No_Beard[coins.Male == 1].mean() - 0.2) < 0.036


# --- the data set on disk ---------------------------------------------------------------------------------------------


def test_the_index_keeps_the_contract(small):
    index = read(small)
    boxes = ["necktie_box", "hat_box"]
    assert list(index) == ["image", "split", "label", "mask", "layers", *ATTRIBUTES, "skin_tone", "hair", *boxes]
    assert index.split.value_counts().to_dict() == {"train": 70, "val": 15, "test": 15}
    assert (index.label == np.where(index.Smiling == 1, "smiling", "neutral")).all()
    assert set(index[list(ATTRIBUTES)].to_numpy().ravel()) == {0, 1}
    assert list(pd.read_csv(small / "classes.csv").name) == ["neutral", "smiling"]
    regions = pd.read_csv(small / "regions.csv")
    assert (list(regions), list(regions.id), list(regions.region)) == (["id", "region"], [*range(19)], list(REGIONS))
    assert {path.name for path in small.parent.iterdir()} - {".faces.lock"} == {"faces"}


def test_image_i_is_face_i(small):
    row, picture = read(small).iloc[23], face(seed=23, size=64)
    mask = Image.open(small / row["mask"])
    assert mask.mode == "P"
    assert np.array_equal(np.asarray(mask), picture.mask)
    assert np.array_equal(np.asarray(Image.open(small / row.image)), picture.image)
    assert {name: row[name] for name in picture.attributes} == picture.attributes
    assert {part: row[f"{part}_box"] for part in ("necktie", "hat")} == {
        part: " ".join(map(str, picture.boxes.get(part, ()))) for part in ("necktie", "hat")
    }


def test_a_size_at_which_earrings_have_no_pixel_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`size` is 63; it needs .*at least 64"):
        prepare(tmp_path, size=63)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"Wearing_Crown": 1}, "`attributes` is 'Wearing_Crown'"),
        ({"Male": 2}, "`Male` is 2; it needs one of 0, 1"),
        ({"skin_tone": 6}, "`skin_tone` is 6"),
        ({"hair": "mohawk"}, "`hair` is 'mohawk'"),
        ({"Blond_Hair": 1, "Black_Hair": 1}, "just one hair colour"),
        (dict.fromkeys(LOOKS, 0), "just one hair colour"),
    ],
)
def test_a_face_names_what_it_cannot_draw(attributes, wanted):
    with pytest.raises(ValueError, match=wanted):
        face(attributes)
