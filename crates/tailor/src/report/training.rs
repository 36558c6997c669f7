//! The curve of a training: the loss of its text and of the text that was held back.

use layer_train::CurvePoint;

use super::svg::{Chart, dot, line};

/// The losses after each validation, in nats a token: a line for the text that was held back, with a large dot where it
/// is lowest, and small dots for the text that was learnt.
///
/// ```
/// use layer_train::CurvePoint;
/// use tailor::report::training_curve;
///
/// let point = |step, loss, validation| CurvePoint { step, tokens: 100 * step, loss, validation, rate: 1e-4 };
/// let svg = training_curve(&[point(0, None, 2.0), point(5, Some(1.9), 1.5)], 5);
/// assert!(svg.starts_with("<svg") && svg.matches("<circle").count() == 3);
/// ```
#[must_use]
pub fn training_curve(points: &[CurvePoint], best: usize) -> String {
    let losses = points.iter().flat_map(|point| point.loss.into_iter().chain([point.validation]));
    let losses: Vec<f64> = losses.filter(|loss| loss.is_finite()).collect();
    let low = losses.iter().copied().fold(f64::INFINITY, f64::min).min(1e9);
    let high = losses.iter().copied().fold(low, f64::max);
    let range = (low, if high > low { high } else { low + 1e-3 });
    let chart = Chart { height: 260.0, left: 52.0, bottom: 34.0, steps: points.len(), range };
    let mut content = chart.grid("tokens", |value| format!("{value:.3}"));
    let mut path = String::new();
    for (place, point) in points.iter().enumerate() {
        let (x, y) = (chart.x(place), chart.y(point.validation));
        path += &format!("{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        content += &chart.step_name(place, &point.tokens.to_string());
        if let Some(loss) = point.loss {
            content += &dot(x, chart.y(loss), 2.0, "fill=\"#9bb7d4\"", &format!("learnt: {loss:.4}"));
        }
        let radius = if point.step == best { 5.0 } else { 3.0 };
        let title = format!("step {}, held back: {:.4}", point.step, point.validation);
        content += &dot(x, y, radius, "fill=\"#0072b2\"", &title);
    }
    content += &line(&path);
    chart.picture("Loss by tokens", &content)
}
