"""How fast tenants are made and migrated, and whether that stays so as they grow."""
