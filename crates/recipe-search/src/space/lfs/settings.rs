//! The parameters of the space of layer-wise fusion.

use std::path::Path;

use tailor_registry::{Parameter, Settings, ValueKind};

use crate::Error;
use crate::space::parameterisation::{PLACE, Parameterisation, each_once, range};

/// The merge methods of a group.
pub(super) const METHODS: [&str; 4] = ["linear", "task_arithmetic", "ties", "slerp"];

/// What `[space]` may say.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter::integer("groups", 1, i64::MAX, "Groups of equally many neighbouring layers.").with_default_integer(4),
    Parameter::any("filters", "Pieces of tensor names, each with numbers of its own; absent: self_attn, mlp.")
        .of_kind(ValueKind::Texts)
        .optional(),
    Parameter::any("methods", "The methods that a group chooses from; absent: linear, task_arithmetic, ties, slerp.")
        .of_kind(ValueKind::Texts)
        .optional(),
    Parameter::numbers("coefficient", f64::MIN, f64::MAX, "Range of the coefficients of task arithmetic and TIES.")
        .with_default_numbers(&[0.0, 1.0]),
    Parameterisation::PARAMETER,
];

/// The parameters of an [`LfsSpace`](super::LfsSpace).
#[derive(Debug, Clone, PartialEq)]
pub struct LfsSettings {
    /// How many groups there are.
    pub groups: usize,
    /// Pieces of names of tensors; a tensor belongs to the first that fits, else to the set `base`.
    pub filters: Vec<String>,
    /// The methods that a group chooses from, of `linear`, `task_arithmetic`, `ties` and `slerp`. The reference's
    /// parameterisation has all four.
    pub methods: Vec<String>,
    /// Range of the coefficients of task arithmetic and TIES.
    pub coefficient: [f64; 2],
    /// The dimensions.
    pub parameterisation: Parameterisation,
}

impl Default for LfsSettings {
    /// The reference's: four groups; attention, MLP and the rest by themselves; four methods.
    fn default() -> Self {
        Self {
            groups: 4,
            filters: vec!["self_attn".to_owned(), "mlp".to_owned()],
            methods: METHODS.map(str::to_owned).into(),
            coefficient: [0.0, 1.0],
            parameterisation: Parameterisation::Own,
        }
    }
}

impl LfsSettings {
    /// The settings that checked parameters say.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        let (default, path) = (Self::default(), Path::new(PLACE));
        let texts = |name: &str, default: Vec<String>| match settings.value(name).and_then(serde_json::Value::as_array)
        {
            Some(texts) => texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
            None => default,
        };
        let read = Self {
            groups: settings.count("groups")?,
            filters: texts("filters", default.filters),
            methods: texts("methods", default.methods),
            coefficient: range(settings, "coefficient", "space.coefficient")?.unwrap_or(default.coefficient),
            parameterisation: Parameterisation::of(settings)?,
        };
        if let Some(method) = read.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            let expected = "of `linear`, `task_arithmetic`, `ties` and `slerp`";
            return Err(Error::value(path, "space.methods", format!("`{method}` among others"), expected));
        }
        if read.methods.is_empty() || each_once(&read.methods).len() < read.methods.len() {
            return Err(Error::value(
                path,
                "space.methods",
                read.methods.join(", "),
                "one method or several, each once",
            ));
        }
        let all = read.methods.len() == METHODS.len();
        if read.parameterisation == Parameterisation::Reference && !all {
            let expected = "left out: the reference's parameterisation has all four";
            return Err(Error::value(path, "space.methods", read.methods.join(", "), expected));
        }
        read.check_filters()?;
        Ok(read)
    }

    /// Whether each filter can fit a tensor that none before it fits.
    fn check_filters(&self) -> Result<(), Error> {
        for (place, filter) in self.filters.iter().enumerate() {
            let before = self.filters[..place].iter().find(|before| filter.contains(before.as_str()));
            let expected = match before {
                Some(before) => format!("behind no filter that fits all it fits, as `{before}` does"),
                None if filter.is_empty() || ["base", "*"].contains(&filter.as_str()) => {
                    "a piece of a tensor's name; all tensors that no filter fits are a set of their own, `base`"
                        .to_owned()
                }
                None => continue,
            };
            return Err(Error::value(Path::new(PLACE), "space.filters", format!("`{filter}`"), expected));
        }
        Ok(())
    }

    /// Whether so many layers can be divided into the groups.
    pub(super) fn check_layers(&self, layers: usize) -> Result<(), Error> {
        let fits = self.groups > 0 && layers >= self.groups && layers.is_multiple_of(self.groups);
        if fits { Ok(()) } else { Err(self.uneven(layers)) }
    }

    /// The error of layers that cannot be divided into the groups.
    pub(super) fn uneven(&self, layers: usize) -> Error {
        let divisors: Vec<String> =
            (1..=layers).filter(|groups| layers.is_multiple_of(*groups)).map(|groups| groups.to_string()).collect();
        let expected = format!("a divisor of the base's {layers} layers: {}", divisors.join(", "));
        Error::value(Path::new(PLACE), "space.groups", self.groups, expected)
    }

    /// The names of the sets of tensors, `base` last.
    pub(super) fn sets(&self) -> Vec<String> {
        self.filters.iter().cloned().chain(["base".to_owned()]).collect()
    }
}
