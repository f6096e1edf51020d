/// A value that is on disk: written, synced, and never to be denied again.
///
/// `authorise` takes a `Durable<Intent>` and nothing else, so that a charge whose intent was not journalled first does not
/// compile. Only the crate `ivrpay-journal` may call [`Durable::attest`]; a test over the sources of the workspace holds that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// States that `value` has been written and synced. For the journal alone (and for the tests of pure crates).
    #[must_use]
    pub fn attest(value: T) -> Self {
        Self(value)
    }

    /// The value; to read it is free, to make one is not.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }
}
