"""A run's manifest: what goes into it, and the one owner that writes it."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.cli.errors import print_warning
from harness.contracts import Model, ReadsFiles, Reduces
from harness.results.files import file_digest
from harness.results.run_folder import RunFolder
from harness.results.shell import argument
from harness.tables import MUST_MATCH, Counts, Manifest, Method
from harness.tracing.model_parts import layer_parts


class Record:
    """The owner of a run's manifest: every change is written at once, and nobody else writes it."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.earlier = 0  # examples that an earlier process explained

    def claim(self, planned: Manifest, resume: bool) -> None:
        """Make the folder this run's, before data and model are loaded.

        ValueError where there is no run to resume.
        """
        self._before = self.folder.manifest if resume else None
        if self._before is not None and not self._before.has_model:
            self._before = None  # it ended before it had a model, so it starts again
        if self._before is None:
            self.manifest = planned
            self.folder.write_manifest(planned)

    def begin(self, manifest: Manifest) -> None:
        """Start from a manifest; ValueError where the run to resume had other settings, data, model or code.

        Merged tables of that run that are damaged are computed again.
        """
        before, folder = self._before, self.folder
        manifest = replace(manifest, run=(before or self.manifest).run)
        if before is not None:
            check_same(folder, before, manifest)
            manifest = replace(manifest, warnings=sorted({*before.warnings, *manifest.warnings}))
            try:
                if folder.merged:
                    folder.check_tables()
                    manifest = replace(manifest, costs=before.costs, phases={**before.phases, **manifest.phases})
            except ValueError as error:
                print_warning(f"{error}: this is what happens now")
                folder.take_apart()
                folder.open()
        self.manifest = manifest
        folder.write_manifest(manifest)
        self.earlier = manifest.examples if folder.merged else sum(folder.finished().values())

    def stop(self) -> None:
        """Say that the run was stopped before it had a model."""
        if self._before is None:
            self.change(status="stopped")

    def withdraw(self) -> None:
        """Leave the folder without a run, where an error came before anything was computed."""
        if self._before is None:
            self.folder.forget()

    def change(self, **changes: Any) -> None:
        """Change fields of the manifest, and write it."""
        self.manifest = replace(self.manifest, **changes)
        self.folder.write_manifest(self.manifest)


def check_same(folder: RunFolder, before: Manifest, now: Manifest) -> None:
    """Raise ValueError where the run to resume had other settings, data, model, code or files."""
    differs = [name.replace("_", " ") for name in MUST_MATCH if getattr(before, name) != getattr(now, name)]
    if "config" in differs:
        differs = ["config"]  # other methods have other code, too
    if differs:
        verb = "has" if len(differs) == 1 else "have"
        raise ValueError(
            f"the run in {folder.path} cannot be resumed: the {' and the '.join(differs)} {verb} changed. Run assay "
            f"{argument('resume', folder.path)} alone, with the code and data of that run, or start a new run"
        )


def counted(tables: Mapping[str, pd.DataFrame], earlier: int = 0) -> Counts:
    """How many examples and rows there are, and how many of the rows have no value."""
    status = pd.concat([tables["rows"]["status"], tables["metrics"]["status"]])
    examples = tables["examples"]["example"].nunique()
    return Counts(
        examples=examples,
        computed_now=examples - earlier,
        rows=len(status),
        undefined=int((~status.isin(["ok", "failed"])).sum()),
        failed=int((status == "failed").sum()),
    )


def recorded(methods: Mapping[str, object]) -> dict[str, Method]:
    """What the manifest keeps about methods, by name."""
    return {
        name: Method(
            repr(method),
            source_of(method),
            method.reduction if isinstance(method, Reduces) else None,
            {str(path): file_digest(path) for path in method.files} if isinstance(method, ReadsFiles) else {},
        )
        for name, method in methods.items()
    }


def source_of(method: object) -> str:
    """The paper of a method: the first line of its file's docstring, without the link."""
    text = sys.modules[type(method).__module__].__doc__ or ""
    return text.strip().split("\n")[0].split(" https:")[0].rstrip(".")


def head_size(model: Model) -> int | None:
    """Dimensions of one attention head's values; None for a model whose layers are not known."""
    try:
        layer = layer_parts(model.module)[0]
    except ValueError:
        return None
    return len(layer.value.weight) // layer.heads
