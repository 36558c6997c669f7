//! Stands in for servers where the crate is built without the feature `postgres`: whatever is done is refused.

use super::OptunaStudy;
use crate::Error;

pub(super) fn write(_: &OptunaStudy, url: &str) -> Result<(), Error> {
    check(url)
}

pub(super) fn check(_: &str) -> Result<(), Error> {
    // Without the feature nothing here can tell a password from a name in a URL.
    Err(Error::WithoutFeature { location: "a database at a URL".to_owned(), feature: "postgres" })
}
