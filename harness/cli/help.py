"""`assay --help` and `assay --version`: answered without composing a configuration."""

from importlib import metadata

from harness.cli.groups import choices, run_settings

TEXT = """\
Assay measures whether token attributions for Transformers are faithful. It crosses a task and a model with
explainers and references and prints, for every layer, Spearman's rho between an explainer's token scores and a
reference's, mean ± std over examples.

usage: assay [GROUP=CHOICE | KEY=VALUE | +GROUP=[CHOICE,...] | ~KEY]... [-m for a sweep]
       assay list [GROUP]     what there is to choose from
       assay --cfg job        every setting and its value
       assay --version

Groups                        (assay list GROUP describes each choice)
{groups}

Examples
  assay                                            the default table: train once, explain, print
  assay limit=200 'explainers=[random,attention,rollout,flow]'
  assay explainers=all                             every explainer that can serve the model
  assay task=sst2 'metrics=[comprehensiveness,sufficiency]'
  assay +experiment=az20_table1 task.path=FOLDER   a table of Abnar & Zuidema 2020
  assay explainers.rollout.residual=0.1 '~explainers.flow'
  assay -m seed=0,1,2                              a sweep, with one leaderboard at the end
  assay resume=FOLDER                              continue a run that was stopped
  assay-report FOLDER...                           the tables again, from the folders of runs or of a sweep
  assay-compare A B                                which cells of two runs differ

Settings: {settings}
"""


def print_help() -> None:
    """Print what Assay does, its groups, and examples."""
    lines = []
    for group in ("task", "model", "explainers", "references", "metrics", "experiment"):
        names = choices(group)
        few = ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:6])}, ... ({len(names)} in all)"
        lines.append(f"  {group:<12}{few}")
    print(TEXT.format(groups="\n".join(lines), settings=", ".join(run_settings())), end="")


def print_version() -> None:
    """Print the version."""
    print(f"assay {metadata.version('assay')}")
