-- Products are found by words, and may be where their merchant is without saying so.

-- Written by the catalogue (services/catalog/words.py), not generated: words are folded and cut in one place, for what is
-- stored as for what is asked. Null in rows of earlier code, whose words are made when they are searched. No index: under
-- row level security PostgreSQL asks none for @@ (decision 12), and a merchant's shelf is read in milliseconds.
ALTER TABLE {schema}.product
    ADD COLUMN words tsvector,
    ALTER COLUMN latitude DROP NOT NULL,
    ALTER COLUMN longitude DROP NOT NULL,
    ADD CONSTRAINT product_place CHECK ((latitude IS NULL) = (longitude IS NULL));
