"""Plans requests by a policy without running anything: nobody has learned yet how quick the models are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tandem.call import Call
from tandem.catalogue import load_catalogue
from tandem.clock import now
from tandem.deployment import deploy_folder
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.policy import load_policy
from tandem.v1 import classifier_pb2, orchestrator_pb2, types_pb2


@dataclass(frozen=True, slots=True)
class Explainer:
    """Tells what a policy would do."""

    planner: Planner
    deadline_seconds: float

    @classmethod
    def of(cls, policy_file: Path | None, catalogue_file: Path | None) -> Self:
        """Make one by a policy and a catalogue; None: the deployment's.

        Raises:
            DocumentError: one of them is not valid.
        """
        catalogue = load_catalogue(catalogue_file or deploy_folder() / "catalogue.yaml")
        policy = load_policy(policy_file or deploy_folder() / "policy.yaml", catalogue)
        planner = Planner(catalogue, policy, LiveModels(catalogue, policy))
        return cls(planner, policy.deadline.default_ms / 1000.0)

    def explain(
        self, request: classifier_pb2.ClassifyRequest, signals: types_pb2.Signals
    ) -> orchestrator_pb2.ExplainResponse:
        """Return the plan of a request whose signals are known.

        Raises:
            TandemError: as `Planner.plan`.
        """
        started = now()
        call = Call("classify", started + self.deadline_seconds, started)
        asked = orchestrator_pb2.GenerateRequest(messages=request.messages)
        planned = self.planner.plan(asked, signals, call)
        return orchestrator_pb2.ExplainResponse(
            signals=signals,
            plan=planned.plan,
            degradations=planned.degradations,
            models=self.planner.states(planned, call),
        )
