//! Single sign-on.

/// Not built yet.
pub struct Oidc;
