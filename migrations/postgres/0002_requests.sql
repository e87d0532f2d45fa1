-- Calls that are done once for each request id. Times are microseconds since 1970, UTC.
-- The same columns as in migrations/sqlite. `key` and `fingerprint` are digests over the
-- request id, which stands nowhere; `answer` holds sealed bytes only.

CREATE TABLE requests (
    id          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    key         TEXT   COLLATE "C" NOT NULL UNIQUE,
    partner     TEXT   NOT NULL,
    rpc         TEXT   NOT NULL,
    call_id     TEXT   NOT NULL,
    fingerprint BYTEA  NOT NULL,
    state       TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    settles_by  BIGINT NOT NULL,
    ended       BIGINT,
    answer      BYTEA,
    kek_id      TEXT
);

-- With the partner, so that counting by state and partner reads the index alone.
CREATE INDEX requests_state ON requests (state, ended, partner);
CREATE INDEX requests_kek ON requests (kek_id);
