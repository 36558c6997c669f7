//! The parameters of the space of depth-wise integration.

use std::path::Path;

use layer_ir::gptailor::{self, LEAST_SCALE};
use tailor_registry::{Parameter, Settings};

use crate::Error;
use crate::space::parameterisation::{PLACE, Parameterisation, range};

/// The most candidates of the reference's parameterisation, which numbers all their orders.
const MOST_ORDERED: usize = 6;
/// The most candidates of our own: their ordered sets are the choices of a position.
const MOST_CANDIDATES: usize = 5;

/// What `[space]` may say.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter::integer("layers", 1, i64::MAX, "At most so many layers; absent: a quarter more than the base has.")
        .optional(),
    Parameter::integer("fix_layers", 0, i64::MAX, "So many layers at either end are the first variant's.")
        .with_default_integer(0),
    Parameter::numbers("scales", 0.0, f64::MAX, "Range of the scale behind a position; absent: [0.5, 1.5].").optional(),
    Parameter::one_of(
        "scale_site",
        &["stream", "mlp"],
        "What a scale multiplies: the stream, or what the MLP adds to it.",
    )
    .with_default_text("stream"),
    Parameterisation::PARAMETER,
];

/// What the scale of a layer multiplies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScaleSite {
    /// The residual stream after the layer: all that came before it, too.
    #[default]
    Stream,
    /// What the layer's MLP adds to the stream.
    Mlp,
}

impl From<ScaleSite> for gptailor::ScaleSite {
    fn from(site: ScaleSite) -> Self {
        match site {
            ScaleSite::Stream => Self::Stream,
            ScaleSite::Mlp => Self::Mlp,
        }
    }
}

/// The parameters of a [`DisSpace`](super::DisSpace).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DisSettings {
    /// At most so many layers; absent: a quarter more than the base has, as 50 for the published 40.
    pub layers: Option<usize>,
    /// So many layers at either end are the first variant's and not searched.
    pub fix_layers: usize,
    /// Range of the scale behind each position. Absent: 0.5 to 1.5; in the reference's parameterisation 0 to 2 as
    /// there, at the stream from 0.001 on.
    pub scales: Option<[f64; 2]>,
    /// What a scale multiplies.
    pub scale_site: ScaleSite,
    /// The dimensions.
    pub parameterisation: Parameterisation,
}

impl DisSettings {
    /// The settings that checked parameters say.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        let read = Self {
            layers: settings.count("layers").ok(),
            fix_layers: settings.count("fix_layers")?,
            scales: range(settings, "scales", "space.scales")?,
            scale_site: if settings.text("scale_site")? == "mlp" { ScaleSite::Mlp } else { ScaleSite::Stream },
            parameterisation: Parameterisation::of(settings)?,
        };
        if let Some([low, _]) =
            read.scales.filter(|[low, _]| read.scale_site == ScaleSite::Stream && *low < LEAST_SCALE)
        {
            let expected = "from at least 0.001 on at the stream, which a smaller scale leaves nothing of; \
                            or `space.scale_site` \"mlp\"";
            return Err(Error::value(Path::new(PLACE), "space.scales", low, expected));
        }
        Ok(read)
    }

    /// The range of the scales.
    pub(super) fn scales(&self) -> [f64; 2] {
        let least = if self.scale_site == ScaleSite::Stream { LEAST_SCALE } else { 0.0 };
        self.scales.unwrap_or(match self.parameterisation {
            Parameterisation::Own => [0.5, 1.5],
            Parameterisation::Reference => [least, 2.0],
        })
    }

    /// The most layers over a base of so many and so many candidates.
    pub(super) fn most_layers(&self, layers: usize, candidates: usize) -> Result<usize, Error> {
        let path = Path::new(PLACE);
        if self.fix_layers * 2 >= layers {
            let expected = format!("below half of the base's {layers} layers");
            return Err(Error::value(path, "space.fix_layers", self.fix_layers, expected));
        }
        let (most, which) = match self.parameterisation {
            Parameterisation::Own => (MOST_CANDIDATES, "ordered sets"),
            Parameterisation::Reference => (MOST_ORDERED, "orders"),
        };
        if candidates > most {
            let expected = format!("at most {most}: all their {which} are choices of a position");
            return Err(Error::value(path, "models.variants", format!("{candidates} fine-tunes"), expected));
        }
        let most = self.layers.unwrap_or(layers + layers / 4);
        if most < layers {
            let expected = format!("at least the base's {layers} layers: no position goes");
            return Err(Error::value(path, "space.layers", most, expected));
        }
        Ok(most)
    }
}
