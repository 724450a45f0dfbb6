"""What a run would see of a network, for `course doctor`: what was taken, where it looks, which notebooks would run."""

import argparse
import re
import time
from collections.abc import Iterator
from typing import Any

import torch

from helpers import networks, pictures
from helpers.check import of_network, of_pictures
from helpers.heatmaps import METHODS, attribute, conservation
from helpers.networks import Classifier
from helpers.networks.foreign import Sealed
from helpers.networks.layers import last_conv, last_grid, trace
from helpers.pictures import Photos, reader

from .data import print_table

LOOKED_AT = 16  # pictures that maps are made of
LONGEST = 240  # characters of a reason in a table
# Methods that ask many times are tried with a few; how many times more they ask by default
FEWER: dict[str, tuple[dict[str, Any], float]] = {
    "smoothgrad": ({"samples": 2}, 10 / 2),
    "integrated_gradients": ({"steps": 5}, 50 / 5),
    "scorecam": ({"max_units": 4}, 0),  # as many as the layer has units
    "lime": ({"samples": 10, "segments": 10}, 0),
}
# What a notebook asks of pictures, of a network, and of weights; a method among `any` must work
NEEDS: dict[str, dict[str, Any]] = {
    "00_start_here": {"pictures": {"classes": 2}, "any": ("saliency",)},
    "01_focus": {"pictures": {"classes": 2, "each": 2}, "grid": True, "twice": True},
    "02_facex": {"pictures": {"masks": True}, "grid": True, "or": "parser=farl"},
    "03_ria": {"pictures": {"classes": 2}, "grid": True, "plain": True, "trains": True, "of": ("mask", "box")},
    "04_advise": {"pictures": {}, "grid": True, "plain": True, "cells": True},
    "05_debiasing_metrics": {
        "pictures": {}, "any": ("lrp", "integrated_gradients"), "outputs": 2, "trains": True, "of": "attributes",
        "without": ("lrp", "saliency=ig"),
    },
    "06_audit": {"pictures": {}, "grid": True, "any": ("lrp", "integrated_gradients")},
}  # fmt: skip


