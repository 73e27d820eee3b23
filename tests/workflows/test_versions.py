"""A rolling upgrade and a rollback under load: batches stay with their version."""

import asyncio

from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.service import RPCError

from core.ids import RunStatus
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from workflows.policies import Limits

IN_BATCHES = Limits(pairs_without_batch=0, pairs_per_batch=6, min_pairs_per_batch=6, batches_open=1)


async def make_current(stack: Stack, build: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await stack.client.workflow_service.set_worker_deployment_current_version(
                    SetWorkerDeploymentCurrentVersionRequest(
                        namespace=stack.client.namespace,
                        deployment_name=stack.task_queue,
                        build_id=build,
                        ignore_missing_task_queues=True,
                    )
                )
            except RPCError:
                await asyncio.sleep(0.1)  # Temporal knows the version after its worker has polled.
            else:
                return


async def version_of(stack: Stack, workflow_id: str) -> str:
    described = await stack.client.get_workflow_handle(workflow_id).describe()
    info = described.raw_description.workflow_execution_info.versioning_info
    version: WorkerDeploymentVersion = info.deployment_version
    return version.build_id


async def test_runs_go_on_through_an_upgrade_and_a_roll_back(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker(deployment_version="1"):
        await make_current(stack, "1")
        run = await stack.post(traces=6, limits=IN_BATCHES)
        await doors.reached.wait()
        first = f"eval-run-{run.id}-batch-0"
        assert await version_of(stack, first) == "1"
        async with stack.worker(deployment_version="2"):
            await make_current(stack, "2")
            doors.open.set()
            await stack.handle(run).result()
            assert await version_of(stack, first) == "1"
            again = await stack.post(traces=0, limits=IN_BATCHES, fresh=True)
            await stack.handle(again).result()
            assert await version_of(stack, f"eval-run-{again.id}-batch-0") == "2"
            await make_current(stack, "1")
        back = await stack.post(traces=0, limits=IN_BATCHES, fresh=True)
        await stack.handle(back).result()
    for one in (run, again, back):
        row = await stack.row(one)
        assert (row.status, row.evaluated_count) == (RunStatus.COMPLETED, 6)
        assert len(await stack.scores(one)) == 18
