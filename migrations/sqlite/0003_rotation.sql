-- Records under a key are read in the order of their ids: a batch at a time, and none of
-- them twice. The same as in migrations/postgres.

DROP INDEX credentials_kek;
DROP INDEX requests_kek;
CREATE INDEX credentials_kek ON credentials (kek_id, id);
CREATE INDEX requests_kek ON requests (kek_id, id);
