//! The merge methods by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::methods::{
    ArceeFusion, Delta, GptailorAverage, GptailorBreadcrumbs, GptailorLinear, GptailorSlerp, GptailorTaskArithmetic,
    GptailorTies, GptailorWiden, Karcher, Linear, ModelStock, Multislerp, Nearswap, Nuslerp, Passthrough, Ram, Sce,
    Slerp,
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

/// Methods of GPTailor's reference that checkpoints do not suffice for, and what they need.
const NEED_DATA: [(&str, &str); 2] = [
    ("fisher", "the squared gradients of a loss over data (Matena and Raffel, arXiv 2111.09832)"),
    ("regmean", "the inner products of each layer's inputs over data (Jin et al., arXiv 2212.09849)"),
];

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
    /// | `linear`, `slerp`, `nuslerp`, `multislerp`, `karcher`, `model_stock`, `nearswap`, `arcee_fusion`, `passthrough` | mergekit 0.1.5 |
    /// | `task_arithmetic`, `ties`, `dare_*`, `breadcrumbs*`, `della*`, `sce`, `ram`, `ramplus_tl` | mergekit 0.1.5 |
    /// | `gptailor_*` | GPTailor's reference |
    #[must_use]
    pub fn standard() -> Self {
        let methods = [
            ("linear", Method::new(Linear)),
            ("passthrough", Method::new(Passthrough)),
            ("slerp", Method::new(Slerp)),
            ("nuslerp", Method::new(Nuslerp)),
            ("multislerp", Method::new(Multislerp)),
            ("karcher", Method::new(Karcher)),
            ("model_stock", Method::new(ModelStock { by_row: true })),
            ("nearswap", Method::new(Nearswap)),
            ("arcee_fusion", Method::new(ArceeFusion)),
            ("task_arithmetic", Method::new(Delta::TASK_ARITHMETIC)),
            ("ties", Method::new(Delta::TIES)),
            ("dare_linear", Method::new(Delta::DARE_LINEAR)),
            ("dare_ties", Method::new(Delta::DARE_TIES)),
            ("breadcrumbs", Method::new(Delta::BREADCRUMBS)),
            ("breadcrumbs_ties", Method::new(Delta::BREADCRUMBS_TIES)),
            ("della", Method::new(Delta::DELLA)),
            ("della_linear", Method::new(Delta::DELLA_LINEAR)),
            ("sce", Method::new(Sce)),
            ("ram", Method::new(Ram { strengthen: false })),
            ("ramplus_tl", Method::new(Ram { strengthen: true })),
            ("gptailor_average", Method::new(GptailorAverage)),
            ("gptailor_linear", Method::new(GptailorLinear)),
            ("gptailor_slerp", Method::new(GptailorSlerp)),
            ("gptailor_task_arithmetic", Method::new(GptailorTaskArithmetic)),
            ("gptailor_ties", Method::new(GptailorTies)),
            ("gptailor_breadcrumbs", Method::new(GptailorBreadcrumbs)),
            ("gptailor_stock", Method::new(ModelStock { by_row: false })),
            ("gptailor_widen", Method::new(GptailorWiden)),
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
    /// [`Error::UnknownMethod`]; [`Error::NeedsData`] for a published method that checkpoints do not suffice for.
    pub fn get(&self, name: &str) -> Result<&Method, Error> {
        self.methods.get(name).ok_or_else(|| {
            let (method, known) = (name.to_owned(), self.names().collect::<Vec<_>>().join(", "));
            let needs = NEED_DATA.iter().find(|(of, _)| name.strip_prefix("gptailor_").unwrap_or(name) == *of);
            match needs {
                Some((_, needs)) => Error::NeedsData { method, needs, known },
                None => Error::UnknownMethod { method, known },
            }
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
