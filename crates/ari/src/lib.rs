//! Asterisk REST Interface: redacting socket, events, requests, one queue a channel.
