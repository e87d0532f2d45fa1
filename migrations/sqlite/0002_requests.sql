-- Calls that are done once for each request id. Times are microseconds since 1970, UTC.
-- The same columns as in migrations/postgres. `key` and `fingerprint` are digests over the
-- request id, which stands nowhere; `answer` holds sealed bytes only.

CREATE TABLE requests (
    id          TEXT    NOT NULL PRIMARY KEY,
    key         TEXT    NOT NULL UNIQUE,
    partner     TEXT    NOT NULL,
    rpc         TEXT    NOT NULL,
    call_id     TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    state       TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    settles_by  INTEGER NOT NULL,
    ended       INTEGER,
    answer      BLOB,
    kek_id      TEXT
) STRICT;

-- With the partner, so that counting by state and partner reads the index alone.
CREATE INDEX requests_state ON requests (state, ended, partner);
CREATE INDEX requests_kek ON requests (kek_id);
