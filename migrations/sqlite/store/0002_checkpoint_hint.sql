-- Where the topic goes on after the last record applied; nothing where the
-- source is a log of this store. It saves time only: nothing depends on it.
ALTER TABLE checkpoint ADD COLUMN hint INTEGER;
