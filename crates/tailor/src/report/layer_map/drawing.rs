//! The layer map as an SVG.

use std::fmt::Write as _;

use super::super::svg::{FAINT, GONE, INK, escape, picture};
use super::{Folded, LayerMap, LayerUse};

/// Room for the lines under groups, in pixels.
const GROUP_ROOM: usize = 14;

impl LayerMap {
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
            let _ = write!(svg, r##"<text x="{}" y="12" fill="{FAINT}">{}</text>"##, x + wide / 2, cell.layer);
            if cell.uses.len() > 1 {
                let bracket = format!("M{} 18V15H{}V18", x + 4, x + wide - 4);
                let _ = write!(svg, r##"<path d="{bracket}" stroke="{FAINT}" fill="none"/>"##);
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
            let _ = write!(svg, r##"<path d="M{left} 107V111H{right}V107" stroke="{INK}" fill="none"/>"##);
            let middle = left.midpoint(right);
            let _ = write!(svg, r##"<text x="{middle}" y="122" fill="{INK}">{}</text>"##, escape(&group.method));
        }
    }

    /// A square and a name for each model, so much lower than without groups.
    fn legend(&self, svg: &mut String, lower: usize) {
        let (mut x, square, line) = (4, 118 + lower, 128 + lower);
        for (place, name) in self.models.iter().enumerate() {
            let (colour, text) = (Self::colour(place), x + 15);
            let _ = write!(svg, r#"<rect x="{x}" y="{square}" width="11" height="11" fill="{colour}"/>"#);
            let name_at = format!(r##"x="{text}" y="{line}" fill="{INK}" text-anchor="start""##);
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
            let _ = write!(svg, r##"<path d="{corner}" fill="{INK}"/>"##);
        }
        let _ = write!(
            svg,
            r##"<text x="{}" y="102" fill="{INK}" font-weight="600">{}</text></g>"##,
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
    let _ = write!(svg, r##"<g stroke="{GONE}" fill="none"><title>removed</title>"##);
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
        let _ = write!(svg, r##"<text x="{middle}" y="56" fill="{INK}">{weight:.2}</text>"##);
    }
    let _ = write!(svg, r##"<text x="{middle}" y="102" fill="{FAINT}">in {}</text></g>"##, folded.output);
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
