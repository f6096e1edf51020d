//! Connectors to acquirers without I/O.
