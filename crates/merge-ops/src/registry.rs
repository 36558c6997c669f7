//! The merge methods by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::methods::{
    GptailorLinear, GptailorSlerp, GptailorTaskArithmetic, GptailorTies, Linear, Passthrough, Slerp, TaskArithmetic,
    Ties,
};
use crate::{Error, MergeOp};

/// The merge methods by the names that recipes use. Cloning shares them.
#[derive(Clone, Default)]
pub struct Registry {
    methods: BTreeMap<String, Arc<dyn MergeOp>>,
}

impl Registry {
    /// All methods of this crate.
    ///
    /// | name | whose semantics |
    /// |---|---|
    /// | `linear`, `slerp`, `task_arithmetic`, `ties`, `passthrough` | mergekit 0.1.5 |
    /// | `gptailor_linear`, `gptailor_slerp`, `gptailor_task_arithmetic`, `gptailor_ties` | GPTailor's reference |
    #[must_use]
    pub fn standard() -> Self {
        let methods: [(&str, Arc<dyn MergeOp>); 9] = [
            ("linear", Arc::new(Linear)),
            ("slerp", Arc::new(Slerp)),
            ("task_arithmetic", Arc::new(TaskArithmetic)),
            ("ties", Arc::new(Ties)),
            ("passthrough", Arc::new(Passthrough)),
            ("gptailor_linear", Arc::new(GptailorLinear)),
            ("gptailor_slerp", Arc::new(GptailorSlerp)),
            ("gptailor_task_arithmetic", Arc::new(GptailorTaskArithmetic)),
            ("gptailor_ties", Arc::new(GptailorTies)),
        ];
        Self { methods: methods.into_iter().map(|(name, method)| (name.to_owned(), method)).collect() }
    }

    /// Adds a method, in place of one of the same name.
    pub fn register(&mut self, name: &str, method: Arc<dyn MergeOp>) {
        self.methods.insert(name.to_owned(), method);
    }

    /// A method by its name.
    ///
    /// # Errors
    /// [`Error::UnknownMethod`].
    pub fn get(&self, name: &str) -> Result<&Arc<dyn MergeOp>, Error> {
        self.methods.get(name).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            Error::UnknownMethod { method: name.to_owned(), known }
        })
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.methods.keys()).finish()
    }
}
