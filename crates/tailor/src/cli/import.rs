//! `tailor import`: a result of auto-merge-llm, the Python code of GPTailor and its parent, becomes a recipe.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use layer_ir::gptailor::{Context, Kind, ResultFile, ScaleSite};
use layer_ir::{Align, BaseAt, Expr, Family, Hub, ModelFinder, Recipe, Vocabulary};
use merge_ops::Registry;
use recipe_search::{Models, StudyFile, write_whole};
use tailor::Error;

use super::console::Console;
use super::hub::HubArguments;

/// Make a recipe of a result of auto-merge-llm (GPTailor): the JSON file of a prune, lfs or dis search.
///
/// Which search it was is told by the keys. The file does not say which models it is about: `--models` does.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The result: one JSON object of search parameters.
    result: PathBuf,
    /// A file with the `[models]` of a study: `base`, and `variants` in the order of the search. In an lfs result
    /// models have names; a variant is called so, or lies at such a path or hub id.
    #[arg(long, value_name = "FILE")]
    models: PathBuf,
    /// The recipe to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Of prune: the base's layer that a merge starts from: that of the output's place, with which the published
    /// results were measured, or that of the sources.
    #[arg(long, value_name = "PLACE", default_value = "output")]
    base_at: BaseAtName,
    /// Layers of the base; refused where the models have another number.
    #[arg(long, value_name = "NUMBER")]
    layers: Option<usize>,
    /// Of prune: apply the output scales, which the reference has in its files and does not use.
    #[arg(long)]
    apply_output_scales: bool,
    /// Of lfs: the filters in the order in which they are tried; needed where two fit one tensor.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    filters: Option<Vec<String>>,
    /// Of dis: what a scale multiplies: the residual stream behind the layer (the reference's Hugging Face model, and
    /// the default), or what the MLP adds to it (its vLLM model).
    #[arg(long, value_name = "SITE")]
    scale_site: Option<SiteName>,
    /// Of a dis result without permutations: the variants, by name or number from 0, in the order in which their layers
    /// are stacked.
    #[arg(long, value_name = "VARIANTS", value_delimiter = ',')]
    order: Option<Vec<String>>,
    /// Of dis: how many layers at either end were not searched, and are the first variant's (the reference's
    /// `fix_layers`; without it none).
    #[arg(long, value_name = "NUMBER")]
    fix_layers: Option<usize>,
    /// Of dis: whether the base's layer stands where no variant was chosen (the reference's `remain_base`; without it
    /// true).
    #[arg(long, value_name = "BOOL")]
    remain_base: Option<bool>,
    #[command(flatten)]
    hub: HubArguments,
}

/// A layer of the base, by the words of the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BaseAtName {
    Source,
    Output,
}

/// What a scale multiplies, by the words of the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SiteName {
    Stream,
    Mlp,
}

/// Reads the result, opens the models, and writes the recipe when it is known to fit them.
///
/// # Errors
/// [`Error::OtherKind`] and [`Error::BadOption`] for options that do not fit the result; what layer-ir says of a result
/// or a model, recipe-search of the file of models; a file that cannot be written.
pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let result = ResultFile::read(&arguments.result)?;
    arguments.check(result.kind())?;
    let models = Models::read(&arguments.models)?;
    let folder = arguments.models.parent().unwrap_or(Path::new("."));
    // Names and shapes are all that is needed.
    let hub = Hub { headers_only: true, ..arguments.hub.hub(console) };
    let places = Places::of(&models, folder, &hub)?;
    let (family, vocabulary) = open(&models, &places.opened)?;
    let context = arguments.context(places.written, family.base().num_layers())?;
    let recipe = Recipe { vocabulary, ..result.recipe(&context)? };
    recipe.clone().validate(&family, &Registry::standard())?;
    write_whole(&arguments.output, &recipe.to_yaml()?)?;
    arguments.remarks(&result, &models, &context, &recipe, console);
    console.say(&format!("{}: {}, of {}", arguments.output.display(), summary(&recipe), result.kind()))
}

impl Arguments {
    /// Whether the options are those of the result's search.
    fn check(&self, kind: Kind) -> Result<(), Error> {
        let options = [
            ("apply-output-scales", self.apply_output_scales, Kind::Prune),
            ("filters", self.filters.is_some(), Kind::Lfs),
            ("scale-site", self.scale_site.is_some(), Kind::Dis),
            ("order", self.order.is_some(), Kind::Dis),
            ("fix-layers", self.fix_layers.is_some(), Kind::Dis),
            ("remain-base", self.remain_base.is_some(), Kind::Dis),
        ];
        match options.into_iter().find(|(_, given, of)| *given && *of != kind) {
            Some((option, ..)) => Err(Error::OtherKind { option, file: self.result.clone(), kind }),
            None => Ok(()),
        }
    }

