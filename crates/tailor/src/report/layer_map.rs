//! The picture of a tailored model: which layer comes from where, what is merged with which weight, what is gone.
//!
//! A [`LayerMap`] is read off a recipe alone, without opening a model. It is drawn twice: with letters, for
//! `tailor inspect` and at the end of a search, and as an SVG, for the page and the study's folder.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use layer_ir::{Expr, LayerExpr, LayerRef, Merge, OutputLayer, Recipe};

use super::svg::{escape, picture};

/// One column of the picture: a layer of the parents, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCell {
    /// The layer's index in the parents.
    pub layer: usize,
    /// The output layers that are made of it, in their order (none: the layer is gone; more than one: they are stacked).
    pub uses: Vec<LayerUse>,
    /// Where it is folded into.
    pub folded: Option<Folded>,
}

/// What became of a layer that is folded into another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The output layer that has its difference.
    pub output: usize,
    /// By what the difference is multiplied there, if a single number says so.
    pub weight: Option<f64>,
}

/// Neighbouring output layers that are merged alike.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGroup {
    /// The first and the last one.
    pub outputs: RangeInclusive<usize>,
    /// How they are merged.
    pub method: String,
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
    /// The groups of a recipe all of whose layers are merged; none of a recipe without neighbours that are merged alike.
    pub groups: Vec<LayerGroup>,
}

