"""`tandem plan`: whether the models fit on the machines. What it needs is imported when it runs."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated

import typer

from tandem.cli.deployed import CatalogueFile, Node, Values


class PrecisionName(StrEnum):
    """Precisions of weights."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    fp8 = "fp8"
    int8 = "int8"
    int4 = "int4"


def plan(
    values: Values = None,
    catalogue: CatalogueFile = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A known model or the file config.json of one.", metavar="[TIER=]NAME|FILE"),
    ] = None,
    node: Node = "",
    precision: Annotated[
        list[PrecisionName] | None,
        typer.Option(help="Of the weights, where only --model is given.", show_default="bf16"),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=10**4, help="Sequences at a time, in place of what is given.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, max=10**7, help="Tokens of a sequence, in place of what is given.")
    ] = None,
    tensor: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="GPUs of a node per replica.", show_default="as given, else the most"
        ),
    ] = None,
    pipeline: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Nodes per replica.", show_default="as given, else 1")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            help="What a node costs per hour in US dollars; Tandem knows no prices.", metavar="NODE=USD"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Say whether the models fit on the machines, with the numbers, and if not, what would.

    Exit status: 0 all tiers fit, 1 one does not, 2 wrong usage or a file that cannot be used.
    """
    from tandem.capacity.errors import BadPlan
    from tandem.capacity.planning import Wish
    from tandem.capacity.planning import plan as put_together
    from tandem.cli.plan_report import as_object, as_text
    from tandem.yaml_document import DocumentError

    if values and catalogue:
        raise typer.BadParameter("give --values or --catalogue, not both", param_hint="--catalogue")
    prices = dict(price_of(each) for each in price or ())
    wish = Wish(
        values=values or (),
        catalogue=catalogue,
        models=dict(_model(each) for each in model or ()),
        node=node,
        precisions=[each.value for each in precision or (PrecisionName.bf16,)],
        concurrency=concurrency,
        context=context,
        tensor=tensor,
        pipeline=pipeline,
    )
    try:
        planned = put_together(wish)
    except (BadPlan, DocumentError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"cannot read {error.filename}: {error.strerror}; name a file that is there", err=True)
        raise typer.Exit(2) from None
    typer.echo(as_object(planned, prices) if as_json else as_text(planned, prices))
    if planned.refusals:
        raise typer.Exit(1)


def _model(value: str) -> tuple[str, str]:
    tier, equals, name = value.partition("=")
    return (tier, name) if equals else ("", value)


def price_of(value: str) -> tuple[str, Decimal]:
    """Read what a node costs, NODE=USD."""
    from tandem.capacity.nodes import load_nodes

    node, _, usd = value.rpartition("=")
    try:
        dollars = Decimal(usd)
    except InvalidOperation:
        dollars = Decimal(-1)
    if not node or not dollars.is_finite() or dollars < 0:
        raise typer.BadParameter("must be NODE=USD, such as p4d.24xlarge=20.5", param_hint="--price")
    known = sorted(load_nodes().nodes)
    if node not in known:
        raise typer.BadParameter(
            f"there is no type of node {node!r}; give one of {', '.join(known)}", param_hint="--price"
        )
    return node, dollars
