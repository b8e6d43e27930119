-- name: describe
-- All that some schemas are made of, as (schema, kind, name, definition). With search_path = pg_catalog, so that
-- definitions name the schema of what they speak of. Comments, statistics and the order of columns are left out.
WITH wanted AS (
    SELECT oid, nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = ANY($1::text[])
), relation AS (
    SELECT w.nspname, c.* FROM wanted w JOIN pg_class c ON c.relnamespace = w.oid
), described AS (
    SELECT nspname AS schema, 'schema' AS kind, '' AS name, 'owner ' || pg_get_userbyid(nspowner) AS definition
    FROM wanted
    UNION ALL
    SELECT w.nspname, 'grant', 'schema', grantee.name || ' ' || a.privilege_type
           || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END
    FROM wanted w, aclexplode(coalesce(w.nspacl, acldefault('n', w.nspowner))) a,
         LATERAL (SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS name) grantee
    UNION ALL
    SELECT nspname, CASE relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                 WHEN 'c' THEN 'type' ELSE 'table' END,
           relname,
           concat_ws(', ', 'owner ' || pg_get_userbyid(relowner), 'kind ' || relkind::text,
                     'persistence ' || relpersistence::text,
                     CASE WHEN relrowsecurity THEN 'row level security' ELSE 'no row level security' END,
                     CASE WHEN relforcerowsecurity THEN 'forced' ELSE 'not forced' END,
                     array_to_string(reloptions, ', '),
                     CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END)
    FROM relation WHERE relkind NOT IN ('i', 'I', 't')
    UNION ALL
    SELECT nspname, 'column', relname || '.' || a.attname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
                     'default ' || pg_get_expr(d.adbin, d.adrelid), nullif('generated ' || a.attgenerated::text, 'generated '),
                     nullif('identity ' || a.attidentity::text, 'identity '),
                     CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || a.attcollation::regcollation::text END)
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT nspname, 'grant', relname, grantee.name || ' ' || a.privilege_type
           || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END
    FROM relation, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner))) a,
         LATERAL (SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS name) grantee
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT nspname, 'constraint', relname || '.' || conname,
           pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' (not validated)' END
    FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid
    UNION ALL
    SELECT nspname, 'index', relname, pg_get_indexdef(r.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
    FROM relation r JOIN pg_index i ON i.indexrelid = r.oid
    UNION ALL
    SELECT nspname, 'policy', relname || '.' || polname,
           concat_ws(' ', CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END, 'for ' || polcmd::text,
                     'to ' || (SELECT string_agg(CASE WHEN role = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(role) END, ', ' ORDER BY 1)
                               FROM unnest(polroles) AS role),
                     'using ' || pg_get_expr(polqual, polrelid), 'with check ' || pg_get_expr(polwithcheck, polrelid))
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT nspname, 'trigger', relname || '.' || tgname, pg_get_triggerdef(t.oid) || ' ' || tgenabled::text
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT nspname, 'rule', relname || '.' || rulename, pg_get_ruledef(u.oid)
    FROM relation r JOIN pg_rewrite u ON u.ev_class = r.oid AND u.rulename <> '_RETURN'
    UNION ALL
    SELECT w.nspname, 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
           CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE p.prokind::text END
           || ' owner ' || pg_get_userbyid(p.proowner) || ' ' || coalesce(p.proacl::text, '')
    FROM wanted w JOIN pg_proc p ON p.pronamespace = w.oid
    UNION ALL
    SELECT w.nspname, 'type', t.typname,
           t.typtype::text || ' ' || coalesce((SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder)
                                                FROM pg_enum WHERE enumtypid = t.oid), '')
           || coalesce(' of ' || format_type(nullif(t.typbasetype, 0), t.typtypmod), '')
    FROM wanted w JOIN pg_type t ON t.typnamespace = w.oid AND t.typtype IN ('e', 'd', 'r')
)
SELECT schema, kind, name, definition FROM described ORDER BY 1, 2, 3, 4

-- name: strays
-- Schemas named as a tenant's that have no version row, and version rows that have no schema.
SELECT coalesce(n.nspname::text, v.scope) AS scope, v.version, n.nspname IS NOT NULL AS there
FROM (SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\_%') n
FULL JOIN (SELECT scope, version FROM spaza.schema_version WHERE scope LIKE 'tenant\_%') v ON v.scope = n.nspname
WHERE n.nspname IS NULL OR v.scope IS NULL
ORDER BY 1
