"""The data of the benchmark: the nine-column `jobs` rows of the GPU orchestrator and the transactions written to them.

Keys are md5 hashes, so they are as scattered as random uuids and yet the same in each run.
"""

SCHEMA = """
CREATE TYPE job_status AS ENUM ('queued', 'running', 'done', 'failed');
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
CREATE TABLE ticks (
    seq bigint PRIMARY KEY,
    payload text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""
TABLES = ("jobs", "ticks")

_INSERT = """
    INSERT INTO jobs (id, worker_id, status, created_at, updated_at, local_worker_name, local_gpu_id, _synced)
    SELECT md5('{tag}-' || i)::uuid, md5('worker-' || i % 50)::uuid, 'queued', clock_timestamp(), clock_timestamp(),
           'worker ' || i % 50, 'GPU-' || i % 8, false
    FROM generate_series({first}, {last}) i
"""


def insert_in_transactions(cursor, tag, rows, rows_each):
    """`rows` inserts in transactions of `rows_each`. REQUIRES: autocommit (the block commits by itself)."""
    cursor.execute(f"""
        DO $$
        BEGIN
          FOR t IN 0..{rows // rows_each - 1} LOOP
            {_INSERT.format(tag=tag, first=f't * {rows_each} + 1', last=f'(t + 1) * {rows_each}')};
            COMMIT;
          END LOOP;
        END $$""")


def insert_at_once(cursor, tag, rows):
    """One transaction of `rows` inserts."""
    cursor.execute(_INSERT.format(tag=tag, first=1, last=rows))


def update_one_by_one(cursor, tag, transactions, rows, mark):
    """`transactions` transactions, each updating one row of the `rows` inserted with `tag`; in the end their local_gpu_id is `mark`."""
    cursor.execute(f"""
        DO $$
        BEGIN
          FOR t IN 1..{transactions} LOOP
            UPDATE jobs SET status = 'done', updated_at = clock_timestamp(), local_gpu_id = '{mark}'
             WHERE id = md5('{tag}-' || (t - 1) % {rows} + 1)::uuid;
            COMMIT;
          END LOOP;
        END $$""")


def has_row(cursor, tag, number):
    cursor.execute("SELECT 1 FROM jobs WHERE id = md5(%s)::uuid", (f"{tag}-{number}",))
    return cursor.fetchone() is not None


def has_mark(cursor, tag, number, mark):
    cursor.execute("SELECT 1 FROM jobs WHERE id = md5(%s)::uuid AND local_gpu_id = %s", (f"{tag}-{number}", mark))
    return cursor.fetchone() is not None


def fingerprint(cursor, columns="id, worker_id, status, created_at, updated_at, local_worker_name, local_gpu_id, _synced, _synced_at"):
    """Rows and a hash over all rows of jobs, the same in any order."""
    cursor.execute(f"SELECT count(*), coalesce(sum(('x' || left(md5(ROW({columns})::text), 15))::bit(60)::bigint::numeric), 0) FROM jobs")
    return cursor.fetchone()
