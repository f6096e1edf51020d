//! The service: configuration, checks, calls, settlement.
