-- Credentials and intents. Times are microseconds since 1970, UTC. The same columns as
-- in migrations/sqlite; `secret` holds sealed bytes only. Texts sort by their bytes, as
-- they do there.

CREATE TABLE credentials (
    id           TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    partner      TEXT   COLLATE "C" NOT NULL,
    kind         TEXT   COLLATE "C" NOT NULL,
    account      TEXT   COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    secret       BYTEA  NOT NULL,
    kek_id       TEXT   NOT NULL,
    origin       TEXT   NOT NULL,
    created      BIGINT NOT NULL,
    updated      BIGINT NOT NULL,
    last_used    BIGINT,
    expires      BIGINT,
    renews       BIGINT,
    lease_holder TEXT,
    lease_until  BIGINT,
    UNIQUE (partner, kind, account)
);

CREATE INDEX credentials_due ON credentials (partner, kind, renews);
CREATE INDEX credentials_kek ON credentials (kek_id);

CREATE TABLE intents (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    partner    TEXT   NOT NULL,
    rpc        TEXT   NOT NULL,
    call_id    TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    settles_by BIGINT NOT NULL,
    flagged    BIGINT,
    reason     TEXT
);
