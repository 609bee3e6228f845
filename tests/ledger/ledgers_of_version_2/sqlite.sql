PRAGMA application_id = 1298227539;
PRAGMA user_version = 2;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
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
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (event_id),
    made_at BIGINT NOT NULL,
    micro_credits BIGINT,
    saved_micro_credits BIGINT NOT NULL,
    basis TEXT NOT NULL,
    price_source TEXT,
    reason TEXT NOT NULL
);
CREATE INDEX corrections_by_event ON corrections (event_id, seq);
CREATE TRIGGER events_update BEFORE UPDATE ON events
    BEGIN SELECT raise(ABORT, 'rows of events are never changed'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
    BEGIN SELECT raise(ABORT, 'rows of events are never changed'); END;
CREATE TRIGGER corrections_update BEFORE UPDATE ON corrections
    BEGIN SELECT raise(ABORT, 'rows of corrections are never changed'); END;
CREATE TRIGGER corrections_delete BEFORE DELETE ON corrections
    BEGIN SELECT raise(ABORT, 'rows of corrections are never changed'); END;
CREATE VIEW current_events AS SELECT e.seq, e."event_id", e."started_at", e."ended_at", e."kind", e."route", e."status", e."model_requested", e."model_served", e."input_tokens", e."cached_tokens", e."output_tokens", e."reasoning_tokens", e."images", e."image_size", e."image_quality", e."usage_source", e."response_id", e."call_id", e."trace_id", e."attempt", e."user", e."team", e."key_alias", e."session_id", e."tags", e."anomalies", e."http_status", e."error_class", CASE WHEN c.seq IS NULL THEN e.micro_credits ELSE c.micro_credits END AS micro_credits, CASE WHEN c.seq IS NULL THEN e.saved_micro_credits ELSE c.saved_micro_credits END AS saved_micro_credits, CASE WHEN c.seq IS NULL THEN e.basis ELSE c.basis END AS basis, CASE WHEN c.seq IS NULL THEN e.price_source ELSE c.price_source END AS price_source, e."host", e."end_user", e."team_id"
    FROM events e LEFT JOIN corrections c ON c.seq = (SELECT max(seq) FROM corrections WHERE event_id = e.event_id);
CREATE TABLE hourly (
hour BIGINT NOT NULL,  -- hours since 1970, UTC
"model_served" TEXT NOT NULL, "route" TEXT NOT NULL, "host" TEXT NOT NULL, "status" TEXT NOT NULL, "basis" TEXT NOT NULL,
calls BIGINT NOT NULL, failed_calls BIGINT NOT NULL, micro_credits BIGINT NOT NULL, saved_micro_credits BIGINT NOT NULL, input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, images BIGINT NOT NULL, unpriced_calls BIGINT NOT NULL, estimated_calls BIGINT NOT NULL, anomalies BIGINT NOT NULL,
PRIMARY KEY (hour, "model_served", "route", "host", "status", "basis")
    ) WITHOUT ROWID;
CREATE TABLE hourly_users (
hour BIGINT NOT NULL,  -- hours since 1970, UTC
"user" TEXT NOT NULL, "end_user" TEXT NOT NULL, "team_id" TEXT NOT NULL, "team" TEXT NOT NULL, "key_alias" TEXT NOT NULL, "basis" TEXT NOT NULL,
calls BIGINT NOT NULL, failed_calls BIGINT NOT NULL, micro_credits BIGINT NOT NULL, saved_micro_credits BIGINT NOT NULL, input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, images BIGINT NOT NULL, unpriced_calls BIGINT NOT NULL, estimated_calls BIGINT NOT NULL, anomalies BIGINT NOT NULL,
PRIMARY KEY (hour, "user", "end_user", "team_id", "team", "key_alias", "basis")
    ) WITHOUT ROWID;
CREATE TRIGGER events_add_up AFTER INSERT ON events BEGIN INSERT INTO hourly (hour, "model_served", "route", "host", "status", "basis", "calls", "failed_calls", "micro_credits", "saved_micro_credits", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "images", "unpriced_calls", "estimated_calls", "anomalies") VALUES (NEW.started_at / 3600000000, coalesce(NEW."model_served", ''), coalesce(NEW."route", ''), coalesce(NEW."host", ''), coalesce(NEW."status", ''), coalesce(NEW."basis", ''), 1, CASE WHEN NEW.status IN ('failed', 'refused') THEN 1 ELSE 0 END, coalesce(NEW.micro_credits, 0), NEW.saved_micro_credits, NEW.input_tokens, NEW.cached_tokens, NEW.output_tokens, NEW.reasoning_tokens, NEW.images, CASE WHEN NEW.basis = 'unpriced' AND NEW.status IN ('ok', 'aborted') THEN 1 ELSE 0 END, CASE WHEN NEW.usage_source = 'estimated' THEN 1 ELSE 0 END, CASE WHEN NEW.anomalies IS NOT NULL THEN 1 ELSE 0 END)
    ON CONFLICT (hour, "model_served", "route", "host", "status", "basis") DO UPDATE SET calls = hourly.calls + excluded.calls, failed_calls = hourly.failed_calls + excluded.failed_calls, micro_credits = hourly.micro_credits + excluded.micro_credits, saved_micro_credits = hourly.saved_micro_credits + excluded.saved_micro_credits, input_tokens = hourly.input_tokens + excluded.input_tokens, cached_tokens = hourly.cached_tokens + excluded.cached_tokens, output_tokens = hourly.output_tokens + excluded.output_tokens, reasoning_tokens = hourly.reasoning_tokens + excluded.reasoning_tokens, images = hourly.images + excluded.images, unpriced_calls = hourly.unpriced_calls + excluded.unpriced_calls, estimated_calls = hourly.estimated_calls + excluded.estimated_calls, anomalies = hourly.anomalies + excluded.anomalies; INSERT INTO hourly_users (hour, "user", "end_user", "team_id", "team", "key_alias", "basis", "calls", "failed_calls", "micro_credits", "saved_micro_credits", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "images", "unpriced_calls", "estimated_calls", "anomalies") VALUES (NEW.started_at / 3600000000, coalesce(NEW."user", ''), coalesce(NEW."end_user", ''), coalesce(NEW."team_id", ''), coalesce(NEW."team", ''), coalesce(NEW."key_alias", ''), coalesce(NEW."basis", ''), 1, CASE WHEN NEW.status IN ('failed', 'refused') THEN 1 ELSE 0 END, coalesce(NEW.micro_credits, 0), NEW.saved_micro_credits, NEW.input_tokens, NEW.cached_tokens, NEW.output_tokens, NEW.reasoning_tokens, NEW.images, CASE WHEN NEW.basis = 'unpriced' AND NEW.status IN ('ok', 'aborted') THEN 1 ELSE 0 END, CASE WHEN NEW.usage_source = 'estimated' THEN 1 ELSE 0 END, CASE WHEN NEW.anomalies IS NOT NULL THEN 1 ELSE 0 END)
    ON CONFLICT (hour, "user", "end_user", "team_id", "team", "key_alias", "basis") DO UPDATE SET calls = hourly_users.calls + excluded.calls, failed_calls = hourly_users.failed_calls + excluded.failed_calls, micro_credits = hourly_users.micro_credits + excluded.micro_credits, saved_micro_credits = hourly_users.saved_micro_credits + excluded.saved_micro_credits, input_tokens = hourly_users.input_tokens + excluded.input_tokens, cached_tokens = hourly_users.cached_tokens + excluded.cached_tokens, output_tokens = hourly_users.output_tokens + excluded.output_tokens, reasoning_tokens = hourly_users.reasoning_tokens + excluded.reasoning_tokens, images = hourly_users.images + excluded.images, unpriced_calls = hourly_users.unpriced_calls + excluded.unpriced_calls, estimated_calls = hourly_users.estimated_calls + excluded.estimated_calls, anomalies = hourly_users.anomalies + excluded.anomalies; END;
CREATE TABLE forwarded (destination TEXT PRIMARY KEY, seq BIGINT NOT NULL, database_id TEXT);
CREATE TABLE unfit (
    destination TEXT NOT NULL,
    seq BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (destination, seq)
) WITHOUT ROWID;
CREATE TABLE budgets (name TEXT PRIMARY KEY, definition TEXT NOT NULL);
CREATE TABLE reservations (
id TEXT NOT NULL,
budget TEXT NOT NULL,
micro_credits BIGINT NOT NULL,
expires_at BIGINT NOT NULL,  -- microseconds since 1970, UTC
PRIMARY KEY (id, budget)
    ) WITHOUT ROWID;
CREATE TABLE notices (
about TEXT NOT NULL,
period TEXT NOT NULL,
said_at BIGINT NOT NULL,
PRIMARY KEY (about, period)
    ) WITHOUT ROWID;
CREATE TABLE console (
seq INTEGER PRIMARY KEY,
kind TEXT NOT NULL,  -- reading or topup
at BIGINT NOT NULL,
micro_credits BIGINT NOT NULL,
noted_at BIGINT NOT NULL,
host TEXT NOT NULL DEFAULT ''  -- whose account it is; empty for all hosts together
    );
