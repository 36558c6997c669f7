//! Laws to try your own implementations on: of an [`Optimizer`](crate::Optimizer), of a
//! [`Storage`](crate::storage::Storage), and of a [`TaskQueue`](crate::sharing::TaskQueue).

mod laws;
#[cfg(all(feature = "postgres", unix))]
mod postgres_server;
mod queue_laws;
mod storage_laws;

pub use laws::{BrokenLaw, check_laws};
#[cfg(all(feature = "postgres", unix))]
pub use postgres_server::PostgresServer;
pub use queue_laws::{BrokenQueueLaw, check_queue};
pub use storage_laws::{BrokenStorageLaw, check_storage};