def report(arguments: argparse.Namespace) -> int:
    """Print what a run would see of the network; 1 when no notebook would run."""
    photos = pictures.load(arguments.images, "skip") if arguments.images else None
    classifier = _loaded(arguments, photos if photos and len(photos.classes) > 1 else None)
    size = arguments.size or networks.usual_size(arguments.model)
    if photos is None:
        looked_at = torch.randint(
            256, (4, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
    else:
        rows = torch.linspace(0, len(photos) - 1, min(LOOKED_AT, len(photos))).long()
        looked_at = photos.images(rows, size, arguments.fit)
    x = classifier.prepared(looked_at)
    mean, std = networks.statistics(classifier.normalise)
    names = networks.output_names(classifier)
    rows_ = [
        ("model", arguments.model),
        ("weights", classifier.source),
        ("pictures", f"{size} x {size} px, mean {_said(mean)}, deviation {_said(std)} ({classifier.normalise})"),
        ("outputs", f"{len(names)}: {', '.join(names[:3])}{', ...' * (len(names) > 3)}"),
        *_seen(classifier, photos, size, arguments.fit, x),
    ]
    for name, said in rows_:
        print(f"{name:12} {said}", flush=True)
    works = {}
    print()
    table = [("method", "works", "a picture", "memory")]
    for method, why, row in _methods(classifier, x):
        works[method] = not why
        table.append((method, why or "yes", *row))
    print_table(table)
    print()
    seen = _looked_into(classifier, size)
    verdicts = {book: [*_lacks(book, classifier, photos, seen, works)] for book in NEEDS}
    print_table(
        [("notebook", "runs"), *((book, "; ".join(why) or _yes(book, works)) for book, why in verdicts.items())]
    )
    return 0 if any(not why for why in verdicts.values()) else 1


def _yes(book: str, works: dict[str, bool]) -> str:
    """That a notebook runs, and with which parameter where a method that it takes by default does not work."""
    method, instead = NEEDS[book].get("without", ("random", ""))
    return "yes" if works[method] else f"yes, with -p {instead}"


def _said(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.4g}" for value in (values[:1] if len({*values}) == 1 else values))


def _loaded(arguments: argparse.Namespace, photos: Photos | None) -> Classifier:
    """The network as a run would load it; with random weights for `train`."""
    networks.check_name(arguments.model)
    weights = arguments.weights or ("own" if networks.foreign.is_foreign(arguments.model) else "imagenet")
    if weights != "train":
        return networks.load(arguments.model, weights, photos, arguments.normalise, "cpu", arguments.average)
    outputs = len(photos.classes) if photos else 2
    net, way = networks.build(arguments.model, outputs).eval(), arguments.normalise
    way = "half" if way == "auto" else way
    return networks.Classifier(arguments.model, net, torch.arange(outputs), way, "random: a run would train it")


def _seen(classifier: Classifier, photos: Photos | None, size: int, fit: str, x: torch.Tensor) -> Iterator[tuple]:
    """Where Grad-CAM looks, how many of its maps are empty, what LRP keeps, and how many pictures are right."""
    of = f"of {len(x)} pictures" if photos else f"of {len(x)} pictures of noise"
    with torch.no_grad():
        given = classifier.net(x)
    targets = given.argmax(1) if given.shape[1] > 1 else (given[:, 0] > 0).long()
    try:
        layer, _ = last_conv(classifier.net, x[:1])
        maps = attribute("gradcam", classifier.net, x, targets, resolution="native")
        empty = int((maps.flatten(1).amax(1) <= 0).sum())
        yield "grid", f"{layer}: {maps.shape[1]} x {maps.shape[2]} cells, where Grad-CAM looks"
        yield "empty maps", f"{empty} {of} have a Grad-CAM map that is zero everywhere ({empty / len(x):.0%})"
    except (ValueError, RuntimeError, AssertionError) as error:
        yield "grid", f"none: {_line(error)}"
    try:
        kept = conservation(classifier.net, x[:2], targets[:2])
        yield "LRP keeps", f"{kept.median():.2f} of the score ({kept.min():.2f} to {kept.max():.2f}; 1: all of it)"
    except (ValueError, RuntimeError, AssertionError) as error:
        yield "LRP", f"not for this network: {_line(error)}"
    if photos is None or len(photos.classes) < 2:
        yield "accuracy", "not measured: give --images with a folder for each class"
        return
    rows = torch.linspace(0, len(photos) - 1, min(100, len(photos))).long().unique()
    part = photos.rows(rows.tolist())
    logits = networks.logits(classifier, part, reader(part, size, fit))
    right = (logits.argmax(1) == classifier.outputs[part.labels]).double().mean().item()
    among = (logits[:, classifier.outputs].argmax(1) == part.labels).double().mean().item()
    said = f"{among:.1%} of {len(part)} pictures among the {len(photos.classes)} classes (chance "
    said += f"{1 / len(photos.classes):.1%})"
    every = logits.shape[1]
    yield (
        "accuracy",
        said + f", {right:.1%} among all {every} outputs ({1 / every:.1%})" * (every > len(photos.classes)),
    )


def _methods(classifier: Classifier, x: torch.Tensor) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Each method, why it does not work ("" where it does), and what a picture takes."""
    outputs, one, size = trace(classifier.net, x[:1]), torch.tensor([0]), x.shape[-1]
    for name, method in METHODS.items():
        options, more = FEWER.get(name, ({}, 1.0))
        why = next(of_network(classifier, at=size, explains=[name]), "") if isinstance(classifier.net, Sealed) else ""
        began = time.perf_counter()
        try:
            if not why:
                attribute(name, classifier.net, x[:1], one, **options)
        except (ValueError, RuntimeError, AssertionError) as error:
            why = str(error)
        if why:
            yield name, _line(why), ("", "")
            continue
        took = (time.perf_counter() - began) * (more or 1)
        memory = method.memory(outputs, last_grid(outputs)[0] if method.layer else None)
        yield name, "", (f"{took:.2g} s" if more else f"{took:.2g} s, with few", f"{memory / 2**20:.0f} MiB")


def _looked_into(classifier: Classifier, size: int) -> dict[str, list[str]]:
    """Why Grad-CAM cannot look in, into a plain grid, a large one, or at twice the side; nothing where it can."""
    wants: dict[str, dict[str, Any]] = {"grid": {"at": size}, "plain": {"at": size, "plain": True}}
    wants["twice"] = {"at": 2 * size}
    seen = {name: [_line(why) for why in of_network(classifier, grid=True, **want)] for name, want in wants.items()}
    if not seen["grid"]:
        image = classifier.prepared(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        u, v = attribute("gradcam", classifier.net, image, torch.tensor([0]), resolution="native").shape[1:]
        seen["cells"] = [f"{u} x {v} cells where Grad-CAM looks, fewer than 7: take a larger size"] * (u * v < 7)
    return seen


def _lacks(book: str, classifier: Classifier, photos: Photos | None, seen: dict, works: dict) -> Iterator[str]:
    """Why a notebook would not run with this network and these pictures."""
    needs = NEEDS[book]
    if needs.get("trains") and isinstance(classifier.net, Sealed):
        yield "it trains the network, and this one can only be asked"
        return
    yield from dict.fromkeys(why for name, found in seen.items() if needs.get(name) for why in found)
    if (asked := needs.get("any")) and not any(works[name] for name in asked):
        yield f"none of {', '.join(asked)} works"
    if (outputs := needs.get("outputs", 0)) and (count := len(networks.output_names(classifier))) != outputs:
        yield f"{count} outputs, where it takes {outputs}"
    if photos is None:
        return
    for why in of_pictures(photos, **needs["pictures"]):
        yield _line(why + f" (or {needs['or']})" * ("or" in needs))
    there = {*photos.table} - {"image", "split", "label", "_class", "layers"}
    wanted = {"mask", "box"} if (of := needs.get("of")) != "attributes" else there - {"mask", "box"}
    if of and not there & wanted:
        yield f"{photos.root}: {'no masks and no boxes' if of != 'attributes' else 'no attributes (attributes.csv)'}"


def _line(error: object) -> str:
    """The first line of what was said, cut where a table would be too wide."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    first = re.sub(r"^\S+ cannot be explained by (\S+ at .*? px) \((.*)\); choose another$", r"\1: \2", first)
    return first if len(first) <= LONGEST else first[: LONGEST - 3] + "..."
