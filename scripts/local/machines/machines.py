"""Gives every emulated EC2 instance a machine, and keeps the states of the two in step."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState, StateReason

from scripts.local.aws.metadata_service import InstanceView, MetadataService
from scripts.local.aws.replaced import replaced
from scripts.local.command_environment import CHECKOUT
from scripts.local.machines.instance_view import view_of
from scripts.local.machines.machine import Machine, Surroundings
from scripts.local.machines.ordinary_user import ordinary_user

log = logging.getLogger(__name__)

STOP_DEADLINE = 120.0  # seconds; EC2 too ends an instance by force when it does not go down
STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

# Makes the machine of an instance from its disk's folder, its metadata service, the address of the AWS API, and what to
# call when the machine has ended by itself. The machine tests make machines that boot; both have the same surface.
MakeMachine = Callable[[Path, MetadataService, str, Callable[[], None]], Any]


class Machines:
    """The machines of one cloud, by instance id. Their disks lie in `folder`.

    `make` makes a machine; by default it is a group of processes.
    """

    def __init__(self, folder: Path, aws_endpoint: str, make: MakeMachine | None = None) -> None:
        self._folder = folder
        self._aws_endpoint = aws_endpoint
        self._make = make or _process_machines()
        self._machines: dict[str, Machine] = {}
        self._instances: dict[str, Any] = {}
        self._turns: dict[str, ThreadPoolExecutor] = {}
        self._spot_actions: dict[str, dict[str, str]] = {}
        self._lock = threading.RLock()
        self._closed = False
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)

    def __getitem__(self, instance_id: str) -> Machine:
        """The machine of an instance. Raises `KeyError` for one that never was or is terminated."""
        return self._machines[instance_id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._machines))

    def __len__(self) -> int:
        return len(self._machines)

    def close(self) -> None:
        """Ends every machine at once."""
        with self._lock:
            self._closed = True
            machines, turns = list(self._machines.values()), list(self._turns.values())
            self._machines.clear()
            self._turns.clear()
        for machine in machines:
            machine.kill()
        for executor in turns:
            executor.shutdown(cancel_futures=True)
        for machine in machines:
            machine.close()  # also one that was being started meanwhile

    def announce_spot_interruption(self, instance_id: str, action: str, time: str) -> None:
        """Makes the metadata service give the notice of `spot/instance-action`.

        `action` is `terminate`, `stop` or `hibernate`; `time` is UTC, ISO 8601, as in 2026-01-02T03:04:05Z.
        """
        self._spot_actions[instance_id] = {"action": action, "time": time}

    def interrupt_spot(self, instance_id: str, *, seconds: float = 120) -> None:
        """EC2 takes a spot instance back: gives the notice, and terminates it that many seconds later."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        self.announce_spot_interruption(instance_id, "terminate", end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        timer = threading.Timer(seconds, self._take_back, [self._instances[instance_id]])
        timer.daemon = True
        timer.start()

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Makes the emulated EC2 API act on the machines while the context lasts."""
        hooks = {
            (InstanceBackend, "run_instances"): self._around_run,
            (InstanceBackend, "start_instances"): _only_from({"stopped", "running", "pending"}, "started"),
            (InstanceBackend, "stop_instances"): _only_from({"pending", "running", "stopping", "stopped"}, "stopped"),
            (Instance, "start"): self._around_start,
            (Instance, "stop"): self._around_stop,
            (Instance, "reboot"): self._around_reboot,
            (Instance, "terminate"): self._around_terminate,
        }
        with replaced({(owner, name): hook(owner.__dict__[name]) for (owner, name), hook in hooks.items()}):
            yield

    def _around_run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run_instances(backend: Any, *args: Any, **kwargs: Any) -> Any:
            reservation = original(backend, *args, **kwargs)
            for instance in reservation.instances:
                self._launch(instance)
            return reservation

        return run_instances

    def _around_start(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def start(instance: Any) -> Any:
            if instance.state in ("running", "pending"):
                return InstanceState(instance.state, instance.state_code)
            instance.launch_time = utcnow()
            return self._begin(instance, "pending", self._boot, original)

        return start

    def _around_stop(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def stop(instance: Any, reason: StateReason | None = None) -> Any:
            if instance.state in ("stopping", "stopped"):
                return InstanceState(instance.state, instance.state_code)
            return self._begin(instance, "stopping", self._power_off, original, reason)

        return stop

    def _around_reboot(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def reboot(instance: Any) -> None:
            original(instance)
            self._take_turn(instance, self._reboot)

        return reboot

    def _around_terminate(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def terminate(instance: Any, reason: StateReason | None = None) -> Any:
            if instance.state in ("shutting-down", "terminated"):
                return InstanceState(instance.state, instance.state_code)
            return self._begin(instance, "shutting-down", self._destroy, original, reason)

        return terminate

    def _launch(self, instance: Any) -> None:
        def view() -> InstanceView:
            return dataclasses.replace(view_of(instance), spot_action=self._spot_actions.get(instance.id))

        metadata = MetadataService(view)
        ended = functools.partial(self._ended_by_itself, instance)
        machine = self._make(self._folder / instance.id, metadata, self._aws_endpoint, ended)
        with self._lock:
            self._machines[instance.id] = machine
            self._instances[instance.id] = instance
            self._turns[instance.id] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=instance.id)
        self._begin(instance, "pending", self._boot)

    def _begin(
        self,
        instance: Any,
        state: str,
        action: Callable[[Any, Machine], None],
        moto_s_own: Callable[[Any], Any] = lambda instance: None,
        reason: StateReason | None = None,
    ) -> InstanceState:
        """Begins to change an instance's state, and gives the one before. Who sees the change's end sees its reason."""
        with self._lock:
            previous = InstanceState(instance.state, instance.state_code)
            _set_state(instance, state)
            moto_s_own(instance)
            instance.state_reason = reason or instance.state_reason
            self._take_turn(instance, action)
        return previous

    def _end(self, instance: Any, state: str, after: str) -> None:
        """Ends a change of an instance's state, unless another one was begun meanwhile."""
        with self._lock:
            if instance.state == state:
                _set_state(instance, after)

    def _take_turn(self, instance: Any, action: Callable[[Any, Machine], None]) -> None:
        """Runs an action in the background, after the earlier actions of the same instance."""
        with self._lock:
            if not self._closed and instance.id in self._machines:
                self._turns[instance.id].submit(self._logged, action, instance, self._machines[instance.id])

    @staticmethod
    def _logged(action: Callable[[Any, Machine], None], instance: Any, machine: Machine) -> None:
        try:
            action(instance, machine)
        except Exception:
            log.exception("The machine of %s failed.", instance.id)

    def _boot(self, instance: Any, machine: Machine) -> None:
        if instance.state != "pending" or self._closed:
            return
        try:
            machine.start()
        except (OSError, RuntimeError) as error:
            # As EC2 ends an instance that it cannot launch.
            log.exception("The machine of %s could not be started.", instance.id)
            instance.terminate(StateReason(f"Server.InternalError: {error}", "Server.InternalError"))
            return
        self._end(instance, "pending", "running")

    def _power_off(self, instance: Any, machine: Machine) -> None:
        machine.power_off(STOP_DEADLINE)
        self._end(instance, "stopping", "stopped")

    def _reboot(self, instance: Any, machine: Machine) -> None:
        machine.power_off(STOP_DEADLINE)
        if instance.state == "running" and not self._closed:
            machine.start()

    def _destroy(self, instance: Any, machine: Machine) -> None:
        machine.power_off(STOP_DEADLINE)
        machine.destroy()
        with self._lock:
            self._machines.pop(instance.id, None)
            turns = self._turns.pop(instance.id, None)
        _set_state(instance, "terminated")
        if turns:
            turns.shutdown(wait=False)

    def _take_back(self, instance: Any) -> None:
        with self._lock:
            if not self._closed and instance.state not in ("shutting-down", "terminated"):
                code = "Server.SpotInstanceTermination"
                instance.terminate(StateReason(f"{code}: Spot instance termination", code))

    def _ended_by_itself(self, instance: Any) -> None:
        with self._lock:
            if not self._closed and instance.state in ("running", "pending"):
                goes = instance.instance_initiated_shutdown_behavior == "terminate"
                code = "Client.InstanceInitiatedShutdown"
                end = instance.terminate if goes else instance.stop
                end(StateReason(f"{code}: Instance initiated shutdown", code))


