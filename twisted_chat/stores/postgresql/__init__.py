"""The store for several servers: PostgreSQL has the log and the registry, and each server follows what others write."""
