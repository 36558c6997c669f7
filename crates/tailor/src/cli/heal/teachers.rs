//! What the best parent of each document predicts behind its tokens: asked once, and kept in a file.

use std::path::Path;
use std::sync::Arc;

use blake3::Hasher;
use layer_runtime::{RecipeModel, Runtime, RuntimeOptions, open_device};
use layer_train::{Document, HiddenFile, TeacherFile, TeacherWriter, TopK, Wanted};
use merge_ops::Registry;
use recipe_search::baselines::whole_model;
use recipe_search::{ModelScores, Parents, Search, Split, StudyFolder, weight_files};
use tailor::Error;
use task_eval::{LanguageModel, LogitsModel as _};

use super::texts::{Documents, Text, Texts};
use super::{Arguments, Patient, WorkFolder};
use crate::cli::console::Console;
use crate::cli::hub::hub;
use crate::cli::target::open_model;

/// Tokens whose predictions are held in memory before they are written.
const AT_ONCE: usize = 4096;

/// The teachers, and which of them each text has.
pub(super) struct Teachers {
    /// What messages call each.
    names: Vec<String>,
    models: Vec<RecipeModel>,
    /// Of each task of the study.
    of_task: Vec<usize>,
    /// Of text that is of no task.
    of_others: usize,
    /// Their weight files, by name, length and time.
    files: String,
    /// How many tokens the model knows, and they too.
    vocabulary: usize,
    /// How wide the model's stream is.
    hidden: usize,
}

/// How many predictions of a text count: those behind each token from the one before the first that counts.
pub(super) fn rows(text: &Text) -> usize {
    text.tokens.len() + 1 - text.from
}

impl Teachers {
    /// The one that was named, or the best parents of the study's tasks.
    ///
    /// # Errors
    /// [`Error::NoTeacher`] without a study and `--teacher`; [`Error::TeacherVocabulary`] for a teacher of other
    /// tokens; what the crates say of models that cannot be run.
    pub fn open(arguments: &Arguments, patient: &Patient, console: &Console) -> Result<Self, Error> {
        let teachers = Self::find(arguments, patient, console)?;
        let differs = |(_, model): &(&String, &RecipeModel)| model.vocabulary() != teachers.vocabulary;
        match teachers.names.iter().zip(&teachers.models).find(differs) {
            Some((name, model)) => {
                let (teacher, found, expected) = (name.clone(), model.vocabulary(), teachers.vocabulary);
                Err(Error::TeacherVocabulary { teacher, found, expected })
            }
            None => Ok(teachers),
        }
    }

    /// The same, whatever tokens they know.
    fn find(arguments: &Arguments, patient: &Patient, console: &Console) -> Result<Self, Error> {
        let rows = patient.recipe.alignment().map(layer_ir::Alignment::rows);
        let config = patient.family.base().config()?;
        let (vocabulary, hidden) = (rows.unwrap_or(config.vocab_size), config.hidden_size);
        if let Some(path) = &arguments.teacher {
            let (family, recipe) = open_model(path, &hub(arguments.text.download, console))?;
            let (registry, options) =
                (Registry::standard(), RuntimeOptions { reproducible: true, ..RuntimeOptions::default() });
            let recipe = recipe.validate(&family, &registry)?;
            let files = weight_files(family.names().filter_map(|name| Some(family.get(name).ok()?.dir())));
            let model = Runtime::new(family, registry, open_device(&arguments.device.name)?, options)?.model(recipe)?;
            let names = vec![path.display().to_string()];
            return Ok(Self {
                names,
                models: vec![model],
                of_task: Vec::new(),
                of_others: 0,
                files,
                vocabulary,
                hidden,
            });
        }
        let search = patient.study.as_ref().ok_or(Error::NoTeacher)?;
        let parents = parents(search, &arguments.model, console)?;
        let tasks = parents.first().map_or(0, |parent| parent.scores.len());
        let best = |score: &dyn Fn(&ModelScores) -> f64| {
            let better = |a: &usize, b: &usize| score(&parents[*a]).total_cmp(&score(&parents[*b])).then(b.cmp(a));
            (0..parents.len()).max_by(better).unwrap_or(0)
        };
        let of_task: Vec<usize> = (0..tasks).map(|task| best(&|parent| parent.scores[task].score)).collect();
        let of_others = best(&|parent| parent.scores.iter().map(|score| score.score).sum());
        let runtime = search.reproducible_runtime()?;
        let family = search.family();
        let model = |parent: &ModelScores| {
            Ok(runtime.model(whole_model(family, &parent.name).validate(family, search.registry())?)?)
        };
        Ok(Self {
            models: parents.iter().map(model).collect::<Result<_, Error>>()?,
            names: parents.iter().map(|parent| parent.name.clone()).collect(),
            files: weight_files(family.names().filter_map(|name| Some(family.get(name).ok()?.dir()))),
            of_task,
            of_others,
            vocabulary,
            hidden,
        })
    }

