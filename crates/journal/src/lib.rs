//! Append, sync and recover payments; SQLite.
