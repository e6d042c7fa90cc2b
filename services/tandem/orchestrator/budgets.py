"""What each tenant has left: requests and tokens of the minute, money of the day.

The state is that of this process, and starts full: only the money that the ledger has for today is known at the start.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from tandem.clock import now
from tandem.errors import BudgetExhausted, Details, Violation
from tandem.orchestrator.bucket import Bucket
from tandem.orchestrator.policy import Budget, BudgetPolicy
from tandem.v1 import types_pb2

_SHARED: Final = ""
"""The account of all tenants without a budget of their own whose names nobody proves. No tenant is named so."""


def utc_today() -> date:
    """Return the day that it is in UTC."""
    return datetime.now(UTC).date()


class Verdict(NamedTuple):
    """That a request may be answered, and whether the cheap tier alone may do so."""

    tenant: str
    quotas: tuple[Violation, ...] = ()
    """The budgets that are used up, and that leave the answer to the cheap tier; none: every tier may answer."""

    @property
    def cheap_only(self) -> bool:
        """True if no other tier than the cheap one may answer."""
        return bool(self.quotas)

    @property
    def detail(self) -> str:
        """What is used up, for people; empty if nothing is."""
        what = "; ".join(quota.description for quota in self.quotas)
        return f"the budget of tenant {self.tenant} is exhausted: {what}" if what else ""

    def refusal(self) -> BudgetExhausted:
        """Return the error for a request that the cheap tier cannot or must not answer."""
        return BudgetExhausted(
            f"{self.detail}; wait until then, or ask whoever runs this deployment for a larger budget",
            Details(quotas=self.quotas),
        )


@dataclass(frozen=True, slots=True)
class _Account:
    """The state of one budget, without its money."""

    budget: Budget
    minute: Mapping[str, Bucket]
    """What is left of the minute of `requests` and of `tokens`, where they are limited."""


class Budgets:
    """The budgets of a policy, and what is left of them.

    Args:
        policy: the budgets.
        spent_today: what tenants have spent since midnight UTC, in billionths of a US dollar.
        proven: True if API keys prove the names of tenants. Otherwise a client may invent a name for every request, so
            all tenants that the policy does not list share the default budget.
        today: the day in UTC.
    """

    def __init__(
        self,
        policy: BudgetPolicy,
        spent_today: Mapping[str, int],
        *,
        proven: bool,
        today: Callable[[], date] = utc_today,
    ) -> None:
        self._policy = policy
        self._proven = proven
        self._today = today
        self._day = today()
        self._accounts: dict[str, _Account] = {}
        self._spent: Counter[str] = Counter()
        for tenant, nano_usd in spent_today.items():
            self._spent[self._owner(tenant)] += nano_usd

    def adopt(self, policy: BudgetPolicy) -> None:
        """Go on by another policy. What was used of the minute and of the day is kept.

        Tenants that are no longer listed bring their money into the account of all; one that is listed now starts the
        day anew.
        """
        now_ns, before = _now_ns(), self._accounts
        self._policy, self._accounts = policy, {}
        for owner, account in before.items():
            if self._owner(owner) == owner:
                self._accounts[owner] = self._new_account(owner, now_ns, account.minute)
        spent, self._spent = self._spent, Counter()
        for owner, nano_usd in spent.items():
            self._spent[self._owner(owner)] += nano_usd

    def admit(self, tenant: str) -> Verdict:
        """Count a request that is about to begin.

        Raises:
            BudgetExhausted: the tenant has used up what it may use. Such a request is not counted.
        """
        self._turn_day()
        owner, now_ns = self._owner(tenant), _now_ns()
        account = self._account(owner, now_ns)
        requests = account.minute.get("requests")
        too_many = requests is not None and requests.wait_ns(now_ns) > 0
        verdict = Verdict(tenant, tuple(self._used_up(account, owner, tenant, now_ns)))
        if too_many or (verdict.cheap_only and account.budget.when_exhausted == "refuse"):
            raise verdict.refusal()
        if requests is not None:
            requests.take(1, now_ns)
        return verdict

    def charge(self, verdict: Verdict, usage: types_pb2.Usage, cost_nano_usd: int) -> None:
        """Book what a request took, in all its attempts together, once it has ended.

        What the cheap tier answers while nothing else may does not count as tokens: the budget would never recover.
        """
        self._turn_day()
        owner, now_ns = self._owner(verdict.tenant), _now_ns()
        tokens = self._account(owner, now_ns).minute.get("tokens")
        if tokens is not None and not verdict.cheap_only:
            tokens.take(usage.input_tokens + usage.output_tokens, now_ns)
        self._spent[owner] += cost_nano_usd

    def _owner(self, tenant: str) -> str:
        """Return whose account a tenant uses; there are never more than tenants listed or proven, and one."""
        return tenant if self._proven or tenant in self._policy.tenants else _SHARED

    def _account(self, owner: str, now_ns: int) -> _Account:
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = self._new_account(owner, now_ns, {})
        return account

    def _new_account(self, owner: str, now_ns: int, before: Mapping[str, Bucket]) -> _Account:
        """Return the account of a budget; what is left of the minute is that of `before`, where it was limited."""
        budget, minute = self._policy.tenants.get(owner, self._policy.default), {}
        limits = {"requests": budget.requests_per_minute, "tokens": budget.tokens_per_minute}
        for name, limit in limits.items():
            if limit is not None:
                minute[name] = before.get(name) or Bucket(limit, now_ns)
                minute[name].adopt(limit, now_ns)
        return _Account(budget, minute)

    def _turn_day(self) -> None:
        """Forget the money of yesterday. A clock that is set back does not bring a day again."""
        today = self._today()
        if today > self._day:
            self._day = today
            self._spent.clear()

    def _used_up(self, account: _Account, owner: str, tenant: str, now_ns: int) -> Iterator[Violation]:
        """Yield every budget that has nothing left."""
        budget = account.budget
        whose = "" if owner else " for all tenants without a budget of their own"
        for name, bucket in account.minute.items():
            wait_ns = bucket.wait_ns(now_ns)
            if wait_ns:
                seconds = math.ceil(wait_ns / 1e8) / 10
                yield Violation(
                    f"tenant:{tenant}/{name}_per_minute",
                    f"{name} per minute: {bucket.per_minute}{whose}, the next in {seconds:.1f} s",
                )
        limit_nano_usd = budget.nano_usd_per_day
        if limit_nano_usd is not None and self._spent[owner] >= limit_nano_usd:
            yield Violation(
                f"tenant:{tenant}/usd_per_day",
                f"US dollars per day: {budget.usd_per_day:f}{whose}, the next at midnight UTC",
            )


def _now_ns() -> int:
    return round(now() * 1e9)
