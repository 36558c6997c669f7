//! The picture of a tailored model: which layer comes from where, what is merged with which weight, what is gone.
//!
//! A [`LayerMap`] is read off a recipe alone, without opening a model. It is drawn twice: with letters, for
//! `tailor inspect` and at the end of a search, and as an SVG, for the page and the study's folder.

use std::fmt::Write as _;

use layer_ir::{Expr, OutputLayer, Recipe};

use super::svg::{escape, picture};

/// One column of the picture: a layer of the parents, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCell {
    /// The layer's index in the parents.
    pub layer: usize,
    /// The output layers that are made of it (none: the layer is gone; more than one: it is repeated).
    pub uses: Vec<LayerUse>,
}

/// An output layer as the picture shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerUse {
    /// Its index in the tailored model.
    pub output: usize,
    /// The models it is made of, by position in [`LayerMap::models`]; several for a merge, whose base is not counted.
    pub models: Vec<usize>,
    /// The merge's `coefficient`, `lambda` or `t`: the one number that says how strongly it merges, if it has one.
    pub weight: Option<f64>,
    /// The merge method, if it is merged.
    pub method: Option<String>,
    /// Whether a bridge is added to its weights.
    pub bridged: bool,
    /// The factor of what the layer adds to the residual stream; 1 leaves it as it is.
    pub scale: f32,
}

/// The layers of a recipe over those of its parents.
///
/// ```
/// use layer_ir::{OutputLayer, Recipe};
/// use tailor::LayerMap;
///
/// let models = ["base", "math"].map(|name| (name.to_owned(), format!("models/{name}")));
/// let mut recipe = Recipe::of_base(models.into(), "base", 3);
/// recipe.layers[0] = OutputLayer::take("math", 0);
/// recipe.layers.remove(1);
/// let text = LayerMap::of(&recipe, 3).to_text();
/// let expected = ["layer   0  1  2", "base    ·  · ██", "math   ██  ·  ·", "gone       ×   "];
/// assert_eq!(text.lines().collect::<Vec<_>>(), expected);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMap {
    /// The names of the models, the base among them, in the recipe's order.
    pub models: Vec<String>,
    /// One cell for each layer of the parents.
    pub cells: Vec<LayerCell>,
}

