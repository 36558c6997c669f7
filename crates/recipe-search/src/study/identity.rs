//! What the outcomes of a study depend on, and one hash of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use layer_ir::Family;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{EvaluationSettings, Study};
use crate::space::BridgePlan;
use crate::{Error, RecipeEvaluator};

/// Everything that an outcome of a study depends on, by the keys of the study file.
///
/// It stands in the journal's header, so that no two meanings share one journal. What only says how long a search runs
/// (`trials`, `patience`, `hours`), how its result is confirmed, or how fast it computes (`device`, `memory_mib`) is no
/// part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// BLAKE3 of the rest, in hexadecimal.
    pub hash: String,
    /// What a score means: models, documents, metrics, objectives, dtype.
    meaning: BTreeMap<String, Value>,
    /// Which of the documents a trial is scored on: the seed of their order, and where it is cut.
    cut: BTreeMap<String, Value>,
    /// What a point stands for, and which points there are.
    space: BTreeMap<String, Value>,
    /// What the bridges of the recipes are fitted on, and how; nothing where there are none.
    #[serde(default)]
    bridges: BTreeMap<String, Value>,
}

impl Identity {
    /// The identity of a study over its opened models and its prepared tasks, with the plan of its bridges.
    ///
    /// # Errors
    /// [`Error::Io`] when a file of a model cannot be read.
    pub(crate) fn of(
        study: &Study,
        family: &Family,
        evaluator: &RecipeEvaluator,
        bridges: Option<&BridgePlan>,
    ) -> Result<Self, Error> {
        let mut meaning = BTreeMap::new();
        for name in family.names() {
            meaning.insert(format!("models.{name}"), fingerprint(family.get(name)?.dir())?.into());
        }
        meaning.insert("models.vocabulary".to_owned(), json!(study.models.vocabulary));
        for task in &study.tasks {
            let counted = json!({ "metric": task.metric, "weight": task.weight });
            meaning.insert(format!("tasks.{}", task.name), counted);
        }
        for (task, digest) in evaluator.document_digests() {
            meaning.insert(format!("the documents of {task}"), digest.into());
        }
        if study.evaluation != EvaluationSettings::default() {
            meaning.insert("evaluation".to_owned(), json!(study.evaluation));
        }
        meaning.insert("search.objective".to_owned(), json!(study.search.objective));
        meaning.insert("search.objectives".to_owned(), json!(study.search.objectives));
        meaning.insert("runtime.dtype".to_owned(), json!(study.runtime.dtype));
        let cut = [
            ("seed", json!(study.seed)),
            ("search.rungs", json!(study.search.rungs)),
            ("search.confirm_share", json!(study.search.confirm_share)),
        ];
        let mut cut: BTreeMap<String, Value> = cut.map(|(key, value)| (key.to_owned(), value)).into();
        if study.search.parts > 1 {
            cut.insert("search.parts".to_owned(), json!(study.search.parts));
        }
        let space = match json!(study.space) {
            Value::Object(keys) => {
                let own = keys.into_iter().filter(|(key, _)| !matches!(key.as_str(), "bridge" | "ridge"));
                own.map(|(key, value)| (format!("space.{key}"), value)).collect()
            }
            other => BTreeMap::from([("space".to_owned(), other)]),
        };
        let bridges = bridges.map(|plan| plan.identity(study)).unwrap_or_default();
        let bridges = bridges.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let text = json!([meaning, cut, space, bridges]).to_string();
        Ok(Self { hash: blake3::hash(text.as_bytes()).to_hex().to_string(), meaning, cut, space, bridges })
    }

    /// The first key in which another identity differs: a study can only go on with the one that it began with.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let first = |own, others| difference(own, others);
        first(&self.meaning, &other.meaning)
            .or_else(|| first(&self.cut, &other.cut))
            .or_else(|| first(&self.space, &other.space))
            .or_else(|| self.difference_of_bridges(other))
    }

    /// The first key by which a score means something else in another study: then none of its outcomes can be taken
    /// over.
    #[must_use]
    pub fn difference_of_meaning(&self, other: &Self) -> Option<Difference> {
        difference(&self.meaning, &other.meaning)
    }

    /// The first key in which the space differs, such as `space.base_at`.
    #[must_use]
    pub fn difference_of_space(&self, other: &Self) -> Option<Difference> {
        difference(&self.space, &other.space)
    }

    /// The first key of the bridges that differs, their method before all else: then the recipes of a point have other
    /// weights.
    #[must_use]
    pub fn difference_of_bridges(&self, other: &Self) -> Option<Difference> {
        let method = |bridges: &BTreeMap<String, Value>| {
            let kept = bridges.iter().filter(|(key, _)| *key == "space.bridge");
            kept.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let method = difference(&method(&self.bridges), &method(&other.bridges));
        method.or_else(|| difference(&self.bridges, &other.bridges))
    }

    /// Whether both study the same documents in the same order, so that outcomes can be compared document by document.
    #[must_use]
    pub fn same_cut(&self, other: &Self) -> bool {
        self.cut == other.cut
    }
}

