"""New addresses, certificates and API keys of Temporal, taken over without a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from temporalio.client import Client, ClientConfig, Plugin
from temporalio.envconfig import ClientConfig as EnvironmentConfig
from temporalio.envconfig import ClientConnectConfig
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import Worker

from core.errors import Misconfigured

RENEW_SECONDS: Final = 30.0
"""How often the certificates and the profile of Temporal are read again."""

log = logging.getLogger("assay.temporal")


class RenewableServiceClient(ServiceClient):
    """Sends each call over the newest connection."""

    def __init__(self, config: ConnectConfig, connection: ServiceClient) -> None:
        super().__init__(config)
        self._connection = connection

    async def reconnect(self, config: ConnectConfig) -> None:
        """Connects anew; calls under way end on the old connection.

        Raises RuntimeError if the server cannot be reached, and keeps the old connection.
        """
        self._connection = await ServiceClient.connect(config)
        self.config = config

    @property
    def worker_service_client(self):  # type: ignore[no-untyped-def]
        return self._connection.worker_service_client

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        self._connection.update_rpc_metadata(metadata)

    def update_api_key(self, api_key: str | None) -> None:
        self._connection.update_api_key(api_key)

    async def _rpc_call(self, *call: Any, **options: Any) -> Any:
        # The method that every ServiceClient implements, in spite of its name.
        return await self._connection._rpc_call(*call, **options)


class Renewable(Plugin):
    """Makes the connection of a client renewable."""

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        return config

    async def connect_service_client(
        self,
        config: ConnectConfig,
        next: Callable[[ConnectConfig], Awaitable[ServiceClient]],  # noqa: A002 - named by the SDK
    ) -> ServiceClient:
        return RenewableServiceClient(config, await next(config))


def stated_config() -> ClientConnectConfig:
    """What Temporal's own `TEMPORAL_*` variables, profile and certificate files say now.

    Raises Misconfigured.
    """
    try:
        return EnvironmentConfig.load_client_connect_config()
    except (OSError, RuntimeError) as error:
        # Further lines quote the file, which may contain an API key.
        said = str(error).partition("\n")[0]
        raise Misconfigured(
            f"The configuration of Temporal cannot be read: {said}. Correct TEMPORAL_CONFIG_FILE, "
            "TEMPORAL_PROFILE, or the file that it names."
        ) from None


def connection_config(default_address: str) -> ClientConnectConfig:
    """As `stated_config`, with an address. Raises Misconfigured."""
    config = stated_config()
    config.setdefault("target_host", default_address)
    return config


class Renewal:
    """Compares the configuration of a connected client with the files that it came from."""

    def __init__(self, client: Client, default_address: str) -> None:
        self._client = client
        self._default_address = default_address
        self._known = connection_config(default_address)

    async def renew(self, workers: Iterable[Worker] = ()) -> None:
        """Takes over what has changed.

        Raises Misconfigured if the configuration cannot be read, and RuntimeError if the server
        refuses the change.
        """
        found = await asyncio.to_thread(connection_config, self._default_address)
        if found == self._known:
            return
        if _without_key(found) == _without_key(self._known):
            self._client.api_key = found.get("api_key")
            log.info("The API key of Temporal was renewed.")
        else:
            await self._reconnect(found)
            for worker in workers:
                worker.client = self._client
            log.info("The connection to Temporal was renewed.")
        self._known = found

    async def _reconnect(self, found: ClientConnectConfig) -> None:
        service = self._client.service_client
        assert isinstance(service, RenewableServiceClient)
        await service.reconnect(
            replace(
                service.config,
                target_host=found["target_host"],
                api_key=found.get("api_key"),
                tls=found.get("tls"),
                rpc_metadata=found.get("rpc_metadata", {}),
                lazy=False,
            )
        )


def _without_key(config: ClientConnectConfig) -> Mapping[str, object]:
    return {name: value for name, value in config.items() if name != "api_key"}