class State(InstanceState):  # type: ignore[misc]  # moto is untyped here
    """A state that moto does not change: it takes an instance for stopped that only begins to stop."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets what is not set yet."""
        self.__dict__.setdefault(name, value)


def _set_state(instance: Any, state: str) -> None:
    instance._state = State(state, STATES[state])


def _only_from(states: Container[str], done: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuses instances in any other state, as EC2 does. moto takes each."""

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(backend: Any, instance_ids: list[str]) -> Any:
            for instance in backend.get_multi_instances_by_id(instance_ids):
                if instance.state not in states:
                    raise EC2ClientError(
                        "IncorrectInstanceState",
                        f"The instance '{instance.id}' is not in a state from which it can be {done}.",
                    )
            return original(backend, instance_ids)

        return call

    return around


def _process_machines() -> MakeMachine:
    user, nvidia_smi = ordinary_user(CHECKOUT), shutil.which("nvidia-smi")
    has_gpu = bool(nvidia_smi) and not subprocess.run([str(nvidia_smi)], capture_output=True, check=False).returncode

    def make(disk: Path, metadata: MetadataService, aws_endpoint: str, on_end: Callable[[], None]) -> Machine:
        return Machine(disk, metadata, Surroundings(aws_endpoint, user, has_gpu=has_gpu), on_end)

    return make
