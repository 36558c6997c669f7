//! The merge methods by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::methods::{
    GptailorLinear, GptailorSlerp, GptailorTaskArithmetic, GptailorTies, Karcher, Linear, ModelStock, Multislerp,
    Nearswap, Nuslerp, Passthrough, Slerp, TaskArithmetic, Ties,
};
use crate::op::AnyOp;
use crate::{Error, Inputs, MergeOp, Settings};

/// A merge method. Cloning shares it.
#[derive(Clone)]
pub struct Method(Arc<dyn AnyOp>);

impl Method {
    /// The method of an operator.
    pub fn new(op: impl MergeOp + 'static) -> Self {
        Self(Arc::new(op))
    }

    /// Whether the parameters, the base and the number of sources are right, for one tensor.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        self.0.check(settings)
    }

    pub(crate) fn know(&self, inputs: &Inputs<'_>) -> Result<Box<dyn crate::op::AnyMerge>, Error> {
        Arc::clone(&self.0).know(inputs)
    }
}

/// The merge methods by the names that recipes use. Cloning shares them.
#[derive(Clone, Default)]
pub struct Registry {
    methods: BTreeMap<String, Method>,
}

impl Registry {
    /// All methods of this crate.
    ///
    /// | name | whose semantics |
    /// |---|---|
    /// | `linear`, `slerp`, `nuslerp`, `multislerp`, `karcher`, `model_stock`, `nearswap`, `passthrough` | mergekit 0.1.5 |
    /// | `task_arithmetic`, `ties` | mergekit 0.1.5 |
    /// | `gptailor_linear`, `gptailor_slerp`, `gptailor_task_arithmetic`, `gptailor_ties` | GPTailor's reference |
    #[must_use]
    pub fn standard() -> Self {
        let methods = [
            ("linear", Method::new(Linear)),
            ("slerp", Method::new(Slerp)),
            ("task_arithmetic", Method::new(TaskArithmetic)),
            ("ties", Method::new(Ties)),
            ("passthrough", Method::new(Passthrough)),
            ("nuslerp", Method::new(Nuslerp)),
            ("multislerp", Method::new(Multislerp)),
            ("karcher", Method::new(Karcher)),
            ("model_stock", Method::new(ModelStock)),
            ("nearswap", Method::new(Nearswap)),
            ("gptailor_linear", Method::new(GptailorLinear)),
            ("gptailor_slerp", Method::new(GptailorSlerp)),
            ("gptailor_task_arithmetic", Method::new(GptailorTaskArithmetic)),
            ("gptailor_ties", Method::new(GptailorTies)),
        ];
        Self { methods: methods.into_iter().map(|(name, method)| (name.to_owned(), method)).collect() }
    }

    /// Adds a method, in place of one of the same name.
    pub fn register(&mut self, name: &str, op: impl MergeOp + 'static) {
        self.methods.insert(name.to_owned(), Method::new(op));
    }

    /// A method by its name.
    ///
    /// # Errors
    /// [`Error::UnknownMethod`].
    pub fn get(&self, name: &str) -> Result<&Method, Error> {
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
