//! The merge methods by name: the table that recipes are validated with and merged by.

use std::sync::Arc;

use layer_ir::{MergeSettings, MethodError, MethodSpec, Methods};
use tailor_registry::{Entry, Parameter};

use crate::op::{AnyMerge, AnyOp};
use crate::{Error, Inputs, MergeOp, methods};

/// A row of the registry: a merge method with its description. Cloning shares it.
///
/// ```
/// let registry = merge_ops::Registry::standard();
/// let ties = registry.get("ties")?.spec();
/// let defaults = ties.per_source.iter().filter_map(|parameter| parameter.default.value());
/// assert_eq!(defaults.map(|value| value.to_string()).collect::<Vec<_>>(), ["1.0"], "`density`; `weight` has none");
/// # Ok::<(), layer_ir::MethodError>(())
/// ```
#[derive(Clone)]
pub struct Method {
    spec: MethodSpec,
    /// Those of the merge, then those of each source.
    parameters: Vec<Parameter>,
    /// The formula.
    op: Arc<dyn AnyOp>,
}

impl Method {
    /// The method of an operator. Its description is asked for once, here.
    pub fn new(op: impl MergeOp + 'static) -> Self {
        let spec = op.spec();
        Self { spec, parameters: spec.parameters().copied().collect(), op: Arc::new(op) }
    }

    /// What it is.
    #[must_use]
    pub fn spec(&self) -> &MethodSpec {
        &self.spec
    }

    /// Whether the base, the number of sources and the parameters are right, for one tensor.
    ///
    /// # Errors
    /// What is wrong: the description says which bases, sources and parameters there may be, [`MergeOp::check`] the
    /// rest.
    pub fn check(&self, inputs: &Inputs<'_>) -> Result<(), MethodError> {
        self.spec.check(&inputs.settings, inputs.precision)?;
        self.op.check(&inputs.settings)
    }

    /// Reads the whole tensors for what the formula must know. [`Self::check`] comes before.
    pub(crate) fn prepare(&self, inputs: &Inputs<'_>) -> Result<Box<dyn AnyMerge>, Error> {
        Arc::clone(&self.op).prepare(inputs)
    }
}

impl Entry for Method {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn summary(&self) -> &str {
        self.spec.summary
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn aliases(&self) -> &[&str] {
        self.spec.aliases
    }
}

/// Methods of GPTailor's reference that checkpoints do not suffice for, and what they need.
const NEED_DATA: [(&str, &str); 2] = [
    ("fisher", "the squared gradients of a loss over data (Matena and Raffel, arXiv 2111.09832)"),
    ("regmean", "the inner products of each layer's inputs over data (Jin et al., arXiv 2212.09849)"),
];

/// The merge methods by the names that recipes use: those of this crate, and yours. Cloning shares them.
///
/// It is what recipes are validated with, and what makes their tensors.
///
/// ```
/// use merge_ops::Registry;
///
/// let registry = Registry::standard();
/// assert!(registry.names().any(|name| name == "model_stock"));
/// let error = registry.get("soup").err().map(|error| error.to_string()).unwrap_or_default();
/// assert!(error.starts_with("there is no merge method `soup`"), "{error}");
/// ```
pub struct Registry(tailor_registry::Registry<Method>);

impl Registry {
    /// A registry without methods.
    #[must_use]
    pub fn empty() -> Self {
        Self(tailor_registry::Registry::new("merge method"))
    }

    /// All methods of this crate.
    ///
    /// | name | whose semantics |
    /// |---|---|
    /// | `linear`, `slerp`, `nuslerp`, `multislerp`, `karcher`, `model_stock` | mergekit 0.1.5 |
    /// | `nearswap`, `arcee_fusion`, `passthrough` | mergekit 0.1.5 |
    /// | `task_arithmetic`, `ties`, `dare_*`, `breadcrumbs*`, `della*`, `sce`, `ram`, `ramplus_tl` | mergekit 0.1.5 |
    /// | `gptailor_*` | GPTailor's reference |
    #[must_use]
    pub fn standard() -> Self {
        let rows = methods::standard().into_iter().map(Box::new);
        Self(tailor_registry::Registry::with_rows("merge method", rows))
    }

    /// Adds a method under the name of its description.
    ///
    /// # Errors
    /// [`Error::Name`] when its name or an alias is there already.
    pub fn register(&mut self, op: impl MergeOp + 'static) -> Result<(), Error> {
        Ok(self.0.register(Box::new(Method::new(op)))?)
    }

    /// Adds a method in place of those that share a name with it.
    pub fn replace(&mut self, op: impl MergeOp + 'static) {
        self.0.replace(Box::new(Method::new(op)));
    }

    /// A method by its name or an alias.
    ///
    /// # Errors
    /// [`MethodError::UnknownMethod`]; [`MethodError::NeedsData`] for a published method that checkpoints do not
    /// suffice for.
    pub fn get(&self, name: &str) -> Result<&Method, MethodError> {
        self.0.get(name).map_err(|_| {
            let mut known: Vec<&str> = self.names().collect();
            known.sort_unstable();
            let (method, known) = (name.to_owned(), known.join(", "));
            let needs = NEED_DATA.iter().find(|(of, _)| name.strip_prefix("gptailor_").unwrap_or(name) == *of);
            match needs {
                Some((_, needs)) => MethodError::NeedsData { method, needs, known },
                None => MethodError::UnknownMethod { method, known },
            }
        })
    }

    /// All methods, in the order in which they were registered.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.iter()
    }

    /// All names, in that order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// The table for a reader of `--help`: a line for each method, and one for each of its parameters.
    #[must_use]
    pub fn help(&self) -> String {
        self.0.help()
    }
}

impl Methods for Registry {
    fn specs(&self) -> Vec<&MethodSpec> {
        self.iter().map(Method::spec).collect()
    }

    fn spec(&self, method: &str) -> Result<&MethodSpec, MethodError> {
        Ok(self.get(method)?.spec())
    }

    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        self.get(settings.method.name)?.op.check(settings)
    }
}

impl Clone for Registry {
    fn clone(&self) -> Self {
        Self(tailor_registry::Registry::with_rows(self.0.what(), self.iter().cloned().map(Box::new)))
    }
}

/// Without methods.
impl Default for Registry {
    fn default() -> Self {
        Self::empty()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
