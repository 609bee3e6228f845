"""Spend: each attempt becomes an event, each event a row of the ledger, committed before the caller has its answer."""
