-- What the payment gateways want to know of a merchant, sealed; null where it does not use one.
ALTER TABLE {schema}.profile
    ADD COLUMN paystack_sealed text,
    ADD COLUMN ozow_sealed     text;
