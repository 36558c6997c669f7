#![doc = include_str!("../README.md")]

mod choice;
mod error;
mod parameter;
mod registry;
mod settings;

pub use choice::Choice;
pub use error::Error;
pub use parameter::{DefaultValue, Parameter, ValueKind};
pub use registry::{Entry, Registry};
pub use settings::Settings;
