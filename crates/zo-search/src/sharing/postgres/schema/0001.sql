-- Version 1. Run once, in one transaction, under a lock; never changed after a release: what changes is a further file.

CREATE SCHEMA IF NOT EXISTS zo_search;
COMMENT ON SCHEMA zo_search IS
    'Studies of zo-search: their lines, tasks, workers and small files; views to look at them.';

CREATE TABLE zo_search.schema_version (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE zo_search.schema_version IS 'The versions of this schema that were applied; the highest one holds.';

CREATE TABLE zo_search.studies (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    closed boolean NOT NULL DEFAULT false,
    awaited boolean NOT NULL DEFAULT false,
    created timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE zo_search.studies IS
    'One row for each study. Deleting it deletes the study with all that belongs to it.';
COMMENT ON COLUMN zo_search.studies.closed IS 'Whether there will be no more tasks, so that workers may end.';
COMMENT ON COLUMN zo_search.studies.awaited IS 'Whether somebody waits to be told of the next result.';

CREATE TABLE zo_search.lines (
    study integer NOT NULL REFERENCES zo_search.studies ON DELETE CASCADE,
    number bigint NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (study, number)
);
COMMENT ON TABLE zo_search.lines IS 'The journal of each study: all else about its trials follows from these lines.';
COMMENT ON COLUMN zo_search.lines.number IS 'From 1, without a gap.';
COMMENT ON COLUMN zo_search.lines.line IS 'A JSON object whose last field, c, is the CRC-32 of the object without it.';

CREATE TYPE zo_search.task_state AS ENUM ('waiting', 'claimed', 'done');

-- Payloads and results are text: that keeps numbers as they were written, and the character U+0000, which jsonb
-- refuses.
CREATE TABLE zo_search.tasks (
    study integer NOT NULL REFERENCES zo_search.studies ON DELETE CASCADE,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    payload text NOT NULL,
    state zo_search.task_state NOT NULL DEFAULT 'waiting',
    attempt integer NOT NULL DEFAULT 0,
    worker text,
    request bigint,
    lease_until timestamptz,
    result text,
    -- The key first, so that this index is of no use without one: the server, which has no statistics of a table that
    -- has just begun to grow, would take it for claims, and look at all tasks.
    PRIMARY KEY (key, study),
    CHECK ((state = 'claimed') = (lease_until IS NOT NULL)),
    CHECK ((state = 'done') = (result IS NOT NULL))
) WITH (
    -- A claim and a result each leave a dead row behind. They are vacuumed by their number, not by their share of the
    -- table: otherwise a claim would step over as many dead index entries as a share of the done tasks.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2, autovacuum_vacuum_insert_scale_factor = 0.2
);
COMMENT ON TABLE zo_search.tasks IS 'What workers evaluate: trials, or parts of them.';
COMMENT ON COLUMN zo_search.tasks.seq IS 'The order in which tasks were posted and are claimed.';
COMMENT ON COLUMN zo_search.tasks.payload IS 'JSON: all that a worker needs to know.';
COMMENT ON COLUMN zo_search.tasks.state IS
    'waiting: never claimed. claimed: by worker, until lease_until; then anybody may claim it. done: has a result.';
COMMENT ON COLUMN zo_search.tasks.attempt IS 'How often it was claimed: the fencing token of the last claim.';
COMMENT ON COLUMN zo_search.tasks.worker IS 'Who claimed it last; null when that worker gave it back.';
COMMENT ON COLUMN zo_search.tasks.request IS
    'The call that claimed it last, so that its lost answer can be given again.';
COMMENT ON COLUMN zo_search.tasks.lease_until IS 'By the server''s clock; -infinity when it was given back.';
COMMENT ON COLUMN zo_search.tasks.result IS 'JSON: {"Ok": result} or {"Err": {"kind", "message"}}.';
-- Without done tasks, so that a million of them do not slow a claim.
CREATE INDEX tasks_waiting ON zo_search.tasks (study, seq) WHERE state = 'waiting';
CREATE INDEX tasks_leases ON zo_search.tasks (study, lease_until, seq) WHERE state = 'claimed';
CREATE INDEX tasks_claims ON zo_search.tasks (worker, study) WHERE state = 'claimed';

CREATE TABLE zo_search.workers (
    study integer NOT NULL REFERENCES zo_search.studies ON DELETE CASCADE,
    id text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    info text NOT NULL,
    seen timestamptz NOT NULL DEFAULT now(),
    ended boolean NOT NULL DEFAULT false,
    PRIMARY KEY (study, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE zo_search.workers IS 'Who ever evaluated something.';
COMMENT ON COLUMN zo_search.workers.number IS 'The order in which they came.';
COMMENT ON COLUMN zo_search.workers.info IS 'JSON: id, host, process, device.';
COMMENT ON COLUMN zo_search.workers.seen IS 'When it was heard of, to a second.';
COMMENT ON COLUMN zo_search.workers.ended IS 'Whether it said that it has ended.';

CREATE TABLE zo_search.files (
    study integer NOT NULL REFERENCES zo_search.studies ON DELETE CASCADE,
    name text NOT NULL,
    bytes bytea NOT NULL,
    written timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (study, name)
);
COMMENT ON TABLE zo_search.files IS 'Small files of a study, such as its settings.';

CREATE FUNCTION zo_search.append(the_study integer, lines_before bigint, new_lines text[], durable boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A commit that flushes the log flushes all before it too. Where the server is set to wait for replicas, it does.
    IF NOT durable THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO zo_search.lines (study, number, line)
        SELECT the_study, lines_before + place, line
        FROM unnest(new_lines) WITH ORDINALITY AS added (line, place) ORDER BY place;
END $$;
COMMENT ON FUNCTION zo_search.append IS 'Adds lines behind the first so many. A number that is taken is an error.';

CREATE FUNCTION zo_search.heard_of(the_study integer, the_worker text, the_info text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    SELECT ended OR seen < now() - interval '1 second' AS changes INTO known
        FROM zo_search.workers WHERE study = the_study AND id = the_worker;
    IF NOT FOUND THEN
        INSERT INTO zo_search.workers (study, id, info) VALUES (the_study, the_worker, the_info)
            ON CONFLICT (study, id) DO NOTHING;
    ELSIF known.changes THEN
        UPDATE zo_search.workers SET seen = clock_timestamp(), ended = false
            WHERE study = the_study AND id = the_worker;
    END IF;
END $$;

CREATE FUNCTION zo_search.post(the_study integer, keys text[], payloads text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO zo_search.tasks (study, key, payload)
        SELECT the_study, posted.key, posted.payload
        FROM unnest(keys, payloads) WITH ORDINALITY AS posted (key, payload, place) ORDER BY place
        ON CONFLICT (key, study) DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('zo_search_tasks_' || the_study, '');
    END IF;
END $$;
COMMENT ON FUNCTION zo_search.post IS 'Adds the tasks that are not there yet.';

CREATE FUNCTION zo_search.exchange(
    the_study integer, the_worker text, the_info text, keys text[], attempts integer[], results text[],
    the_request bigint, repeated boolean, want integer, lease double precision
) RETURNS TABLE (what text, at bigint, key text, attempt integer, payload text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    taken integer;
    any_result boolean := false;
    own record;
BEGIN
    PERFORM zo_search.heard_of(the_study, the_worker, the_info);
    -- Conditions that fit no index but that of the key: those of claims hold what is dead until the next vacuum.
    FOR i IN 1 .. coalesce(array_length(keys, 1), 0) LOOP
        UPDATE zo_search.tasks AS task SET state = 'done', result = results[i], lease_until = NULL
            WHERE task.study = the_study AND task.key = keys[i] AND task.attempt = attempts[i]
                AND task.lease_until IS NOT NULL AND task.worker IS NOT DISTINCT FROM the_worker;
        IF FOUND THEN
            any_result := true;
        ELSIF NOT EXISTS (
            SELECT FROM zo_search.tasks AS task
            WHERE task.study = the_study AND task.key = keys[i] AND task.attempt = attempts[i]
                AND task.state = 'done' AND task.result = results[i]
        ) THEN
            RETURN QUERY SELECT 'refused', i::bigint, keys[i], attempts[i], NULL::text;
        END IF;
    END LOOP;
    IF repeated THEN
        RETURN QUERY SELECT 'claim', task.seq, task.key, task.attempt, task.payload FROM zo_search.tasks AS task
            WHERE task.study = the_study AND task.state = 'claimed' AND task.worker = the_worker
                AND task.request = the_request;
        GET DIAGNOSTICS taken = ROW_COUNT;
        want := want - taken;
    END IF;
    -- Those that were claimed before come first: they were posted before those that never were.
    IF want > 0 THEN
        RETURN QUERY
            WITH free AS MATERIALIZED (
                SELECT task.key FROM zo_search.tasks AS task
                WHERE task.study = the_study AND task.state = 'claimed' AND task.lease_until <= now()
                ORDER BY task.lease_until, task.seq LIMIT want FOR UPDATE SKIP LOCKED
            )
            UPDATE zo_search.tasks AS task
            SET attempt = task.attempt + 1, worker = the_worker, request = the_request,
                lease_until = clock_timestamp() + lease * interval '1 second'
            FROM free WHERE task.study = the_study AND task.key = free.key
            RETURNING 'claim', task.seq, task.key, task.attempt, task.payload;
        GET DIAGNOSTICS taken = ROW_COUNT;
        want := want - taken;
    END IF;
    IF want > 0 THEN
        RETURN QUERY
            WITH free AS MATERIALIZED (
                SELECT task.key FROM zo_search.tasks AS task
                WHERE task.study = the_study AND task.state = 'waiting'
                ORDER BY task.seq LIMIT want FOR UPDATE SKIP LOCKED
            )
            UPDATE zo_search.tasks AS task
            SET state = 'claimed', attempt = task.attempt + 1, worker = the_worker, request = the_request,
                lease_until = clock_timestamp() + lease * interval '1 second'
            FROM free WHERE task.study = the_study AND task.key = free.key
            RETURNING 'claim', task.seq, task.key, task.attempt, task.payload;
    END IF;
    SELECT study.closed, study.awaited INTO own FROM zo_search.studies AS study WHERE study.id = the_study;
    IF own.closed THEN
        RETURN QUERY SELECT 'closed', 0::bigint, NULL::text, NULL::integer, NULL::text;
    END IF;
    -- One notice for each wait: a commit with a notice waits for all other commits with one.
    IF any_result AND own.awaited THEN
        PERFORM FROM zo_search.studies AS study WHERE study.id = the_study AND study.awaited FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE zo_search.studies AS study SET awaited = false WHERE study.id = the_study;
            PERFORM pg_notify('zo_search_results_' || the_study, '');
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION zo_search.exchange IS
    'Takes results, then claims up to so many tasks for so many seconds; a repeated request gets its claims again.';

-- Rows that somebody else holds are skipped: that is the worker's own exchange, or another worker that takes over.
CREATE FUNCTION zo_search.renew(the_study integer, the_worker text, the_info text, lease double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM zo_search.heard_of(the_study, the_worker, the_info);
    WITH own AS MATERIALIZED (
        SELECT key FROM zo_search.tasks
        WHERE study = the_study AND state = 'claimed' AND worker = the_worker FOR UPDATE SKIP LOCKED
    )
    UPDATE zo_search.tasks AS task SET lease_until = clock_timestamp() + lease * interval '1 second'
        FROM own WHERE task.study = the_study AND task.key = own.key;
END $$;
COMMENT ON FUNCTION zo_search.renew IS 'A worker lives: what it holds is its own for so many seconds from now.';

CREATE FUNCTION zo_search.leave(the_study integer, the_worker text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH own AS MATERIALIZED (
        SELECT key FROM zo_search.tasks
        WHERE study = the_study AND state = 'claimed' AND worker = the_worker ORDER BY key FOR UPDATE
    )
    UPDATE zo_search.tasks AS task SET worker = NULL, lease_until = '-infinity'
        FROM own WHERE task.study = the_study AND task.key = own.key;
    IF FOUND THEN
        PERFORM pg_notify('zo_search_tasks_' || the_study, '');
    END IF;
    UPDATE zo_search.workers SET seen = clock_timestamp(), ended = true WHERE study = the_study AND id = the_worker;
END $$;
COMMENT ON FUNCTION zo_search.leave IS 'A worker ends: what it holds is free at once.';

CREATE FUNCTION zo_search.close(the_study integer, is_closed boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE zo_search.studies SET closed = is_closed WHERE id = the_study AND closed <> is_closed;
    IF FOUND THEN
        PERFORM pg_notify('zo_search_tasks_' || the_study, '');
    END IF;
END $$;
COMMENT ON FUNCTION zo_search.close IS 'Says that there will be no more tasks, or that there will be after all.';

CREATE FUNCTION zo_search.line_json(line text) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT replace(line, '\u0000', '\ufffd')::jsonb $$;
COMMENT ON FUNCTION zo_search.line_json IS 'A line''s JSON; jsonb has no U+0000, so U+FFFD stands in its place.';

CREATE FUNCTION zo_search.line_number(value jsonb) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (value #>> '{}')::double precision $$;
COMMENT ON FUNCTION zo_search.line_number IS 'A number in a line, where NaN, inf and -inf are texts.';

CREATE VIEW zo_search.trials AS
WITH asks AS (
    SELECT study, zo_search.line_json(line) AS ask FROM zo_search.lines WHERE line LIKE '{"t":"ask",%'
), told AS (
    SELECT study, number, zo_search.line_json(line) AS tell FROM zo_search.lines WHERE line LIKE '{"t":"tell",%'
), outcomes AS (
    SELECT DISTINCT ON (study, id) study, id, tell FROM (
        SELECT study, number, (tell ->> 'id')::bigint AS id, tell FROM told
        WHERE NOT coalesce((tell ->> 'retry')::boolean, false)
    ) AS final ORDER BY study, id, number DESC
), retries AS (
    SELECT study, (tell ->> 'id')::bigint AS id, count(*) AS retries FROM told
    WHERE (tell ->> 'retry')::boolean GROUP BY 1, 2
)
SELECT
    studies.name AS study,
    (ask ->> 'id')::bigint AS id,
    CASE WHEN tell IS NULL THEN 'pending' WHEN (tell ->> 'ok')::boolean THEN 'ok' ELSE 'no result' END AS state,
    CASE WHEN (tell ->> 'ok')::boolean
        THEN zo_search.line_number(coalesce(tell -> 'lead', tell -> 'objectives' -> 0)) END AS objective,
    ARRAY(SELECT zo_search.line_number(value) FROM jsonb_array_elements(tell -> 'objectives') AS value) AS objectives,
    tell -> 'failure' ->> 'kind' AS failed,
    tell -> 'failure' ->> 'message' AS message,
    zo_search.line_number(tell -> 'violation') AS violation,
    zo_search.line_number(tell -> 'cost') AS cost,
    coalesce(zo_search.line_number(tell -> 'fidelity'), zo_search.line_number(ask -> 'fid')) AS fidelity,
    ask ->> 'why' AS why,
    coalesce(retries.retries, 0) AS retries,
    to_timestamp(zo_search.line_number(ask -> 'w' -> 'unix')) AS asked,
    to_timestamp(zo_search.line_number(tell -> 'w' -> 'unix')) AS told,
    ask -> 'point' AS point
FROM asks
JOIN zo_search.studies ON studies.id = asks.study
LEFT JOIN outcomes ON outcomes.study = asks.study AND outcomes.id = (ask ->> 'id')::bigint
LEFT JOIN retries ON retries.study = asks.study AND retries.id = (ask ->> 'id')::bigint;
COMMENT ON VIEW zo_search.trials IS 'The trials of all studies, read from the lines. Objectives are minimised.';
COMMENT ON COLUMN zo_search.trials.objective IS 'What the search goes by; null while there is no result.';
COMMENT ON COLUMN zo_search.trials.fidelity IS 'The fraction of the instances that the outcome stands on.';

CREATE VIEW zo_search.trial_values AS
SELECT trials.study, trials.id AS trial, dimension.key AS name, typed.key AS type, typed.value
FROM zo_search.trials, jsonb_each(trials.point) AS dimension, jsonb_each(dimension.value) AS typed;
COMMENT ON VIEW zo_search.trial_values IS 'The points of all trials: one row for each dimension that is active.';

CREATE VIEW zo_search.worker_status AS
SELECT
    studies.name AS study,
    workers.id AS worker,
    workers.info::json ->> 'host' AS host,
    workers.info::json ->> 'process' AS process,
    workers.info::json ->> 'device' AS device,
    workers.seen,
    now() - workers.seen AS silent,
    CASE WHEN workers.ended THEN 'ended' WHEN held.expired > 0
        OR (workers.info::json ->> 'lease')::float8 BETWEEN 1 AND extract(epoch FROM now() - workers.seen) THEN 'lost' WHEN held.claims > 0 THEN 'busy' ELSE 'idle'
        END AS state,
    held.claims,
    held.lease_until
FROM zo_search.workers
JOIN zo_search.studies ON studies.id = workers.study
CROSS JOIN LATERAL (
    SELECT count(*) AS claims, count(*) FILTER (WHERE tasks.lease_until <= now()) AS expired,
        min(tasks.lease_until) AS lease_until
    FROM zo_search.tasks
    WHERE tasks.study = workers.study AND tasks.worker = workers.id AND tasks.state = 'claimed'
) AS held;
COMMENT ON VIEW zo_search.worker_status IS 'The workers of all studies; lost: one of its leases has run out, or nothing was heard of it for as long.';

CREATE VIEW zo_search.task_status AS
SELECT
    studies.name AS study,
    count(*) FILTER (WHERE tasks.state = 'waiting' OR tasks.state = 'claimed' AND tasks.lease_until <= now())
        AS waiting,
    count(*) FILTER (WHERE tasks.state = 'claimed' AND tasks.lease_until > now()) AS claimed,
    count(*) FILTER (WHERE tasks.state = 'done') AS done,
    studies.closed
FROM zo_search.studies LEFT JOIN zo_search.tasks ON tasks.study = studies.id
GROUP BY studies.id;
COMMENT ON VIEW zo_search.task_status IS 'How many tasks of each study are in which state.';
