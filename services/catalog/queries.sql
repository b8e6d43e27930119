-- name: upsert_products
-- Write products as given; each has the place of its merchant unless it has its own. A row that would not change is
-- left alone.
INSERT INTO {schema}.product AS kept
    (sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude)
SELECT given.sku, given.name, given.description, given.price_minor, given.currency, given.stock, given.category,
       given.image_url, coalesce(given.latitude, profile.latitude), coalesce(given.longitude, profile.longitude)
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::text[], $8::text[],
            $9::float8[], $10::float8[])
     AS given (sku, name, description, price_minor, currency, stock, category, image_url, latitude, longitude)
CROSS JOIN {schema}.profile
ON CONFLICT (tenant_id, sku) DO UPDATE
SET name = excluded.name, description = excluded.description, price_minor = excluded.price_minor,
    currency = excluded.currency, stock = excluded.stock, category = excluded.category,
    image_url = excluded.image_url, latitude = excluded.latitude, longitude = excluded.longitude, updated_at = now()
WHERE (kept.name, kept.description, kept.price_minor, kept.currency, kept.stock, kept.category, kept.image_url,
       kept.latitude, kept.longitude)
      IS DISTINCT FROM
      (excluded.name, excluded.description, excluded.price_minor, excluded.currency, excluded.stock, excluded.category,
       excluded.image_url, excluded.latitude, excluded.longitude)
RETURNING kept.sku
