# docker build --tag token-registry . ; compose.yaml runs it with PostgreSQL.

FROM python:3.13-slim AS build

WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH

COPY requirements.txt .
RUN pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt

COPY . .
RUN STATIC_ROOT=/app/static python manage.py collectstatic --no-input --verbosity 0 \
    && python -m compileall -q . \
    && mkdir --mode=700 var

FROM python:3.13-slim

# Everything that is written, the secrets that `init` makes included, is in /app/var: the rest may be read-only.
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENV_FILE=/app/var/env \
    STATIC_ROOT=/app/static

WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app .
RUN chown 10001:10001 var

USER 10001:10001
VOLUME /app/var
EXPOSE 7000

HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7000/healthz', timeout=4)"]

CMD ["python", "manage.py", "serve", "--bind", "0.0.0.0:7000"]
