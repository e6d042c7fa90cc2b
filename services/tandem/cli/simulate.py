"""`tandem simulate`: what a deployment answers in time, at which load. What it needs is imported when it runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.cli.deployed import CatalogueFile, Node, Values
from tandem.cli.plan import price_of

if TYPE_CHECKING:
    from tandem.capacity.deployed import Counts
    from tandem.capacity.planning import Planned
    from tandem.cli.simulate_report import Simulated
    from tandem.simulation.demand import Demand, Drawn
    from tandem.simulation.deployment import Deployment
    from tandem.simulation.study import Point, Study


def simulate(
    values: Values = None,
    catalogue: CatalogueFile = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The policy.",
            show_default="the shipped one as the values change it",
        ),
    ] = None,
    node: Node = "",
    replicas: Annotated[
        list[str] | None,
        typer.Option(help="Replicas of a tier, in place of what the values say.", metavar="TIER=N"),
    ] = None,
    orchestrators: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="Orchestrators, in place of what the values say.")
    ] = None,
    scale: Annotated[int, typer.Option(min=1, max=10**6, help="So many times as much of everything.")] = 1,
    cells: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Equal parts of the deployment; one is simulated, at its share of the load. 1: all of it is.",
            show_default="as many as there can be",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Recorded requests, a JSON object on each line."),
    ] = None,
    prompt_tokens: Annotated[
        str, typer.Option(help="Length of prompts, or quantiles of it.", metavar="N|pSHARE=N,…")
    ] = "p50=300,p90=900,p99=2500",
    answer_tokens: Annotated[
        str, typer.Option(help="Length that answers would have.", metavar="N|pSHARE=N,…")
    ] = "p50=200,p90=450,p99=900",
    pro_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Part of the requests that is too hard for R1.")
    ] = 0.2,
    burst: Annotated[
        float,
        typer.Option(min=1.0, max=100.0, help="Arrivals in bursts, as a multiple of those outside; 1: none."),
    ] = 1.0,
    deadline: Annotated[
        float | None,
        typer.Option(min=0.01, max=3600.0, help="Seconds that clients grant.", show_default="the policy's"),
    ] = None,
    rps: Annotated[
        str,
        typer.Option(
            help="Requests per second that are tried.",
            metavar="FROM:TO",
            show_default="around what arithmetic says",
        ),
    ] = "",
    points: Annotated[
        int, typer.Option(min=2, max=100, help="How many loads are tried, before more around the knee.")
    ] = 7,
    requests: Annotated[
        int, typer.Option(min=100, max=10**7, help="Simulated for each load, at least.")
    ] = 4000,
    objective: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.9999, help="Part of the requests that must be answered in time and as planned."
        ),
    ] = 0.99,
    full_batch: Annotated[
        float,
        typer.Option(
            min=1.0, max=100.0, help="Time per token of a full batch, as a multiple of that of one alone."
        ),
    ] = 1.5,
    headroom: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.95, help="Part of the knee's load that is kept free in larger deployments."
        ),
    ] = 0.3,
    grow_to: Annotated[
        float, typer.Option(min=1.0, max=10**7, help="Largest load that a deployment is sized for.")
    ] = 100_000.0,
    price: Annotated[
        list[str] | None,
        typer.Option(
            help="What a node costs per hour in US dollars; Tandem knows no prices.", metavar="NODE=USD"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Draw the figures into this file, too.", metavar="FILE.png"),
    ] = None,
) -> None:
    """Simulate a deployment under load: what it answers in time, where its knee is, and what larger loads need.

    The orchestrator's own code runs on a clock that does not wait; engines are simulated by the latencies of the
    catalogue. docs/operations/capacity.md says what that shows and what it does not.

    Exit status: 0 simulated, 1 a tier does not fit on its nodes, 2 wrong usage or a file that cannot be used.
    """
    from tandem.capacity.deployed import Counts
    from tandem.capacity.errors import BadPlan
    from tandem.cli.simulate_report import Simulated, as_object, as_text
    from tandem.simulation.demand import BadTrace
    from tandem.simulation.fleet import Engines
    from tandem.simulation.study import Study, knee
    from tandem.yaml_document import DocumentError

    if bool(values) == bool(catalogue):
        raise typer.BadParameter("give --values or --catalogue, one of them", param_hint="--values")
    _check_plot(plot)
    prices = dict(price_of(each) for each in price or ())
    counts = Counts(dict(_count(each) for each in replicas or ()), orchestrators)
    try:
        deployment, planned = _deployed(values or [], catalogue, policy, node, counts)
        deployment = deployment.times(scale)
        drawn = _drawn(
            prompt_tokens,
            answer_tokens,
            deadline or deployment.policy.deadline.default_ms / 1000.0,
            pro_share,
            burst,
        )
        demand = _demand(drawn, trace, seed)
    except (BadPlan, BadTrace, DocumentError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"cannot read {error.filename}: {error.strerror}; name a file that is there", err=True)
        raise typer.Exit(2) from None
    if planned.refusals:
        typer.echo("\n".join(planned.refusals), err=True)
        raise typer.Exit(1)
    chosen = _cells(cells, deployment)
    study = Study(deployment, demand, chosen, Engines(full=full_batch), requests, seed)
    rates = _rates(rps, points, study)
    found = study.sweep(rates, objective, _tell)
    last, beyond = knee(found, objective)
    at_ease = None
    if last is not None:
        typer.echo("with headroom:", err=True)
        at_ease = study.at(last.per_second * (1.0 - headroom))
        _tell(at_ease)
    simulated = Simulated(
        study, planned.tiers, prices, found, last, beyond, at_ease, objective, headroom, grow_to
    )
    typer.echo(as_object(simulated) if as_json else as_text(simulated))
    if plot:
        _draw(simulated, plot)


def _deployed(
    values: list[Path], catalogue: Path | None, policy: Path | None, node: str, counts: Counts
) -> tuple[Deployment, Planned]:
    """Return what is deployed, and what is known of its nodes and models."""
    from tandem.capacity.deployed import of_catalogue, of_values
    from tandem.capacity.planning import Planned, Wish
    from tandem.capacity.planning import plan as put_together
    from tandem.capacity.values import read_values

    if catalogue:
        return of_catalogue(catalogue, policy, counts), Planned([], [])
    deployment = of_values(read_values(values), policy, counts)
    return deployment, put_together(Wish(values=values, node=node))


def _drawn(prompt: str, answer: str, deadline: float, pro_share: float, burst: float) -> Drawn:
    from tandem.simulation.demand import Drawn
    from tandem.simulation.lengths import BadLengths, Lengths, parse_lengths

    def lengths(text: str, option: str) -> Lengths:
        try:
            return parse_lengths(text)
        except BadLengths as error:
            raise typer.BadParameter(str(error), param_hint=option) from None

    return Drawn(
        lengths(prompt, "--prompt-tokens"), lengths(answer, "--answer-tokens"), deadline, pro_share, burst
    )


def _demand(drawn: Drawn, trace: Path | None, seed: int) -> Demand:
    from tandem.simulation.chance import generator
    from tandem.simulation.demand import read_trace

    return read_trace(trace, drawn, generator(seed, "trace")) if trace else drawn


def _cells(wanted: int | None, deployment: Deployment) -> int:
    most = deployment.cells
    if wanted is not None and most % wanted:
        raise typer.BadParameter(
            f"must divide {most}: orchestrators and the replicas of each tier can be shared out among so many",
            param_hint="--cells",
        )
    return wanted or most


def _rates(text: str, points: int, study: Study) -> list[float]:
    """Return the loads to try: evenly apart, or by equal factors over more than a tenfold range."""
    if not text:
        capacity = study.capacity()
        first, last = 0.3 * capacity, 1.3 * capacity
    else:
        try:
            first, last = map(float, text.split(":"))
        except ValueError:
            first = last = 0.0
        if not 0.0 < first < last <= 10**7:
            raise typer.BadParameter("must be FROM:TO, such as 1:20", param_hint="--rps")
    steps = [step / (points - 1) for step in range(points)]
    if last > 10.0 * first:
        return [first * (last / first) ** step for step in steps]
    return [first + (last - first) * step for step in steps]


def _tell(point: Point) -> None:
    typer.echo(
        f"{point.per_second:.4g} requests/s: {point.as_planned.value:.2%} as planned, "
        f"{point.in_time.value:.2%} in time, p99 {point.p99_ms.value / 1000.0:.1f} s",
        err=True,
    )


def _check_plot(plot: Path | None) -> None:
    if plot and plot.suffix != ".png":
        raise typer.BadParameter("must be a file name that ends in .png", param_hint="--plot")
    if plot and find_spec("matplotlib") is None:
        typer.echo("--plot needs matplotlib: pip install 'tandem[plots]'", err=True)
        raise typer.Exit(2)


def _draw(simulated: Simulated, file: Path) -> None:
    from tandem.cli.simulate_plot import draw

    try:
        draw(simulated, file)
    except OSError as error:
        typer.echo(f"cannot write {file}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"drew {file}", err=True)


def _count(value: str) -> tuple[str, int]:
    tier, _, count = value.partition("=")
    if not (tier and count.isdigit() and 0 < int(count) <= 10**6):
        raise typer.BadParameter("must be TIER=N, such as r1=4", param_hint="--replicas")
    return tier, int(count)
