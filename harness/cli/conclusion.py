"""From batches to a complete run folder: parts, merged tables, maps, projections, manifest."""

import pandas as pd

from harness.cli.errors import Stopped, print_warning
from harness.cli.loaded import Loaded
from harness.cli.observed import noticed, timed
from harness.cli.record import Record, counted
from harness.measure.maps import maps
from harness.measure.projections import beyond_products, projections
from harness.report.run_tables import RunTables
from harness.results.provenance import peak_memory
from harness.results.run_folder import RunFolder
from harness.results.shell import argument
from harness.statistics.accuracy import below_chance
from harness.tables import NO_GOLD, STORED, Manifest


def explain_batches(loaded: Loaded, record: Record) -> KeyboardInterrupt | None:
    """Write a part for each batch that has none yet; what cut it short, if anything did."""
    folder, stopped = record.folder, None
    folder.parts.keep(loaded.batches)
    record.earlier = sum(folder.finished().values())
    for problem in folder.problems:
        print_warning(problem)
    with noticed() as caught:
        try:
            for part in loaded.parts(folder.finished()):
                folder.write_part(part, loaded.run_columns)
        except KeyboardInterrupt as interrupt:
            stopped = interrupt
    status = record.manifest.status if stopped is None else "stopped"  # at once: a second signal may kill the process
    record.change(
        status=status, costs=folder.costs(), warnings=sorted({*record.manifest.warnings, *caught, *folder.problems})
    )
    if stopped is not None and not folder.finished():
        raise Stopped(
            f"stopped before a batch was finished: start again with assay {argument('resume', folder.path)}"
        ) from stopped
    return stopped


def complete(loaded: Loaded, record: Record, stopped: bool) -> RunTables:
    """Make one file of each table, keep maps and projections, and complete the manifest; returns the run's tables."""
    folder, phases, warned = record.folder, dict(record.manifest.phases), list(record.manifest.warnings)
    settings, tables = loaded.settings, None
    if not stopped and not folder.merged:
        with timed(phases, "merge"):
            tables = folder.merge([example.id for example in loaded.examples])
    if settings.maps and not stopped:
        with timed(phases, "maps"):
            chosen, explainers = loaded.examples[: settings.maps], loaded.methods.explainers
            classes = loaded.task.classes
            table, failed = maps(chosen, loaded.model, explainers, loaded.protocol, classes, settings.device)
            folder.write_maps(table)
        warned += [f"no maps of {name}: {why}" for name, why in failed.items()]
    if settings.projections and not stopped:
        with timed(phases, "projections"):
            warned += _keep_projections(loaded, folder)
    tables = tables or {name: folder.table(name) for name in STORED}
    record.change(
        status="stopped" if stopped else "complete",
        phases=phases,
        peak_memory_mib=round(peak_memory()),
        warnings=list(dict.fromkeys([*warned, *misjudged(record.manifest, tables["examples"])])),
        counts=counted(tables, record.earlier),
    )
    return RunTables(folder, tables)


def _keep_projections(loaded: Loaded, folder: RunFolder) -> list[str]:
    """Write them, and return what a reader must know: why there are none, or what they do not show."""
    settings, task = loaded.settings, loaded.task
    chosen = loaded.examples[: settings.projections]
    where = (loaded.model, loaded.protocol, task.classes, settings.device)
    try:
        points, planes = projections(chosen, *where, how=settings.projection, seed=settings.seed)
    except ValueError as error:
        return [f"no projections: {error}"]
    folder.write_projections(points, planes)
    beyond = beyond_products(planes)
    return [] if beyond is None else [beyond]


def misjudged(manifest: Manifest, examples: pd.DataFrame) -> list[str]:
    """A sentence where the model is right less often than guessing would be.

    The rival of a target's token is the strongest of all others, so that no share of right ones is below chance.
    """
    has_classes = examples["source"] == 0  # no encoder-decoder's
    known = examples[(examples["gold"] != NO_GOLD) & (examples["predicted"] != NO_GOLD) & has_classes]
    correct, classes = int((known["predicted"] == known["gold"]).sum()), len(manifest.classes)
    if not (manifest.exclusive_classes and classes > 1 and below_chance(correct, len(known), classes)):
        return []
    text = (
        f"the model is right on {correct} of {len(known)} explained examples, significantly less than chance: the "
        "data's classes are probably in another order than the model's. Check task.labels and task.values"
    )
    print_warning(text, style="bold red")
    return [text]
