//! Routes that know of themselves, so that a test can hold the document against them.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};

use crate::Web;

/// Paths with what answers them.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Web>,
    known: Vec<(&'static str, &'static str)>,
}

impl Routes {
    pub(crate) fn get<T: 'static>(self, path: &'static str, handler: impl Handler<T, Web>) -> Self {
        self.add("get", path, get(handler))
    }

    pub(crate) fn post<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, Web>,
    ) -> Self {
        self.add("post", path, post(handler))
    }

    pub(crate) fn add(
        mut self,
        method: &'static str,
        path: &'static str,
        to: MethodRouter<Web>,
    ) -> Self {
        self.known.push((method, path));
        self.router = self.router.route(path, to);
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.known.extend(other.known);
        self.router = self.router.merge(other.router);
        self
    }

    pub(crate) fn into_router(self) -> Router<Web> {
        self.router
    }

    #[cfg(test)]
    pub(crate) fn known(self) -> Vec<(&'static str, &'static str)> {
        self.known
    }
}
