-- A tenant that is being moved to another shard. Its placement says how far that has come, so that it can be ended or
-- undone whatever happens to who moves it. All are null where nothing moves.
-- move_step: copying (undo it), flipped (the tenant lives on its new shard: end it), undoing (undo it).
-- move_token: names the attempt; one that was overtaken by another changes nothing any more.
ALTER TABLE spaza.tenant_placement
    ADD COLUMN move_from  integer CHECK (move_from BETWEEN 0 AND 31),
    ADD COLUMN move_to    integer CHECK (move_to BETWEEN 0 AND 31),
    ADD COLUMN move_step  text CHECK (move_step IN ('copying', 'flipped', 'undoing')),
    ADD COLUMN move_token text,
    ADD COLUMN move_since timestamptz;
CREATE INDEX tenant_placement_moving ON spaza.tenant_placement (tenant_id) WHERE move_to IS NOT NULL;
