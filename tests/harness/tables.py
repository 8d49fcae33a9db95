"""The GPU orchestrator's tables, as its founding document has them, and a marker table that tells when the centre has caught up."""

# Columns that the centre adds to each configured table.
INLINE_COLUMNS = ("_source", "_source_updated_at", "_sync_version")

GPU_TABLES = ("workers", "jobs", "results", "metrics")

_GPU_SQL = """
CREATE TYPE job_status AS ENUM ('queued', 'running', 'succeeded', 'failed', 'cancelled');

CREATE TABLE workers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    gpu_model text,
    memory_mb int,
    last_seen_at timestamptz,
    labels jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    worker_id uuid NOT NULL,
    status job_status NOT NULL,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    local_worker_name text,
    local_gpu_id text,
    _synced boolean DEFAULT false,
    _synced_at timestamp
);

CREATE TABLE results (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL,
    output jsonb,
    score numeric(12, 6) CONSTRAINT pmoves_sync_finite_score CHECK (score <> 'NaN'),
    artifact bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE metrics (
    worker_id uuid NOT NULL,
    at timestamptz NOT NULL,
    name text NOT NULL,
    value double precision,
    PRIMARY KEY (worker_id, at, name)
);
"""

# One row per source and round: it arrives after everything that its source committed before.
MARKER_TABLE = "sync_marker"
_MARKER_SQL = "CREATE TABLE sync_marker (source text, round bigint, PRIMARY KEY (source, round))"


def create_gpu_tables(postgres):
    postgres.execute(_GPU_SQL)


def create_marker_table(postgres):
    postgres.execute(_MARKER_SQL)
