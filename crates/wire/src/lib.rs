//! HTTPS to acquirers: TLS, waits, NotSent against NoReply.
