//! What the pictures of a report have in common: the SVG element, text that is safe in it, and a chart with its grid.
//!
//! Pictures are strings: each function gives a piece of SVG, and whoever draws puts pieces one behind the other, the
//! later above the earlier. Coordinates are pixels from the upper left corner.

use std::fmt::Write as _;

/// The colour of the tailored model's own line and dots.
pub(super) const ACCENT: &str = "#0072b2";
/// The colours of text and lines. On a dark page `style.css` puts others in their place.
pub(super) const INK: &str = "#223";
/// Of numbers and names beside the drawing.
pub(super) const SOFT: &str = "#5d6679";
/// Of the layer map's numbers.
pub(super) const FAINT: &str = "#667";
/// Of the grid.
pub(super) const GRID: &str = "#e6e9ef";
/// Of what is gone.
pub(super) const GONE: &str = "#c9ccd3";

/// An SVG that needs nothing else, `width` by `height` pixels; `label` is read out to those who cannot see it.
pub(super) fn picture(width: f64, height: f64, label: &str, content: &str) -> String {
    let size = format!(r#"viewBox="0 0 {width} {height}" width="{width}" height="{height}""#);
    let style = format!(r#"role="img" aria-label="{label}" font-family="system-ui, sans-serif" font-size="11""#);
    format!(r#"<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{content}</svg>"#)
}

/// Text made safe inside HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A chart of numbers over steps: trials, or removed layers. Steps have equal widths from left to right.
pub(super) struct Chart {
    /// Height of the picture in pixels.
    pub height: f64,
    /// Room on the left for the numbers of the grid, in pixels.
    pub left: f64,
    /// Room below for the names of the steps, in pixels.
    pub bottom: f64,
    /// How many steps there are.
    pub steps: usize,
    /// The lowest and the highest value, which differ; what lies outside is drawn at the edge.
    pub range: (f64, f64),
}

/// Width of a chart in pixels.
const WIDTH: f64 = 1000.0;
/// Room above and on the right of a chart, in pixels.
const MARGIN: f64 = 8.0;

impl Chart {
    /// Where the middle of a step lies, in pixels from the left.
    pub fn x(&self, step: usize) -> f64 {
        self.left + (step as f64 + 0.5) / self.steps.max(1) as f64 * (WIDTH - self.left - MARGIN)
    }

    /// Where a share of the width lies, in pixels from the left: 0 is the left edge, 1 the right one.
    pub fn x_of_share(&self, share: f64) -> f64 {
        self.left + MARGIN + share * (WIDTH - self.left - 3.0 * MARGIN)
    }

    /// Where a value lies, in pixels from above.
    pub fn y(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        MARGIN + (high - value.clamp(low, high)) / (high - low) * (self.height - self.bottom - MARGIN)
    }

    /// The right edge, in pixels from the left.
    pub fn right(&self) -> f64 {
        WIDTH
    }

    /// Five horizontal lines at equal distances with their values as `number` writes them, and below the chart what its
    /// steps are. Lies under everything else.
    pub fn grid(&self, steps: &str, number: impl Fn(f64) -> String) -> String {
        let (low, high) = self.range;
        let mut grid = String::new();
        for line in 0..=4 {
            let value = low + (high - low) * f64::from(line) / 4.0;
            let (left, y) = (self.left, self.y(value));
            let _ = write!(grid, r##"<path d="M{left} {y:.1}H{WIDTH}" stroke="{GRID}"/>"##);
            grid += &label(left - 8.0, y + 4.0, "end", &number(value));
        }
        grid + &label((WIDTH + self.left) / 2.0, self.height - 8.0, "middle", steps)
    }

    /// A number below the chart, at a share of the width.
    pub fn number(&self, share: f64, number: &str) -> String {
        label(self.x_of_share(share), self.height - self.bottom + 18.0, "middle", number)
    }

    /// The name of a step below the chart.
    pub fn step_name(&self, step: usize, name: &str) -> String {
        label(self.x(step), self.height - self.bottom + 18.0, "middle", name)
    }

    /// The whole picture.
    pub fn picture(&self, label: &str, content: &str) -> String {
        picture(WIDTH, self.height, label, content)
    }
}

/// Text in the grid's colour; `anchor` says which of its ends is at `x`: `start`, `middle` or `end`.
fn label(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{SOFT}">{text}</text>"##)
}

/// A dot with a title that appears under the pointer; `paint` are its SVG attributes.
pub(super) fn dot(x: f64, y: f64, radius: f64, paint: &str, title: &str) -> String {
    format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" {paint}><title>{}</title></circle>"#, escape(title))
}

/// The line of a chart along SVG path commands, such as `M0 4L10 8`; with none it draws nothing.
pub(super) fn line(path: &str) -> String {
    format!(r#"<path d="{path}" fill="none" stroke="{ACCENT}" stroke-width="2"/>"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dark_page_has_another_colour_for_each_of_text_and_lines() {
        let (_, dark) = super::super::STYLE.split_once("prefers-color-scheme: dark").unwrap_or_default();
        for colour in [INK, SOFT, FAINT, GRID, GONE] {
            let named = |paint: &str| dark.contains(&format!("[{paint}=\"{colour}\"]"));
            assert!(named("fill") && named("stroke"), "{colour}");
        }
    }
}
