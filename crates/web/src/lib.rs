//! HTTP API over journal and api.
