-- name: tenant_by_phone
SELECT tenant_id, phone_number_id, name, access_token FROM tenant WHERE phone_number_id = $1

-- name: insert_tenant
INSERT INTO tenant (tenant_id, phone_number_id, name, access_token) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: insert_inbound
-- Only this row proves a duplicate.
INSERT INTO inbound_message (tenant_id, message_id, sent_at, kind, body) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING true

-- name: step_conversation
INSERT INTO conversation (tenant_id, customer, name, step, last_message_at) VALUES ($1, $2, $3, 'greeted', $4)
ON CONFLICT (tenant_id, customer)
DO UPDATE SET name = excluded.name, step = excluded.step,
    last_message_at = greatest(conversation.last_message_at, excluded.last_message_at)

-- name: insert_outgoing
INSERT INTO outgoing_message (id, tenant_id, customer, payload, status) VALUES ($1, $2, $3, $4::jsonb, 'pending')

-- name: record_sent
UPDATE outgoing_message SET status = 'sent', wamid = $2, sent_at = now() WHERE id = $1
