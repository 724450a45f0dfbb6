"""Trained networks of the papers and their libraries: fetched or copied to where notebooks find them by name."""

import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import requests
import torch
import torchvision

from helpers.errors import CourseError, Missing, nearest
from helpers.files import atomic, locked, no_room
from helpers.networks import published
from helpers.networks.checkpoints import read_state
from helpers.pictures import data_root

from ..getting.fetch import digest, fetch, verify


@dataclass(frozen=True)
class Weights:
    """One file of weights, where it comes from, and how a notebook asks for it."""

    name: str
    url: str
    checksum: str  # "" where nobody published one
    licence: str
    size: int  # in MiB
    used: str
    hub: bool = True  # whether it lies where torch.hub looks for it, else in weights/ beside the data sets

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[1]

    def place(self, root: Path) -> Path:
        """Where the notebooks look for it."""
        return (Path(torch.hub.get_dir()) / "checkpoints" if self.hub else Path(root) / "weights") / self.file


OTHERS = (
    Weights(
        "legacy_xception",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
        "sha256:43020ad28",  # by its name, which the library it was made for checked
        "Apache-2.0, trained on ImageNet: non-commercial research advised",
        87,
        "model=timm:legacy_xception weights=imagenet",
    ),
    Weights(
        "dino",
        "https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth",
        "",
        "Apache-2.0, trained on ImageNet: non-commercial research advised",
        83,
        "detector=vit_small_patch16_224.dino (03_ria, for LOST)",
        hub=False,
    ),
    Weights(
        "farl",
        "https://github.com/FacePerceiver/facer/releases/download/models-v1/"
        "face_parsing.farl.celebm.main_ema_181500_jit.pt",
        # its authors publish none; three programs that pin the file agree on this one
        "sha256:bbc1f0e9f68c80eb83a0b23f33850d1e10f2ec1eda96884112d111c2c1f15c79",
        "MIT, trained on CelebAMask-HQ: non-commercial research",
        617,
        "parser=farl (02_facex, course data masks)",
        hub=False,
    ),
)
ALIASES = {"timm:legacy_xception": "legacy_xception", "vit_small_patch16_224.dino": "dino"}
PAPERS = ("alexnet", "resnet18", "resnet50", "vgg16", "inception_v3", "legacy_xception", "dino", "farl")


LISTED = (  # as `course data list` shows them: notebooks, size, how, licence, what it is
    *("all", "1.8 GB", "fetched", "BSD-3, Apache-2.0, MIT; most trained on ImageNet"),
    f"trained networks of the papers ({', '.join(PAPERS)}), and any of torchvision's by its name",
)


def known(name: str) -> Weights:
    """The weights of that name. Raises CourseError with the nearest names."""
    others = {one.name: one for one in OTHERS}
    name = ALIASES.get(name, name)
    if name in others:
        return others[name]
    architectures = torchvision.models.list_models(module=torchvision.models)
    if name not in architectures:
        raise CourseError(
            f"no weights `{name}`.{nearest(name, [*others, *architectures])} There are: {', '.join(others)} "
            f"and the classifiers of torchvision, such as {', '.join(n for n in PAPERS if n not in others)}"
        )
    theirs = published(name)
    own = theirs.meta.get("license", "BSD-3-Clause")
    return Weights(
        name,
        theirs.url,
        "sha256:" + re.findall(r"-([0-9a-f]{8,})[.]", theirs.url)[0],  # torch.hub's rule for names
        f"{own}, trained on ImageNet: non-commercial research advised",
        round(theirs.meta["_file_size"]),
        f"model={name} weights=imagenet",
    )


def here(name: str, root: Path | None = None) -> Path | None:
    """The file of one of OTHERS when it was placed, else None; `root` is where prepared data go."""
    name = ALIASES.get(name, name)
    files = [one.place(root or data_root()) for one in OTHERS if one.name == name]
    return next((file for file in files if file.is_file()), None)


def found(name: str, root: Path | None = None) -> Path:
    """As `here`; raises Missing saying how to get it."""
    if file := here(name, root):
        return file
    raise Missing(_wanted([known(name)], Path(root or data_root()), f"{name} is not here"))


