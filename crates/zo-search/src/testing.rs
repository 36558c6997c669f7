//! Laws to try your own implementations on: of an [`Optimizer`](crate::Optimizer), and of a
//! [`Storage`](crate::storage::Storage).

mod laws;
mod storage_laws;

pub use laws::{BrokenLaw, check_laws};
pub use storage_laws::{BrokenStorageLaw, check_storage};
