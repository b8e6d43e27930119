-- A tenant's own limits on single routes: by the route's name, minute and hour, null for what holds otherwise.
ALTER TABLE spaza.tenant_placement
    ADD COLUMN route_limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(route_limits) = 'object');