    /// What the result does not say, over models by name.
    fn context(&self, models: IndexMap<String, String>, layers: usize) -> Result<Context, Error> {
        if let Some(said) = self.layers.filter(|said| *said != layers) {
            let found = format!("{said}, and the base has {layers} layers");
            return Err(Error::BadOption { option: "layers", found, expected: "as many, or left out" });
        }
        let context = Context::new(models, StudyFile::BASE);
        let order = self.order.as_ref().map(|order| order.iter().map(|word| number(word, &context)).collect());
        Ok(Context {
            layers: Some(layers),
            base_at: match self.base_at {
                BaseAtName::Source => BaseAt::Source,
                BaseAtName::Output => BaseAt::Output,
            },
            output_scales: self.apply_output_scales,
            scale_site: match self.scale_site {
                None | Some(SiteName::Stream) => ScaleSite::Stream,
                Some(SiteName::Mlp) => ScaleSite::Mlp,
            },
            order: order.transpose()?,
            fixed_layers: self.fix_layers.unwrap_or(0),
            remain_base: self.remain_base.unwrap_or(true),
            filters: self.filters.clone(),
            ..context
        })
    }

    /// Says what was assumed.
    fn remarks(&self, result: &ResultFile, models: &Models, context: &Context, recipe: &Recipe, console: &Console) {
        let file = result.file().display();
        if self.order.is_none()
            && let Some(order) = result.assumed_order(context.candidates.len())
        {
            let name = |at: &usize| context.candidates.get(*at).map(String::as_str);
            let names: Vec<&str> = order.iter().filter_map(name).collect();
            console.note(&format!(
                "{file} does not say in which order layers are stacked; taken, as the reference reads it: {} (--order \
                 says otherwise)",
                names.join(", ")
            ));
        }
        let scaled = recipe.layers.iter().any(|layer| layer.scale != 1.0);
        if result.kind() == Kind::Dis && self.scale_site.is_none() && scaled {
            console.note(
                "scales are taken as of the residual stream; the reference's configurations ran with vLLM, where they \
                 are of the MLP's output (--scale-site mlp)",
            );
        }
        if models.vocabulary.is_none() && recipe.vocabulary.is_some() {
            console.note("the models have different tokens; the recipe has `vocabulary: gptailor`, as the reference");
        }
    }
}

/// A candidate's number, of its name or number.
fn number(word: &str, context: &Context) -> Result<usize, Error> {
    let named = context.candidates.iter().position(|candidate| candidate == word);
    named.or_else(|| word.parse().ok()).ok_or_else(|| {
        let (found, expected) = (word.to_owned(), "names of variants, or their numbers from 0, apart by commas");
        Error::BadOption { option: "order", found, expected }
    })
}

/// Where the models by name are.
struct Places {
    /// As the recipe says it: hub ids stay what they are, paths become absolute.
    written: IndexMap<String, String>,
    /// The folders.
    opened: IndexMap<String, PathBuf>,
}

impl Places {
    /// Looks for the models; paths are relative to `folder`.
    fn of(models: &Models, folder: &Path, hub: &Hub) -> Result<Self, Error> {
        let mut places = Self { written: IndexMap::new(), opened: IndexMap::new() };
        let mut finder = ModelFinder::new(hub);
        let base = [(StudyFile::BASE, &models.base)].into_iter();
        for (name, model) in base.chain(models.variants.iter().map(|(name, model)| (name.as_str(), model))) {
            let path = finder.find(model, folder)?;
            let path = std::path::absolute(&path).map_err(|source| Error::Io { path, source })?;
            let of_hub = !folder.join(model).exists();
            places.written.insert(name.to_owned(), if of_hub { model.clone() } else { path.display().to_string() });
            places.opened.insert(name.to_owned(), path);
        }
        Ok(places)
    }
}

/// Opens the models. Where they have different numbers of tokens and nothing is said of it, their vocabulary is the
/// reference's.
fn open(models: &Models, paths: &IndexMap<String, PathBuf>) -> Result<(Family, Option<Vocabulary>), Error> {
    let vocabulary = match (&models.vocabulary, Family::open_outline(paths, StudyFile::BASE, false)) {
        (Some(vocabulary), _) => vocabulary.clone(),
        (None, Err(layer_ir::Error::OtherVocabulary { .. })) => Vocabulary::new(Align::Gptailor),
        (None, family) => return Ok((family?, None)),
    };
    Ok((Family::open_outline(paths, StudyFile::BASE, true)?, Some(vocabulary)))
}

/// How many layers there are, and of what.
fn summary(recipe: &Recipe) -> String {
    let (mut of_base, mut of_one, mut merged, mut scaled) = (0, 0, 0, 0);
    for layer in &recipe.layers {
        let (model, of_mlp) = match &layer.from {
            Expr::Take(taken) => (Some(&taken.model), false),
            // A layer whose MLP is scaled.
            Expr::Merge(merge) if merge.method == "passthrough" => (merge.sources.first().map(|of| &of.of.model), true),
            Expr::Merge(_) => (None, false),
        };
        match model {
            Some(model) if *model == recipe.base => of_base += 1,
            Some(_) => of_one += 1,
            None => merged += 1,
        }
        scaled += usize::from(of_mlp || layer.scale != 1.0);
    }
    let parts = [(of_base, "of the base"), (of_one, "of one variant"), (merged, "merged"), (scaled, "scaled")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    format!("{} layers ({})", recipe.layers.len(), parts.collect::<Vec<_>>().join(", "))
}
