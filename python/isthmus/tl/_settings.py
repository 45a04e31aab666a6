"""The arguments that the verbs have in common: checked once, stored with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from isthmus._errors import InputError
from isthmus.data.door import check_choice, check_number
from isthmus.data.study import VALUES


@dataclass(frozen=True)
class Settings:
    """Arguments of every verb that decide the numbers; a system adds its own.

    Attributes
    ----------
    WORDS
        The words that an argument may be.
    BOUNDS
        Least and largest value of an argument that is a number. None is allowed where the type says so.
    """

    WORDS: ClassVar[dict[str, tuple]] = {
        "schedule": ("cosine", "constant", "plateau"),
        "early_stopping": (True, False),
        "compile": (True, False, "auto"),
    }
    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "n_latent": (1, float("inf")),
        "n_hidden": (1, float("inf")),
        "max_epochs": (1, float("inf")),
        "max_steps": (1, float("inf")),
        "batch_size": (2, float("inf")),
        "learning_rate": (1e-12, float("inf")),
        "validation_fraction": (0.0, 0.5),
        "seed": (0, 2**32 - 1),
    }

    n_latent: int
    n_hidden: int
    max_epochs: int | None
    max_steps: int | None
    batch_size: int
    learning_rate: float
    schedule: str
    validation_fraction: float
    early_stopping: bool
    accelerator: str
    devices: int | str
    precision: str
    compile: bool | str
    seed: int
    key_added: str

    @classmethod
    def take(cls, given: Mapping[str, Any], preset: Mapping[str, Any]) -> Self:
        """Settings from a verb's arguments, those of the preset instead where it has any; checked."""
        own = {field.name for field in fields(cls)}
        settings = cls(**{**{name: value for name, value in given.items() if name in own}, **preset})
        settings.check()
        return settings.plain()

    def check(self) -> None:
        """Every number in its range, every word a known one."""
        kinds = {field.name: field.type for field in fields(self)}
        for name, words in self.WORDS.items():
            check_choice(getattr(self, name), words, name)
        for name, (least, most) in self.BOUNDS.items():
            value = getattr(self, name)
            if value is not None or "None" not in kinds[name]:
                check_number(value, name, least, most, whole=kinds[name].startswith("int"))
        if self.schedule == "plateau" and not (self.early_stopping and self.validation_fraction):
            raise InputError(
                "held-out cells with schedule='plateau', which looks at their loss",
                f"early_stopping={self.early_stopping} and validation_fraction={self.validation_fraction:g}",
                "use early_stopping=True, or another schedule",
            )
        if not isinstance(self.key_added, str) or not self.key_added or "/" in self.key_added:
            raise InputError(
                "key_added to be a word without '/'", f"{self.key_added!r}", "name the stem of the keys to write"
            )

    def plain(self) -> Self:
        """The same with Python's own numbers, whatever NumPy or R gave: they go into JSON and h5ad files."""
        kinds = {"int": int, "int | None": int, "float": float, "float | None": float, "bool": bool}
        given = {field.name: (field.type, getattr(self, field.name)) for field in fields(self)}
        numbers = {
            name: kinds[kind](value) for name, (kind, value) in given.items() if kind in kinds and value is not None
        }
        compile = "auto" if isinstance(self.compile, str) else bool(self.compile)
        devices = self.devices if isinstance(self.devices, str) else int(self.devices)
        return replace(self, **numbers, compile=compile, devices=devices)


@dataclass(frozen=True)
class SingleSettings(Settings):
    """Arguments of every verb for one modality."""

    WORDS: ClassVar = {**Settings.WORDS, "values": VALUES}
    BOUNDS: ClassVar = {**Settings.BOUNDS, "n_features": (1, float("inf"))}

    batch_key: str | None
    layer: str | None
    values: str
    n_features: int | None
    features: list[str] | None
    scaling: str

    def check(self) -> None:
        """Also that features are a list."""
        super().check()
        if isinstance(self.features, str):
            raise InputError("a list of names of features", f"the text {self.features!r}", "put the names into a list")

    def plain(self) -> Self:
        """Also the names of features."""
        features = None if self.features is None else [str(name) for name in self.features]
        return replace(super().plain(), features=features)
