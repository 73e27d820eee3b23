# The image of Assay. docker-compose.yml builds it; docs/kubernetes.md uses it too.
#
#   docker build --target api    --tag assay-api:0.2.0 .
#   docker build --target worker --tag assay-worker:0.2.0 .
#
# Both targets contain the same packages and differ in their command and health check. They run
# without root and with a read-only root file system; only /tmp must be writable. The code and
# its packages belong to root, so a process cannot change them.

# Downloads the locked packages and checks their hashes; the image then installs the packages
# for production from that folder only.
FROM python:3.11-slim AS packages
COPY requirements.lock /src/
RUN pip download --no-cache-dir --require-hashes --dest /packages -r /src/requirements.lock
COPY pyproject.toml README.md *.py /src/
COPY activities /src/activities
COPY api /src/api
COPY core /src/core
COPY evals /src/evals
COPY workflows /src/workflows
RUN python -m venv /opt/assay \
 && /opt/assay/bin/pip install --no-cache-dir --no-index --find-links /packages "/src[tracing]"

FROM python:3.11-slim AS base
# By number, because Kubernetes checks runAsNonRoot against a number only.
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /home/assay assay
COPY --from=packages /opt/assay /opt/assay
# Two heaps: with the C library's default number, a worker's memory grows for hours.
# No bytecode is written, because the root file system is read-only; pip has compiled the packages.
ENV PATH=/opt/assay/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
USER 10001:10001
WORKDIR /home/assay

FROM base AS api
EXPOSE 8000
CMD ["uvicorn", "api.app:create_app", "--factory", "--host=0.0.0.0", "--port=8000", "--loop=uvloop", \
     "--timeout-graceful-shutdown=20", "--no-access-log", "--no-server-header", \
     "--http=api.http.timed_protocol:TimedProtocol"]
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]

# The last target is the default of docker build.
FROM base AS worker
CMD ["python", "-m", "worker"]
# Healthy while the worker is alive and polls Temporal.
HEALTHCHECK --interval=30s --timeout=15s --retries=3 --start-period=60s \
  CMD ["python", "-m", "core.queries.worker_health"]
