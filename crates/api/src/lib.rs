//! Types of the HTTP API; cannot name card data.
