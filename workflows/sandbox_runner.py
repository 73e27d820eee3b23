"""Temporal's sandbox, entered only to run workflow code."""

from typing import Any, Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    DataConverter,
    StorageDriverStoreContext,
    WithSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

PASSED_THROUGH: Final = ("activities", "core", "evals", "workflows", "opentelemetry")
"""Assay's packages keep no state of a workflow. OpenTelemetry is loaded only when tracing is on.

Loading them again would cost each workflow 8 ms, and a `git pull` would change the code of a
running worker.
"""


_RESTRICTIONS: Final = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)


def runner_for(converter: DataConverter) -> WorkflowRunner:
    """The sandbox that a worker with this converter runs workflows in."""
    if isinstance(converter.payload_codec, WithSerializationContext):
        return SandboxedWorkflowRunner(restrictions=_RESTRICTIONS)
    return ContextFreeRunner()


class ContextFreeRunner(SandboxedWorkflowRunner):
    """A runner for data converters without a serialization context, such as Assay's own.

    The SDK otherwise enters the sandbox several times per payload only to get this context, which
    takes a twelfth of a busy worker's time.
    """

    def __init__(self) -> None:
        super().__init__(restrictions=_RESTRICTIONS)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ContextFree(super().create_instance(det))


class _ContextFree(WorkflowInstance):
    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: Any) -> None:  # noqa: ARG002 - fixed by the SDK
        return None

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:  # noqa: ARG002 - fixed by the SDK
        """None, because payloads are stored in Temporal itself."""
        return StorageDriverStoreContext()

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()