    /// The documents with the predictions of their teachers, which are asked unless a run that was killed has asked
    /// them.
    ///
    /// # Errors
    /// As of [`Self::width`] where hidden states are to be learnt; what the crates say of models that cannot be run; a
    /// file that cannot be written.
    pub fn ask(
        mut self,
        arguments: &Arguments,
        texts: Texts,
        work: &WorkFolder,
        console: &Console,
    ) -> Result<Documents, Error> {
        if arguments.hidden_weight > 0.0 {
            self.width()?;
        }
        let k = arguments.top_tokens.min(self.vocabulary);
        let identity = self.identity(&texts, k);
        let path = |what: &str| work.file(&format!("{what}-{}.bin", &identity[..16]));
        let all: Vec<&Text> = texts.training.iter().chain(&texts.validation).collect();
        let file = match TeacherFile::open(&path("teacher")) {
            Ok(known) => known,
            Err(_) => self.write(&all, k, &path("teacher"), console)?,
        };
        let hidden = match HiddenFile::open(&path("hidden")) {
            _ if arguments.hidden_weight == 0.0 => None,
            Ok(known) => Some(Arc::new(known)),
            Err(_) => Some(Arc::new(self.write_streams(&all, &path("hidden"), console)?)),
        };
        let file = Arc::new(file);
        let mut first = 0;
        let mut document = |text: Text| {
            let (teacher, hidden) = (Arc::clone(&file), hidden.clone());
            let wanted = Wanted::Teacher { teacher, first, from: text.from - 1, hidden };
            first += rows(&text);
            Document { tokens: text.tokens, wanted }
        };
        Ok(Documents {
            training: texts.training.into_iter().map(&mut document).collect(),
            validation: texts.validation.into_iter().map(&mut document).collect(),
            teachers: identity,
        })
    }

    /// Their names.
    pub fn names(&self) -> String {
        self.names.join(", ")
    }

    /// The name of a text's teacher.
    pub fn name_of(&self, text: &Text) -> &str {
        &self.names[self.of(text)]
    }

    /// Their weight files, by name, length and time.
    pub fn files(&self) -> &str {
        &self.files
    }

    /// The most tokens that all of them see.
    pub fn window(&self) -> usize {
        self.models.iter().map(LanguageModel::max_length).min().unwrap_or(0)
    }

    /// How wide the streams are, theirs and the model's.
    ///
    /// # Errors
    /// [`Error::Train`] where they differ.
    pub fn width(&self) -> Result<usize, Error> {
        let (expected, widths) = (self.hidden, self.models.iter().map(|model| model.runtime().config().hidden_size));
        match widths.into_iter().find(|width| *width != expected) {
            Some(found) => Err(Error::train(layer_train::Error::HiddenWidth { expected, found })),
            None => Ok(expected),
        }
    }

    /// Hands each teacher to `use_of`, with its place and name.
    ///
    /// # Errors
    /// Those of `use_of`.
    pub fn each(
        &mut self,
        use_of: &mut dyn FnMut(usize, &str, &mut RecipeModel) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut teachers = self.models.iter_mut().zip(&self.names).enumerate();
        teachers.try_for_each(|(place, (model, name))| use_of(place, name, model))
    }

    /// The teacher of a text.
    pub fn of(&self, text: &Text) -> usize {
        text.task.and_then(|task| self.of_task.get(task).copied()).unwrap_or(self.of_others)
    }