/// A key that two studies give different values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, dotted from the top of the study file.
    pub key: String,
    /// The one value, as JSON.
    pub own: String,
    /// The other one.
    pub other: String,
}

/// The first key whose value differs or is there only once: of the own ones in alphabetical order, then of the others.
fn difference(own: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>) -> Option<Difference> {
    let text = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
    let mut keys = own.keys().chain(other.keys());
    let key = keys.find(|key| own.get(*key) != other.get(*key))?;
    Some(Difference { key: key.clone(), own: text(own.get(key)), other: text(other.get(key)) })
}

/// Files up to this size are hashed whole.
const WHOLE: u64 = 16 << 20;
/// Larger ones by so many blocks at equal distances, the first of which holds the header of a safetensors file.
const BLOCKS: u64 = 64;
/// Bytes of a block.
const BLOCK: u64 = 256 << 10;

/// BLAKE3 of a model's files: names, sizes and contents, of large files samples of these (16 MiB in all), so that
/// models of any size take no time.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn fingerprint(folder: &Path) -> Result<String, Error> {
    let counts = |extension: &str| matches!(extension, "json" | "safetensors" | "model" | "jinja" | "bin");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(Error::io(folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().and_then(|extension| extension.to_str()).is_some_and(counts))
        .collect();
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        sample(&path, &mut hasher).map_err(Error::io(&path))?;
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// Adds a file's size and contents to the hash, or of a large file evenly spread blocks of these.
fn sample(path: &Path, hasher: &mut blake3::Hasher) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    hasher.update(&size.to_le_bytes());
    let mut block = Vec::new();
    if size <= WHOLE {
        file.read_to_end(&mut block)?;
        hasher.update(&block);
        return Ok(());
    }
    for place in 0..BLOCKS {
        file.seek(SeekFrom::Start((size - BLOCK) / (BLOCKS - 1) * place))?;
        block.clear();
        (&mut file).take(BLOCK).read_to_end(&mut block)?;
        hasher.update(&block);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(dtype: &str, seed: u64) -> Identity {
        Identity {
            hash: String::new(),
            meaning: BTreeMap::from([("runtime.dtype".to_owned(), json!(dtype))]),
            cut: BTreeMap::from([("seed".to_owned(), json!(seed))]),
            space: BTreeMap::new(),
            bridges: BTreeMap::new(),
        }
    }

    #[test]
    fn the_first_difference_is_named_by_its_key() {
        let own = identity("F32", 1);
        assert_eq!(own.difference(&own), None);
        let difference = own.difference(&identity("BF16", 2)).unwrap();
        assert_eq!((difference.key.as_str(), difference.own.as_str()), ("runtime.dtype", "\"F32\""));
        assert_eq!(own.difference(&identity("F32", 2)).unwrap().key, "seed");
        assert_eq!(own.difference_of_meaning(&identity("F32", 2)), None, "another cut, the same meaning");
        assert!(!own.same_cut(&identity("F32", 2)));
    }

    #[test]
    fn a_change_of_a_weight_changes_the_fingerprint() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (small, large) = (folder.path().join("config.json"), folder.path().join("model.safetensors"));
        std::fs::write(&small, "{}")?;
        std::fs::write(&large, vec![1; (WHOLE + 1) as usize])?;
        let before = fingerprint(folder.path())?;
        assert_eq!(fingerprint(folder.path())?, before);
        std::fs::write(folder.path().join("README.md"), "words")?;
        assert_eq!(fingerprint(folder.path())?, before, "no part of the model");
        std::fs::write(&small, "[]")?;
        let other = fingerprint(folder.path())?;
        assert_ne!(other, before);
        std::fs::write(&large, vec![2; (WHOLE + 1) as usize])?;
        assert_ne!(fingerprint(folder.path())?, other);
        Ok(())
    }
}