def ready(root: Path) -> str:
    """How many of the papers' networks are in place: yes, no, or `3 of 8`."""
    count = sum(known(name).place(root).is_file() for name in PAPERS)
    return {0: "no", len(PAPERS): "yes"}.get(count, f"{count} of {len(PAPERS)}")


def prepare(only: Iterable[str], root: Path, given: Path | None = None) -> list[str]:
    """Put these weights in place, without names those of PAPERS, and say a line for each.

    A file that is in place is checked; one at `given`, a folder or the file, is checked and copied; others are fetched.
    Raises CourseError for an unknown name, a wrong file or a full disk, and Missing saying what to place where when
    one cannot be fetched; those that can are in place then.
    """
    wanted = {one.name: one for one in map(known, only or PAPERS)}.values()
    if given is not None and not given.exists():
        raise CourseError(f"--from {given}: no such folder or file")
    if given is not None and given.is_file() and given.name not in {one.file for one in wanted}:
        raise CourseError(f"--from {given}: expected a file named {' or '.join(one.file for one in wanted)}")
    lines: list[str] = []
    missing: dict[Weights, str] = {}
    silent: dict[str | None, str] = {}
    with locked(Path(root) / "weights"):
        for one in wanted:
            host = urlparse(one.url).hostname
            try:
                if host in silent and not _near(one, root, given):
                    raise Missing(silent[host])  # the others of a host that does not answer: no waiting for each
                lines.append(_placed(one, root, given))
            except Missing as error:
                missing[one] = str(error)
                if not isinstance(error.__context__, requests.HTTPError):  # one that answers may have the next file
                    silent[host] = str(error)
    if missing:
        raise Missing("\n".join([*lines, _wanted([*missing], root, "\n".join(dict.fromkeys(missing.values())))]))
    return lines


def _near(one: Weights, root: Path, given: Path | None) -> Path | None:
    """The file in its place or at `given`, else None."""
    places = [one.place(root)] + ([given / one.file, given] if given else [])
    return next((place for place in places if place.name == one.file and place.is_file()), None)


def _placed(one: Weights, root: Path, given: Path | None) -> str:
    file, near = one.place(root), _near(one, root, given)
    try:
        if near is None:
            fetch(one.url, file, one.checksum)
            _check(one, file, remove=True)
        elif near == file:
            _check(one, file)
        else:
            _check(one, near)
            _copied(near, file)
    except OSError as error:
        if not no_room(error):
            raise
        raise CourseError(f"{one.name}: the disk of {file.parent} is full; it needs {one.size} MiB") from None
    what = {None: "fetched to", file: "is in place,"}.get(near, "copied to")
    told = "its checksum is right" if one.checksum else f"nobody published a checksum; sha256 is {digest(file)}"
    return f"{one.name}: {what} {file}; {told}. Used by {one.used}"


def _check(one: Weights, file: Path, remove: bool = False) -> None:
    """Raise CourseError when the file is another; without a checksum, when it holds no weights, as an error page."""
    try:
        verify(file, one.checksum, f"{one.name} of {one.url}")
        if not one.checksum:
            read_state(file)
    except CourseError:
        if remove:
            file.unlink()
        raise


def _copied(source: Path, file: Path) -> None:
    with atomic(file) as draft:
        shutil.copyfile(source, draft)


def _wanted(missing: list[Weights], root: Path, reason: str) -> str:
    """What to place where, for a person with a browser."""
    lines = [f"weights: {reason}", "With internet on another machine, get and place:"]
    for one in missing:
        kind, _, digits = (one.checksum or "sha256:").partition(":")
        told = f"{kind} begins with {digits}" if digits else "no checksum was published"
        if len(digits) == 2 * hashlib.new(kind).digest_size:
            told = f"{kind} {digits}"
        lines.append(f"  {one.name}: {one.url}")
        lines.append(f"    ({one.size} MiB, {told}; licence: {one.licence})")
        lines.append(f"    as {one.place(root)}")
    names = " ".join(one.name for one in missing)
    lines.append(f"Then: course data prepare weights {names}, which checks them; or with --from FOLDER from elsewhere")
    return "\n".join(lines)