    /// A hash of the teachers, the texts, and which teacher each has.
    fn identity(&self, texts: &Texts, k: usize) -> String {
        let mut hasher = Hasher::new();
        hasher.update(self.files.as_bytes()).update(&(k as u64).to_le_bytes());
        for text in texts.training.iter().chain(&texts.validation) {
            hasher.update(self.names[self.of(text)].as_bytes());
            hasher.update(&(text.from as u64).to_le_bytes()).update(&(text.tokens.len() as u64).to_le_bytes());
            hasher.update(bytemuck::cast_slice(&text.tokens));
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Asks the teachers, piece by piece of the texts, and writes what they say in the order of the texts.
    fn write(&mut self, texts: &[&Text], k: usize, path: &Path, console: &Console) -> Result<TeacherFile, Error> {
        let tokens: usize = texts.iter().map(|text| text.tokens.len()).sum();
        console.note(&format!("asking {} about {tokens} tokens", self.names.join(", ")));
        let mut writer = TeacherWriter::create(path, k).map_err(Error::train)?;
        for texts in at_once(texts) {
            for row in self.predictions(texts, k)?.iter().flatten() {
                writer.push(row).map_err(Error::train)?;
            }
        }
        writer.finish().map_err(Error::train)
    }

    /// What the teachers predict behind the tokens of some texts that count.
    fn predictions(&mut self, texts: &[&Text], k: usize) -> Result<Vec<Vec<TopK>>, Error> {
        let mut all: Vec<Vec<Option<TopK>>> = texts.iter().map(|text| vec![None; rows(text)]).collect();
        for teacher in 0..self.models.len() {
            let own: Vec<usize> = (0..texts.len()).filter(|text| self.of(texts[*text]) == teacher).collect();
            let tokens: Vec<Arc<[u32]>> = own.iter().map(|text| texts[*text].tokens.as_slice().into()).collect();
            if own.is_empty() {
                continue;
            }
            let read = self.models[teacher].read_logits(&tokens, &mut |text, position, logits| {
                let text = own[text];
                let row = (position + 1).checked_sub(texts[text].from);
                if let Some(row) = row.and_then(|row| all[text].get_mut(row)) {
                    *row = TopK::of(logits, k);
                }
            });
            let name = &self.names[teacher];
            read.map_err(|source| recipe_search::Error::Model { what: format!("teacher {name}"), source })?;
        }
        let complete = |rows: Vec<Option<TopK>>| {
            rows.into_iter().collect::<Option<Vec<TopK>>>().ok_or_else(|| Error::BadTeacher(self.names.join(", ")))
        };
        all.into_iter().map(complete).collect()
    }
}

/// Texts in pieces of at most [`AT_ONCE`] tokens, or one text.
pub(super) fn at_once<'a>(texts: &'a [&'a Text]) -> Vec<&'a [&'a Text]> {
    let (mut pieces, mut left) = (Vec::new(), texts);
    while !left.is_empty() {
        let mut tokens = 0;
        let fits = |text: &&&Text| {
            tokens += text.tokens.len();
            tokens <= AT_ONCE
        };
        let (now, later) = left.split_at(left.iter().take_while(fits).count().max(1));
        pieces.push(now);
        left = later;
    }
    pieces
}

/// The scores of the study's models on its search documents: those that the study's folder has, or new ones.
fn parents(search: &Search, model: &Path, console: &Console) -> Result<Vec<ModelScores>, Error> {
    let folders = [Some(model.to_owned()), search.study().out.clone()];
    for folder in folders.into_iter().flatten().filter(|folder| folder.is_dir()) {
        if let Ok(Some(parents)) = StudyFolder::new(folder).read::<Parents>("parents.json") {
            let known = |name: &str| parents.models.iter().any(|model| model.name == name);
            if search.family().names().all(known) {
                return Ok(parents.models);
            }
        }
    }
    console.note("scoring the study's models, to know the best of each task");
    let mut evaluator = search.evaluator(Split::Validation)?;
    let family = search.family();
    let score = |name: &str| {
        let recipe = whole_model(family, name).validate(family, search.registry())?;
        let scores = evaluator.score(&recipe, evaluator.all_search_documents())?;
        Ok(ModelScores { name: name.to_owned(), layers: Some(recipe.layers.len()), scores })
    };
    family.names().map(score).collect()
}
