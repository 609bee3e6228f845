"""Keep cooldowns (a circuit breaker) per model, base URL and key.

When a cooldown expires, one probe call is allowed. Success closes the circuit; failure doubles the cooldown. It is of a
model at a base URL with a key, whatever deployments lead there. Knows no LiteLLM and no router:
`litellm_maas.provider.cooldown_rules` decides what to do about a model in cooldown.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.gateway.errors import Failure

logger = logging.getLogger("litellm_maas")

_PROBE_TIMEOUT = 60.0
"""Seconds after which a probe whose outcome nobody reported no longer keeps others from probing."""


@dataclass(frozen=True, slots=True)
class DeploymentKey:
    """Identify what a cooldown is of: a model of an account.

    Attributes:
        account: Stands for base URL and key; of the key it tells nothing.
    """

    model: str
    account: int

    @classmethod
    def of(cls, model: str, endpoint: Endpoint, key: SecretStr) -> DeploymentKey:
        """Return the key of calls to a model at a base URL with an API key."""
        return cls(model, hash((endpoint.base_url, key.get_secret_value())))


@dataclass(frozen=True, slots=True)
class CooldownPolicy:
    """Define when a kind of failure opens a cooldown, and for how long.

    Attributes:
        failures: How many in a row it takes.
        first: Seconds of the first cooldown; each further one is twice as long.
        longest: Seconds of the longest cooldown.
    """

    failures: int
    first: float
    longest: float


# What somebody has to fix takes minutes or hours, and a caller gains nothing from each further try.
_PERSISTENT = CooldownPolicy(1, 60.0, 600.0)
_POLICIES: dict[str, CooldownPolicy] = {
    # Kong's windows are a minute; without a word of how long, a short wait is the least that helps.
    "rate_limit": CooldownPolicy(1, 5.0, 60.0),
    # Each silence costs a caller the whole timeout.
    "timeout": CooldownPolicy(1, 10.0, 60.0),
    # Upstream trouble mostly clears at once: three in a row are no accident.
    "connection": CooldownPolicy(3, 5.0, 60.0),
    "retryable": CooldownPolicy(3, 5.0, 60.0),
    "server": CooldownPolicy(3, 5.0, 60.0),
    "bad_gateway": CooldownPolicy(3, 5.0, 60.0),
    "unavailable": CooldownPolicy(3, 5.0, 60.0),
}


@dataclass(slots=True)
class _State:
    """Keep the state of a target that failed last.

    Attributes:
        failures: Failures in a row since it answered or was in cooldown.
        trips: Cooldowns in a row.
        open_until: When the cooldown ends (seconds, by the clock); 0 where there was none.
        probe_until: Until when somebody probes it.
        warned: Whether a warning was given.
    """

    failure: Failure
    failures: int = 0
    trips: int = 0
    open_until: float = 0.0
    probe_until: float = 0.0
    warned: bool = False


class CooldownRegistry:
    """Keep the cooldowns of this process.

    Attributes:
        clock: Seconds, monotonic; may be replaced, so that a test can move the time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._states: dict[DeploymentKey, _State] = {}
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def failed(self, target: DeploymentKey, failure: Failure, *, is_routed: bool = True) -> None:
        """Note a failure, which opens a cooldown if it is persistent, or the third in a row.

        Args:
            target: What was called.
            failure: Why it failed.
            is_routed: Whether a router called it. Without one nothing is skipped, so there is nothing to log.
        """
        policy = _PERSISTENT if failure.is_persistent else _POLICIES.get(failure.kind)
        # A limit without a reply is this side's own rate limit, and says nothing of the model.
        if policy is None or (failure.kind == "rate_limit" and failure.status is None):
            self._end_probe(target)
            return
        if (length := self._trip(target, failure, policy, is_routed=is_routed)) is not None:
            logger.warning(
                "maas/%s is cooling down for %.0f s: %s. %s Calls go to the next model of their group, if any.",
                *(target.model, length, failure.message, failure.hint),
            )

    def _end_probe(self, target: DeploymentKey) -> None:
        """Let somebody else probe: this probe told nothing of the target."""
        with self._lock:
            if (state := self._states.get(target)) is not None:
                state.probe_until = 0.0

    def _trip(
        self, target: DeploymentKey, failure: Failure, policy: CooldownPolicy, *, is_routed: bool
    ) -> float | None:
        """Open a cooldown, and return its seconds where that is to be logged."""
        now = self.clock()
        with self._lock:
            state = self._states.setdefault(target, _State(failure))
            state.failure, state.probe_until = failure, 0.0
            if now < state.open_until:
                return None  # other calls that were in flight when the cooldown began
            state.failures += 1
            if state.failures < policy.failures and not state.trips:
                return None
            length = min(policy.first * 2**state.trips, policy.longest)
            if failure.retry_after is not None and not failure.is_persistent:
                length = min(max(failure.retry_after, 1.0), policy.longest)
            state.failures, state.trips, state.open_until = 0, state.trips + 1, now + length
            is_news = is_routed and failure.is_persistent and not state.warned
            state.warned = state.warned or is_news
        return length if is_news else None

    def succeeded(self, target: DeploymentKey) -> None:
        """Note an answer, which ends all cooldowns of the target."""
        if target not in self._states:
            return
        with self._lock:
            state = self._states.pop(target, None)
        if state is not None and state.warned:
            logger.warning("maas/%s has recovered.", target.model)

    def seconds_remaining(self, target: DeploymentKey) -> float:
        """Return the seconds until the target's cooldown ends; 0 if it has none."""
        state = self._states.get(target)
        return 0.0 if state is None else max(state.open_until - self.clock(), 0.0)

    def failure(self, target: DeploymentKey) -> Failure | None:
        """Return why the target is or was last in cooldown; None if it has answered since."""
        state = self._states.get(target)
        return None if state is None else state.failure

    def is_closed(self, target: DeploymentKey) -> bool:
        """Return whether the target has had no cooldown since it answered last."""
        state = self._states.get(target)
        return state is None or not state.trips

    def try_acquire_probe(self, target: DeploymentKey) -> bool:
        """Return whether a call may go to the target: it is available, or its cooldown is over and nobody probes it."""
        state = self._states.get(target)
        if state is None or not state.trips:
            return True
        with self._lock:
            now = self.clock()
            if now < state.open_until or now < state.probe_until:
                return False
            state.probe_until = now + _PROBE_TIMEOUT
            return True

    def is_available(self, target: DeploymentKey) -> bool:
        """Return what `try_acquire_probe` would, without taking the probe."""
        state = self._states.get(target)
        if state is None or not state.trips:
            return True
        now = self.clock()
        return now >= state.open_until and now >= state.probe_until

    def reset(self) -> None:
        """End all cooldowns."""
        with self._lock:
            self._states.clear()
