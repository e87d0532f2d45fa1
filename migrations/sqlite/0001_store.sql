-- Credentials and intents. Times are microseconds since 1970, UTC. The same columns as
-- in migrations/postgres; `secret` holds sealed bytes only.

CREATE TABLE credentials (
    id           TEXT    NOT NULL PRIMARY KEY,
    partner      TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    secret       BLOB    NOT NULL,
    kek_id       TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    last_used    INTEGER,
    expires      INTEGER,
    renews       INTEGER,
    lease_holder TEXT,
    lease_until  INTEGER,
    UNIQUE (partner, kind, account)
) STRICT;

CREATE INDEX credentials_due ON credentials (partner, kind, renews);
CREATE INDEX credentials_kek ON credentials (kek_id);

CREATE TABLE intents (
    id         TEXT    NOT NULL PRIMARY KEY,
    partner    TEXT    NOT NULL,
    rpc        TEXT    NOT NULL,
    call_id    TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    settles_by INTEGER NOT NULL,
    flagged    INTEGER,
    reason     TEXT
) STRICT;
