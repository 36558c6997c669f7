//! Merge methods as mergekit has them, read off their descriptions.

use crate::recipe::is_required;
use crate::{BaseRule, Mergekit, MethodSpec, Methods};

/// A method of mergekit's.
#[derive(Clone, Copy)]
pub(super) struct Method {
    /// Our description of it.
    pub spec: MethodSpec,
    /// What mergekit has otherwise.
    pub mergekit: Mergekit,
}

impl Method {
    /// What mergekit calls so.
    pub fn named(methods: &dyn Methods, name: &str) -> Option<Self> {
        let all = methods.specs().into_iter().filter_map(Self::of);
        all.filter(|method| method.mergekit.reads).find(|method| method.mergekit.method == name)
    }

    /// The method of mergekit's that a description names.
    pub fn of(spec: &MethodSpec) -> Option<Self> {
        Some(Self { spec: *spec, mergekit: spec.mergekit? })
    }

    /// All of mergekit's names, for messages.
    pub fn names(methods: &dyn Methods) -> String {
        let mergekit = methods.specs().into_iter().filter_map(|spec| spec.mergekit);
        mergekit.filter(|mergekit| mergekit.reads).map(|mergekit| mergekit.method).collect::<Vec<_>>().join(", ")
    }

    /// How many sources it takes at least and at most; the base counts where it is needed.
    pub fn sources(&self) -> (usize, usize) {
        let (least, most) = self.spec.sources;
        let base = usize::from(self.spec.base == BaseRule::Always);
        let least = if self.mergekit.base_alone { base } else { least + base };
        (least, most.saturating_add(base))
    }

    /// Our names of its parameters of the merge.
    pub fn shared(&self) -> impl Iterator<Item = &'static str> + use<> {
        let Mergekit { ours, silent, .. } = self.mergekit;
        let names = self.spec.shared.iter().map(|parameter| parameter.name);
        names.filter(move |name| !ours.contains(name) && !silent.contains(name))
    }

    /// Our names of its parameters of each source.
    pub fn own(&self) -> impl Iterator<Item = &'static str> + use<> {
        let ours = self.mergekit.ours;
        self.spec.per_source.iter().map(|parameter| parameter.name).filter(move |name| !ours.contains(name))
    }

    /// Parameters that must be given, and whether they are of the merge.
    pub fn required(&self) -> impl Iterator<Item = (&'static str, bool)> + use<> {
        let shared = self.spec.shared.iter().map(|parameter| (parameter, true));
        let own = self.spec.per_source.iter().map(|parameter| (parameter, false));
        shared
            .chain(own)
            .filter(|(parameter, _)| is_required(parameter))
            .map(|(parameter, shared)| (parameter.name, shared))
    }

    /// mergekit's name of a parameter.
    pub fn renamed(&self, ours: &'static str) -> &'static str {
        self.mergekit.renamed.iter().find(|(name, _)| *name == ours).map_or(ours, |(_, theirs)| theirs)
    }
}

/// Whether any method of mergekit has such a parameter.
pub(super) fn is_parameter(methods: &dyn Methods, key: &str) -> bool {
    let all = methods.specs().into_iter().filter_map(Method::of).filter(|method| method.mergekit.reads);
    all.into_iter().any(|method| {
        method.shared().chain(method.own()).any(|name| name == key) || method.mergekit.silent.contains(&key)
    })
}
