//! The table of engines.

use tailor_registry::Registry;

use crate::Error;
use crate::burn_engine::BurnOperations;
use crate::cpu::OwnKernels;
use crate::executor::{EngineEntry, RuntimeParts, Started};

/// All engines; of those that serve a device, the fastest stands first.
pub(crate) fn engines() -> Registry<dyn EngineEntry> {
    Registry::with_rows("engine", [Box::new(OwnKernels) as Box<dyn EngineEntry>, Box::new(BurnOperations)])
}

/// Starts the engine that the options name, or the fastest one that serves the device.
///
/// # Errors
/// [`Error::UnknownEngine`] or [`Error::EngineOfAnotherDevice`]; as of [`EngineEntry::start`].
pub(crate) fn start(parts: RuntimeParts) -> Result<Started, Error> {
    let engines = engines();
    let serves = |engine: &&dyn EngineEntry| engine.serves(&parts.device);
    let engine = match parts.options.engine {
        Some(name) => Some(engines.get(name)?).filter(serves),
        None => engines.iter().find(serves),
    };
    let name = parts.options.engine.unwrap_or("any");
    engine.ok_or(Error::EngineOfAnotherDevice { engine: name })?.start(parts)
}
