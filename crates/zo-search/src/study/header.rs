//! A journal's first line: what is searched, how, and in which surroundings.

use serde::{Deserialize, Serialize};

use crate::{Optimizer, Space};

/// The version of the journal's format.
const VERSION: u32 = 1;

/// What a study is: its name and surroundings, and, once the journal begins, its space and strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "study")]
    name: String,
    space: Space,
    /// [`Space::hash`], by which spaces are compared.
    space_hash: String,
    strategy: Strategy,
    /// As text: JSON readers elsewhere lose the last digits of large integers.
    seed: String,
    #[serde(rename = "env")]
    environment: serde_json::Value,
}

/// [`Optimizer::name`] and [`Optimizer::settings`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Strategy {
    name: String,
    settings: serde_json::Value,
}

impl Header {
    /// The header of a study with this name. The seed is the one that its strategy was given.
    #[must_use]
    pub fn new(name: impl Into<String>, seed: u64) -> Self {
        Self {
            version: VERSION,
            name: name.into(),
            space: Space::new(),
            space_hash: String::new(),
            strategy: Strategy::default(),
            seed: seed.to_string(),
            environment: serde_json::Value::Null,
        }
    }

    /// With what else the outcomes depend on (hashes of data and models, the evaluator's version), which
    /// [`Study::open`] compares.
    ///
    /// [`Study::open`]: crate::Study::open
    #[must_use]
    pub fn with_environment(mut self, environment: serde_json::Value) -> Self {
        self.environment = environment;
        self
    }

    /// The study's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The strategy's name.
    #[must_use]
    pub fn strategy(&self) -> &str {
        &self.strategy.name
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// What else the outcomes depend on.
    #[must_use]
    pub fn environment(&self) -> &serde_json::Value {
        &self.environment
    }

    /// Completed by what the optimiser says of itself.
    pub(super) fn of(mut self, optimizer: &dyn Optimizer) -> Self {
        self.space = optimizer.space().clone();
        self.space_hash = self.space.hash();
        self.strategy = Strategy { name: optimizer.name().to_string(), settings: optimizer.settings() };
        self
    }

    /// The first thing in which a recorded header differs from the one given: what, there, and here.
    pub(super) fn difference(&self, given: &Self) -> Option<(&'static str, String, String)> {
        let mut recorded = self.strategy.settings.clone();
        forget_trials(&mut recorded, &given.strategy.settings);
        let texts = [
            ("format version", self.version.to_string(), given.version.to_string()),
            ("name", self.name.clone(), given.name.clone()),
            ("space", self.space_hash.clone(), given.space_hash.clone()),
            ("strategy", self.strategy.name.clone(), given.strategy.name.clone()),
            ("strategy's settings", text(&recorded), text(&given.strategy.settings)),
            ("seed", self.seed.clone(), given.seed.clone()),
            ("environment", self.environment.to_string(), given.environment.to_string()),
        ];
        texts.into_iter().find(|(_, recorded, given)| recorded != given)
    }
}

/// The settings, fields in the order of their names.
fn text(settings: &serde_json::Value) -> String {
    let mut settings = settings.clone();
    settings.sort_all_objects();
    settings.to_string()
}

/// Leaves out for how many trials a search was set up. The first release recorded that, which kept a finished search
/// from going on.
fn forget_trials(recorded: &mut serde_json::Value, given: &serde_json::Value) {
    if let (Some(recorded), Some(given)) = (recorded.as_object_mut(), given.as_object()) {
        if !given.contains_key("trials") {
            recorded.shift_remove("trials");
        }
        for (name, given) in given {
            recorded.get_mut(name).into_iter().for_each(|recorded| forget_trials(recorded, given));
        }
    }
}
