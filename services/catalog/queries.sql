-- name: upsert_products
-- Write products as given; without a location of its own a product is where its merchant is, which is looked up when it
-- is read. A row that would not change is left alone, and is not returned. In the order of skus, so that two batches
-- which share some wait for each other.
INSERT INTO {schema}.product AS kept
    (sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude, words)
SELECT sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude, words::tsvector
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::text[], $8::text[],
            $9::float8[], $10::float8[], $11::text[])
     AS given (sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude, words)
ORDER BY sku
ON CONFLICT (tenant_id, sku) DO UPDATE
SET name = excluded.name, description = excluded.description, price_minor = excluded.price_minor,
    currency = excluded.currency, stock = excluded.stock, category = excluded.category,
    image_url = excluded.image_url, latitude = excluded.latitude, longitude = excluded.longitude,
    words = excluded.words, updated_at = now()
WHERE (kept.name, kept.description, kept.price_minor, kept.currency, kept.stock, kept.category, kept.image_url,
       kept.latitude, kept.longitude, kept.words)
      IS DISTINCT FROM
      (excluded.name, excluded.description, excluded.price_minor, excluded.currency, excluded.stock, excluded.category,
       excluded.image_url, excluded.latitude, excluded.longitude, excluded.words)
-- A row that was inserted was never another's to delete.
RETURNING sku, xmax = 0 AS created

-- name: read_product
SELECT sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude
FROM {schema}.product
WHERE sku = $1

-- name: delete_product
DELETE FROM {schema}.product
WHERE sku = $1
RETURNING sku

-- name: list_products
-- All products by sku, behind $1.
SELECT sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude
FROM {schema}.product
WHERE sku > $1
ORDER BY sku
LIMIT $2

-- name: search_products
-- Products that match $1 (null: all), within $7 metres of $5, $6 (null: everywhere), behind the place $8, $9, $10. For
-- each term of the question a whole word of the name counts 8, the beginning of one 4, a whole word of the description 2,
-- the beginning of one 1: $2, $3 and $4 are what the first three of these look like, by term. A row that was written
-- before there were words has them made here. Distances are over the great circle of a sphere, within 0.5 %.
WITH asked AS MATERIALIZED (
    SELECT $1::text::tsquery AS whole, $2::text[]::tsquery[] AS named, $3::text[]::tsquery[] AS begun,
           $4::text[]::tsquery[] AS told
), known AS (
    SELECT product.*,
           coalesce(words, setweight(to_tsvector('simple', name), 'A') || setweight(to_tsvector('simple', description), 'D'))
           AS found_by
    FROM {schema}.product
), met AS (
    SELECT known.*,
           (SELECT coalesce(sum(CASE WHEN known.found_by @@ term.named THEN 8 WHEN known.found_by @@ term.begun THEN 4
                                     WHEN known.found_by @@ term.told THEN 2 ELSE 1 END), 0)::int
            FROM unnest(asked.named, asked.begun, asked.told) AS term (named, begun, told)) AS score,
           CASE WHEN $5::float8 IS NOT NULL THEN round(2 * 6371008.8 * asin(least(1, sqrt(
               sin(radians(coalesce(known.latitude, profile.latitude) - $5) / 2) ^ 2
               + cos(radians($5)) * cos(radians(coalesce(known.latitude, profile.latitude)))
                 * sin(radians(coalesce(known.longitude, profile.longitude) - $6) / 2) ^ 2
           ))))::int END AS metres
    FROM known CROSS JOIN {schema}.profile CROSS JOIN asked
    WHERE asked.whole IS NULL OR known.found_by @@ asked.whole
)
SELECT sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude, score, metres
FROM met
WHERE ($7::float8 IS NULL OR metres <= $7::float8)
  AND ($8::int IS NULL OR (-score, coalesce(metres, 0), sku) > ($8::int, $9::int, $10::text))
ORDER BY -score, coalesce(metres, 0), sku
LIMIT $11

-- name: known_words
-- Words of products that one of these words may have been meant for: that begin with it, or are about as long. First
-- those with the first letter of one of them.
SELECT lexeme
FROM (
    SELECT DISTINCT word.lexeme
    FROM {schema}.product
    CROSS JOIN LATERAL unnest(coalesce(words, to_tsvector('simple', name || ' ' || description))) AS word (lexeme, at, weights)
) AS known
WHERE EXISTS (
    SELECT FROM unnest($1::text[]) AS given (word)
    WHERE starts_with(lexeme, given.word) OR abs(length(lexeme) - length(given.word)) <= 2
)
ORDER BY (SELECT bool_or(left(lexeme, 1) = left(given.word, 1)) FROM unnest($1::text[]) AS given (word)) DESC, lexeme
LIMIT $2
