//! The merge methods of mergekit 0.1.5: what each wants.

/// What a method does with the base model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// It must be one of the sources.
    Required,
    /// Deltas are taken from it where there is one.
    Optional,
    /// A source like any other.
    Ignored,
}

/// A row of the table.
pub(super) struct Method {
    pub name: &'static str,
    pub base: Base,
    /// How many sources it takes at least and at most; the base counts where it is required.
    pub sources: (usize, usize),
    /// Parameters of the merge.
    pub shared: &'static [&'static str],
    /// Parameters of each source.
    pub own: &'static [&'static str],
    /// The parameter that must be given.
    pub required: Option<&'static str>,
}

const ANY: usize = usize::MAX;
const ARITHMETIC: &[&str] = &["lambda", "normalize", "rescale"];

const fn arithmetic(name: &'static str, own: &'static [&'static str]) -> Method {
    Method { name, base: Base::Required, sources: (1, ANY), shared: ARITHMETIC, own, required: Some("weight") }
}

const fn plain(name: &'static str, base: Base, sources: (usize, usize), shared: &'static [&'static str]) -> Method {
    Method { name, base, sources, shared, own: &[], required: None }
}

static METHODS: [Method; 20] = [
    Method { own: &["weight"], required: Some("weight"), ..plain("linear", Base::Ignored, (1, ANY), &["normalize"]) },
    Method { required: Some("t"), ..plain("slerp", Base::Required, (2, 2), &["t"]) },
    Method { own: &["scale"], ..plain("passthrough", Base::Ignored, (1, 1), &[]) },
    arithmetic("task_arithmetic", &["weight"]),
    arithmetic("ties", &["weight", "density"]),
    arithmetic("dare_linear", &["weight", "density"]),
    arithmetic("dare_ties", &["weight", "density"]),
    arithmetic("breadcrumbs", &["weight", "density", "gamma"]),
    arithmetic("breadcrumbs_ties", &["weight", "density", "gamma"]),
    arithmetic("della", &["weight", "density", "epsilon"]),
    arithmetic("della_linear", &["weight", "density", "epsilon"]),
    Method {
        own: &["weight"],
        required: Some("weight"),
        ..plain("nuslerp", Base::Optional, (2, 2), &["nuslerp_flatten", "nuslerp_row_wise"])
    },
    Method {
        own: &["weight"],
        required: Some("weight"),
        ..plain("multislerp", Base::Optional, (1, ANY), &["normalize_weights", "eps"])
    },
    plain("karcher", Base::Ignored, (1, ANY), &["max_iter", "tol"]),
    plain("model_stock", Base::Required, (3, ANY), &["filter_wise"]),
    Method { required: Some("t"), ..plain("nearswap", Base::Required, (2, 2), &["t"]) },
    plain("arcee_fusion", Base::Required, (2, 2), &[]),
    plain("sce", Base::Required, (1, ANY), &["select_topk"]),
    plain("ram", Base::Required, (1, ANY), &["epsilon"]),
    plain("ramplus_tl", Base::Required, (1, ANY), &["epsilon", "r", "alpha"]),
];

impl Method {
    pub fn named(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        METHODS.iter().map(|method| method.name).collect::<Vec<_>>().join(", ")
    }
}

/// Whether any method has such a parameter. `int8_mask` only saves memory there.
pub(super) fn is_parameter(key: &str) -> bool {
    key == "int8_mask" || METHODS.iter().any(|method| method.shared.contains(&key) || method.own.contains(&key))
}