/// Colours that differ also for most colour-blind readers (Okabe and Ito), the base grey.
const COLOURS: [&str; 8] = ["#8a8f98", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900"];

impl LayerMap {
    /// The map of `recipe` over parents of `layers` layers. An output layer that merges layers of several indices
    /// stands under that of its first source; one beyond the parents is not shown.
    #[must_use]
    pub fn of(recipe: &Recipe, layers: usize) -> Self {
        let models: Vec<String> = recipe.models.keys().cloned().collect();
        let mut cells: Vec<LayerCell> = (0..layers).map(|layer| LayerCell { layer, uses: Vec::new() }).collect();
        for (output, layer) in recipe.layers.iter().enumerate() {
            let (used, source) = layer_use(layer, output, &models);
            if let Some(cell) = cells.get_mut(source) {
                cell.uses.push(used);
            }
        }
        Self { models, cells }
    }

    /// The colour of a model in every picture, by its position in [`Self::models`], as `#rrggbb`. From the ninth model
    /// on colours are used again.
    #[must_use]
    pub fn colour(model: usize) -> &'static str {
        COLOURS[model % COLOURS.len()]
    }

    /// The picture for a terminal: a row for each model, a column for each layer of the parents.
    ///
    /// `█` the layer as it is, `▒` merged with others, `·` not used. A row marks the bridged layers with `+`, if there
    /// are some; the last one marks the layers that are gone with `×`. Of a layer that is used several times the first
    /// use of each model counts.
    #[must_use]
    pub fn to_text(&self) -> String {
        let bridged = |cell: &LayerCell| cell.uses.iter().any(|used| used.bridged);
        let any_bridged = self.cells.iter().any(bridged);
        let least = if any_bridged { "bridge" } else { "layer" }.len();
        let width = self.models.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(least);
        let mut text = format!("{:width$} ", "layer");
        for cell in &self.cells {
            let _ = write!(text, "{:>3}", cell.layer);
        }
        for (model, name) in self.models.iter().enumerate() {
            let _ = write!(text, "\n{name:width$} ");
            for cell in &self.cells {
                let used = cell.uses.iter().find(|used| used.models.contains(&model));
                text.push_str(match used {
                    Some(used) if used.models.len() > 1 => " ▒▒",
                    Some(_) => " ██",
                    None => "  ·",
                });
            }
        }
        let mut row = |name: &str, sign: &str, marked: &dyn Fn(&LayerCell) -> bool| {
            let _ = write!(text, "\n{name:width$} ");
            self.cells.iter().for_each(|cell| text.push_str(if marked(cell) { sign } else { "   " }));
        };
        if any_bridged {
            row("bridge", "  +", &bridged);
        }
        row("gone", "  ×", &|cell| cell.uses.is_empty());
        text.push('\n');
        text
    }

    /// The picture for a page: an SVG that needs nothing else, a legend of the models below. Of a layer that is used
    /// several times the first use is drawn.
    #[must_use]
    pub fn to_svg(&self) -> String {
        const CELL: usize = 54;
        let legend: usize = self.models.iter().map(|name| legend_width(name)).sum();
        let width = (self.cells.len() * CELL + 2).max(legend + 4);
        let mut svg = String::from(r#"<g text-anchor="middle">"#);
        for cell in &self.cells {
            let x = cell.layer * CELL + 1;
            let _ = write!(svg, r##"<text x="{}" y="12" fill="#667">{}</text>"##, x + CELL / 2, cell.layer);
            match cell.uses.first() {
                None => gone(&mut svg, x, CELL),
                Some(used) => self.kept(&mut svg, x, CELL, used),
            }
        }
        self.legend(&mut svg);
        svg.push_str("</g>");
        picture(width as f64, 134.0, "Layer map", &svg)
    }

    /// A square and a name for each model.
    fn legend(&self, svg: &mut String) {
        let mut x = 4;
        for (place, name) in self.models.iter().enumerate() {
            let (colour, text) = (Self::colour(place), x + 15);
            let _ = write!(svg, r#"<rect x="{x}" y="118" width="11" height="11" fill="{colour}"/>"#);
            let name_at = format!(r##"x="{text}" y="128" fill="#223" text-anchor="start""##);
            let _ = write!(svg, "<text {name_at}>{}</text>", escape(name));
            x += legend_width(name);
        }
    }

    /// A layer that stays, its left edge at `x`: a band for each model, the merge's weight, a scale that is not 1, a
    /// dark corner if it is bridged, and below the place in the tailored model. What it is made of appears under the
    /// pointer.
    fn kept(&self, svg: &mut String, x: usize, cell: usize, used: &LayerUse) {
        let (left, wide) = (x + 3, cell - 6);
        let band = 64.0 / used.models.len().max(1) as f64;
        let names: Vec<&str> = used.models.iter().map(|model| self.models[*model].as_str()).collect();
        let _ = write!(svg, "<g><title>{}</title>", escape(&describe(used, &names)));
        for (i, model) in used.models.iter().enumerate() {
            let (y, colour) = (20.0 + i as f64 * band, Self::colour(*model));
            let _ = write!(svg, r#"<rect x="{left}" y="{y:.1}" width="{wide}" height="{band:.1}" fill="{colour}"/>"#);
        }
        if let Some(weight) = used.weight {
            let _ =
                write!(svg, r##"<text x="{}" y="56" fill="#fff" font-weight="600">{weight:.2}</text>"##, x + cell / 2);
        }
        if used.scale != 1.0 {
            let _ = write!(svg, r##"<text x="{}" y="80" fill="#fff">×{:.2}</text>"##, x + cell / 2, used.scale);
        }
        if used.bridged {
            // From the layer's upper right corner towards the gap.
            let right = x + cell - 3;
            let corner = format!("M{} 20H{right}V36Z", right - 16);
            let _ = write!(svg, r##"<path d="{corner}" fill="#223"/>"##);
        }
        let _ = write!(
            svg,
            r##"<text x="{}" y="102" fill="#223" font-weight="600">{}</text></g>"##,
            x + cell / 2,
            used.output
        );
    }
}

/// About what a name and its colour take.
fn legend_width(name: &str) -> usize {
    34 + 7 * name.chars().count()
}

/// A layer that is removed, its left edge at `x`: a dashed, crossed box.
fn gone(svg: &mut String, x: usize, cell: usize) {
    let (left, wide, right) = (x + 3, cell - 6, x + cell - 3);
    let _ = write!(svg, r##"<g stroke="#c9ccd3" fill="none"><title>removed</title>"##);
    let _ = write!(svg, r#"<rect x="{left}" y="20" width="{wide}" height="64" stroke-dasharray="4 3"/>"#);
    let _ = write!(svg, r#"<path d="M{left} 20L{right} 84M{right} 20L{left} 84"/></g>"#);
}

/// A kept layer in words, such as `output layer 3: math + code (ties 0.500), bridged`.
fn describe(used: &LayerUse, names: &[&str]) -> String {
    let mut text = format!("output layer {}: {}", used.output, names.join(" + "));
    if let Some(method) = &used.method {
        let _ = write!(text, " ({method}");
        if let Some(weight) = used.weight {
            let _ = write!(text, " {weight:.3}");
        }
        text.push(')');
    }
    if used.bridged {
        text.push_str(", bridged");
    }
    text
}

/// What the picture says of one output layer, and the parents' layer it stands under (a stack's first).
fn layer_use(layer: &OutputLayer, output: usize, models: &[String]) -> (LayerUse, usize) {
    let position = |name: &String| models.iter().position(|model| model == name).unwrap_or(0);
    let plain = LayerUse {
        output,
        models: Vec::new(),
        weight: None,
        method: None,
        bridged: layer.bridge.is_some(),
        scale: layer.scale,
    };
    match &layer.from {
        Expr::Take(source) => (LayerUse { models: vec![position(&source.model)], ..plain }, source.layer),
        Expr::Merge(merge) => {
            let used = LayerUse {
                models: merge.sources.iter().map(|source| position(&source.of.model)).collect(),
                weight: ["coefficient", "lambda", "t"]
                    .iter()
                    .find_map(|key| merge.parameters.number(key, "").ok().flatten()),
                method: Some(merge.method.clone()),
                ..plain
            };
            (used, merge.sources.first().map_or(0, |source| source.of.layer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "
tailor: 1
models: {base: b, math: m, code: c}
base: base
layers:
  - take: {model: math, layer: 0}
  - merge:
      method: gptailor_task_arithmetic
      parameters: {coefficient: 0.5}
      base: {model: base}
      sources: [{model: math, layer: 2}, {model: code, layer: 2}]
ends: {embedding: {take: {model: base}}, final_norm: {take: {model: base}}, head: {take: {model: base}}}
";

    #[test]
    fn the_map_shows_what_is_kept_merged_and_gone() -> Result<(), layer_ir::Error> {
        let map = LayerMap::of(&Recipe::from_yaml(RECIPE)?, 3);
        assert!(map.cells[1].uses.is_empty());
        assert_eq!(map.cells[2].uses[0].weight, Some(0.5));
        let text = map.to_text();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[1], "base    ·  ·  ·");
        assert_eq!(rows[2], "math   ██  · ▒▒");
        assert_eq!(rows[4].trim_end(), "gone       ×");
        Ok(())
    }

    #[test]
    fn a_bridged_layer_is_marked() -> Result<(), layer_ir::Error> {
        let take = "take: {model: math, layer: 0}";
        let bridged = RECIPE.replace(take, &format!("{take}\n    bridge: {{file: b.safetensors, hash: 0a}}"));
        let map = LayerMap::of(&Recipe::from_yaml(&bridged)?, 3);
        let text = map.to_text();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!((rows[0], rows[2]), ("layer    0  1  2", "math    ██  · ▒▒"));
        assert_eq!((rows[4].trim_end(), rows[5].trim_end()), ("bridge   +", "gone        ×"));
        assert!(map.to_svg().contains("output layer 0: math, bridged"));
        Ok(())
    }

    #[test]
    fn the_svg_names_the_models_of_a_merge() -> Result<(), layer_ir::Error> {
        let svg = LayerMap::of(&Recipe::from_yaml(RECIPE)?, 3).to_svg();
        assert!(svg.contains("output layer 1: math + code (gptailor_task_arithmetic 0.500)"));
        assert_eq!(svg.matches("<title>removed").count(), 1);
        Ok(())
    }
}