/// Colours that differ also for most colour-blind readers (Okabe and Ito), the base grey.
const COLOURS: [&str; 8] = ["#8a8f98", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900"];

impl LayerMap {
    /// The map of `recipe` over parents of `layers` layers. An output layer that merges layers of several indices
    /// stands under that of its base, if the recipe says which one that is, and the others are folded into it; else
    /// under that of its first source. One beyond the parents is not shown.
    #[must_use]
    pub fn of(recipe: &Recipe, layers: usize) -> Self {
        let models: Vec<String> = recipe.models.keys().cloned().collect();
        let mut cells: Vec<LayerCell> =
            (0..layers).map(|layer| LayerCell { layer, uses: Vec::new(), folded: None }).collect();
        for (output, layer) in recipe.layers.iter().enumerate() {
            let (used, source) = layer_use(layer, output, &models);
            if let Some(cell) = cells.get_mut(source) {
                cell.uses.push(used);
            }
            if let Some((merge, _)) = fold(&layer.from) {
                for source in &merge.sources {
                    let weight = one_number(|tensor| source.parameters.number("weight", tensor).ok().flatten());
                    if let Some(cell) = cells.get_mut(source.of.layer) {
                        cell.folded = Some(Folded { output, weight });
                    }
                }
            }
        }
        Self { models, cells, groups: groups(recipe) }
    }

    /// The colour of a model in every picture, by its position in [`Self::models`], as `#rrggbb`. From the ninth model
    /// on colours are used again.
    #[must_use]
    pub fn colour(model: usize) -> &'static str {
        COLOURS[model % COLOURS.len()]
    }

    /// The picture for a terminal: a row for each model, a column for each layer of the parents; several for one that is
    /// used several times, in the order of the uses.
    ///
    /// `█` the layer as it is, `▒` merged with others, `·` not used. Rows mark the bridged layers with `+`, the first
    /// layer of each group that is merged alike with its number, and the layers that are folded into others with `‹`, if
    /// there are some; the last one marks the layers that are gone with `×`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let columns = self.columns();
        let marks: [(&str, &str, Marked); 3] = [
            ("bridge", "  +", |_, used| used.is_some_and(|used| used.bridged)),
            ("folded", "  ‹", |cell, used| used.is_none() && cell.folded.is_some()),
            ("gone", "  ×", |_, used| used.is_none()),
        ];
        let marked = |marked: Marked| columns.iter().any(|(cell, used)| marked(cell, *used));
        let marks = marks.into_iter().filter(|(name, _, own)| *name == "gone" || marked(*own));
        let names = marks.clone().map(|(name, ..)| name).chain(["layer"]).chain(self.models.iter().map(String::as_str));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let mut text = format!("{:width$} ", "layer");
        for (cell, _) in &columns {
            let _ = write!(text, "{:>3}", cell.layer);
        }
        let mut row = |name: &str, sign: &dyn Fn(&LayerCell, Option<&LayerUse>) -> String| {
            let _ = write!(text, "\n{name:width$} ");
            columns.iter().for_each(|(cell, used)| text.push_str(&sign(cell, *used)));
        };
        for (model, name) in self.models.iter().enumerate() {
            row(name, &|_, used| match used.filter(|used| used.models.contains(&model)) {
                Some(used) if used.models.len() > 1 => " ▒▒".to_owned(),
                Some(_) => " ██".to_owned(),
                None => "  ·".to_owned(),
            });
        }
        if !self.groups.is_empty() {
            let begins = |used: &LayerUse| self.groups.iter().position(|group| *group.outputs.start() == used.output);
            row("group", &|_, used| used.and_then(begins).map_or("   ".to_owned(), |group| format!("{group:>3}")));
        }
        for (name, sign, marked) in marks {
            row(name, &|cell, used| if marked(cell, used) { sign.to_owned() } else { "   ".to_owned() });
        }
        text.push('\n');
        text
    }

    /// A column for each use of each layer, and one for each layer without a use.
    fn columns(&self) -> Vec<(&LayerCell, Option<&LayerUse>)> {
        let of = |cell: &'_ LayerCell| -> Vec<Option<usize>> {
            if cell.uses.is_empty() { vec![None] } else { (0..cell.uses.len()).map(Some).collect() }
        };
        let columns = self.cells.iter().flat_map(|cell| of(cell).into_iter().map(move |place| (cell, place)));
        columns.map(|(cell, place)| (cell, place.and_then(|place| cell.uses.get(place)))).collect()
    }

    /// The picture for a page: an SVG that needs nothing else, a legend of the models below. A stack has a column for
    /// each of its layers, under one number; a line below the places marks a group.
    #[must_use]
    pub fn to_svg(&self) -> String {
        const CELL: usize = 54;
        let columns = self.columns();
        let legend: usize = self.models.iter().map(|name| legend_width(name)).sum();
        let width = (columns.len() * CELL + 2).max(legend + 4);
        let mut svg = String::from(r#"<g text-anchor="middle">"#);
        let mut x = 1;
        for cell in &self.cells {
            let wide = CELL * cell.uses.len().max(1);
            let _ = write!(svg, r##"<text x="{}" y="12" fill="#667">{}</text>"##, x + wide / 2, cell.layer);
            if cell.uses.len() > 1 {
                let bracket = format!("M{} 18V15H{}V18", x + 4, x + wide - 4);
                let _ = write!(svg, r##"<path d="{bracket}" stroke="#667" fill="none"/>"##);
            }
            match &cell.folded {
                _ if !cell.uses.is_empty() => {}
                Some(folded) => fold_mark(&mut svg, x, CELL, folded),
                None => gone(&mut svg, x, CELL),
            }
            for (place, used) in cell.uses.iter().enumerate() {
                self.kept(&mut svg, x + place * CELL, CELL, used);
            }
            x += wide;
        }
        self.group_lines(&mut svg, CELL);
        let lower = if self.groups.is_empty() { 0 } else { GROUP_ROOM };
        self.legend(&mut svg, lower);
        svg.push_str("</g>");
        picture(width as f64, (134 + lower) as f64, "Layer map", &svg)
    }

    /// A line under each group, with its method.
    fn group_lines(&self, svg: &mut String, cell: usize) {
        let columns = self.columns();
        let column = |output: usize| {
            columns.iter().position(|(_, used)| used.is_some_and(|used| used.output == output)).unwrap_or(0)
        };
        for group in &self.groups {
            let (first, last) = (column(*group.outputs.start()), column(*group.outputs.end()));
            let (left, right) = (first * cell + 5, (last + 1) * cell - 3);
            let _ = write!(svg, r##"<path d="M{left} 107V111H{right}V107" stroke="#223" fill="none"/>"##);
            let middle = left.midpoint(right);
            let _ = write!(svg, r##"<text x="{middle}" y="122" fill="#223">{}</text>"##, escape(&group.method));
        }
    }

    /// A square and a name for each model, so much lower than without groups.
    fn legend(&self, svg: &mut String, lower: usize) {
        let (mut x, square, line) = (4, 118 + lower, 128 + lower);
        for (place, name) in self.models.iter().enumerate() {
            let (colour, text) = (Self::colour(place), x + 15);
            let _ = write!(svg, r#"<rect x="{x}" y="{square}" width="11" height="11" fill="{colour}"/>"#);
            let name_at = format!(r##"x="{text}" y="{line}" fill="#223" text-anchor="start""##);
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

/// Whether a column is marked in a row.
type Marked = fn(&LayerCell, Option<&LayerUse>) -> bool;

/// Room for the lines under groups, in pixels.
const GROUP_ROOM: usize = 14;

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

/// A layer that is folded into another one, its left edge at `x`: a dashed box with the coefficient and the place in
/// the tailored model of the layer that has its difference.
fn fold_mark(svg: &mut String, x: usize, cell: usize, folded: &Folded) {
    let (left, wide, middle) = (x + 3, cell - 6, x + cell / 2);
    let _ = write!(svg, "<g><title>removed, folded into output layer {}</title>", folded.output);
    let box_of = format!(r#"x="{left}" y="20" width="{wide}" height="64""#);
    let _ = write!(svg, r##"<rect {box_of} stroke="#8a8f98" fill="none" stroke-dasharray="4 3"/>"##);
    if let Some(weight) = folded.weight {
        let _ = write!(svg, r##"<text x="{middle}" y="56" fill="#223">{weight:.2}</text>"##);
    }
    let _ = write!(svg, r##"<text x="{middle}" y="102" fill="#667">in {}</text></g>"##, folded.output);
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
        from if fold(from).is_some() => {
            let own = fold(from).map(|(_, own)| own);
            let models = own.iter().map(|own| position(&own.model)).collect();
            (LayerUse { models, method: Some("fold".to_owned()), ..plain }, own.map_or(0, |own| own.layer))
        }
        Expr::Merge(merge) => {
            let used = LayerUse {
                models: merge.sources.iter().map(|source| position(&source.of.model)).collect(),
                weight: ["coefficient", "lambda", "t"]
                    .iter()
                    .find_map(|key| one_number(|tensor| merge.parameters.number(key, tensor).ok().flatten())),
                method: Some(merge.method.clone()),
                ..plain
            };
            (used, merge.sources.first().map_or(0, |source| source.of.layer))
        }
    }
}

/// A merge that folds other layers of a model into one of its layers, and that layer.
fn fold(from: &LayerExpr) -> Option<(&Merge<LayerRef>, LayerRef)> {
    let Expr::Merge(merge) = from else { return None };
    let base = merge.base.as_ref()?;
    let own = LayerRef { model: base.model.clone(), layer: base.layer? };
    let other = |of: &LayerRef| of.model == own.model && of.layer != own.layer;
    merge.sources.iter().all(|source| other(&source.of)).then_some((merge, own))
}

/// A number that all tensors of a layer share; none where it differs from tensor to tensor.
fn one_number(number: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let first = number("")?;
    let tensors = ["self_attn.q_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight"];
    tensors.iter().all(|tensor| number(tensor) == Some(first)).then_some(first)
}

/// Neighbours that are merged alike, where all layers are merged and there are such neighbours.
fn groups(recipe: &Recipe) -> Vec<LayerGroup> {
    // The merge without the place of its layers.
    let alike = |layer: &OutputLayer| match &layer.from {
        Expr::Merge(merge) if fold(&layer.from).is_none() => {
            let mut merge = merge.clone();
            merge.sources.iter_mut().for_each(|source| source.of.layer = 0);
            merge.base.iter_mut().for_each(|base| base.layer = None);
            Some(merge)
        }
        _ => None,
    };
    let Some(merges) = recipe.layers.iter().map(alike).collect::<Option<Vec<_>>>() else { return Vec::new() };
    let mut groups: Vec<LayerGroup> = Vec::new();
    for (output, merge) in merges.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if merges[output - 1] == *merge => group.outputs = *group.outputs.start()..=output,
            _ => groups.push(LayerGroup { outputs: output..=output, method: merge.method.clone() }),
        }
    }
    if groups.len() < merges.len() { groups } else { Vec::new() }
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

    fn recipe_of(layers: &str) -> Result<Recipe, layer_ir::Error> {
        let head = "tailor: 1\nmodels: {base: b, math: m, code: c}\nbase: base\nlayers:\n";
        Recipe::from_yaml(&format!("{head}{layers}"))
    }

    #[test]
    fn a_stack_has_a_column_for_each_layer_in_its_order() -> Result<(), layer_ir::Error> {
        let take = |model: &str, layer: usize| format!("  - take: {{model: {model}, layer: {layer}}}\n");
        let stacked = take("base", 0) + &take("code", 1) + &take("math", 1) + &take("base", 2);
        let map = LayerMap::of(&recipe_of(&stacked)?, 3);
        let text = map.to_text();
        let rows: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            rows,
            ["layer   0  1  1  2", "base   ██  ·  · ██", "math    ·  · ██  ·", "code    · ██  ·  ·", "gone"]
        );
        let svg = map.to_svg();
        let (code, math) = (svg.find("output layer 1: code"), svg.find("output layer 2: math"));
        assert!(code.is_some() && code < math);
        assert_eq!(svg.matches(">1</text>").count(), 2, "one number of the stack, and the place of its first layer");
        Ok(())
    }

    #[test]
    fn a_folded_layer_says_where_it_went() -> Result<(), layer_ir::Error> {
        let fold = "  - merge:
      method: task_arithmetic
      base: {model: math, layer: 1}
      sources: [{model: math, layer: 2, parameters: {weight: 0.25}}]\n";
        let map = LayerMap::of(&recipe_of(&format!("  - take: {{model: base, layer: 0}}\n{fold}"))?, 4);
        assert_eq!(map.cells[2].folded, Some(Folded { output: 1, weight: Some(0.25) }));
        let text = map.to_text();
        let rows: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            rows[2..],
            ["math     · ██  ·  ·", "code     ·  ·  ·  ·", "folded         ‹", "gone           ×  ×"]
        );
        let svg = map.to_svg();
        assert!(svg.contains("output layer 1: math (fold)") && svg.contains("folded into output layer 1"));
        Ok(())
    }

    #[test]
    fn groups_that_are_merged_alike_are_marked() -> Result<(), layer_ir::Error> {
        let merge = |method: &str, layer: usize| {
            let number = "[{filter: mlp, value: 0.5}, {value: 0.25}]";
            format!(
                "  - merge:\n      method: {method}\n      parameters: {{coefficient: {number}}}\n      \
                 sources: [{{model: math, layer: {layer}}}, {{model: code, layer: {layer}}}]\n"
            )
        };
        let (ties, sum) = ("gptailor_ties", "gptailor_task_arithmetic");
        let layers = merge(ties, 0) + &merge(ties, 1) + &merge(sum, 2) + &merge(sum, 3);
        let map = LayerMap::of(&recipe_of(&layers)?, 4);
        let groups: Vec<_> = map.groups.iter().map(|group| (group.outputs.clone(), group.method.as_str())).collect();
        assert_eq!(groups, [(0..=1, ties), (2..=3, sum)]);
        assert_eq!(map.cells[0].uses[0].weight, None, "there is no one number for all tensors");
        assert!(map.to_text().lines().any(|row| row.trim_end() == "group   0     1"), "{}", map.to_text());
        assert!(map.to_svg().contains(">gptailor_ties</text>"));
        // Layers that are merged each in its own way are no groups.
        assert!(LayerMap::of(&recipe_of(&(merge(ties, 0) + &merge(sum, 1)))?, 2).groups.is_empty());
        Ok(())
    }
}
