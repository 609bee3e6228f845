CREATE SCHEMA litellm_maas;
SET search_path TO litellm_maas;
CREATE TABLE ledger (version INTEGER PRIMARY KEY, id TEXT);
CREATE TABLE events (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    started_at BIGINT NOT NULL,  -- microseconds since 1970, UTC
    ended_at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    route TEXT NOT NULL,
    status TEXT NOT NULL,
    model_requested TEXT NOT NULL,
    model_served TEXT NOT NULL,
    host TEXT,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    images BIGINT NOT NULL,
    image_size TEXT,
    image_quality TEXT,
    usage_source TEXT NOT NULL,
    micro_credits BIGINT,
    saved_micro_credits BIGINT NOT NULL,
    basis TEXT NOT NULL,
    price_source TEXT,
    response_id TEXT,
    call_id TEXT,
    trace_id TEXT,
    attempt BIGINT NOT NULL,
    "user" TEXT,
    end_user TEXT,
    team_id TEXT,
    team TEXT,
    key_alias TEXT,
    session_id TEXT,
    tags TEXT,  -- a JSON list
    anomalies TEXT,  -- a JSON list
    http_status BIGINT,
    error_class TEXT
);
CREATE INDEX events_by_time ON events (started_at);
CREATE TABLE corrections (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (event_id),
    made_at BIGINT NOT NULL,
    micro_credits BIGINT,
    saved_micro_credits BIGINT NOT NULL,
    basis TEXT NOT NULL,
    price_source TEXT,
    reason TEXT NOT NULL
);
CREATE INDEX corrections_by_event ON corrections (event_id, seq);
CREATE FUNCTION never_changed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$;
CREATE TRIGGER never BEFORE UPDATE OR DELETE ON events EXECUTE FUNCTION never_changed();
CREATE TRIGGER never BEFORE UPDATE OR DELETE ON corrections EXECUTE FUNCTION never_changed();
CREATE VIEW current_events AS SELECT e.seq, e."event_id", e."started_at", e."ended_at", e."kind", e."route", e."status", e."model_requested", e."model_served", e."input_tokens", e."cached_tokens", e."output_tokens", e."reasoning_tokens", e."images", e."image_size", e."image_quality", e."usage_source", e."response_id", e."call_id", e."trace_id", e."attempt", e."user", e."team", e."key_alias", e."session_id", e."tags", e."anomalies", e."http_status", e."error_class", CASE WHEN c.seq IS NULL THEN e.micro_credits ELSE c.micro_credits END AS micro_credits, CASE WHEN c.seq IS NULL THEN e.saved_micro_credits ELSE c.saved_micro_credits END AS saved_micro_credits, CASE WHEN c.seq IS NULL THEN e.basis ELSE c.basis END AS basis, CASE WHEN c.seq IS NULL THEN e.price_source ELSE c.price_source END AS price_source, e."host", e."end_user", e."team_id"
    FROM events e LEFT JOIN corrections c ON c.seq = (SELECT max(seq) FROM corrections WHERE event_id = e.event_id);
CREATE TABLE hourly (
hour BIGINT NOT NULL,  -- hours since 1970, UTC
"model_served" TEXT NOT NULL, "route" TEXT NOT NULL, "host" TEXT NOT NULL, "status" TEXT NOT NULL, "basis" TEXT NOT NULL,
calls BIGINT NOT NULL, failed_calls BIGINT NOT NULL, micro_credits BIGINT NOT NULL, saved_micro_credits BIGINT NOT NULL, input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, images BIGINT NOT NULL, unpriced_calls BIGINT NOT NULL, estimated_calls BIGINT NOT NULL, anomalies BIGINT NOT NULL,
PRIMARY KEY (hour, "model_served", "route", "host", "status", "basis")
    ) ;
CREATE TABLE hourly_users (
hour BIGINT NOT NULL,  -- hours since 1970, UTC
"user" TEXT NOT NULL, "end_user" TEXT NOT NULL, "team_id" TEXT NOT NULL, "team" TEXT NOT NULL, "key_alias" TEXT NOT NULL, "basis" TEXT NOT NULL,
calls BIGINT NOT NULL, failed_calls BIGINT NOT NULL, micro_credits BIGINT NOT NULL, saved_micro_credits BIGINT NOT NULL, input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, images BIGINT NOT NULL, unpriced_calls BIGINT NOT NULL, estimated_calls BIGINT NOT NULL, anomalies BIGINT NOT NULL,
PRIMARY KEY (hour, "user", "end_user", "team_id", "team", "key_alias", "basis")
    ) ;
INSERT INTO ledger VALUES (2, 'the id of the ledger');
